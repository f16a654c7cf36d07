"""What a mutation operator is, and where all of them are found.

An operator is a function from an IR node to its replacements. The decorator records what the
function does not say: its id, its category, the stages it serves and the nodes it is asked about.
Walking, counting and applying are :mod:`pytest_mutatenn.compiler.sites`' business.
"""

from __future__ import annotations

import difflib
import fnmatch
import functools
import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_mutatenn.errors import MutatennError

STAGES = ("graph", "kernel", "device", "weights")
"""The stages of the lowering, in the order in which a mutant list names them."""

CATEGORIES = {
    "layer": "Layer node replacement",
    "arithmetic": "Arithmetic node replacement",
    "input-output": "Node input/output modification",
    "types": "Arithmetic types",
    "stores": "Kernel variables and stores",
    "conditional": "Conditional statements and expressions",
    "kernel-arithmetic": "Arithmetic in kernels",
    "weights": "Weights",
}
"""Category id -> its title, in the order of the documentation and the reports."""

ROLES = ("value", "index", "condition", "extent")
"""Where in a kernel an expression stands; see :func:`operator`."""

Replacements = Callable[[Any], Iterator[Any]]


@dataclass(frozen=True)
class Operator:
    """One kind of small change.

    Attributes
    ----------
    name
        The id people type, unique over all stages.
    category
        A key of :data:`CATEGORIES`.
    stages
        The stages it serves, of :data:`STAGES`.
    on
        What it is asked about: names of Relax operators (stage ``graph``) or classes of TIR nodes.
    within
        The roles of :data:`ROLES` an expression must have; empty for any.
    groups
        Selectable groups beside ``all``, the category and the stages.
    example
        Executable IR: called with fresh variables, gives a node and its first replacement.
    replacements
        The function: yields the replacements of one node, none where it does not apply.
    summary
        The first line of the function's docstring.
    origin
        The file that defines it.
    version
        Digest of its source: a changed operator is another operator to every store.
    """

    name: str
    category: str
    stages: tuple[str, ...]
    on: tuple[Any, ...]
    within: frozenset[str]
    groups: frozenset[str]
    example: Callable[..., tuple[Any, Any]] | None
    replacements: Replacements
    summary: str
    origin: Path
    version: str


_REGISTRY: dict[str, Operator] = {}


def operator(
    name: str,
    *,
    category: str,
    on: Iterable[Any] | Any,
    stages: Sequence[str] = ("kernel", "device"),
    within: Iterable[str] = (),
    groups: Iterable[str] = (),
    example: Callable[..., tuple[Any, Any]] | None = None,
) -> Callable[[Replacements], Replacements]:
    """Register a function from a node to its replacements as a mutation operator.

    Parameters
    ----------
    name
        Id of the operator, as typed in ``--mutatenn-operators``.
    category
        A key of :data:`CATEGORIES`.
    on
        For the stages ``kernel`` and ``device``: a TIR node class or several (a mapping counts by
        its keys). For the stage ``graph``: names of Relax operators such as ``"relax.nn.relu"``.
    stages
        The stages it serves; the operators on TIR serve ``kernel`` and ``device`` alike.
    within
        Only where the expression has one of these roles: ``value`` (what is stored), ``index``
        (of a load or a store), ``condition`` (of a branch or a select), ``extent`` (of a loop).
    groups
        ``default`` for strong operators with few equivalents, ``mutatenn`` for those of MutateNN.
    example
        A function that takes fresh variables (their names choose their dtype: ``i``, ``j``, ``n``
        are int32, all others float32; in stage ``graph`` all are float32 tensors) and returns a
        node and its first replacement. The generic test runs it, the documentation prints it.

    Raises
    ------
    MutatennError
        If the name is taken, or the category, a stage or a role is unknown.
    """
    classes = tuple(on) if isinstance(on, Iterable) and not isinstance(on, str) else (on,)
    for given, known, what in (
        ((category,), tuple(CATEGORIES), "category"),
        (stages, STAGES, "stage"),
        (within, ROLES, "role"),
    ):
        for value in given:
            if value not in known:
                raise MutatennError(
                    f"Operator {name!r} has the unknown {what} {value!r}. "
                    f"Known: {', '.join(known)}."
                )

    def register(function: Replacements) -> Replacements:
        origin = Path(inspect.getsourcefile(function) or "").resolve()
        taken = _REGISTRY.get(name)
        if taken is not None and taken.origin != origin:
            raise MutatennError(
                f"Operator {name!r} of {origin} is already defined in {taken.origin}. "
                "Give one of them another name."
            )
        summary = (inspect.getdoc(function) or "").split("\n", 1)[0]
        if not summary:
            raise MutatennError(f"Operator {name!r} has no docstring; its first line is its help.")
        _REGISTRY[name] = Operator(
            name=name,
            category=category,
            stages=tuple(stages),
            on=classes,
            within=frozenset(within),
            groups=frozenset(groups),
            example=example,
            replacements=_asked(name, origin, function),
            summary=summary,
            origin=origin,
            version=_version(origin, function),
        )
        return function

    return register


