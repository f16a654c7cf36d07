"""The command that runs one mutant alone: that of the run, without what chose the others."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["arguments_of", "command_of", "run_arguments"]

_DEVICES = "--mutatenn-devices"
# of the run that made the report: options that choose, gate or write something else
_WITH_VALUE = frozenset(
    f"--mutatenn-{name}"
    for name in (
        "devices", "opt-levels", "operators", "stages", "mutants", "accept", "order", "positions",
        "sample", "shard", "fail-under", "max-survivors", "fail-on", "baseline", "report", "record",
        "keep", "keep-dir", "export", "repeats", "latency-repeats", "latency-warmup",
    )
) | {"-n", "--numprocesses", "--maxprocesses", "--dist", "--junitxml", "--junit-xml"}  # fmt: skip
_ALONE = frozenset([
    "--mutatenn", "--mutatenn-list", "--mutatenn-list-operators", "--mutatenn-list-devices",
    "--mutatenn-baseline-only", "--mutatenn-differential", "--mutatenn-update-baseline",
    "--lf", "--last-failed", "--ff", "--failed-first", "--nf", "--new-first", "--sw", "--stepwise",
    "--collect-only", "--co",
])  # fmt: skip


def arguments_of(mutants: Iterable[str], cell: str) -> list[str]:
    """Name mutants and a cell to pytest; a cell's id is read as its device is."""
    device, _, level = cell.rpartition("-O")
    return [
        f"--mutatenn-mutants={','.join(mutants)}",
        f"{_DEVICES}={device}",
        f"--mutatenn-opt-levels={level}",
    ]


def run_arguments(record: Mapping[str, Any], cell: str) -> list[str]:
    """Give the run's own arguments, without those that choose, gate or write something else.

    Of a report of several runs it is the first that named the cell's device.
    """
    runs = record["run"].get("runs", [record["run"]])
    device = cell.rpartition("-O")[0]
    own = [run for run in runs if f";{device};" in f";{_devices(run['argv'])};"]
    kept, skip = [], False
    for argument in map(str, (own or runs)[0]["argv"]):
        name, equals, _ = argument.partition("=")
        if skip:
            skip = False
        elif name in _WITH_VALUE:
            skip = not equals
        elif argument not in _ALONE and not re.fullmatch(r"-n\S+", argument):
            kept.append(argument)
    return kept


def command_of(mutant: str, cell: str, arguments: Iterable[str]) -> str:
    """Give the command for a shell, with what else pytest is to be told."""
    return shlex.join(["pytest", *arguments, *arguments_of([mutant], cell)])


def _devices(argv: Sequence[str]) -> str:
    """The devices that arguments name, parted as in ids of cells; empty where they name none."""
    found = ""
    for before, argument in itertools.pairwise(["", *argv]):
        name, equals, value = argument.partition("=")
        if name == _DEVICES and equals:
            found = value
        elif before == _DEVICES:
            found = argument
    return re.sub(r"[,\s]+", ";", found)
