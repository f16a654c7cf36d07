"""What a mutation operator is, and how one is defined.

An operator is a function from an IR node to its replacements. The decorator records what the
function does not say: its id, its category, the stages it serves and the nodes it is asked about.
Walking, counting and applying are :mod:`pytest_mutatenn.compiler.sites`' business, finding and
selecting :mod:`pytest_mutatenn.operators.catalogue`'s.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    "higher-order": "Higher order",
}
"""Category id -> its title, in the order of the documentation and the reports."""

EXPRESSION_ROLES = ("value", "index", "condition", "extent")
PARAMETER_ROLES = ("weight", "bias", "scale", "shift", "mean", "variance", "other")
BIT_ROLES = ("sign", "exponent", "mantissa")
ROLES = (*EXPRESSION_ROLES, *PARAMETER_ROLES, *BIT_ROLES)
"""Where in a kernel an expression stands, what a parameter is for, and what a bit of it is; see
:func:`operator`."""

Replacements = Callable[..., Iterator[Any]]


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
    parameters
        What the user may set, by name: the function's keyword-only arguments and their values.
    summary
        The first line of the function's docstring.
    origin, place
        The file that defines it; its module and line.
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
    parameters: Mapping[str, Any]
    summary: str
    origin: Path
    place: tuple[str, int]
    version: str


REGISTRY: dict[str, Operator] = {}
ON_DEMAND: list[Callable[[str], bool]] = []
MADE: set[str] = set()
"""Operators that were made on demand: they are no part of what is listed."""


def on_demand(define: Callable[[str], bool]) -> Callable[[str], bool]:
    """Register a family whose ids follow a grammar and are too many to be listed.

    Parameters
    ----------
    define
        Called with an id that no operator has; defines the operator and says so, or returns False.
    """
    ON_DEMAND.append(define)
    return define


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
        For the stage ``weights``: a class of :mod:`pytest_mutatenn.operators.parameter`.
    stages
        The stages it serves; the operators on TIR serve ``kernel`` and ``device`` alike.
    within
        Only where the expression has one of these roles: ``value`` (what is stored), ``index``
        (of a load or a store), ``condition`` (of a branch or a select), ``extent`` (of a loop). In
        stage ``weights``: only parameters that are a layer's ``weight``, ``bias``, ``scale``,
        ``shift``, ``mean`` or ``variance``; only bits of ``sign``, ``exponent`` or ``mantissa``.
    groups
        ``default`` for strong operators with few equivalents, ``mutatenn`` for those of MutateNN.
    example
        A function that takes fresh variables (their names choose their dtype: ``i``, ``j``, ``n``
        are int32, all others float32; in stage ``graph`` all are float32 tensors) and returns a
        node and its first replacement. The generic test runs it, the documentation prints it.

    The function may have keyword-only arguments with defaults, numbers or words: its parameters,
    which the user sets by ``mutatenn_parameters`` as ``name.parameter = value``.

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

    if len({"tensor" if stage in ("kernel", "device") else stage for stage in stages}) > 1:
        raise MutatennError(
            f"Operator {name!r}: the stages {', '.join(stages)} have nodes of different kinds; "
            "write an operator for each."
        )
    if "weights" in stages and not (len(classes) == 1 and hasattr(classes[0], "draw")):
        raise MutatennError(
            f"Operator {name!r}: on= must be one class of pytest_mutatenn.operators.parameter, "
            "such as Channel."
        )
    if isinstance(groups, str):
        groups = [groups]
    _check_name(name)

    def register(function: Replacements) -> Replacements:
        origin = Path(inspect.getsourcefile(function) or "").resolve()
        taken = REGISTRY.get(name)
        own = (function.__module__, function.__code__.co_firstlineno)
        again = taken is not None and taken.origin == origin
        if taken is not None and again and taken.place[0] == own[0] and taken.place[1] != own[1]:
            raise MutatennError(f"{origin} defines two operators {name!r}. Give one another name.")
        if taken is not None and not again:
            raise MutatennError(
                f"Operator {name!r} of {origin} is already defined in {taken.origin}. "
                "Give one of them another name."
            )
        summary = (inspect.getdoc(function) or "").split("\n", 1)[0]
        if not summary:
            raise MutatennError(f"Operator {name!r} has no docstring; its first line is its help.")
        REGISTRY[name] = Operator(
            name=name,
            category=category,
            stages=tuple(stages),
            on=classes,
            within=frozenset(within),
            groups=frozenset(groups),
            example=example,
            replacements=_asked(name, origin, stages, function),
            parameters=_parameters(name, function),
            summary=summary,
            origin=origin,
            place=own,
            version=_version(origin, function),
        )
        return function

    return register


def _check_name(name: str) -> None:
    """Refuse what could not stand in a mutant's id, or would mean something else in a selection."""
    if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) is None:
        raise MutatennError(
            f"Operator {name!r}: an id is made of letters, digits and underscores; it stands in "
            "the ids of mutants."
        )
    if name in {"all", "default", "mutatenn", "sweep", *STAGES, *CATEGORIES}:
        raise MutatennError(f"Operator {name!r}: that is the name of a group; take another.")


def _parameters(name: str, function: Replacements) -> dict[str, Any]:
    found = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            default = parameter.default
            if isinstance(default, bool) or not isinstance(default, (int, float, str)):
                raise MutatennError(
                    f"Operator {name!r}: its parameter {parameter.name!r} needs a default, a "
                    "number or a word, which also says its type."
                )
            found[parameter.name] = default
    return found


def _asked(name: str, origin: Path, stages: Sequence[str], function: Replacements) -> Replacements:
    """The function; where it is the user's and fails, the message names it and its line."""
    if _is_our_file(origin):
        return function

    @functools.wraps(function)
    def replacements(node: Any, **parameters: Any) -> Iterator[Any]:
        from pytest_mutatenn.operators.yielded import misfit

        try:
            for new in function(node, **parameters):
                wrong = misfit(node, new, on_graph="graph" in stages)
                if wrong:
                    raise MutatennError(
                        f"The mutation operator {name!r} ({origin}) yields {wrong}."
                    )
                yield new
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


def is_ours(op: Operator) -> bool:
    """Whether an operator is part of this package."""
    return _is_our_file(op.origin)


def _is_our_file(file: Path) -> bool:
    return file.is_relative_to(Path(__file__).resolve().parent)


def registered_files() -> tuple[Path, ...]:
    """Files outside this package that have registered an operator in this process, sorted."""
    origins = {op.origin for op in REGISTRY.values()}
    return tuple(sorted(file for file in origins if not _is_our_file(file)))


def files_of(names: Iterable[str], files: Iterable[Path]) -> set[Path]:
    """Those of the user's files that operators of these names may be defined in.

    A name that this process does not know is one of ours, or one that a family of the user's makes
    on demand, or stands in a file that this process has not imported.
    """
    known = {op.name: op.origin for op in REGISTRY.values()}
    families = {Path(inspect.getsourcefile(define) or "").resolve() for define in ON_DEMAND}
    found = set()
    for file in files:
        path = file.resolve()
        closed = path in known.values() and path not in families
        if any(known.get(name) == path or not (name in known or closed) for name in names):
            found.add(file)
    return found
