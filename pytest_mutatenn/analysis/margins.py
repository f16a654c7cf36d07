"""How far a test's number is from its bound, noted while the test runs.

A comparison of a metric with a number, and an assertion that decides one, tells the notebook that
is open what it compared. Who opens one, and what the notes are for, is not known here; while none
is open a comparison costs one look at a variable.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Any

__all__ = ["Notebook", "finite", "is_noting", "margin_of", "note", "noting", "opposite"]

_OPPOSITE = {">=": "<", ">": "<=", "<=": ">", "<": ">=", "==": "!=", "!=": "=="}


@dataclass(frozen=True)
class _Note:
    """What was compared; ``settle`` gives the value for all inputs where only some were run."""

    metric: str
    op: str
    bound: float
    value: float
    met: bool
    settle: Callable[[], float | None] | None

    @property
    def margin(self) -> float:
        return margin_of(self.op, self.bound, self.value)


class Notebook:
    """The comparisons of one test.

    A comparison that is made several times, of the same metric with the same bound, is kept once:
    where it holds the closest, where it does not the last, which is the one that a test fails by.
    """

    def __init__(self) -> None:
        self._notes: dict[tuple[str, str, float, bool], _Note] = {}

    def add(self, found: _Note) -> None:
        """Keep a comparison."""
        key = found.metric, found.op, found.bound, found.met
        known = self._notes.get(key)
        if known is None:
            self._notes[key] = found
        elif not found.met:
            del self._notes[key]  # to the end: the last one that does not hold is the last note
            self._notes[key] = found
        elif abs(found.margin) < abs(known.margin):
            self._notes[key] = found

    def entries(self) -> list[dict[str, Any]]:
        """The comparisons as plain data, in order.

        Returns
        -------
        list of dict
            ``metric``; ``op`` and ``bound``, what it was compared with; ``value``, of the metric;
            ``met``, whether it held; and ``exact``, whether the value is of all inputs. If it is
            not, the assertion was decided by some inputs, and with the others the value can only
            be farther from the bound, on the same side.
        """
        found = []
        for each in self._notes.values():
            value, exact = each.value, each.settle is None
            if each.settle is not None:
                settled = each.settle()
                if settled is not None:
                    value, exact = settled, True
            found.append(
                {
                    "metric": each.metric,
                    "op": each.op,
                    "bound": each.bound,
                    "value": value,
                    "met": each.met,
                    "exact": exact,
                }
            )
        return found


_open: Notebook | None = None


@contextlib.contextmanager
def noting() -> Iterator[Notebook]:
    """Open a notebook: what is compared until this ends goes there, whichever thread does it.

    One that was open before is open again afterwards.
    """
    global _open
    before, _open = _open, Notebook()
    try:
        yield _open
    finally:
        _open = before


def is_noting() -> bool:
    """Whether a notebook is open."""
    return _open is not None


def note(
    metric: str,
    op: str,
    bound: Any,
    value: float,
    met: Any,
    settle: Callable[[], float | None] | None = None,
) -> None:
    """Tell the open notebook of a comparison; do nothing where none is open.

    Parameters
    ----------
    metric
        What was compared.
    op, bound
        The sign of the comparison, and what stands on its other side. What is no real number, such
        as an array or ``pytest.approx``, is no bound and is not noted.
    value
        Of the metric.
    met
        Whether the comparison holds.
    settle
        Where it was decided by some of the inputs: gives the value for all, or None where they have
        not all been run.
    """
    if _open is not None and isinstance(bound, Real):
        try:
            number = float(bound)
        except OverflowError:  # of a whole number that no float holds nothing is measured
            return
        _open.add(_Note(metric, op, number, float(value), bool(met), settle))


def margin_of(op: str, bound: float, value: float) -> float:
    """How far a value is on the right side of a bound; negative on the wrong side.

    Equality has no room: its margin is 0 where it holds, and how far it is missed, negative, where
    it does not. NaN where there is nothing to measure.
    """
    if op in (">=", ">"):
        return _minus(value, bound)
    if op in ("<=", "<"):
        return _minus(bound, value)
    distance = abs(_minus(value, bound))
    return distance if op == "!=" else -distance


def _minus(a: float, b: float) -> float:
    # an infinity is as far from itself as any number is
    return 0.0 if a == b else a - b


def opposite(op: str) -> str:
    """The sign that holds exactly where this one does not, NaN aside."""
    return _OPPOSITE[op]


def finite(value: float) -> float | None:
    """A number as JSON can have it; None where it is not finite."""
    return value if math.isfinite(value) else None
