"""What a user may write for a model or for inputs, turned into an object or a path.

Imports neither TVM nor ONNX: it runs in pytest's own process.
"""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pytest_mutatenn.errors import MutatennError

_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Say which of the candidates was probably meant.

    Returns
    -------
    str
        ``"; did you mean 'x'?"``, or ``"; there are: 'a', 'b'"`` where nothing is near, or
        ``""`` where there is no candidate.
    """
    known = sorted(set(candidates))
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    if not known:
        return ""
    more = ", ..." if len(known) > 8 else ""
    return "; there are: " + ", ".join(repr(one) for one in known[:8]) + more


def is_function(spec: object) -> bool:
    """Whether ``spec`` is a string of the form ``"package.module:function"``."""
    return isinstance(spec, str) and _FUNCTION.fullmatch(spec) is not None


def import_function(spec: str, *, base: Path, what: str) -> Callable[..., Any]:
    """Import ``"package.module:function"``; modules beside ``base`` are found as well.

    Parameters
    ----------
    spec
        Dotted module, a colon, dotted name inside it.
    base
        Folder searched after ``sys.path``.
    what
        What the function is for, ``"model"`` or ``"inputs"``: the messages name it.

    Raises
    ------
    MutatennError
        The module or the function is not there, does not import, or is not callable.
    """
    module_name, _, attribute = spec.partition(":")
    # appended, not prepended: a user's json.py must not shadow the standard library's
    added = str(base)
    sys.path.append(added)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise MutatennError(
                f"{what} {spec!r}: there is no module {error.name!r} beside {base} or on"
                " Python's path; install it or put its folder on PYTHONPATH"
            ) from error
        raise MutatennError(
            f"{what} {spec!r}: importing {module_name!r} failed, module {error.name!r} is missing;"
            " install it"
        ) from error
    except Exception as error:
        raise MutatennError(
            f"{what} {spec!r}: importing {module_name!r} failed with {_said(error)}; mend it so"
            f" that 'python -c \"import {module_name}\"' works"
        ) from error
    finally:
        sys.path.remove(added)
    for part in attribute.split("."):
        if not hasattr(found, part):
            names = (one for one in vars(found) if not one.startswith("_"))
            raise MutatennError(
                f"{what} {spec!r}: {module_name!r} has no {part!r}{nearest(part, names)}"
            )
        found = getattr(found, part)
    if not callable(found):
        raise MutatennError(
            f"{what} {spec!r}: that is a {type(found).__name__}, not a function; name a function"
            f" without arguments that returns the {what}"
        )
    return found


def call(function: Callable[..., Any], *, name: str, what: str) -> Any:
    """Call a user's function without arguments; its exception becomes one sentence.

    Raises
    ------
    MutatennError
        The function raised.
    """
    try:
        return function()
    except MutatennError:
        raise
    except Exception as error:
        raise MutatennError(
            f"{what} {name!r}: the function raised {_said(error)}; call it by itself to debug it,"
            " without arguments, as it is called here"
        ) from error


def function_name(function: Callable[..., Any]) -> str:
    """Return how reports show a callable: ``module:name``."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    module = getattr(function, "__module__", None) or type(function).__module__
    return f"{module}:{name}"


def find_path(spec: str | Path, *, base: Path, what: str, like: tuple[str, ...]) -> Path:
    """Find a file or folder, relative to ``base``, else to the current directory.

    Parameters
    ----------
    like
        Suffixes of the files that a message about a missing one may propose.

    Raises
    ------
    MutatennError
        There is nothing of that name.
    """
    wanted = Path(spec).expanduser()
    tried = [base / wanted, Path.cwd() / wanted]
    for path in tried:
        if path.exists():
            return path.resolve()
    folder = next((path.parent for path in tried if path.parent.is_dir()), None)
    if folder is None:
        hint = f"; the folder {str(wanted.parent)!r} is not there either"
    else:
        there = [one.name for one in folder.iterdir() if one.suffix.lower() in like]
        hint = nearest(wanted.name, there) or f"; {folder} has no {' or '.join(like)} file"
    where = "" if wanted.is_absolute() else f" (looked in {base})"
    raise MutatennError(f"{what} {str(spec)!r}: there is no such file{where}{hint}")


def shown(path: Path, *, base: Path) -> str:
    """Return the path as reports show it: relative to ``base`` or the current directory."""
    for folder in (base.resolve(), Path.cwd()):
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return path.as_posix()


def _said(error: Exception) -> str:
    """Return an exception's type and the first line of its text."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200]}" if text else type(error).__name__
