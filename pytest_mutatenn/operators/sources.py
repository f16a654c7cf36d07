"""The files that an operator is made of: its own, and those of the project that it imports.

Needs no TVM, and imports nothing of the user's: imports are read off the text.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sysconfig
from collections.abc import Iterator
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
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, AttributeError, ValueError):
            continue
        origin = Path(spec.origin).resolve() if spec and spec.has_location and spec.origin else None
        if spec is not None and origin is not None and not _is_installed(origin):
            _collect(origin, spec.parent or "", files)


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
