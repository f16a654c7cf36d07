"""How far repeats of the same network are apart: the floor that no difference is seen under."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_mutatenn.analysis.comparison import Pair, positions
from pytest_mutatenn.analysis.metric import PerInputMetric
from pytest_mutatenn.analysis.metrics import (
    accuracy,
    cosine_similarity,
    distinct_predictions,
    kendall_tau,
    max_abs_diff,
    rank_biased_overlap,
    top1_agreement,
)
from pytest_mutatenn.analysis.spread import output_difference, same_bits
from pytest_mutatenn.engine.predictions import Predictions

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Outputs", "apart", "floor_of"]

Outputs = Mapping[str, "NDArray[Any]"]
"""Network output -> array of shape (n, output shape)."""

_PER_INPUT = (kendall_tau, rank_biased_overlap, cosine_similarity)


def floor_of(
    runs: Sequence[Outputs], output: str, inputs: int, labels: NDArray[np.int64] | None = None
) -> dict[str, Any]:
    """Say how far several runs of one network on the same inputs are from each other at most.

    Parameters
    ----------
    runs
        What each run gave, for all inputs.
    output
        The output that is the classification.
    inputs
        How many inputs there are: where the network takes several at a time, more than runs.
    labels : ndarray of int64, shape (inputs,), optional
        The right class of each input.

    Returns
    -------
    dict
        What :func:`apart` gives, of each number the largest over every two of the runs.
    """
    different: list[Outputs] = []
    for run in runs:
        if not any(same_bits(run, known) for known in different):
            different.append(run)
    if len(different) < 2:
        return apart(runs[0], runs[0], output, inputs, labels)
    found = [apart(a, b, output, inputs, labels) for a, b in itertools.combinations(different, 2)]
    return {
        "output": max(one["output"] for one in found),
        "metrics": {
            name: max(one["metrics"][name] for one in found) for name in found[0]["metrics"]
        },
    }


def apart(
    a: Outputs, b: Outputs, output: str, inputs: int, labels: NDArray[np.int64] | None = None
) -> dict[str, Any]:
    """Say how far two runs on the same inputs are from each other, by every metric.

    For a metric that compares, this is its distance from the best it can be: 1 less the agreement,
    and the difference itself for ``max_abs_diff``. Agreement of best classes, of sets of best
    classes and of rankings, and the largest difference, are distances in the sense of geometry, or
    nearly (the cosine): so the metric of `a` and any reference, and that of `b` and the same
    reference, differ by no more than this. For a metric of one side, ``accuracy`` and
    ``distinct_predictions``, it is the difference of the two values.

    Parameters
    ----------
    a, b
        What each run gave.
    output
        The output that is the classification.
    inputs
        How many inputs there are: where the network takes several at a time, more than runs.
    labels : ndarray of int64, shape (inputs,), optional
        The right class of each input.

    Returns
    -------
    dict
        ``output``: the largest absolute difference of two numbers, over all outputs; ``metrics``:
        metric -> how far apart. ``topk_agreement`` is of that ``k`` for which it is most. Of a
        metric per input the bare name is of the worst input, ``.mean()`` of their mean.
        ``accuracy`` only with labels. Infinite where one side alone has a NaN or an infinity.

    References
    ----------
    W. Webber, A. Moffat, J. Zobel, "A similarity measure for indefinite rankings", ACM TOIS 28
    (2010), for the distance of the rank-biased overlap.
    """
    ours, theirs = (Predictions(side[output].reshape(inputs, -1), labels=labels) for side in (a, b))
    single = {"distinct_predictions": distinct_predictions}
    if labels is not None:
        single["accuracy"] = accuracy
    same = same_bits(a, b)
    found = {
        name: 0.0 if same else abs(float(metric(ours)) - float(metric(theirs)))
        for name, metric in single.items()
    }
    for metric in _PER_INPUT:
        name = metric.__name__
        each = PerInputMetric(name, np.ones(inputs)) if same else metric(ours, theirs)
        found[name] = 1 - float(each.min())
        found[f"{name}.mean()"] = 1 - float(each.mean())
    found["max_abs_diff"] = 0.0 if same else float(max_abs_diff(ours, theirs))
    found["top1_agreement"] = 0.0 if same else 1 - float(top1_agreement(ours, theirs))
    found["topk_agreement"] = 0.0 if same else _topk(ours, theirs)
    return {
        "output": 0.0 if same else output_difference(a, b),
        "metrics": dict(sorted(found.items())),
    }


def _topk(a: Predictions, b: Predictions) -> float:
    """1 less the agreement of the `k` best classes, for the `k` at which they agree least."""
    pair = Pair("topk_agreement", a, b)
    inputs, classes = pair.ours.shape
    places = [positions(np.where(np.isnan(side), -np.inf, side)) for side in (a.scores, b.scores)]
    joining = np.zeros((inputs, classes))
    np.add.at(joining, (np.arange(inputs)[:, None], np.maximum(*places)), 1)
    agreement = joining.cumsum(axis=1) / np.arange(1, classes + 1)
    agreement[pair.broken] = 0
    return float(1 - agreement.mean(axis=0).min())
