import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_mutatenn.engine.specs import TensorInfo
from pytest_mutatenn.model.inputs import load_inputs
from pytest_mutatenn.report.thumbnails import LONGEST, MOST, thumbnails_of

RANDOM = np.random.default_rng(5)


def shown(array, shape, dtype="float32", preprocess=None):
    tensor = TensorInfo("x", shape, dtype)
    dataset = load_inputs(array, inputs=[tensor], preprocess=preprocess, base=Path())
    return thumbnails_of(dataset, [tensor], preprocess)


def opened(uri):
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(body)))


def test_photographs_come_back_through_their_preprocessing():
    photo = RANDOM.integers(0, 256, (1, 16, 16, 3), np.uint8)
    how = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "channels": "BGR"}
    found = shown(photo, (1, 3, 16, 16), preprocess=how)
    picture = opened(found["images"]["0"])
    picture.verify()
    assert np.array_equal(np.asarray(opened(found["images"]["0"])), photo[0])
    assert found["left_out"] == 0


@pytest.mark.parametrize("high", [1.0, 255.0])
def test_values_of_a_usual_range_are_taken_as_they_are(high):
    grey = np.linspace(0, high, 64, dtype=np.float32).reshape(1, 1, 8, 8)
    picture = np.asarray(opened(shown(grey, (1, 1, 8, 8))["images"]["0"]))
    assert np.array_equal(picture, np.rint(grey[0, 0] / high * 255))


def test_other_values_are_stretched_over_all_inputs_alike():
    values = np.stack([np.full((1, 8, 8), v, np.float32) for v in (-3, 1, 5)])
    found = shown(values, (1, 1, 8, 8))["images"]
    assert [np.asarray(opened(found[str(i)]))[0, 0] for i in range(3)] == [0, 128, 255]


def test_what_is_no_number_is_shown_too():
    values = np.full((1, 1, 8, 8), 300, np.float32)
    values[0, 0, 0, :2] = np.nan, np.inf
    assert opened(shown(values, (1, 1, 8, 8))["images"]["0"]).size == (8, 8)


def test_a_large_image_is_small_and_keeps_its_form():
    photo = np.zeros((1, 100, 201, 3), np.uint8)
    photo[:, :, 100:] = 255
    found = shown(photo, (1, 3, 100, 201))
    picture = opened(found["images"]["0"])
    assert picture.size == (LONGEST, 100 * LONGEST // 201)
    pixels = np.asarray(picture)
    assert (pixels[:, 0] == 0).all()
    assert (pixels[:, -1] == 255).all()


def test_of_many_inputs_the_first_are_shown():
    found = shown(np.zeros((MOST + 7, 1, 4, 4), np.float32), (1, 1, 4, 4))
    assert list(found["images"]) == [str(i) for i in range(MOST)]
    assert found["left_out"] == 7


def test_of_a_network_with_a_batch_every_input_has_its_own():
    values = np.stack([np.full((1, 4, 4), v, np.float32) for v in (0, 64, 128, 255)])
    found = shown(values, (2, 1, 4, 4))["images"]
    assert [np.asarray(opened(found[str(i)]))[0, 0] for i in range(4)] == [0, 64, 128, 255]


@pytest.mark.parametrize("shape", [(1, 10), (1, 2, 8, 8), (1, 3, 1, 1)])
def test_what_is_no_image_has_none(shape):
    assert shown(np.zeros((2, *shape[1:]), np.float32), shape) is None


def test_the_same_inputs_give_the_same_bytes():
    values = RANDOM.normal(size=(3, 3, 60, 70)).astype(np.float32)
    assert shown(values, (1, 3, 60, 70)) == shown(values.copy(), (1, 3, 60, 70))
