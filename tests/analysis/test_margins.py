"""Comparisons of metrics with bounds are noted, and are otherwise those of floats."""

import copy
import math
import pickle
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mutatenn import (
    Predictions,
    accuracy,
    all_finite,
    assert_accuracy,
    assert_all_finite,
    assert_cosine_similarity,
    assert_kendall_tau,
    assert_max_abs_diff,
    assert_top1_agreement,
    assert_topk_agreement,
    cosine_similarity,
    distinct_predictions,
    kendall_tau,
    max_abs_diff,
    top1_agreement,
    topk_agreement,
)
from pytest_mutatenn.analysis.margins import margin_of, noting, opposite
from pytest_mutatenn.analysis.metric import Metric, PerInputMetric
from pytest_mutatenn.engine.lazy import LazyPredictions
from pytest_mutatenn.engine.predictions import Answers

agreement = Metric(0.75, "agreement", "because")
SIGNS = [">=", ">", "<=", "<", "==", "!="]


def noted(compare):
    """What a function compares, without ``exact``, and what it gives."""
    with noting() as notebook:
        result = compare()
    entries = notebook.entries()
    assert all(entry.pop("exact") for entry in entries)
    return entries, result


def entry(metric, op, bound, value, met):
    return {"metric": metric, "op": op, "bound": bound, "value": value, "met": met}


MIRRORED = {">=": "<=", ">": "<", "<=": ">=", "<": ">", "==": "==", "!=": "!="}


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize(
    ("bound", "mirrored"),
    [
        *[(bound, mirrored) for bound in (0.5, 0.75, 1) for mirrored in (False, True)],
        # NumPy's numbers do not ask what stands right of them
        *[(bound, False) for bound in (np.float64(0.5), np.float32(0.75), np.int64(1))],
    ],
    ids=repr,
)
def test_a_metric_compares_as_its_float_on_either_side_and_says_so(sign, bound, mirrored):
    code = f"bound {MIRRORED[sign]} metric" if mirrored else f"metric {sign} bound"

    entries, result = noted(lambda: eval(code, {"metric": agreement, "bound": bound}))

    assert result == eval(code, {"metric": 0.75, "bound": bound})
    assert entries == [entry("agreement", sign, float(bound), 0.75, bool(result))]


def test_of_two_metrics_the_left_one_is_the_value():
    other = Metric(0.5, "other", "")

    assert noted(lambda: other < agreement)[0] == [entry("other", "<", 0.75, 0.5, True)]


def test_what_is_calculated_is_a_float_and_is_not_noted():
    def calculate():
        assert type(agreement + 1) is float
        assert type(abs(agreement)) is float
        assert type(1 - agreement) is float
        assert agreement + 1 > 1
        assert round(agreement, 1) == 0.8
        return np.float64(1) - agreement, agreement * np.ones(2)

    entries, (number, array) = noted(calculate)

    assert entries == []
    assert type(number) is np.float64
    assert number == 0.25
    assert array.tolist() == [0.75, 0.75]


def test_arrays_and_others_compare_as_with_a_float_and_are_no_bound():
    def compare():
        assert (agreement >= np.array([0.5, 0.9])).tolist() == [True, False]
        assert (np.array([0.5, 0.9]) <= agreement).tolist() == [True, False]
        assert agreement == pytest.approx(0.7500001)
        assert agreement != pytest.approx(0.8)
        assert agreement != "0.75"
        assert agreement <= 10**400
        assert agreement is not None
        with pytest.raises(TypeError, match="not supported between"):
            _ = agreement >= "0.5"

    assert noted(compare)[0] == []


def test_a_metric_is_hashed_copied_and_pickled_as_before():
    assert hash(agreement) == hash(0.75)
    assert {0.75: "x"}[agreement] == "x"
    for other in (copy.deepcopy(agreement), pickle.loads(pickle.dumps(agreement))):
        assert type(other) is Metric
        assert repr(other) == repr(agreement)
        assert noted(lambda other=other: other > 0.5)[0] == [
            entry("agreement", ">", 0.5, 0.75, True)
        ]


