import copy
import json
import pickle
import time
import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kendalltau

from pytest_mutatenn.analysis import metrics
from pytest_mutatenn.analysis.metric import Metric, PerInputMetric, listing, number, title
from pytest_mutatenn.analysis.metrics import (
    accuracy,
    all_finite,
    cosine_similarity,
    distinct_predictions,
    kendall_tau,
    max_abs_diff,
    rank_biased_overlap,
    top1_agreement,
    topk_agreement,
)
from pytest_mutatenn.engine.predictions import Predictions

NAN, INF = np.nan, np.inf

pytestmark = pytest.mark.filterwarnings("error")

PER_INPUT = [kendall_tau, rank_biased_overlap, cosine_similarity]
WORST = {kendall_tau: -1, rank_biased_overlap: 0, cosine_similarity: -1}


def topk_agreement_2(predictions, reference):
    return topk_agreement(predictions, reference, k=2)


AGREEMENT = [top1_agreement, topk_agreement_2]
COMPARING = [*AGREEMENT, *PER_INPUT, max_abs_diff]

ANY = st.floats(width=32, allow_nan=True, allow_infinity=True)
SHAPES = st.tuples(st.integers(1, 6), st.integers(2, 7))


@st.composite
def pairs(draw, elements=ANY):
    shape = draw(SHAPES)
    few = st.one_of(elements, st.sampled_from([0.0, 0.5, 1.0]))
    return tuple(draw(arrays(np.float32, shape, elements=few)) for _ in range(2))


def values_of(result):
    return result.values if isinstance(result, PerInputMetric) else np.array([float(result)])


# properties of all that compare


@settings(deadline=None)
@given(pairs())
def test_identity_is_best(pair):
    for metric in COMPARING:
        best = 0 if metric is max_abs_diff else 1
        assert (values_of(metric(pair[0], pair[0].copy())) == best).all(), metric


@settings(deadline=None)
@given(pairs())
def test_both_ways_round_are_the_same(pair):
    for metric in COMPARING:
        one, other = values_of(metric(*pair)), values_of(metric(*reversed(pair)))
        np.testing.assert_allclose(one, other, atol=1e-12)


@settings(deadline=None)
@given(pairs(), st.randoms(use_true_random=False))
def test_the_order_of_the_inputs_does_not_matter(pair, random):
    order = list(range(len(pair[0])))
    random.shuffle(order)
    for metric in COMPARING:
        plain, shuffled = metric(*pair), metric(*(side[order] for side in pair))
        if isinstance(plain, PerInputMetric):
            np.testing.assert_allclose(plain.values[order], shuffled.values, atol=1e-12)
        else:
            assert plain == pytest.approx(shuffled)


@settings(deadline=None)
@given(pairs())
def test_bounds(pair):
    for metric in COMPARING:
        values = values_of(metric(*pair))
        assert not np.isnan(values).any()
        assert (values >= WORST.get(metric, 0)).all()
        assert metric is max_abs_diff or (values <= 1).all()


@settings(deadline=None)
@given(pairs(elements=st.floats(-1e3, 1e3, width=32)))
def test_one_nan_is_the_worst_of_its_input(pair):
    ours, theirs = pair
    broken = ours.copy()
    broken[-1, 0] = NAN
    for metric in COMPARING:
        result = metric(broken, theirs)
        if isinstance(result, PerInputMetric):
            assert result.values[-1] == WORST[metric]
            np.testing.assert_allclose(result.values[:-1], metric(ours, theirs).values[:-1])
        elif metric is max_abs_diff:
            assert result == INF
        else:
            assert len(ours) - 1 in result.differing
        np.testing.assert_allclose(values_of(metric(theirs, broken)), values_of(result))


@pytest.mark.parametrize("metric", COMPARING)
def test_nan_at_the_same_places_leaves_the_other_classes(metric):
    best = 0 if metric is max_abs_diff else 1
    reference = [[NAN, 1, 2, 3], [NAN, NAN, NAN, NAN]]
    assert (values_of(metric(reference, reference)) == best).all()
    result = metric([[NAN, 3, 1, 2], [NAN, NAN, NAN, NAN]], reference)
    assert not (values_of(result) == best).all()
    assert result.differing == (0,)


