"""An assertion passes where its metric does, and looks at no more inputs than decide it."""

import operator

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
    assert_rank_biased_overlap,
    assert_top1_agreement,
    assert_topk_agreement,
    cosine_similarity,
    kendall_tau,
    max_abs_diff,
    rank_biased_overlap,
    top1_agreement,
    topk_agreement,
)
from pytest_mutatenn.engine.lazy import LazyPredictions
from pytest_mutatenn.engine.predictions import Answers

NAN, INF = np.nan, np.inf


class Fake:
    """Predictions that note what is run of them."""

    def __init__(self, scores, order, done=()):
        self.scores = np.asarray(scores, np.float32)
        self.shape = self.scores.shape
        self._order, self._done = list(order), list(done)
        self.ran, self.blamed = [], []

    def order(self):
        return self._order

    def done(self):
        return self._done

    def rows(self, inputs):
        self.ran += [i for i in inputs if i not in self._done]
        return self.scores[list(inputs)]

    def answers(self):
        return Answers.of(self.scores, None, None)

    def decided_by(self, inputs):
        self.blamed += inputs


def mean_of(metric):
    return lambda ours, theirs: metric(ours, theirs).mean()


# metric, assertion, keywords, what compares, whether it takes a reference
OF_PAIRS = {
    "top1": (top1_agreement, assert_top1_agreement, {}, operator.ge),
    "topk": (lambda a, b: topk_agreement(a, b, 2), assert_topk_agreement, {"k": 2}, operator.ge),
    "tau": (kendall_tau, assert_kendall_tau, {}, operator.ge),
    "tau mean": (mean_of(kendall_tau), assert_kendall_tau, {"of": "mean"}, operator.ge),
    "cosine": (cosine_similarity, assert_cosine_similarity, {}, operator.ge),
    "cosine mean": (
        mean_of(cosine_similarity),
        assert_cosine_similarity,
        {"of": "mean"},
        operator.ge,
    ),
    "overlap": (rank_biased_overlap, assert_rank_biased_overlap, {}, operator.ge),
    "overlap mean": (
        mean_of(rank_biased_overlap),
        assert_rank_biased_overlap,
        {"of": "mean"},
        operator.ge,
    ),
    "difference": (max_abs_diff, assert_max_abs_diff, {}, operator.le),
}


def bound_of(compare):
    return "at_least" if compare is operator.ge else "at_most"


def fails(assertion, *args, **keywords):
    try:
        assertion(*args, **keywords)
    except AssertionError as error:
        return str(error)
    return None


@st.composite
def cases(draw):
    inputs, classes = draw(st.integers(1, 12)), draw(st.integers(2, 5))
    numbers = st.sampled_from([-INF, -1.0, 0.0, 0.25, 0.5, 1.0, 3.0, INF, NAN])
    row = st.lists(numbers, min_size=classes, max_size=classes)
    theirs = draw(st.lists(row, min_size=inputs, max_size=inputs))
    # most inputs are the reference's, as on most mutants
    ours = [draw(st.one_of(st.just(one), row)) for one in theirs]
    order = draw(st.permutations(range(inputs)))
    done = draw(st.lists(st.sampled_from(range(inputs)), unique=True))
    return np.float32(ours), np.float32(theirs), order, done


def exact_bounds(value):
    """Bounds where rounding would show: the value itself, and its neighbours."""
    value = float(value)
    return st.sampled_from([value, np.nextafter(value, INF), np.nextafter(value, -INF)])


bounds = st.one_of(
    st.floats(-1.5, 1.5), st.sampled_from([k / n for n in range(1, 13) for k in range(n + 1)])
)