def test_nothing_is_noted_where_no_notebook_is_open_and_the_outer_one_comes_back():
    assert agreement > 0.1
    with noting() as outer:
        assert agreement > 0.2
        with noting() as inner:
            assert agreement > 0.3
        assert agreement > 0.4
    assert agreement > 0.5

    assert [e["bound"] for e in outer.entries()] == [0.2, 0.4]
    assert [e["bound"] for e in inner.entries()] == [0.3]


def test_what_another_thread_compares_is_noted():
    with noting() as notebook:
        thread = Thread(target=lambda: agreement > 0.5)
        thread.start()
        thread.join()

    assert len(notebook.entries()) == 1


def test_a_comparison_made_again_is_kept_at_its_closest_and_the_last_that_fails():
    with noting() as notebook:
        for value in (0.9, 0.6, 0.8, 0.3, 0.1, 0.2):
            _ = Metric(value, "m", "") >= 0.5
            _ = Metric(value, "m", "") < 5

    found = [(e["op"], e["met"], e["value"]) for e in notebook.entries()]
    assert found == [(">=", True, 0.6), ("<", True, 0.9), (">=", False, 0.2)]


@pytest.mark.parametrize(
    ("compare", "expected"),
    [
        (lambda m: m >= 0.5, (">=", 0.5, 0.6, True)),
        (lambda m: m > 0.7, (">", 0.7, 0.6, False)),
        (lambda m: m <= 1, ("<=", 1.0, 0.9, True)),
        (lambda m: (m >= 0.8).any(), (">=", 0.8, 0.9, True)),
        (lambda m: np.float64(0.5) <= m, (">=", 0.5, 0.6, True)),
        (lambda m: m >= [0.1, 0.75, 0.1], (">=", 0.75, 0.8, True)),
        (lambda m: m == 0.9, ("==", 0.9, 0.6, False)),
    ],
    ids=range(7),
)
def test_of_a_metric_per_input_the_worst_input_is_noted(compare, expected):
    metric = PerInputMetric("tau", [0.9, 0.8, 0.6])

    entries, _ = noted(lambda: bool(compare(metric)))

    assert entries == [entry("tau", *expected)]


def test_nan_is_the_worst_input_and_never_the_best():
    metric = PerInputMetric("tau", [0.5, math.nan, 0.9])
    (best,) = noted(lambda: (metric >= 0.4).any())[0]
    (worst,) = noted(lambda: (metric >= 0.4).all())[0]
    assert (best["value"], best["met"]) == (0.9, True)
    assert math.isnan(worst["value"])
    assert not worst["met"]


def test_a_metric_per_input_used_as_an_array_is_no_comparison():
    metric = PerInputMetric("tau", [0.9, 0.8, 0.6])

    entries, share = noted(lambda: np.mean(metric >= 0.7))

    assert entries == []
    assert share == pytest.approx(2 / 3)
    named = noted(lambda: [metric.min() >= 0.5, metric.mean() >= 0.5])[0]
    assert [e["metric"] for e in named] == ["tau.min()", "tau.mean()"]


def test_true_and_false_have_no_margin():
    scores = np.eye(3, dtype=np.float32)

    def compare():
        assert all_finite(scores)
        assert all_finite(scores) == True  # noqa: E712
        assert_all_finite(scores)

    assert noted(compare)[0] == []
    assert noted(lambda: distinct_predictions(scores) > 1)[0] == [
        entry("distinct_predictions", ">", 1.0, 3.0, True)
    ]