@pytest.mark.parametrize("metric", COMPARING)
def test_infinities_are_numbers(metric):
    best = 0 if metric is max_abs_diff else 1
    reference = np.array([[INF, -INF, 1, 0], [INF, INF, 0, 1], [3, 2, 1, 0]])
    assert (values_of(metric(reference, reference)) == best).all()
    result = metric(reference * [[-1], [1], [1]], reference)
    assert result.differing == (0,)


@pytest.mark.parametrize("metric", COMPARING)
def test_takes_predictions_arrays_lists_and_one_row(metric):
    ours, theirs = [[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]], [[0.1, 0.7, 0.2], [0.3, 0.6, 0.1]]
    wanted = values_of(metric(np.float32(ours), np.float32(theirs)))
    for a in Predictions(ours), np.array(ours, np.float32):
        for b in Predictions(theirs), np.array(theirs), theirs:
            assert (values_of(metric(a, b)) == wanted).all()
    np.testing.assert_allclose(values_of(metric(ours, theirs)), wanted, rtol=1e-6)
    assert values_of(metric(ours[0], theirs[0])) == [0 if metric is max_abs_diff else 1]
    assert values_of(metric(np.float16(ours), Predictions(np.float16(ours)))).size


def test_float32_and_python_floats_compare_as_float32():
    assert max_abs_diff(Predictions([0.1, 0.9]), [0.1, 0.9]) == 0
    assert max_abs_diff([0.1], [0.1 + 1e-12]) > 0


@pytest.mark.parametrize("metric", COMPARING)
def test_other_shapes_say_both(metric):
    with pytest.raises(ValueError, match=r"shape \(2, 3\) and the reference \(2, 4\)"):
        metric(np.zeros((2, 3)), np.zeros((2, 4)))


@pytest.mark.parametrize("metric", [*COMPARING, accuracy, all_finite, distinct_predictions])
def test_no_input_is_an_error(metric):
    none = np.zeros((0, 3))
    with pytest.raises(ValueError, match="there is no input"):
        metric(*([none, none] if metric in COMPARING else [none]))


# each on its own


def test_top1_agreement_names_what_differs():
    reference = np.eye(4)[[0, 1, 2, 3, 0]]
    ours = np.eye(4)[[0, 3, 2, 3, 0]]
    ours[4, 2] = NAN
    names = ["a.jpg", "photos/chelsea.jpg", "c.jpg", "d.jpg", "e.jpg"]
    result = top1_agreement(Predictions(ours, names=names), reference)
    assert result == 0.6
    assert repr(result) == (
        "top1_agreement = 0.6 (2 of 5 inputs differ: #1 chelsea.jpg 1 -> 3, #4 e.jpg 0 -> NaN)"
    )
    assert "#1 1 -> 3" in repr(top1_agreement(ours, reference))
    assert "#4 e.jpg NaN -> 0" in repr(top1_agreement(reference, Predictions(ours, names=names)))
    assert repr(top1_agreement(ours, ours)) == "top1_agreement = 1 (all of 5 inputs agree)"


def test_topk_agreement():
    result = topk_agreement(
        [[5, 4, 3, 2, 1], [5, 4, 3, 2, 1]], [[4, 5, 3, 2, 1], [1, 2, 3, 4, 5]], 2
    )
    assert result == 0.5
    assert repr(result) == "topk_agreement(k=2) = 0.5 (1 of 2 inputs differ: #1 0 of 2 in common)"
    with pytest.raises(ValueError, match="number of classes, 3, got 5"):
        topk_agreement([1, 2, 3], [1, 2, 3])


@settings(deadline=None)
@given(st.integers(2, 40).flatmap(lambda n: st.tuples(*[st.permutations(range(n))] * 2)))
def test_kendall_tau_is_scipys(pair):
    tau = kendall_tau(*pair)
    assert tau.values[0] == pytest.approx(kendalltau(*pair).statistic, abs=1e-12)


@settings(deadline=None)
@given(pairs(elements=st.integers(0, 3)))
def test_kendall_tau_knows_ties(pair):
    tau = kendall_tau(*pair)
    for value, ours, theirs in zip(tau, *pair, strict=True):
        if np.ptp(ours) and np.ptp(theirs):
            assert value == pytest.approx(kendalltau(ours, theirs, variant="b").statistic)


