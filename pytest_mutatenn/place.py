"""Where a row belongs, read off its test's id: all that pytest-xdist's controller knows of it."""

from __future__ import annotations

import re
from typing import NamedTuple

_CELL = r"[\w.:;=+/]+-O[0-4]"
# cell, or cells, and mutant; what the user's own parameters add before or behind is no part of it
_ROW = re.compile(
    rf"(?P<cell>{_CELL}(?:(?:~\d+)?~[^~\[\]]+?-O[0-4])*)-(?:(?P<check>baseline|identity|canary)|"
    r"(?:graph|kernel|device|weights)\.\w+@(?P<kernel>\w+?)(?:__\d+)?(?![\w])[\w.@#:+~]*)"
)


class Place(NamedTuple):
    """Where a row belongs.

    Attributes
    ----------
    cell
        Its cell, or the cells that it compares; empty for a test that has none.
    kernel
        The layer, kernel or parameter that its mutant is in; what has no mutant is by itself.
    row
        The row itself.
    mutated
        Whether it has a mutant that counts: neither the baseline nor a check.
    """

    cell: str
    kernel: str
    row: str
    mutated: bool


def place_of(nodeid: str) -> Place:
    """Cell, kernel and row of a test."""
    found = _ROW.search(nodeid)
    if found is None:
        return Place("", "", nodeid, False)
    return Place(found["cell"], found["kernel"] or found[0], found[0], found["check"] is None)
