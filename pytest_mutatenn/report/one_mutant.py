"""The arguments of pytest that run one mutant alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

__all__ = ["arguments_of", "command_of"]


def arguments_of(mutants: Iterable[str], cell: str) -> list[str]:
    """Name mutants and a cell to pytest; a cell's id is read as its device is."""
    device, _, level = cell.rpartition("-O")
    return [
        f"--mutatenn-mutants={','.join(mutants)}",
        f"--mutatenn-devices={device}",
        f"--mutatenn-opt-levels={level}",
    ]


def command_of(mutant: str, cell: str, tests: Iterable[str]) -> str:
    """The command for a shell, with the file of the first of the tests, if there is one."""
    files = [test.partition("::")[0] for test in tests][:1]
    return f"pytest {shlex.join([*files, *arguments_of([mutant], cell)])}"