def test_kendall_tau_of_rows_without_order():
    reference = [[1, 1, 1], [1, 1, 1], [1, 1, 1], [3, 2, 1]]
    ours = [[1, 1, 1], [2, 2, 2], [3, 2, 1], [0, 0, 0]]
    assert kendall_tau(ours, reference).values.tolist() == [1, 0, 0, 0]
    assert kendall_tau([[7.0], [8.0]], [[7.0], [7.0]]).values.tolist() == [1, 0]


def test_kendall_tau_reversed():
    assert kendall_tau([1, 2, 3, 4], [4, 3, 2, 1]).min() == -1


def test_accuracy():
    scores = np.eye(3)[[0, 1, 1, 2]]
    result = accuracy(Predictions(scores, labels=[0, 1, 2, 2], names=["a", "b", "c", "d"]))
    assert result == 0.75
    assert repr(result) == "accuracy = 0.75 (1 of 4 inputs are wrong: #2 c 2 -> 1)"
    assert accuracy(scores, [0, 1, 1, 2]) == 1
    assert accuracy(Predictions(scores, labels=[0, 0, 0, 0]), [0, 1, 1, 2]) == 1
    assert accuracy([[NAN, 1.0], [0.0, 1.0]], [1, 1]) == 0.5
    assert accuracy([[0.1, 0.1 + 1e-12]], [1]) == 1


def test_accuracy_needs_labels_that_are_classes():
    with pytest.raises(ValueError, match=r"accuracy\(predictions, labels\)"):
        accuracy(Predictions([1, 2]))
    with pytest.raises(ValueError, match="label 3 of input #1 is no class: the scores have 3"):
        accuracy(np.eye(3), [0, 3, 0])
    with pytest.raises(ValueError, match="label -1 of input #0"):
        accuracy([[NAN, 1.0]], [-1])
    with pytest.raises(ValueError, match="labels: expected one per input, 3"):
        accuracy(np.eye(3), [0, 1])


def rbo_by_definition(one, other, p):
    depths = range(1, len(one) + 1)
    agreement = [len(set(one[:d]) & set(other[:d])) / d for d in depths]
    total = sum(a * p**d for a, d in zip(agreement, depths, strict=True))
    return agreement[-1] * p ** len(one) + (1 - p) / p * total


@settings(deadline=None)
@given(
    st.integers(1, 12).flatmap(lambda n: st.tuples(*[st.permutations(range(n))] * 2)),
    st.floats(0.01, 0.99),
)
def test_rank_biased_overlap_is_its_definition(pair, p):
    scores = [[-ranking.index(c) for c in range(len(ranking))] for ranking in pair]
    result = rank_biased_overlap(*scores, p=p)
    assert result.values[0] == pytest.approx(rbo_by_definition(*pair, p))
    assert (result.values[0] == 1) == (pair[0] == pair[1])


def test_rank_biased_overlap_looks_at_the_top_first():
    reference = [5, 4, 3, 2, 1]
    swapped_top, swapped_end = [4, 5, 3, 2, 1], [5, 4, 3, 1, 2]
    top, end = (rank_biased_overlap(row, reference).min() for row in (swapped_top, swapped_end))
    assert top < end < 1


@pytest.mark.parametrize("p", [0, 1, -0.5, 1.5, NAN])
def test_rank_biased_overlap_refuses_p(p):
    with pytest.raises(ValueError, match="p must be between 0 and 1"):
        rank_biased_overlap([1, 2], [1, 2], p=p)


def test_cosine_similarity():
    ours = [[1, 0], [1, 1], [0, 0], [0, 0], [-2, 0], [1e300, 1e300], [INF, 5], [1e-300, 0]]
    theirs = [[0, 1], [2, 2], [0, 0], [1, 0], [1, 0], [1e-300, 1e-300], [3, 4], [7, 0]]
    wanted = [0, 1, 1, 0, -1, 1, 0.6, 1]
    np.testing.assert_allclose(cosine_similarity(ours, theirs).values, wanted, atol=1e-15)