@pytest.mark.parametrize("which", OF_PAIRS)
@given(case=cases(), data=st.data())
@settings(deadline=None, max_examples=40)
def test_it_fails_where_the_metric_does_and_looks_no_further(which, case, data):
    metric, assertion, more, compare = OF_PAIRS[which]
    ours, theirs, order, done = case
    value = metric(ours, theirs)
    worst = np.asarray(value).min() if compare is operator.ge else float(value)
    bound = data.draw(st.one_of(bounds, exact_bounds(worst), bounds.map(np.float32)))
    holds = bool(compare(value, bound))
    limits = {**more, bound_of(compare): bound}

    lazy = Fake(ours, order, done)
    message = fails(assertion, LazyPredictions(lazy), theirs, **limits)

    assert (message is None) == holds
    assert (fails(assertion, ours, theirs, **limits) is None) == holds
    if message is not None:
        assert len(message) <= 240
    assert len(lazy.ran) == len(set(lazy.ran)), "an input was run twice"
    seen = [*sorted(done), *(i for i in order if i not in done)]
    looked = len(lazy.ran) + len(done)
    # a mean that is this near its bound is decided when it is known, and rounded as the metric's
    near = (bound - 1e-12, bound + 1e-12) if "mean" in which else (bound,)
    needed = max(
        prefix_that_decides(metric, compare, ours, theirs, seen, one, which) for one in near
    )
    assert looked <= max(len(done), needed + max(1, needed // 4), 1)


def prefix_that_decides(metric, compare, ours, theirs, seen, bound, which):
    """The fewest of these inputs after which the others cannot change the answer, by trying."""
    classes = ours.shape[1]
    for count in range(1, len(seen) + 1):
        outcomes = set()
        rest = seen[count:]
        for best in (True, False):
            made = np.array(ours)
            for i in rest:
                made[i] = theirs[i] if best else worst_for(theirs[i], classes, which)
            outcomes.add(bool(compare(metric(made, theirs), bound)))
        if len(outcomes) == 1:
            return count
    return len(seen)


def worst_for(row, classes, which):
    """Scores that are as bad as they can be, beside this row of the reference."""
    return np.full(classes, 1.0 if np.isnan(row).any() else NAN, np.float32)


@given(case=cases(), data=st.data())
@settings(deadline=None, max_examples=40)
def test_accuracy_and_finiteness_alike(case, data):
    ours, _, order, done = case
    labels = data.draw(st.lists(st.integers(0, ours.shape[1] - 1), min_size=len(ours),
                                max_size=len(ours)))  # fmt: skip
    value = accuracy(ours, labels)
    bound = data.draw(st.one_of(bounds, exact_bounds(value)))
    lazy = LazyPredictions(Fake(ours, order, done), labels=labels)

    assert (fails(assert_accuracy, lazy, at_least=bound) is None) == (value >= bound)
    assert (fails(assert_all_finite, lazy) is None) == bool(all_finite(ours))


@pytest.mark.parametrize("which", [name for name in OF_PAIRS if "mean" not in name])
@pytest.mark.parametrize("classes", [3, 10, 1000])
def test_a_row_has_the_same_number_whatever_stands_beside_it(which, classes):
    random = np.random.default_rng(classes)
    ours = random.normal(size=(40, classes)).astype(np.float32)
    theirs = ours + random.normal(0, 0.2, size=ours.shape).astype(np.float32)
    metric = OF_PAIRS[which][0]
    whole = metric(ours, theirs)
    for size in (1, 2, 7):
        parts = [metric(ours[i : i + size], theirs[i : i + size]) for i in range(0, 40, size)]
        if which in ("tau", "cosine", "overlap"):
            assert np.concatenate([part.values for part in parts]).tolist() == list(whole)
        elif which == "difference":
            assert max(map(float, parts)) == float(whole)


def test_it_stops_at_the_first_input_that_decides():
    theirs = np.eye(4, dtype=np.float32)[np.arange(100) % 4]
    ours = np.array(theirs)
    ours[70] = [0, 0, 0, NAN]
    source = Fake(ours, [3, 70, *(i for i in range(100) if i not in (3, 70))])

    message = fails(assert_kendall_tau, LazyPredictions(source), theirs, at_least=0.5)

    assert source.ran == [3, 70]
    assert source.blamed == [70]
    assert message == "kendall_tau >= 0.5 (1 of 2 inputs looked at of 100 are below: #70 -1)"


def test_a_share_stops_when_too_many_differ_or_enough_agree():
    theirs = np.eye(4, dtype=np.float32)[np.arange(100) % 4]
    ours = np.roll(theirs, 1, axis=1)
    killed = Fake(ours, range(100))
    message = fails(assert_top1_agreement, LazyPredictions(killed), theirs, at_least=0.95)
    assert len(killed.ran) == 6
    assert message == (
        "top1_agreement >= 0.95: at most 0.94 (6 of 6 inputs looked at of 100 differ: "
        "#0, #1, #2, #3, #4, and 1 more)"
    )
    passed = Fake(theirs, range(100))
    assert_top1_agreement(LazyPredictions(passed), theirs, at_least=0.5)
    assert 50 <= len(passed.ran) <= 62


def test_what_is_known_is_looked_at_first_and_not_run():
    theirs = np.eye(4, dtype=np.float32)[np.arange(20) % 4]
    ours = np.array(theirs)
    ours[[5, 11]] = NAN
    source = Fake(ours, range(20), done=[11, 2])
    fails(assert_max_abs_diff, LazyPredictions(source), theirs, at_most=0.1)
    assert source.ran == []
    assert source.blamed == [11]


def test_predictions_in_memory_say_it_of_all_inputs():
    theirs = np.eye(3)
    message = fails(assert_top1_agreement, Predictions(theirs[::-1]), theirs, at_least=0.9)
    assert message == ("top1_agreement >= 0.9: = 0.333333 (2 of 3 inputs differ: #0, #2)")
    assert fails(assert_all_finite, [[1.0, NAN]]) == "all_finite (1 of 1 inputs are not: #0)"


@pytest.mark.parametrize("lazy", [False, True])
def test_wrong_arguments_are_the_metrics_errors(lazy):
    def side(inputs, classes):
        scores = np.zeros((inputs, classes), np.float32)
        return LazyPredictions(Fake(scores, range(inputs))) if lazy else scores

    for wrong, message in (
        (lambda: assert_top1_agreement(side(2, 3), np.zeros((3, 3)), at_least=1), "same inputs"),
        (lambda: assert_topk_agreement(side(2, 3), np.zeros((2, 3)), 4, at_least=1), "k must be"),
        (lambda: assert_all_finite(side(0, 3)), "no input"),
        (lambda: assert_accuracy(side(2, 3), at_least=0.5), "needs labels"),
        (lambda: assert_accuracy(side(2, 3), [0, 3], at_least=0.5), "is no class"),
        (lambda: assert_kendall_tau(side(2, 3), np.zeros((2, 3)), at_least=1, of="all"), "every"),
        (
            lambda: assert_rank_biased_overlap(side(2, 3), np.zeros((2, 3)), 1.0, at_least=1),
            "p must be",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()


def test_a_bound_that_is_no_number_is_never_reached():
    scores = np.eye(3)
    with pytest.raises(AssertionError):
        assert_top1_agreement(scores, scores, at_least=NAN)
    with pytest.raises(AssertionError):
        assert_max_abs_diff(scores, scores, at_most=NAN)
