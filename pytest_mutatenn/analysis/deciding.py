"""When the inputs looked at decide an assertion, whatever the others may be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np

from pytest_mutatenn.analysis.looking import Looker
from pytest_mutatenn.analysis.margins import note
from pytest_mutatenn.analysis.metric import ROOM, PerInputMetric, listing, number, title

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Of", "decided", "each", "fail", "share"]

Of = Literal["every", "mean"]


def share(
    name: str,
    look: Looker,
    points_of: Callable[..., NDArray[np.int64]],
    most: int,
    at_least: float,
    differ: str,
) -> None:
    """Decide a metric that is a sum of points over the inputs, `most` for each.

    The sum is of whole numbers, and its quotient rounds in one direction as it grows: what the
    inputs left can make of it at most and at least is exact.
    """
    __tracebackhide__ = True
    at_least = float(at_least)  # as the metric compares, whatever NumPy's number is given
    total, full = 0, most * look.shape[0]
    short: dict[int, int] = {}

    def of_all(*scores: NDArray[Any]) -> float:
        return int(points_of(*scores, list(range(look.shape[0]))).sum()) / full

    for inputs, scores in look.chunks():
        points = points_of(*scores, inputs)
        total += int(points.sum())
        short.update((i, int(p)) for i, p in zip(inputs, points, strict=True) if p < most)
        highest = (total + most * look.left) / full
        if not highest >= at_least:
            decided(look, name, ">=", at_least, highest, False, of_all)
            says = "" if most == 1 else "{} of " + f"{most} in common"
            entries = ((i, says.format(short[i])) for i in sorted(short))
            reached = "=" if not look.left else "at most"
            claim = f"{name} >= {number(at_least)}: {reached} {number(highest)}"
            fail(claim, look, entries, len(short), differ)
        if total / full >= at_least:
            decided(look, name, ">=", at_least, total / full, True, of_all)
            return


def each(
    name: str,
    look: Looker,
    metric: Callable[..., PerInputMetric],
    lowest: float,
    at_least: float,
    of: Of,
) -> None:
    """Decide a metric that is a number per input, from `lowest` to 1."""
    __tracebackhide__ = True
    at_least = float(at_least)
    if of not in ("every", "mean"):
        raise ValueError(f'{name}: of must be "every" or "mean", got {of!r}')
    values = np.full(look.shape[0], np.nan)
    called = name if of == "every" else f"{name}.mean()"

    def of_all(*scores: NDArray[Any]) -> float:
        found = metric(*scores).values
        return float(found.min() if of == "every" else found.mean())

    for inputs, scores in look.chunks():
        found = metric(*scores).values
        values[inputs] = found
        if of == "every":
            least = float(np.nanmin(values))
            if not (found >= at_least).all():
                decided(look, called, ">=", at_least, least, False, of_all)
                below = [i for i in sorted(inputs) if not values[i] >= at_least]
                entries = ((i, number(float(values[i]), 3)) for i in below)
                fail(f"{name} >= {number(at_least)}", look, entries, len(below), "are below")
            if at_least <= lowest or not look.left:
                decided(look, called, ">=", at_least, lowest if look.left else least, True, of_all)
                return
            continue
        low, high = _bounds(values[look.looked], look.left, lowest)
        if not look.left:
            low = high = float(values.mean())
        if low >= at_least:
            decided(look, called, ">=", at_least, low, True, of_all)
            return
        if not high >= at_least:
            decided(look, called, ">=", at_least, high, False, of_all)
            below = [i for i in look.looked if not values[i] >= at_least]
            below.sort(key=lambda i: (values[i], i))
            reached = "=" if not look.left else "at most"
            claim = f"{name}.mean() >= {number(at_least)}: {reached} {number(high)}"
            entries = ((i, number(float(values[i]), 3)) for i in below)
            fail(claim, look, entries, len(below), "are below")


def decided(
    look: Looker,
    name: str,
    op: str,
    bound: float,
    value: float,
    met: bool,
    of_all: Callable[..., float],
) -> None:
    """Note what an assertion came to, with what the metric is of all inputs if they are run."""

    def settle() -> float | None:
        scores = look.known()
        return None if scores is None else of_all(*scores)

    note(name, op, bound, value, met, settle if look.left else None)


def _bounds(values: NDArray[np.float64], left: int, lowest: float) -> tuple[float, float]:
    """Between what the mean lies when the values that are left are from `lowest` to 1.

    Wider by more than any order of summation rounds: adding n numbers of at most 1 is off by less
    than n * n units of 2**-53, so their mean by less than n of them.
    """
    inputs = len(values) + left
    total = float(values.sum())
    slack = 4 * (inputs + 1) * 2.0**-53
    return (total + lowest * left) / inputs - slack, (total + left) / inputs + slack


def fail(
    claim: str, look: Looker, entries: Iterable[tuple[int, str]], count: int, differ: str
) -> NoReturn:
    """Raise what says which inputs decided it."""
    __tracebackhide__ = True
    notes = list(entries)
    look.decided_by([i for i, _ in notes])
    inputs, looked = look.shape[0], len(look.looked)
    seen = f"{inputs} inputs" if looked == inputs else f"{looked} inputs looked at of {inputs}"
    head = f"{claim} ({count} of {seen} {differ}"
    shown = (f"{title(i, look.names)} {note}".rstrip() for i, note in notes)
    if count:
        head += ": " + listing(shown, count, ROOM - len(head) - 3)
    raise AssertionError(f"{head})")
