"""Installed packages that bring operators: modules named by an entry point. Needs no TVM.

[project.entry-points.mutatenn_operators]
mine = "my_package.operators"
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from pytest_mutatenn.operators.sources import digest_of_sources, find_module

GROUP = "mutatenn_operators"


def plugins() -> tuple[EntryPoint, ...]:
    """The entry points of the group, sorted by name."""
    return tuple(sorted(entry_points(group=GROUP), key=lambda each: (each.name, each.value)))


@cache
def plugins_version() -> str:
    """Digest of the plugins' modules: a changed operator is another one to every store."""
    digest = hashlib.sha256()
    for plugin in plugins():
        digest.update(f"{plugin.name} {plugin.value}\0".encode())
        if plugin.dist is not None:
            digest.update(f"{plugin.dist.name} {plugin.dist.version}\0".encode())
        digest.update(_sources(plugin.module).encode())
    return digest.hexdigest()


def _sources(module: str) -> str:
    """Digest of a module's text; empty where it is not to be had, which importing it will say."""
    spec = find_module(module)
    if spec is None or not spec.origin:
        return ""
    return digest_of_sources(Path(spec.origin), spec.parent or "")
