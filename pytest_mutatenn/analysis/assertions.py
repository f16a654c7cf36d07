"""Assertions that look at no more inputs than they need.

Each is ``assert metric(predictions, ...) >= bound``, passes and fails exactly where that does, and
stops as soon as the inputs looked at decide it, whatever the others may be. On a mutant an input
that is not looked at is not run. To add one, write it here and name it in ``__all__``.

Common to all of them:

- They take what the metric of the same name takes: predictions, arrays or nested lists.
- They raise AssertionError with the inputs that decided, and how many were looked at; and
  ValueError where the metric does.
- What they compare with is keyword-only: the least or the most that the metric may be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np

from pytest_mutatenn.analysis.comparison import Pair
from pytest_mutatenn.analysis.looking import Looker
from pytest_mutatenn.analysis.metric import ROOM, PerInputMetric, listing, number, title
from pytest_mutatenn.analysis.metrics import (
    accuracy,
    all_finite,
    classes_in_common,
    cosine_similarity,
    kendall_tau,
    max_abs_diff,
    rank_biased_overlap,
    right_classes,
    top1_agreement,
)
from pytest_mutatenn.engine.predictions import Predictions

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "assert_accuracy",
    "assert_all_finite",
    "assert_cosine_similarity",
    "assert_kendall_tau",
    "assert_max_abs_diff",
    "assert_rank_biased_overlap",
    "assert_top1_agreement",
    "assert_topk_agreement",
]

Of = Literal["every", "mean"]


def assert_top1_agreement(
    predictions: Predictions | ArrayLike,
    reference: Predictions | ArrayLike,
    *,
    at_least: float,
) -> None:
    """Assert ``top1_agreement(predictions, reference) >= at_least``.

    Parameters
    ----------
    predictions, reference : Predictions or array_like, shape (inputs, classes)
        Scores of the same inputs.
    at_least : float
        The part of the inputs whose best class must be the reference's, 0 to 1.

    Raises
    ------
    AssertionError
        As soon as too many differ.
    ValueError
        If the shapes differ or there is no input.
    """
    __tracebackhide__ = True
    look = Looker("top1_agreement", predictions, reference)

    def points(ours: NDArray[Any], theirs: NDArray[Any], _: list[int]) -> NDArray[np.int64]:
        return _except(top1_agreement(ours, theirs).differing, len(ours))

    _share("top1_agreement", look, points, 1, at_least, "differ")


def assert_topk_agreement(
    predictions: Predictions | ArrayLike,
    reference: Predictions | ArrayLike,
    k: int = 5,
    *,
    at_least: float,
) -> None:
    """Assert ``topk_agreement(predictions, reference, k) >= at_least``.

    Parameters
    ----------
    predictions, reference : Predictions or array_like, shape (inputs, classes)
        Scores of the same inputs.
    k : int
        1 to the number of classes.
    at_least : float
        How much of the `k` best classes must be in common, averaged over the inputs, 0 to 1.

    Raises
    ------
    AssertionError
        As soon as too much differs.
    ValueError
        If the shapes differ, there is no input, or there are fewer than `k` classes.
    """
    __tracebackhide__ = True
    look = Looker("topk_agreement", predictions, reference)

    def points(ours: NDArray[Any], theirs: NDArray[Any], _: list[int]) -> NDArray[np.int64]:
        return classes_in_common(Pair("topk_agreement", ours, theirs), k)

    _share(f"topk_agreement(k={k})", look, points, k, at_least, "differ")


def assert_accuracy(
    predictions: Predictions | ArrayLike,
    labels: ArrayLike | None = None,
    *,
    at_least: float,
) -> None:
    """Assert ``accuracy(predictions, labels) >= at_least``.

    Parameters
    ----------
    predictions : Predictions or array_like, shape (inputs, classes)
        The scores.
    labels : array_like of int, shape (inputs,), optional
        The right classes; default those of `predictions`.
    at_least : float
        The part of the inputs whose best class must be the right one, 0 to 1.

    Raises
    ------
    AssertionError
        As soon as too many are wrong.
    ValueError
        If there are no labels or no input, or a label is no class of the network.
    """
    __tracebackhide__ = True
    look = Looker("accuracy", predictions)
    if labels is None and isinstance(predictions, Predictions):
        labels = predictions.labels
    right = right_classes(labels, look.shape, look.names)

    def points(ours: NDArray[Any], inputs: list[int]) -> NDArray[np.int64]:
        return _except(accuracy(ours, right[inputs]).differing, len(ours))

    _share("accuracy", look, points, 1, at_least, "are wrong")


def assert_kendall_tau(
    predictions: Predictions | ArrayLike,
    reference: Predictions | ArrayLike,
    *,
    at_least: float,
    of: Of = "every",
) -> None:
    """Assert ``kendall_tau(predictions, reference) >= at_least``.

    Parameters
    ----------
    predictions, reference : Predictions or array_like, shape (inputs, classes)
        Scores of the same inputs.
    at_least : float
        -1 to 1.
    of : "every" or "mean"
        What must reach it: every input's tau, or their mean.

    Raises
    ------
    AssertionError
        As soon as one input, or the mean, cannot reach it.
    ValueError
        If the shapes differ, there is no input, or `of` is neither.
    """
    __tracebackhide__ = True
    look = Looker("kendall_tau", predictions, reference)
    _each("kendall_tau", look, kendall_tau, -1.0, at_least, of)


def assert_cosine_similarity(
    predictions: Predictions | ArrayLike,
    reference: Predictions | ArrayLike,
    *,
    at_least: float,
    of: Of = "every",
) -> None:
    """Assert ``cosine_similarity(predictions, reference) >= at_least``.

    Parameters
    ----------
    predictions, reference : Predictions or array_like, shape (inputs, classes)
        Scores of the same inputs.
    at_least : float
        -1 to 1.
    of : "every" or "mean"
        What must reach it: every input's cosine, or their mean.

    Raises
    ------
    AssertionError
        As soon as one input, or the mean, cannot reach it.
    ValueError
        If the shapes differ, there is no input, or `of` is neither.
    """
    __tracebackhide__ = True
    look = Looker("cosine_similarity", predictions, reference)
    _each("cosine_similarity", look, cosine_similarity, -1.0, at_least, of)


def assert_rank_biased_overlap(
    predictions: Predictions | ArrayLike,
    reference: Predictions | ArrayLike,
    p: float = 0.9,
    *,
    at_least: float,
    of: Of = "every",
) -> None:
    """Assert ``rank_biased_overlap(predictions, reference, p) >= at_least``.

    Parameters
    ----------
    predictions, reference : Predictions or array_like, shape (inputs, classes)
        Scores of the same inputs.
    p : float
        Between 0 and 1, both excluded: how deep to look.
    at_least : float
        0 to 1.
    of : "every" or "mean"
        What must reach it: every input's overlap, or their mean.

    Raises
    ------
    AssertionError
        As soon as one input, or the mean, cannot reach it.
    ValueError
        If `p` is out of range, the shapes differ, there is no input, or `of` is neither.
    """
    __tracebackhide__ = True
    look = Looker("rank_biased_overlap", predictions, reference)

    def overlap(ours: NDArray[Any], theirs: NDArray[Any]) -> PerInputMetric:
        return rank_biased_overlap(ours, theirs, p)

    _each("rank_biased_overlap", look, overlap, 0.0, at_least, of)


def assert_max_abs_diff(
    predictions: Predictions | ArrayLike,
    reference: Predictions | ArrayLike,
    *,
    at_most: float,
) -> None:
    """Assert ``max_abs_diff(predictions, reference) <= at_most``.

    Parameters
    ----------
    predictions, reference : Predictions or array_like, shape (inputs, classes)
        Scores of the same inputs.
    at_most : float
        The largest difference that two scores may have.

    Raises
    ------
    AssertionError
        At the first input with a larger one.
    ValueError
        If the shapes differ or there is no input.
    """
    __tracebackhide__ = True
    look = Looker("max_abs_diff", predictions, reference)
    for inputs, (ours, theirs) in look.chunks():
        # not `>`: a bound that is NaN is never kept
        if not max_abs_diff(ours, theirs) <= at_most:
            each = [float(max_abs_diff(ours[[i]], theirs[[i]])) for i in range(len(inputs))]
            failing = {i: value for i, value in zip(inputs, each, strict=True) if value > at_most}
            entries = ((i, number(value, 3)) for i, value in sorted(failing.items()))
            _fail(f"max_abs_diff <= {number(at_most)}", look, entries, len(failing), "are larger")
        if at_most == np.inf:
            return


def assert_all_finite(predictions: Predictions | ArrayLike) -> None:
    """Assert ``all_finite(predictions)``.

    Parameters
    ----------
    predictions : Predictions or array_like, shape (inputs, classes)
        The scores.

    Raises
    ------
    AssertionError
        At the first input with a NaN or an infinity among its scores.
    ValueError
        If there is no input.
    """
    __tracebackhide__ = True
    look = Looker("all_finite", predictions)
    for inputs, (ours,) in look.chunks():
        found = all_finite(ours)
        if not found:
            failing = sorted(inputs[i] for i in found.differing)
            _fail("all_finite", look, ((i, "") for i in failing), len(failing), "are not")


# -- how they decide --------------------------------------------------------------------------


def _except(differing: Iterable[int], inputs: int) -> NDArray[np.int64]:
    """One point for every input but those that differ."""
    points = np.ones(inputs, np.int64)
    points[list(differing)] = 0
    return points


def _share(
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
    total, full = 0, most * look.shape[0]
    short: dict[int, int] = {}
    for inputs, scores in look.chunks():
        points = points_of(*scores, inputs)
        total += int(points.sum())
        short.update((i, int(p)) for i, p in zip(inputs, points, strict=True) if p < most)
        highest = (total + most * look.left) / full
        if not highest >= at_least:
            says = "" if most == 1 else "{} of " + f"{most} in common"
            entries = ((i, says.format(short[i])) for i in sorted(short))
            reached = "=" if not look.left else "at most"
            claim = f"{name} >= {number(at_least)}: {reached} {number(highest)}"
            _fail(claim, look, entries, len(short), differ)
        if total / full >= at_least:
            return


def _each(
    name: str,
    look: Looker,
    metric: Callable[..., PerInputMetric],
    lowest: float,
    at_least: float,
    of: Of,
) -> None:
    """Decide a metric that is a number per input, from `lowest` to 1."""
    __tracebackhide__ = True
    if of not in ("every", "mean"):
        raise ValueError(f'{name}: of must be "every" or "mean", got {of!r}')
    values = np.full(look.shape[0], np.nan)
    for inputs, scores in look.chunks():
        found = metric(*scores).values
        values[inputs] = found
        if of == "every":
            if not (found >= at_least).all():
                below = [i for i in sorted(inputs) if not values[i] >= at_least]
                entries = ((i, number(float(values[i]), 3)) for i in below)
                _fail(f"{name} >= {number(at_least)}", look, entries, len(below), "are below")
            if at_least <= lowest:
                return
            continue
        low, high = _bounds(values[look.looked], look.left, lowest)
        if look.left and low >= at_least:
            return
        if not look.left:
            low = high = float(values.mean())
        if not high >= at_least:
            below = [i for i in look.looked if not values[i] >= at_least]
            below.sort(key=lambda i: (values[i], i))
            reached = "=" if not look.left else "at most"
            claim = f"{name}.mean() >= {number(at_least)}: {reached} {number(high)}"
            entries = ((i, number(float(values[i]), 3)) for i in below)
            _fail(claim, look, entries, len(below), "are below")


def _bounds(values: NDArray[np.float64], left: int, lowest: float) -> tuple[float, float]:
    """Between what the mean lies when the values that are left are from `lowest` to 1.

    Wider by more than any order of summation rounds: adding n numbers of at most 1 is off by less
    than n * n units of 2**-53, so their mean by less than n of them.
    """
    inputs = len(values) + left
    total = float(values.sum())
    slack = 4 * (inputs + 1) * 2.0**-53
    return (total + lowest * left) / inputs - slack, (total + left) / inputs + slack


def _fail(
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
