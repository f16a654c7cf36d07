"""Which kinds of report there are, and where the user wants them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pytest_mutatenn.errors import MutatennError, nearest

_NO_WRITERS = (
    "differences",
    "divergence",
    "grouped",
    "judging",
    "listing",
    "record",
    "scores",
    "terminal",
    "words",
    "writers",
)


@dataclass(frozen=True)
class Destination:
    """One ``--mutatenn-report=TYPE[:DEST]``."""

    kind: str
    target: str


@cache
def kinds() -> dict[str, str]:
    """Type of report -> its module: every module here is one, but for those listed above."""
    package = importlib.import_module("pytest_mutatenn.report")
    names = sorted(info.name for info in pkgutil.iter_modules(package.__path__))
    return {name: f"{package.__name__}.{name}" for name in names if name not in _NO_WRITERS}


def parse_destination(text: str) -> Destination:
    """Read ``json:FILE``; without a file, ``mutatenn.TYPE`` where pytest was started.

    Raises
    ------
    MutatennError
        For an unknown type, naming the nearest.
    """
    kind, _, target = text.partition(":")
    if kind not in kinds():
        hint = nearest(kind, kinds())
        raise MutatennError(
            f"--mutatenn-report: unknown type {kind!r}.{hint} Types: {', '.join(kinds())}."
        )
    return Destination(kind, target or f"mutatenn.{kind}")


def write_report(record: Mapping[str, Any], destination: Destination, folder: Path) -> Path:
    """Write a report; paths are relative to the folder.

    Raises
    ------
    MutatennError
        If the file cannot be written.
    """
    path = folder / destination.target
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        importlib.import_module(kinds()[destination.kind]).write(record, path)
    except OSError as error:
        raise MutatennError(
            f"--mutatenn-report={destination.kind}:{destination.target} could not be written: "
            f"{error.strerror or error}."
        ) from error
    return path
