"""Which kinds of report there are, and where the user wants them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_mutatenn.errors import MutatennError, nearest

_WRITERS = ("html", "json", "mutatenn")


@dataclass(frozen=True)
class Destination:
    """One ``--mutatenn-report=TYPE[:DEST]``.

    Attributes
    ----------
    kind, target
        Its parts: which writer, and what file, or folder, it writes.
    option
        How the user named it, for messages.
    """

    kind: str
    target: str
    option: str = "--mutatenn-report"


def kinds() -> dict[str, str]:
    """Type of report -> its module, which has ``write(record, path)`` and ``DEFAULT``, a path."""
    return {name: f"pytest_mutatenn.report.{name}" for name in _WRITERS}


def parse_destination(text: str, option: str = "--mutatenn-report") -> Destination:
    """Read ``json:FILE``; without a file, the writer's own default where pytest was started.

    Raises
    ------
    MutatennError
        For an unknown type, naming the nearest.
    """
    kind, _, target = text.partition(":")
    if kind not in kinds():
        hint = nearest(kind, kinds())
        raise MutatennError(f"{option}: unknown type {kind!r}.{hint} Types: {', '.join(kinds())}.")
    return Destination(kind, target or importlib.import_module(kinds()[kind]).DEFAULT, option)


def write_report(record: Mapping[str, Any], destination: Destination, folder: Path) -> Path:
    """Write a report; paths are relative to the folder, and one that ends in a slash is a folder.

    Raises
    ------
    MutatennError
        If the file cannot be written.
    """
    path = folder / destination.target
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if destination.target.endswith("/"):
            path.mkdir(exist_ok=True)
        importlib.import_module(kinds()[destination.kind]).write(record, path)
    except OSError as error:
        raise MutatennError(
            f"{destination.option}={destination.kind}:{destination.target} could not be written: "
            f"{error.strerror or error}."
        ) from error
    return path