def test_max_abs_diff():
    reference = np.zeros((3, 4))
    ours = reference.copy()
    ours[1, 2], ours[2, 3] = 0.25, -0.5
    result = max_abs_diff(ours, reference)
    assert result == 0.5
    assert repr(result) == (
        "max_abs_diff = 0.5 (2 of 3 inputs differ: #2 0.5 in class 3, #1 0.25 in class 2)"
    )
    assert max_abs_diff([INF, -INF, NAN], [INF, -INF, NAN]) == 0
    assert max_abs_diff([INF], [-INF]) == max_abs_diff([INF], [1]) == INF
    assert max_abs_diff([1e308], [-1e308]) == INF


def test_all_finite():
    good, bad = all_finite([[1.0, 2.0]]), all_finite([[1.0, NAN, NAN], [1, 2, 3], [INF, NAN, 0]])
    assert good
    assert good == True  # noqa: E712
    assert not bad
    assert repr(good) == "all_finite = True (all of 1 inputs are finite)"
    assert repr(bad) == ("all_finite = False (2 of 3 inputs are not: #0 2 NaN, #2 1 NaN and 1 inf)")
    assert all_finite([1e300])


def test_distinct_predictions():
    result = distinct_predictions(np.eye(4)[[2, 2, 0, 2]])
    assert result == 2
    assert repr(result) == ("distinct_predictions = 2 (best classes of 4 inputs: 3 x 2, 1 x 0)")
    assert distinct_predictions([[NAN, 1], [1, NAN]]) == 0


# what they return


def test_a_metric_is_a_float_that_survives_copying():
    metric = top1_agreement(np.eye(4), np.eye(4)[[0, 1, 2, 2]])
    assert metric >= 0.7
    assert metric < np.float64(0.8)
    assert metric == pytest.approx(0.75)
    assert 1 - metric == 0.25
    assert f"{metric:.2f}" == "0.75"
    assert json.dumps([metric]) == "[0.75]"
    assert metric.differing == (3,)
    for twin in copy.deepcopy(metric), pickle.loads(pickle.dumps(metric)):
        assert (twin, repr(twin), twin.differing) == (metric, repr(metric), (3,))


def test_per_input_metric_is_an_array():
    tau = PerInputMetric("tau", [1.0, 0.5, 0.75], ["a", "b", "c"])
    assert (len(tau), tau[1], list(tau), tau[:2].tolist()) == (3, 0.5, [1, 0.5, 0.75], [1, 0.5])
    assert np.asarray(tau) is tau.values
    assert np.median(tau) == 0.75
    assert (tau.min(), tau.mean(), tau.max()) == (0.5, 0.75, 1)
    assert tau.differing == (1, 2)
    assert repr(tau) == (
        "tau: min 0.5, mean 0.75, max 1 (2 of 3 inputs are below 1: #1 b 0.5, #2 c 0.75)"
    )
    assert repr(tau.min()) == "tau.min() = 0.5 (2 of 3 inputs are below 1: #1 b 0.5, #2 c 0.75)"
    with pytest.raises(ValueError, match="read-only"):
        tau.values[0] = 2


def test_per_input_comparisons_mean_every_input():
    tau = PerInputMetric("tau", [1.0, 0.5, 0.75])
    assert tau >= 0.5
    assert tau > 0.4
    assert tau <= 1
    assert tau < 1.1
    assert not tau >= 0.6
    assert not tau < 0.6
    assert tau != 1
    assert tau != 2
    assert not PerInputMetric("tau", [1.0, 1.0]) != 1  # noqa: SIM202
    assert tau == [1.0, 0.5, 0.75]
    assert np.float64(0.5) <= tau
    assert isinstance(np.float64(0.6) <= tau, type(tau >= 0.6))
    assert np.array([1.0, 0.5, 0.7]) <= tau
    with pytest.raises(ValueError, match="tau has 3 inputs"):
        tau == [1.0, 0.5, 0.75, 1.0]  # noqa: B015
    with pytest.raises(TypeError):
        hash(tau)


