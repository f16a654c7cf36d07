"""Where tests stand, and the markers that name their networks: what reports point at."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_MARKER = "mutatenn"
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def locate(tests: Iterable[tuple[str, Path, str, int]]) -> dict[str, dict[str, Any]]:
    """Say where tests stand.

    Parameters
    ----------
    tests
        Of each test its name, its file, that file as pytest names it (relative to its root), and
        its line, from 1.

    Returns
    -------
    dict
        Test -> ``file``, with forward slashes; ``line``; and ``marker``, the line of the marker
        ``mutatenn`` that is nearest to it in that file: its own, its class', the module's. None
        where the network is named elsewhere, or the file cannot be read.
    """
    markers: dict[Path, dict[int, int]] = {}
    found = {}
    for name, path, file, line in tests:
        if path not in markers:
            markers[path] = _read(path)
        marker = markers[path].get(line)
        found[name] = {"file": file.replace("\\", "/"), "line": line, "marker": marker}
    return found


def _read(path: Path) -> dict[int, int]:
    try:
        return marker_lines(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return {}  # no Python of its own, such as a doctest's


def marker_lines(source: str) -> dict[int, int]:
    """First line of each function that has a marker, decorators included -> the marker's line."""
    found: dict[int, int] = {}
    _visit(ast.parse(source).body, None, found)
    return found


def _visit(body: Iterable[ast.stmt], outer: int | None, found: dict[int, int]) -> None:
    body = list(body)
    for node in body:
        if isinstance(node, ast.Assign) and any(_is_pytestmark(one) for one in node.targets):
            outer = _marker([node.value]) or outer
    for node in body:
        if isinstance(node, _Function):
            line = _marker(node.decorator_list) or outer
            if line is not None:
                found[min([node.lineno, *(one.lineno for one in node.decorator_list)])] = line
        elif isinstance(node, ast.ClassDef):
            _visit(node.body, _marker(node.decorator_list) or outer, found)


def _is_pytestmark(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id == "pytestmark"


def _marker(where: Iterable[ast.expr]) -> int | None:
    """Line of the first ``mark.mutatenn`` in some expressions."""
    for expression in where:
        for node in ast.walk(expression):
            if (
                isinstance(node, ast.Attribute)
                and node.attr == _MARKER
                and getattr(node.value, "attr", getattr(node.value, "id", "")) == "mark"
            ):
                return node.end_lineno or node.lineno
    return None


def tests_of(rows: Iterable[Mapping[str, Any]], tests: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The report's part ``tests``: where those stand that have rows."""
    names = sorted({row["test"] for row in rows} & tests.keys())
    return [{"test": name, **tests[name]} for name in names]


def checkout_root(rootpath: Path) -> str:
    """Pytest's root within the checkout that it is in, with forward slashes; empty for its top.

    What shows a report beside the sources has paths from the top of the repository.
    """
    top = next((one for one in (rootpath, *rootpath.parents) if (one / ".git").exists()), rootpath)
    inside = rootpath.relative_to(top).as_posix()
    return "" if inside == "." else inside


def in_checkout(root: str | None, file: str) -> str | None:
    """A test's file from the top of the checkout; None where it is outside."""
    path = posixpath.normpath(posixpath.join(root or "", file))
    return None if path.startswith(("../", "/")) else path