OURS = np.array([[3, 2, 1, 0], [1, 2, 3, 0], [0, 1, 2, 3], [3, 1, 2, 0]], np.float32)
THEIRS = np.array([[3, 2, 1, 0], [3, 2, 1, 0], [0, 1, 2, 3], [3, 2, 1, 0]], np.float32)
PLAIN = {
    "top1": (
        lambda at: assert_top1_agreement(OURS, THEIRS, at_least=at),
        lambda at: top1_agreement(OURS, THEIRS) >= at,
    ),
    "topk": (
        lambda at: assert_topk_agreement(OURS, THEIRS, 2, at_least=at),
        lambda at: topk_agreement(OURS, THEIRS, 2) >= at,
    ),
    "accuracy": (
        lambda at: assert_accuracy(OURS, [0, 0, 3, 0], at_least=at),
        lambda at: accuracy(OURS, [0, 0, 3, 0]) >= at,
    ),
    "every": (
        lambda at: assert_kendall_tau(OURS, THEIRS, at_least=at),
        lambda at: bool(kendall_tau(OURS, THEIRS) >= at),
    ),
    "mean": (
        lambda at: assert_cosine_similarity(OURS, THEIRS, at_least=at, of="mean"),
        lambda at: cosine_similarity(OURS, THEIRS).mean() >= at,
    ),
    "difference": (
        lambda at: assert_max_abs_diff(OURS, THEIRS, at_most=at),
        lambda at: max_abs_diff(OURS, THEIRS) <= at,
    ),
}


@pytest.mark.parametrize("bound", [-0.5, 0.25, 0.75, 0.99, 3])
@pytest.mark.parametrize("name", PLAIN)
def test_an_assertion_notes_what_its_metric_notes(name, bound):
    assertion, plain = PLAIN[name]
    wanted, met = noted(lambda: plain(bound))

    with noting() as notebook:
        if met:
            assertion(bound)
        else:
            with pytest.raises(AssertionError):
                assertion(bound)

    (found,) = notebook.entries()
    assert found.pop("exact")
    assert found == wanted[0]


class Run:
    """A mutant's predictions, run input by input."""

    def __init__(self, scores):
        self.scores, self.shape, self.ran = np.asarray(scores, np.float32), np.shape(scores), set()

    def order(self):
        return range(len(self.scores))

    def done(self):
        return sorted(self.ran)

    def rows(self, inputs):
        self.ran.update(inputs)
        return self.scores[list(inputs)]

    def answers(self):
        self.ran.update(range(len(self.scores)))
        return Answers.of(self.scores, None, None)

    def decided_by(self, inputs):
        pass


@settings(deadline=None)
@given(
    st.lists(st.booleans(), min_size=1, max_size=12),
    st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]),
    st.booleans(),
)
def test_what_few_inputs_decide_bounds_the_margin_and_is_exact_when_all_are_run(same, bound, rest):
    theirs = np.tile(np.array([0.1, 0.7, 0.2], np.float32), (len(same), 1))
    ours = np.where(np.array(same)[:, None], theirs, theirs[:, ::-1] + [[0.9, 0, 0]])
    run = Run(ours)
    predictions = LazyPredictions(run)
    true = float(top1_agreement(ours, theirs))

    with noting() as notebook:
        try:
            assert_top1_agreement(predictions, theirs, at_least=bound)
            met = True
        except AssertionError:
            met = False
    before = len(run.ran)
    if rest:
        run.answers()
    (found,) = notebook.entries()

    assert found["met"] is met
    assert found["exact"] is (rest or before == len(same))
    assert len(run.ran) == (len(same) if rest else before)  # nothing is run for it
    if found["exact"]:
        assert found["value"] == true
    else:
        assert (true >= found["value"] >= bound) if met else (true <= found["value"] < bound)


@settings(deadline=None)
@given(st.sampled_from(SIGNS), st.floats(-2, 2), st.floats(-2, 2))
def test_a_margin_is_positive_where_the_comparison_holds(sign, bound, value):
    met = eval(f"value {sign} bound", {"value": value, "bound": bound})

    margin = margin_of(sign, bound, value)

    assert abs(margin) == abs(value - bound)
    assert margin >= 0 if met else margin <= 0
    assert eval(f"value {opposite(sign)} bound", {"value": value, "bound": bound}) is not met


def test_margins_of_what_is_not_finite():
    assert margin_of(">=", 0.5, math.inf) == math.inf
    assert margin_of("<=", math.inf, math.inf) == 0
    assert math.isnan(margin_of(">=", math.nan, 1.0))
    predictions = Predictions(np.eye(2))
    entries, _ = noted(lambda: max_abs_diff(predictions, np.full((2, 2), np.nan)) <= 1)
    assert entries == [entry("max_abs_diff", "<=", 1.0, math.inf, False)]
