"""The file of accepted survivors: mutants that need not be killed, each with a reason and a date.

A list of tables in TOML::

    [[accepted]]
    mutant = "kernel.boundary@conv2d_1#4"    # an id or a glob
    reason = "the guard is never reached: what it guards is padding"
    expires = 2027-06-30
    model = "digits"                         # optional: only of this network
    cell = "llvm-O3"                         # optional: only in this cell
"""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.errors import MutatennError, nearest

_KEYS = ("mutant", "reason", "expires", "model", "cell")


@dataclass(frozen=True)
class Accepted:
    """An accepted survivor.

    Attributes
    ----------
    mutant
        Its id, or a glob over ids.
    reason
        Why it need not be killed.
    expires
        The last day on which it is accepted.
    model, cell
        Where; empty for everywhere.
    """

    mutant: str
    reason: str
    expires: date
    model: str = ""
    cell: str = ""

    def covers(self, model: str, cell: str, ids: Iterable[str]) -> bool:
        """Whether it is about a mutant, which has several names, of a network in a cell."""
        if self.model not in ("", model) or self.cell not in ("", cell):
            return False
        return any(text == self.mutant or fnmatch.fnmatchcase(text, self.mutant) for text in ids)

    def __str__(self) -> str:
        where = "".join(f", {name} {value}" for name, value in self._where())
        return f"{self.mutant}{where}"

    def _where(self) -> list[tuple[str, str]]:
        pairs = (("model", self.model), ("cell", self.cell))
        return [(name, value) for name, value in pairs if value]


def read_accepted(file: Path, option: str, today: date) -> tuple[Accepted, ...]:
    """Read the file.

    Raises
    ------
    MutatennError
        If it is not there or no such file, or an entry has no reason, no date, or has expired.
    """
    try:
        found = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise MutatennError(f"{option}: {file} cannot be read: {said}.") from None
    entries = found.pop("accepted", [])
    if found or not isinstance(entries, list):
        wrong = ", ".join(found) or "accepted"
        raise MutatennError(
            f"{option}: {file} has {wrong!r}; it takes tables [[accepted]] and nothing else."
        )
    accepted = tuple(
        _entry(entry, f"{option}: {file}, entry {i}") for i, entry in enumerate(entries, 1)
    )
    old = [one for one in accepted if one.expires < today]
    if old:
        which = "; ".join(f"{one} expired on {one.expires} ({one.reason})" for one in old)
        raise MutatennError(
            f"{option}: {file}: {which}. Kill it with a test, or look at it again and write a "
            "new date."
        )
    return accepted


def _entry(entry: Any, where: str) -> Accepted:
    if not isinstance(entry, Mapping):
        raise MutatennError(f"{where} is no table; begin each with [[accepted]].")
    for key in entry:
        if key not in _KEYS:
            raise MutatennError(
                f"{where} has the unknown key {key!r}.{nearest(key, _KEYS)} Keys: "
                f"{', '.join(_KEYS)}."
            )
    for key in ("mutant", "reason", "model", "cell"):
        value = entry.get(key, "" if key in ("model", "cell") else None)
        if not isinstance(value, str) or (key in entry and not value.strip()):
            raise MutatennError(f"{where} needs {key} = a text, got {value!r}.")
    expires = entry.get("expires")
    if isinstance(expires, datetime) or not isinstance(expires, date):
        raise MutatennError(f"{where} needs expires = a date such as 2027-06-30, got {expires!r}.")
    if "cell" in entry:
        Cell.parse(entry["cell"], f"{where}, cell")
    return Accepted(**{key: entry[key] for key in _KEYS if key in entry})