def _asked(name: str, origin: Path, function: Replacements) -> Replacements:
    """The function; where it is the user's and fails, the message names it and its line."""
    if origin.is_relative_to(Path(__file__).resolve().parent):
        return function

    @functools.wraps(function)
    def replacements(node: Any) -> Iterator[Any]:
        try:
            yield from function(node)
        except MutatennError:
            raise
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            line = next((f.lineno for f in reversed(frames) if f.filename == str(origin)), None)
            place = f"{origin}:{line}" if line else str(origin)
            raise MutatennError(
                f"The mutation operator {name!r} ({place}) failed on a "
                f"{type(node).__name__}: {type(error).__name__}: {error}"
            ) from error

    return replacements


def _version(origin: Path, function: Replacements) -> str:
    """Digest of the file that defines the operator: its helpers and tables count too."""
    try:
        text = origin.read_bytes()
    except OSError:
        text = repr(function).encode()
    return hashlib.sha256(text).hexdigest()[:16]


def load(files: Iterable[Path] = ()) -> dict[str, Operator]:
    """Import every family of ours and the users' files; give all operators by name, sorted.

    Parameters
    ----------
    files
        Python files of the user's that define operators (a ``conftest.py``, say).

    Raises
    ------
    MutatennError
        If a user's file does not import.
    """
    package = importlib.import_module("pytest_mutatenn.operators")
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(info.name)
    for file in files:
        _import_file(Path(file).resolve())
    return dict(sorted(_REGISTRY.items()))


def _import_file(file: Path) -> None:
    if any(op.origin == file for op in _REGISTRY.values()):
        return
    name = "mutatenn_user_" + hashlib.sha256(str(file).encode()).hexdigest()[:16]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise MutatennError(f"The operator file {file} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except MutatennError:
        raise
    except Exception as error:
        raise MutatennError(
            f"The operator file {file} could not be imported: {type(error).__name__}: {error}"
        ) from error


def registered_files() -> tuple[Path, ...]:
    """Files outside this package that have registered an operator in this process, sorted."""
    ours = Path(__file__).resolve().parent
    origins = {op.origin for op in _REGISTRY.values()}
    return tuple(sorted(o for o in origins if not o.is_relative_to(ours)))


def select(operators: dict[str, Operator], patterns: str) -> list[tuple[str, Operator]]:
    """Pick (stage, operator) pairs by a comma-separated list of names, globs and groups.

    A part is an operator's id or a glob over ids, a group (``all``, ``default``, ``mutatenn``), a
    category or a stage; ``stage.part`` narrows it to a stage; a leading ``-`` takes away (after
    PIT's ``--mutators``). A list that only takes away starts from ``default``.

    Raises
    ------
    MutatennError
        For a part that names nothing, with the nearest name.
    """
    everything = [
        (stage, op) for stage in STAGES for op in operators.values() if stage in op.stages
    ]
    parts = [part.strip() for part in patterns.split(",") if part.strip()]
    if not parts or all(part.startswith("-") for part in parts):
        parts = ["default", *parts]
    chosen: dict[tuple[str, str], Operator] = {}
    for part in parts:
        remove, body = part.startswith("-"), part.removeprefix("-")
        matched = [(stage, op) for stage, op in everything if _matches(body, stage, op)]
        if not matched and body not in {"all", "default", "mutatenn", *STAGES, *CATEGORIES}:
            raise MutatennError(_unknown(body, operators))
        for stage, op in matched:
            if remove:
                chosen.pop((stage, op.name), None)
            else:
                chosen[stage, op.name] = op
    return [(stage, op) for stage, op in everything if (stage, op.name) in chosen]


def _matches(part: str, stage: str, op: Operator) -> bool:
    head, dot, rest = part.partition(".")
    if dot and head in STAGES:
        return head == stage and _matches(rest, stage, op)
    return (
        part == "all"
        or part in op.groups
        or part in (stage, op.category)
        or fnmatch.fnmatchcase(op.name, part)
    )


def _unknown(part: str, operators: dict[str, Operator]) -> str:
    head, dot, rest = part.partition(".")
    wanted, prefix = (rest, head + ".") if dot and head in STAGES else (part, "")
    names = [*operators, "all", "default", "mutatenn", *CATEGORIES, *STAGES]
    near = difflib.get_close_matches(wanted, names, n=1, cutoff=0.5)
    hint = f" Did you mean {prefix + near[0]!r}?" if near else ""
    groups = dict.fromkeys(["all", "default", "mutatenn", *CATEGORIES, *STAGES])
    return (
        f"--mutatenn-operators: unknown operator {part!r}.{hint} "
        f"Groups: {', '.join(groups)}; "
        f"operators: {', '.join(operators)}."
    )
