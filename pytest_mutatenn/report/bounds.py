"""Bounds that a report is held against: one for the whole, and others for parts of it by name.

``80,category:conditional=70,cell:opencl-O2=60``: a number alone is for the whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_mutatenn.errors import MutatennError, nearest
from pytest_mutatenn.operators.registry import CATEGORIES, STAGES

KINDS = ("category", "stage", "cell", "operator", "group")
"""What a part is named by; ``group`` is of cells that tests compare."""


@dataclass(frozen=True)
class Bound:
    """A number that a part of a report is held against.

    Attributes
    ----------
    scope
        Which part: ``category:conditional``; empty for the whole.
    value
        The number.
    """

    scope: str
    value: float

    @property
    def kind(self) -> str:
        """What the part is named by; empty for the whole."""
        return self.scope.partition(":")[0]

    @property
    def name(self) -> str:
        """The part's name."""
        return self.scope.partition(":")[2]

    def covers(self, mutant: Mapping[str, Any], cell: str) -> bool:
        """Whether a mutant's verdict in a cell is of this part."""
        if self.kind in ("category", "stage", "operator"):
            return bool(mutant[self.kind] == self.name)
        return self.kind != "cell" or cell == self.name

    def __str__(self) -> str:
        return f"{self.scope}={self.value:g}" if self.scope else f"{self.value:g}"


def percentage(text: str, option: str) -> float:
    """Read a percentage.

    Raises
    ------
    MutatennError
        If it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 0 <= value <= 100:
        return value
    raise MutatennError(f"{option} must be a percentage between 0 and 100, got {text!r}.")


def number_of_mutants(text: str, option: str) -> float:
    """Read a number of mutants.

    Raises
    ------
    MutatennError
        If it is none.
    """
    if text.isdecimal():
        return int(text)
    raise MutatennError(f"{option} must be a number of mutants of at least 0, got {text!r}.")


def parse_bounds(
    text: str, option: str, number: Callable[[str, str], float], cells: Iterable[str] | None = None
) -> tuple[Bound, ...]:
    """Read lists of bounds, one a line; of two lines' bounds for one part the later one counts.

    Parameters
    ----------
    text, option
        The lists, and what names them in messages.
    number
        Reads a number, and raises MutatennError with the option's name if it is none that will do.
    cells
        The cells that there are; None where nobody knows yet.

    Raises
    ------
    MutatennError
        If one names no bound, or what is not there, or the same thing twice.
    """
    found: dict[str, Bound] = {}
    for line in text.split("\n"):
        found |= _bounds_of(line, option, number, cells)
    return tuple(found.values())


def _bounds_of(
    text: str, option: str, number: Callable[[str, str], float], cells: Iterable[str] | None
) -> dict[str, Bound]:
    words = re.findall(r"[^,\s]+", text)
    if not words:
        raise MutatennError(f"{option} names no bound; write 80, or category:conditional=70.")
    found: dict[str, Bound] = {}
    for word in words:
        # a cell's name may have both signs in it
        scope, equals, value = word.rpartition("=")
        if equals or ":" in word:
            _check(scope if equals else word, option, cells)
            if not equals:
                raise MutatennError(f"{option}: {word} says no number; write {word}=70.")
        bound = Bound(scope, number(value, f"{option}, {scope}" if scope else option))
        if scope in found:
            raise MutatennError(f"{option} has two bounds for {scope or 'the whole'}; leave one.")
        found[scope] = bound
    return found


def _check(scope: str, option: str, cells: Iterable[str] | None) -> None:
    kind, colon, name = scope.partition(":")
    if not colon or kind not in KINDS or not name:
        hint = "" if kind in KINDS else nearest(kind, KINDS)
        raise MutatennError(
            f"{option}: {scope!r} is no part of a run.{hint} Write one of "
            f"{', '.join(f'{one}:NAME' for one in KINDS)}."
        )
    known: Iterable[str] | None = {"category": CATEGORIES, "cell": cells}.get(kind)
    parts = [name]
    if kind == "stage":
        known, parts = STAGES, name.split("+")  # of several operators there may be two
    for part in parts:
        if known is not None and part not in known:
            raise MutatennError(
                f"{option}: unknown {kind} {part!r}.{nearest(part, known)} There are "
                f"{', '.join(known)}."
            )
