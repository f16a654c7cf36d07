"""Which mutant comes next, for a run that makes it while the one before it is judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.grid import Row

if TYPE_CHECKING:
    from pytest_mutatenn.engine.cell import Cell


def mutants_after(rows: Sequence[tuple[Any, Any]]) -> dict[Any, str | None]:
    """Find the next mutant after each test's own, among the tests of its network and cell.

    Parameters
    ----------
    rows
        Each test with its row, in the order in which they are run.

    Returns
    -------
    dict
        Test -> mutant; None after the last.
    """
    found: dict[Any, str | None] = {}
    coming: dict[tuple[Any, Cell], tuple[str, str | None]] = {}
    for test, row in reversed(rows):
        if not isinstance(row, Row) or row.mutant is None:
            continue
        place = row.subject.network, row.cell
        mutant, after = coming.get(place, (None, None))
        if mutant != row.mutant:
            coming[place] = row.mutant, mutant
            after = mutant
        found[test] = after
    return found
