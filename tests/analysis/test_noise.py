"""The floor of each metric: repeats that far apart change it by no more, whatever the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mutatenn import (
    accuracy,
    distinct_predictions,
    kendall_tau,
    max_abs_diff,
    rank_biased_overlap,
    top1_agreement,
    topk_agreement,
)
from pytest_mutatenn.analysis.noise import apart, floor_of
from pytest_mutatenn.analysis.spread import differences, output_difference

INF, NAN = np.inf, np.nan
NAMES = {
    "accuracy",
    "cosine_similarity",
    "cosine_similarity.mean()",
    "distinct_predictions",
    "kendall_tau",
    "kendall_tau.mean()",
    "max_abs_diff",
    "rank_biased_overlap",
    "rank_biased_overlap.mean()",
    "top1_agreement",
    "topk_agreement",
}


def outputs(scores):
    return {"scores": np.asarray(scores, np.float32)}


@st.composite
def three(draw):
    """Three answers to the same inputs, without ties: permutations of the same scores."""
    inputs, classes = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    ranks = st.permutations(range(classes))
    return [np.array([draw(ranks) for _ in range(inputs)], np.float32) / classes for _ in range(3)]


@settings(deadline=None)
@given(three(), st.data())
def test_no_metric_changes_by_more_than_two_runs_are_apart(sides, data):
    a, b, reference = sides
    labels = np.array([data.draw(st.integers(0, a.shape[1] - 1)) for _ in a])
    floor = apart(outputs(a), outputs(b), "scores", len(a), labels)["metrics"]

    def within(metric, name):
        change = abs(float(metric(a)) - float(metric(b)))
        assert change <= floor[name] + 1e-9, name

    within(lambda side: accuracy(side, labels), "accuracy")
    within(distinct_predictions, "distinct_predictions")
    within(lambda side: top1_agreement(side, reference), "top1_agreement")
    within(lambda side: max_abs_diff(side, reference), "max_abs_diff")
    for k in range(1, a.shape[1] + 1):
        within(lambda side, k=k: topk_agreement(side, reference, k), "topk_agreement")
    for metric in (kendall_tau, rank_biased_overlap):
        name = metric.__name__
        within(lambda side, m=metric: m(side, reference).min(), name)
        within(lambda side, m=metric: m(side, reference).max(), name)
        within(lambda side, m=metric: m(side, reference).mean(), f"{name}.mean()")


def test_the_same_bits_are_not_apart():
    scores = [[0.1, 0.9], [NAN, 0.5]]

    found = apart(outputs(scores), outputs(scores), "scores", 2, np.array([1, 0]))

    assert found["output"] == 0
    assert set(found["metrics"]) == NAMES
    assert set(found["metrics"].values()) == {0.0}


def test_what_is_apart_is_told_by_each_metric():
    a = [[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]
    b = [[0.3, 0.5, 0.2], [0.1, 0.2, 0.7]]

    found = apart(outputs(a), outputs(b), "scores", 2, np.array([0, 2]))

    assert found["output"] == pytest.approx(0.2)
    metrics = found["metrics"]
    assert metrics["top1_agreement"] == 0.5
    assert metrics["topk_agreement"] == 0.5  # at k = 1
    assert metrics["accuracy"] == 0.5
    assert metrics["distinct_predictions"] == 0
    assert metrics["kendall_tau"] == pytest.approx(2 / 3)
    assert metrics["kendall_tau.mean()"] == pytest.approx(1 / 3)
    assert metrics["max_abs_diff"] == pytest.approx(0.2)


def test_all_outputs_count_and_several_inputs_at_a_time():
    a = {"scores": np.zeros((2, 3, 4), np.float32), "mask": np.zeros((2, 5), np.int64)}
    b = {**a, "mask": a["mask"] + [0, 0, 7, 0, 0]}

    found = apart(a, b, "scores", 6)

    assert found["output"] == 7
    assert set(found["metrics"]) == NAMES - {"accuracy"}
    assert set(found["metrics"].values()) == {0.0}


def test_a_floor_is_the_largest_of_every_two_runs():
    runs = [[[0.5, 0.5, 0.0]], [[0.6, 0.4, 0.0]], [[0.3, 0.7, 0.0]], [[0.6, 0.4, 0.0]]]

    found = floor_of([outputs(run) for run in runs], "scores", 1)

    assert found["output"] == pytest.approx(0.3)
    assert found["metrics"]["top1_agreement"] == 1
    assert floor_of([outputs(runs[1]), outputs(runs[3])], "scores", 1)["output"] == 0


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([NAN, INF, -INF], [NAN, INF, -INF], 0.0),
        ([NAN, 1.0], [1.0, 1.0], INF),
        ([INF], [-INF], INF),
        ([INF], [1.0], INF),
        ([-0.0], [0.0], 0.0),
        ([3e38], [-3e38], 6e38),
    ],
    ids=str,
)
def test_the_largest_difference_of_outputs(ours, theirs, expected):
    sides = [outputs([side]) for side in (ours, theirs)]

    assert output_difference(*sides) == pytest.approx(expected)


def test_what_is_said_of_a_mutant_has_its_largest_difference():
    a = np.array([[0.5, 0.3], [0.1, 0.2]], np.float32)
    b = a + np.array([[0, 0], [0.25, 0]], np.float32)

    found = differences(outputs(b), outputs(a), "scores")

    assert found["output_difference"] == pytest.approx(0.25)
    assert differences(outputs(a), outputs(a), "scores")["output_difference"] == 0
