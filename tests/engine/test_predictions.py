import sys
from subprocess import run

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pytest_mutatenn.engine.predictions import Predictions

NAN, INF = np.nan, np.inf

scores_with_ties = arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 6)),
    elements=st.sampled_from([-INF, -1.0, 0.0, 0.5, 1.0, INF]),
)


@pytest.fixture
def predictions():
    return Predictions(
        [[0.1, 0.7, 0.2], [0.5, 0.4, 0.1], [0.2, 0.2, 0.6], [0.3, 0.4, 0.3]],
        latency=[0.1, 0.2, 0.3, 0.4],
        labels=[1, 0, 2, 0],
        names=["a.jpg", "b.jpg", "c.jpg", "d.jpg"],
        outputs={"features": np.arange(8.0).reshape(4, 2), "version": np.array(3)},
    )


def test_scores_are_float32_and_read_only(predictions):
    assert predictions.scores.dtype == np.float32
    assert predictions.shape == (4, 3)
    with pytest.raises(ValueError, match="read-only"):
        predictions.scores[0, 0] = 1


def test_scores_are_a_copy():
    given = np.zeros((2, 3), np.float32)
    predictions = Predictions(given)
    given[:] = 1
    assert (predictions.scores == 0).all()


@pytest.mark.parametrize(
    ("shape", "kept"), [((5,), (1, 5)), ((2, 5), (2, 5)), ((2, 3, 4, 5), (2, 60)), ((0, 4), (0, 4))]
)
def test_scores_are_inputs_by_classes(shape, kept):
    assert Predictions(np.zeros(shape)).shape == kept


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (3.0, "got one number"),
        ([["a"]], "real numbers"),
        ([[1j]], "real numbers"),
        ([[1, 2], [3]], "all rows of one length"),
        ([[], []], "at least one class"),
    ],
)
def test_scores_that_are_none(scores, message):
    with pytest.raises(ValueError, match=message):
        Predictions(scores)


@pytest.mark.parametrize("what", ["latency", "labels", "names"])
def test_one_per_input(what):
    with pytest.raises(ValueError, match=f"{what}: expected one per input, 2, got"):
        Predictions(np.zeros((2, 3)), **{what: [1, 2, 3]})


def test_labels_are_whole_numbers():
    assert Predictions(np.zeros((2, 3)), labels=[1.0, 2.0]).labels.tolist() == [1, 2]
    with pytest.raises(ValueError, match="whole numbers"):
        Predictions(np.zeros((2, 3)), labels=[1.5, NAN])


def test_what_nobody_gave_is_none():
    bare = Predictions([1.0, 2.0])
    assert (bare.latency, bare.labels, bare.names, dict(bare.outputs)) == (None, None, None, {})


def test_top1(predictions):
    assert predictions.top1.tolist() == [1, 0, 2, 1]
    assert predictions.top1.dtype == np.int64


def test_ties_go_to_the_lower_class():
    assert Predictions([1, 3, 3, 0]).topk(4).tolist() == [[1, 2, 0, 3]]


def test_a_row_with_nan_has_no_best_class():
    predictions = Predictions([[NAN, 1, 2], [INF, -INF, 2]])
    assert predictions.top1.tolist() == [-1, 0]
    assert predictions.topk(3).tolist() == [[-1, -1, -1], [0, 2, 1]]


@pytest.mark.parametrize("k", [-1, 0, 4])
def test_topk_out_of_range_says_how_many_classes(predictions, k):
    with pytest.raises(ValueError, match=f"number of classes, 3, got {k}"):
        predictions.topk(k)


@settings(deadline=None)
@given(scores_with_ties)
def test_topk_orders_by_score_then_class(scores):
    predictions = Predictions(scores)
    classes = scores.shape[1]
    best = predictions.topk(classes)
    wanted = [sorted(range(classes), key=lambda c, row=row: (-row[c], c)) for row in scores]
    assert best.tolist() == wanted
    assert np.array_equal(best[:, 0], predictions.top1)
    assert np.array_equal(best[:, :1], predictions.topk(1))


def test_array_like(predictions):
    assert np.asarray(predictions) is predictions.scores
    assert np.array(predictions) is not predictions.scores
    assert np.array(predictions, np.float64).dtype == np.float64
    assert predictions.__array__(copy=True).flags.writeable
    with pytest.raises(ValueError, match="without a copy"):
        predictions.__array__(np.float64, copy=False)
    assert np.argmax(predictions, axis=1).tolist() == [1, 0, 2, 1]
    assert [row.argmax() for row in predictions] == [1, 0, 2, 1]


def test_index_gives_scores(predictions):
    assert predictions[1].tolist() == predictions.scores[1].tolist()
    assert predictions[np.int64(-1)].shape == (3,)
    assert predictions[2, 2] == np.float32(0.6)
    with pytest.raises(IndexError):
        predictions[4]


@pytest.mark.parametrize(
    "index", [slice(1, 3), [1, 2], np.array([1, 2]), np.array([False, True, True, False])]
)
def test_several_give_predictions(predictions, index):
    some = predictions[index]
    assert isinstance(some, Predictions)
    assert some.names == ("b.jpg", "c.jpg")
    assert some.labels.tolist() == [0, 2]
    assert some.latency.tolist() == [0.2, 0.3]
    assert some.outputs["features"].tolist() == [[2, 3], [4, 5]]
    assert some.outputs["version"] == 3


def test_repr_is_short_and_says_what_there_is(predictions):
    assert repr(predictions) == (
        "<Predictions: 4 inputs x 3 classes, top-1 1, 0, 2, 1; with labels, names, latency>"
    )
    scores = np.zeros((10_000, 10))
    scores[0, 0] = NAN
    many = repr(Predictions(scores))
    assert many == "<Predictions: 10000 inputs x 10 classes, top-1 NaN, 0, 0, 0, 0, and 9995 more>"
    assert repr(Predictions(np.zeros((0, 3)))) == "<Predictions: 0 inputs x 3 classes>"


def test_needs_neither_tvm_nor_pytest():
    code = (
        "import sys, pytest_mutatenn.engine.predictions, pytest_mutatenn.analysis.metrics\n"
        "print([m for m in ('tvm', 'onnx', 'pytest', 'scipy') if m in sys.modules])"
    )
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
