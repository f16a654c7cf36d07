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

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_mutatenn.analysis.comparison import Pair, classes_in_common, right_classes
from pytest_mutatenn.analysis.deciding import Of, decided, each, fail, share
from pytest_mutatenn.analysis.looking import Looker
from pytest_mutatenn.analysis.metric import PerInputMetric, number
from pytest_mutatenn.analysis.metrics import (
    accuracy,
    all_finite,
    cosine_similarity,
    kendall_tau,
    max_abs_diff,
    rank_biased_overlap,
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

    share("top1_agreement", look, points, 1, at_least, "differ")


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

    share(f"topk_agreement(k={k})", look, points, k, at_least, "differ")


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

    share("accuracy", look, points, 1, at_least, "are wrong")


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
    each("kendall_tau", look, kendall_tau, -1.0, at_least, of)


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
    each("cosine_similarity", look, cosine_similarity, -1.0, at_least, of)


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

    each("rank_biased_overlap", look, overlap, 0.0, at_least, of)


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
    at_most = float(at_most)
    look = Looker("max_abs_diff", predictions, reference)
    most = 0.0

    def of_all(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
        return float(max_abs_diff(ours, theirs))

    for inputs, (ours, theirs) in look.chunks():
        most = max(most, float(max_abs_diff(ours, theirs)))
        # not `>`: a bound that is NaN is never kept
        if not most <= at_most:
            decided(look, "max_abs_diff", "<=", at_most, most, False, of_all)
            largest = [float(max_abs_diff(ours[[i]], theirs[[i]])) for i in range(len(inputs))]
            failing = {
                i: value for i, value in zip(inputs, largest, strict=True) if value > at_most
            }
            entries = ((i, number(value, 3)) for i, value in sorted(failing.items()))
            fail(f"max_abs_diff <= {number(at_most)}", look, entries, len(failing), "are larger")
        if at_most == np.inf or not look.left:
            decided(look, "max_abs_diff", "<=", at_most, most, True, of_all)
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
            fail("all_finite", look, ((i, "") for i in failing), len(failing), "are not")


def _except(differing: Iterable[int], inputs: int) -> NDArray[np.int64]:
    """One point for every input but those that differ."""
    points = np.ones(inputs, np.int64)
    points[list(differing)] = 0
    return points
