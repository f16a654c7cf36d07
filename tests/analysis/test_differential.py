"""Cells against each other: which inputs differ, and by how much."""

import numpy as np
import pytest

from pytest_mutatenn.analysis.differential import (
    Comparer,
    compare_best,
    compare_cells,
    compare_scores,
    depth,
    worst_first,
)
from pytest_mutatenn.engine.store import Store

A = np.array([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1], [0.2, 0.3, 0.5]], np.float32)


def test_the_same_bits_differ_in_nothing():
    assert compare_scores(A, A.copy()) == {
        "inputs": 3,
        "differing": 0,
        "k": 2,
        "top1_dissimilar": [],
        "topk_dissimilar": [],
        "tau_mean": 1.0,
        "tau_min": 1.0,
        "max_abs_diff": 0.0,
    }


def test_what_differs_is_named():
    b = A.copy()
    b[1] = [0.3, 0.6, 0.1]  # another best class, the same best two
    b[2] = [0.4, 0.1, 0.5]  # the same best class, another best two
    found = compare_scores(A, b)
    assert (found["differing"], found["top1_dissimilar"], found["topk_dissimilar"]) == (2, [1], [2])
    assert found["max_abs_diff"] == pytest.approx(0.3)
    assert found["tau_min"] == pytest.approx(1 / 3)
    assert found["tau_mean"] == pytest.approx((1 + 1 / 3 + 1 / 3) / 3, abs=1e-5)


def test_minus_zero_is_another_answer_and_no_other_class():
    a, b = np.zeros((1, 3), np.float32), np.zeros((1, 3), np.float32)
    b[0, 0] = -0.0
    found = compare_scores(a, b)
    assert (found["differing"], found["max_abs_diff"], found["top1_dissimilar"]) == (1, 0.0, [])


def test_nan_on_one_side_has_no_largest_difference():
    b = A.copy()
    b[0, 0] = np.nan
    found = compare_scores(A, b)
    assert (found["max_abs_diff"], found["top1_dissimilar"]) == (None, [0])


@pytest.mark.parametrize(("classes", "k"), [(1, 1), (2, 1), (5, 4), (6, 5), (1000, 5)])
def test_as_many_best_classes_are_compared_as_say_something(classes, k):
    assert depth(classes) == k


def test_best_classes_alone_can_be_compared():
    found = compare_best([[1, 2], [3, 4], [5, 6]], [[1, 2], [4, 3], [5, 7]], ["a", "b", "c"])
    assert (found["top1_dissimilar"], found["topk_dissimilar"]) == (["b"], ["c"])
    assert (found["inputs"], found["k"], found["tau_min"]) == (3, 2, None)


def test_the_worst_come_first():
    def entry(top1, topk, largest):
        return {"top1_dissimilar": top1, "topk_dissimilar": topk, "max_abs_diff": largest}

    entries = [entry([], [], 0.1), entry([], [], None), entry([], ["a"], 0), entry(["a"], [], 0)]
    assert worst_first(entries) == entries[::-1]


# -- stored answers ---------------------------------------------------------------------------


def put(store, key, scores, samples=None):
    samples = list(range(len(scores))) if samples is None else samples
    value = {"samples": samples, "outputs": ["y"]}
    store.put_arrays("evaluations", key, value, {"output 0": scores})


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_stored_answers_are_compared_by_their_inputs_names(store):
    b = A.copy()
    b[1] = [0.3, 0.6, 0.1]
    put(store, "a" * 64, A[:, None])
    put(store, "b" * 64, b[:, None])
    comparer = Comparer(store, "y", ["x", "y", "z"])
    keys = {"two": "b" * 64, "one": "a" * 64, "gone": "c" * 64}
    for _ in range(2):  # the second time from the store
        found = compare_cells(comparer, keys)
        assert [(entry["a"], entry["b"]) for entry in found] == [("one", "two")]
        assert found[0]["top1_dissimilar"] == ["y"]
    assert comparer.best("b" * 64) == {"topk": [[1, 2], [1, 0], [2, 1]]}


def test_an_answer_to_some_inputs_is_compared_on_those(store):
    put(store, "a" * 64, A[:, None])
    put(store, "b" * 64, A[[2, 0]][:, None, ::-1].copy(), samples=[2, 0])
    comparer = Comparer(store, "y", ["x", "y", "z"])
    assert comparer.compare("a" * 64, "b" * 64) is None
    assert comparer.compare_at("a" * 64, "b" * 64, [0, 1]) is None
    assert comparer.compare_at("a" * 64, "b" * 64, []) is None
    found = comparer.compare_at("a" * 64, "b" * 64, [0, 2])
    assert (found["inputs"], found["top1_dissimilar"]) == (2, ["z"])


def test_a_network_that_takes_several_inputs_has_an_answer_to_each(store):
    scores = np.eye(4, dtype=np.float32).reshape(2, 2, 4)  # two runs of two inputs
    other = scores.copy()
    other[1] = other[1, ::-1]
    put(store, "a" * 64, scores)
    put(store, "b" * 64, other)
    comparer = Comparer(store, "y", list("wxyz"), batch=2)
    assert comparer.compare("a" * 64, "b" * 64)["top1_dissimilar"] == ["y", "z"]
    assert comparer.compare_at("a" * 64, "b" * 64, [1, 2])["top1_dissimilar"] == ["y"]
