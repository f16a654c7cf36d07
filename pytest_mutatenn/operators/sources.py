"""The files that an operator is made of: its own, and those of the project that it imports.

Needs no TVM, and imports nothing of the user's: imports are read off the text.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

_INSTALLED = ("stdlib", "platstdlib", "purelib", "platlib")


def digest_of_sources(file: Path, package: str = "") -> str:
    """Digest of a file and of all that it imports, but for what is installed.

    Parameters
    ----------
    file
        A Python file.
    package
        The package it belongs to, for its relative imports.
    """
    files: dict[Path, bytes] = {}
    _collect(file.resolve(), package, files)
    digest = hashlib.sha256()
    for path, text in sorted(files.items()):
        digest.update(path.name.encode() + b"\0" + text + b"\0")
    return digest.hexdigest()


def _collect(file: Path, package: str, files: dict[Path, bytes]) -> None:
    if file in files or file.suffix != ".py":
        return
    try:
        files[file] = file.read_bytes()
        names = list(_imports(ast.parse(files[file]), package))
    except (OSError, SyntaxError, ValueError):
        return  # importing it will say what is wrong
    for name in names:
        spec = find_module(name)
        if spec is not None and spec.has_location and spec.origin:
            origin = Path(spec.origin).resolve()
            if not _is_installed(origin):
                _collect(origin, spec.parent or "", files)


def find_module(name: str) -> ModuleSpec | None:
    """Find a module as importing would, without importing the packages that it is in."""
    path: list[str] | None = None
    spec: ModuleSpec | None = None
    parts = name.split(".")
    for i in range(len(parts)):
        # every finder, since an editable installation brings its own
        finders = (f.find_spec for f in sys.meta_path if hasattr(f, "find_spec"))
        try:
            found = (find(".".join(parts[: i + 1]), path) for find in finders)
            spec = next((each for each in found if each is not None), None)
        except (ImportError, ValueError):
            return None
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or [])
    return spec


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if node.level and not package:
                continue
            base = importlib.util.resolve_name(module, package) if node.level else module
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _is_installed(file: Path) -> bool:
    ours = Path(__file__).resolve().parent.parent
    folders = [ours, *(Path(sysconfig.get_path(name)).resolve() for name in _INSTALLED)]
    return any(file.is_relative_to(folder) for folder in folders)
