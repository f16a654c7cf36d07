"""Metrics: how far predictions are from the reference's, from the labels, or from sense.

Each is a plain function; to add one, write it here and name it in ``__all__``.

Common to all of them:

- They take :class:`~pytest_mutatenn.engine.predictions.Predictions`, arrays or nested lists, inputs
  x classes; one dimension is one input. Where either side is float32, as `Predictions` are, both
  are compared as float32.
- They return a :class:`~pytest_mutatenn.analysis.metric.Metric`, which is a float, or a
  :class:`~pytest_mutatenn.analysis.metric.PerInputMetric`, which is one number per input. Both name
  the inputs that differ when an assert fails.
- Of equal scores the lower class ranks higher, but for `kendall_tau`, which knows ties.
- NaN where the other side has none is the worst that the metric can say of that input. NaN at the
  same places on both sides is equal, and the other classes are compared.
- They raise ValueError where the shapes differ or there is no input: nothing compared is not equal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pytest_mutatenn.analysis.comparison import (
    Pair,
    Single,
    class_name,
    classes_in_common,
    dense_ranks,
    directions,
    of_inputs,
    per_input,
    positions,
    right_classes,
)
from pytest_mutatenn.analysis.metric import (
    ROOM,
    Metric,
    PerInputMetric,
    YesNo,
    listing,
    number,
)
from pytest_mutatenn.analysis.pairs import FEW_CLASSES, tau_by_pairs
from pytest_mutatenn.engine.predictions import Predictions

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "accuracy",
    "all_finite",
    "cosine_similarity",
    "distinct_predictions",
    "kendall_tau",
    "max_abs_diff",
    "rank_biased_overlap",
    "top1_agreement",
    "topk_agreement",
]


def top1_agreement(
    predictions: Predictions | ArrayLike, reference: Predictions | ArrayLike
) -> Metric:
    """Give the part of the inputs whose best class is the reference's.

    Parameters
    ----------
    predictions, reference : Predictions or array_like, shape (inputs, classes)
        Scores of the same inputs.

    Returns
    -------
    Metric
        0 to 1. A difference reads ``reference's class -> predictions' class``.

    Raises
    ------
    ValueError
        If the shapes differ or there is no input.
    """
    pair = Pair("top1_agreement", predictions, reference)
    ours, theirs = (side[:, 0] for side in pair.best(1))
    differing = np.flatnonzero(pair.broken | (ours != theirs))
    changes = (f"{class_name(theirs[i])} -> {class_name(ours[i])}" for i in differing)
    value = (len(pair) - len(differing)) / len(pair)
    return of_inputs("top1_agreement", value, pair, differing, changes, "differ", "agree")


def topk_agreement(
    predictions: Predictions | ArrayLike, reference: Predictions | ArrayLike, k: int = 5
) -> Metric:
    """Give how much of the reference's `k` best classes are among the `k` best, in any order.

    Parameters
    ----------
    predictions, reference : Predictions or array_like, shape (inputs, classes)
        Scores of the same inputs.
    k : int
        1 to the number of classes.

    Returns
    -------
    Metric
        0 to 1: the size of what the two sets have in common, over `k`, averaged over the inputs.

    Raises
    ------
    ValueError
        If the shapes differ, there is no input, or there are fewer than `k` classes.
    """
    pair = Pair("topk_agreement", predictions, reference)
    common = classes_in_common(pair, k)
    differing = np.flatnonzero(common < k)
    notes = (f"{common[i]} of {k} in common" for i in differing)
    value = float(common.sum()) / (k * len(pair))
    return of_inputs(f"topk_agreement(k={k})", value, pair, differing, notes, "differ", "agree")


def kendall_tau(
    predictions: Predictions | ArrayLike, reference: Predictions | ArrayLike
) -> PerInputMetric:
    """Give, per input, how alike the two order the classes: Kendall's tau-b, which knows ties.

    Parameters
    ----------
    predictions, reference : Predictions or array_like, shape (inputs, classes)
        Scores of the same inputs; only their ranks matter.

    Returns
    -------
    PerInputMetric
        -1 (reversed, or NaN on one side) to 1 (the same order). Where one side's scores are all
        equal there is no order to compare: 1 if the other side's are the same scores, else 0.

    Raises
    ------
    ValueError
        If the shapes differ or there is no input.

    References
    ----------
    M. G. Kendall, "The treatment of ties in ranking problems", Biometrika 33 (1945).
    """
    from scipy.stats import kendalltau

    def taus(ours: NDArray[Any], theirs: NDArray[Any]) -> Sequence[float] | NDArray[np.float64]:
        ranks, wanted = dense_ranks(ours), dense_ranks(theirs)
        constant = (ranks.max(axis=1) == 0) | (wanted.max(axis=1) == 0)
        same = (ranks == wanted).all(axis=1) & ~constant
        if ranks.shape[1] <= FEW_CLASSES:
            return np.where(constant, 0.0, np.where(same, 1.0, tau_by_pairs(ranks, wanted)))
        # nobody looks at the p-value: take the cheap one, which does not exist for two classes
        method: Literal["asymptotic", "auto"] = "asymptotic" if ours.shape[1] > 2 else "auto"
        return [
            float(same[i])
            if same[i] or constant[i]
            else float(kendalltau(ranks[i], wanted[i], method=method).statistic)
            for i in range(len(ours))
        ]

    return per_input("kendall_tau", Pair("kendall_tau", predictions, reference), -1.0, taus)


def accuracy(predictions: Predictions | ArrayLike, labels: ArrayLike | None = None) -> Metric:
    """Give the part of the inputs whose best class is the right one.

    Parameters
    ----------
    predictions : Predictions or array_like, shape (inputs, classes)
        The scores.
    labels : array_like of int, shape (inputs,), optional
        The right classes; default those of `predictions`.

    Returns
    -------
    Metric
        0 to 1; an input with a NaN among its scores is wrong. A mistake reads
        ``right class -> predicted class``.

    Raises
    ------
    ValueError
        If there are no labels or no input, or a label is no class of the network.
    """
    given = Single("accuracy", predictions)
    wanted = given.labels if labels is None else labels
    right = right_classes(wanted, given.scores.shape, given.names)
    wrong = np.flatnonzero(given.top1 != right)
    mistakes = (f"{right[i]} -> {class_name(given.top1[i])}" for i in wrong)
    return of_inputs(
        "accuracy",
        (len(given) - len(wrong)) / len(given),
        given,
        wrong,
        mistakes,
        "are wrong",
        "are right",
    )


def rank_biased_overlap(
    predictions: Predictions | ArrayLike, reference: Predictions | ArrayLike, p: float = 0.9
) -> PerInputMetric:
    """Give, per input, how alike the two order the classes, the best classes counting most.

    The extrapolated rank-biased overlap of the full rankings.

    Parameters
    ----------
    predictions, reference : Predictions or array_like, shape (inputs, classes)
        Scores of the same inputs; only their ranks matter.
    p : float
        Between 0 and 1, both excluded: how deep to look. The first ten classes have 86 % of the
        weight at 0.9.

    Returns
    -------
    PerInputMetric
        0 (nothing in common, or NaN on one side) to 1 (the same ranking, exactly 1).

    Raises
    ------
    ValueError
        If `p` is out of range, the shapes differ, or there is no input.

    References
    ----------
    W. Webber, A. Moffat, J. Zobel, "A similarity measure for indefinite rankings", ACM
    Transactions on Information Systems 28 (2010).
    """
    if not 0 < p < 1:
        raise ValueError(f"rank_biased_overlap: p must be between 0 and 1, got {p}")

    def overlaps(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.float64]:
        inputs, classes = ours.shape
        # a class is common to both from the deeper of its two ranks on
        deeper = np.maximum(positions(ours), positions(theirs))
        joining = np.zeros((inputs, classes))
        np.add.at(joining, (np.arange(inputs)[:, None], deeper), 1)
        depth = np.arange(1, classes + 1)
        agreement = joining.cumsum(axis=1) / depth
        weight = (1 - p) * p ** (depth - 1.0)
        # not a matrix product: a row's sum is the same whatever rows stand beside it
        overlap = (agreement * weight).sum(axis=1) + agreement[:, -1] * p**classes
        overlap[(agreement == 1).all(axis=1)] = 1
        return np.clip(overlap, 0, 1)

    pair = Pair("rank_biased_overlap", predictions, reference)
    return per_input("rank_biased_overlap", pair, 0.0, overlaps)


def cosine_similarity(
    predictions: Predictions | ArrayLike, reference: Predictions | ArrayLike
) -> PerInputMetric:
    """Give, per input, the cosine of the angle between the two rows of scores.

    Parameters
    ----------
    predictions, reference : Predictions or array_like, shape (inputs, classes)
        Scores of the same inputs.

    Returns
    -------
    PerInputMetric
        -1 (opposite, or NaN on one side) to 1 (the same direction; the same scores are exactly 1).
        Against a row of zeros any other row is 0. A row with infinities points where they do,
        as if the finite scores beside them were 0.

    Raises
    ------
    ValueError
        If the shapes differ or there is no input.
    """

    def cosines(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.float64]:
        cosine = (directions(ours) * directions(theirs)).sum(axis=1)
        cosine[(ours == theirs).all(axis=1)] = 1
        return np.clip(cosine, -1, 1)

    pair = Pair("cosine_similarity", predictions, reference)
    return per_input("cosine_similarity", pair, -1.0, cosines)


def max_abs_diff(
    predictions: Predictions | ArrayLike, reference: Predictions | ArrayLike
) -> Metric:
    """Give the largest difference between two scores of the same input and class.

    Parameters
    ----------
    predictions, reference : Predictions or array_like, shape (inputs, classes)
        Scores of the same inputs.

    Returns
    -------
    Metric
        0 or more. Infinite where one side alone is NaN or infinite, or the infinities differ. The
        repr lists the inputs by their largest difference, with its class, worst first.

    Raises
    ------
    ValueError
        If the shapes differ or there is no input.
    """
    pair = Pair("max_abs_diff", predictions, reference)
    with np.errstate(all="ignore"):
        distance = np.abs(pair.ours - pair.theirs)
    equal = (pair.ours == pair.theirs) | (np.isnan(pair.ours) & np.isnan(pair.theirs))
    distance[equal] = 0
    distance[np.isnan(distance)] = np.inf
    worst = distance.max(axis=1)
    order = np.argsort(-worst, kind="stable")
    differing = order[worst[order] > 0]
    notes = (f"{number(worst[i], 3)} in class {distance[i].argmax()}" for i in differing)
    value = float(worst.max())
    return of_inputs("max_abs_diff", value, pair, differing, notes, "differ", "are equal")


def all_finite(predictions: Predictions | ArrayLike) -> Metric:
    """Say whether no score is NaN or infinite.

    Parameters
    ----------
    predictions : Predictions or array_like, shape (inputs, classes)
        The scores.

    Returns
    -------
    Metric
        True (1) or False (0), to be asserted as it is; ``== True`` works, ``is True`` does not.

    Raises
    ------
    ValueError
        If there is no input.
    """
    given = Single("all_finite", predictions)
    nans, infinities = np.isnan(given.scores).sum(axis=1), np.isinf(given.scores).sum(axis=1)
    bad = np.flatnonzero(nans + infinities)
    kinds = ((nans, "NaN"), (infinities, "inf"))
    notes = (" and ".join(f"{n[i]} {kind}" for n, kind in kinds if n[i]) for i in bad)
    fine = not bad.size
    return of_inputs(
        "all_finite", float(fine), given, bad, notes, "are not", "are finite", str(fine), YesNo
    )


def distinct_predictions(predictions: Predictions | ArrayLike) -> Metric:
    """Give the number of different best classes: 1 is a network stuck on one answer.

    Parameters
    ----------
    predictions : Predictions or array_like, shape (inputs, classes)
        The scores.

    Returns
    -------
    Metric
        A whole number. Inputs with a NaN among their scores have no best class and do not count.

    Raises
    ------
    ValueError
        If there is no input.
    """
    given = Single("distinct_predictions", predictions)
    counts = Counter(given.top1.tolist())
    value = len(counts) - (-1 in counts)
    commonest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    head = f"best classes of {len(given)} inputs: "
    entries = (f"{count} x {class_name(top)}" for top, count in commonest)
    room = ROOM - len(f"distinct_predictions = {value} ({head})")
    return Metric(value, "distinct_predictions", head + listing(entries, len(counts), room))