def test_a_check_names_the_inputs_that_fail():
    check = PerInputMetric("tau", [1.0, 0.5, 0.75], ["a", "b", "c"]) >= 0.8
    assert not check
    assert check.failing == (1, 2)
    assert (check.all(), check.any()) == (False, True)
    assert np.mean(check) == pytest.approx(1 / 3)
    assert repr(check) == "tau >= 0.8 fails on 2 of 3 inputs: #1 b 0.5, #2 c 0.75"
    assert repr(PerInputMetric("tau", [1.0]) >= 0.8) == "tau >= 0.8 on all of 1 inputs"


def test_reprs_are_bounded():
    rng = np.random.default_rng(1)
    ours, theirs = rng.normal(size=(2, 10_000, 8)).astype(np.float32)
    ours[::7, 3] = NAN
    names = [f"a very long folder/{'name' * 40}{i}.jpg" for i in range(len(ours))]
    predictions = Predictions(ours, names=names, labels=theirs.argmax(axis=1))
    results = [metric(predictions, theirs) for metric in COMPARING]
    results += [part for m in results if isinstance(m, PerInputMetric) for part in (m.min(), m > 2)]
    results += [m(predictions) for m in (accuracy, all_finite, distinct_predictions)]
    for result in results:
        assert len(repr(result)) <= 240, result
        assert "more" in repr(result) or "distinct" in repr(result)


def test_a_failed_assert_explains_itself():
    """As pytest shows it: the repr of what was compared, whole."""
    from _pytest._io.saferepr import saferepr

    reference = np.eye(20)
    ours = np.roll(reference, 1, axis=1)
    names = [f"photo-number-{i}.jpg" for i in range(20)]
    for metric in COMPARING:
        shown = saferepr(metric(Predictions(ours, names=names), reference), maxsize=240)
        assert "photo-number-1" in shown
        assert "..." not in shown
        assert shown.endswith("more)")


def test_listing():
    assert listing("abc", 3) == "a, b, c"
    assert listing("abcdefgh", 8) == "a, b, c, d, e, and 3 more"
    assert listing(["a" * 50] * 8, 8, 70) == "a" * 50 + ", and 7 more"
    assert listing(["a" * 50], 1, 10) == "a" * 50


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.95, "0.95"),
        (0.9499999999, "0.9499999999"),
        (1 - 2**-53, "0.9999999999999999"),
        (2 / 3, "0.666667"),
        (1.0, "1"),
        (0.0, "0"),
        (-1.0, "-1"),
        (1e-9, "1e-09"),
        (INF, "inf"),
        (-INF, "-inf"),
    ],
)
def test_numbers_are_never_rounder_than_they_are(value, text):
    assert number(value) == text


@given(st.floats(allow_nan=False), st.integers(1, 6))
def test_number_is_always_some_text(value, digits):
    assert len(number(value, digits)) < 26


def test_title():
    assert title(3, None) == "#3"
    assert title(0, ["photos/chelsea.jpg"]) == "#0 chelsea.jpg"
    assert len(title(0, ["x" * 100])) < 30


def test_all_is_every_function_of_the_module():
    own = {
        name
        for name, thing in vars(metrics).items()
        if callable(thing)
        and getattr(thing, "__module__", "") == metrics.__name__
        and not name.startswith("_")
    }
    assert own == set(metrics.__all__)
    assert metrics.__all__ == sorted(metrics.__all__)


def test_a_thousand_inputs_take_no_time():
    rng = np.random.default_rng(2)
    reference = rng.normal(size=(1000, 1001)).astype(np.float32)
    ours = reference + rng.normal(size=reference.shape).astype(np.float32) / 10
    for metric in COMPARING:
        started = time.process_time()
        metric(ours, reference)
        assert time.process_time() - started < 2, metric


@settings(deadline=None, max_examples=50)
@given(pairs())
def test_nothing_warns_and_all_reprs_fit(pair):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = [metric(*pair) for metric in COMPARING]
        results += [all_finite(pair[0]), distinct_predictions(pair[0])]
        assume(pair[0].shape[1] > 1)
        results += [accuracy(pair[0], np.zeros(len(pair[0]), int))]
        for result in results:
            assert isinstance(result, Metric | PerInputMetric)
            assert len(repr(result)) <= 240
