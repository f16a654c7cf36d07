"""Inputs of every form, images' arithmetic, labels, choices, and every message."""

from __future__ import annotations

import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.model.inputs import choose, digest, load_inputs

IMAGES = Path(__file__).parents[3] / "shared" / "images"
needs_shared = pytest.mark.skipif(not IMAGES.is_dir(), reason="../shared/images is not there")

Spec = namedtuple("Spec", "name shape dtype", defaults=["float32"])
NCHW = Spec("x", (1, 3, 4, 5))
NHWC = Spec("x", (1, 4, 5, 3))
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)


@pytest.fixture
def load(tmp_path):
    def run(spec, *inputs, **options):
        return load_inputs(spec, inputs=inputs or (NCHW,), base=tmp_path, **options)

    return run


# -- arrays ----------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", [(), (1,)], ids=["n,...", "n,1,..."])
def test_arrays_with_and_without_the_batch(load, extra):
    values = RNG.normal(size=(7, 3, 4, 5)).astype(np.float32)
    data = load(values.reshape(7, *extra, 3, 4, 5))
    assert len(data) == 7
    assert data.arrays["x"].shape == (7, 1, 3, 4, 5)
    assert np.array_equal(data.arrays["x"][2], values[2:3])
    assert data.names == tuple("0123456")
    assert data.labels is None


def test_a_single_sample(load):
    assert load(np.zeros((3, 4, 5), np.float32)).arrays["x"].shape == (1, 1, 3, 4, 5)


def test_networks_with_a_batch_of_their_own(load):
    spec = Spec("x", (2, 3))
    data = load((np.arange(18.0).reshape(6, 3), range(6)), spec)
    assert data.arrays["x"].shape == (3, 2, 3)
    assert len(data) == 3
    assert len(data.names) == len(data.labels) == 6
    with pytest.raises(MutatennError, match=r"takes 2 samples a run, and 5 is no .* limit to 4"):
        load(np.zeros((5, 3)), spec)
    assert len(load(np.zeros((5, 3)), spec, limit=4)) == 2


def test_npz_by_name_and_labels(tmp_path, load):
    ids, mask = Spec("ids:0", (1, 4), "int64"), Spec("mask", (1, 4))
    np.savez(
        tmp_path / "d.npz",
        **{"ids:0": np.ones((3, 4), np.int32)},
        mask=np.ones((3, 4)),
        y=[1, 0, 2],
    )
    data = load("d.npz", ids, mask)
    assert list(data.arrays) == ["ids:0", "mask"]
    assert data.arrays["ids:0"].dtype == np.int64
    assert data.labels.tolist() == [1, 0, 2]
    assert data.source == "d.npz"


@pytest.mark.parametrize("key", ["x", "images", "inputs", "data", "whatever"])
def test_npz_of_a_single_input(tmp_path, load, key):
    np.savez(tmp_path / "d.npz", labels=range(6), **{key: PIXELS})
    data = load("d.npz", Spec("Input3", NCHW.shape))
    assert np.array_equal(data.arrays["Input3"][:, 0], PIXELS.transpose(0, 3, 1, 2))
    assert data.arrays["Input3"].dtype == np.float32
    assert data.labels.tolist() == [*range(6)]


def test_npy(tmp_path, load):
    np.save(tmp_path / "d.npy", PIXELS)
    assert np.array_equal(load("d.npy", NHWC).arrays["x"][:, 0], PIXELS)
    assert np.array_equal(load("d.npy", NCHW).arrays["x"][:, 0], PIXELS.transpose(0, 3, 1, 2))


def test_nan_and_infinity_are_values(load):
    values = np.full((2, 3), np.nan, np.float32)
    assert np.isnan(load(values, Spec("x", (1, 3))).arrays["x"]).all()


def test_inputs_without_a_common_batch(load):
    a, b = Spec("a", (1, 4)), Spec("b", (3,))
    data = load({"a": np.zeros((5, 1, 4)), "b": np.ones((5, 3))}, a, b)
    assert data.arrays["a"].shape == (5, 1, 4)
    assert data.arrays["b"].shape == (5, 3)


def test_functions(tmp_path, load):
    (tmp_path / "in_mod.py").write_text(
        "import numpy as np\n"
        "def pair():\n    return np.zeros((2, 3), 'float32'), [1, 0]\n"
        "def triple():\n    return 1, 2, 3\n"
    )
    spec = Spec("x", (1, 3))
    data = load("in_mod:pair", spec)
    assert data.labels.tolist() == [1, 0]
    assert data.source == "in_mod:pair"
    assert load(lambda: {"x": np.zeros((2, 3))}, spec).arrays["x"].shape == (2, 1, 3)
    with pytest.raises(MutatennError, match=r"inputs 'in_mod:triple': a tuple of 3; give"):
        load("in_mod:triple", spec)
    with pytest.raises(MutatennError, match=r"inputs 'in_mod:pear'.*did you mean 'pair'"):
        load("in_mod:pear", spec)


@pytest.mark.parametrize(
    ("value", "spec", "message"),
    [
        (np.zeros((2, 3, 4, 6), "f4"), NCHW, r"'x' takes samples of shape \(3, 4, 5\), and float32"
         r" samples of shape \(3, 4, 6\) were given; give an array of shape \(n, 3, 4, 5\)"),
        (np.zeros((2, 4, 5, 3), "f4"), NCHW, r"array\.transpose\(0, 3, 1, 2\) has it"),
        (np.zeros((2, 3, 4, 5), "f4"), NHWC, r"array\.transpose\(0, 2, 3, 1\) has it"),
        (np.zeros((2, 4)), Spec("i", (1, 4), "int64"), r"'i' is int64, and float64 values"),
        (np.full((2, 4), 300), Spec("i", (1, 4), "uint8"), r"is uint8, and int64 values"),
        (np.zeros((0, 4)), Spec("i", (1, 4)), "there is no sample in it"),
        (np.array(["a"]), Spec("i", (1, 4)), r"<U1 was given for the input 'i'"),
        (np.float32(3), Spec("i", (1, 4)), r"a single number was given"),
        ({"a": [1], "b": [2]}, Spec("i", (1, 4)), r"no array for the input 'i'; .* 'a', 'b'"),
    ],
)  # fmt: skip
def test_messages_about_arrays(load, value, spec, message):
    with pytest.raises(MutatennError, match=message):
        load(value, spec)


def test_messages_about_several_inputs(load):
    a, b = Spec("a", (1, 4)), Spec("b", (1, 3))
    with pytest.raises(MutatennError, match=r"one array, and the network has 2 inputs \('a', 'b'"):
        load(np.zeros((2, 4)), a, b)
    with pytest.raises(MutatennError, match=r"no array for the input 'b'; the arrays are 'a'"):
        load({"a": np.zeros((2, 4))}, a, b)
    with pytest.raises(MutatennError, match=r"different numbers of samples \('a' 2, 'b' 3\)"):
        load({"a": np.zeros((2, 4)), "b": np.zeros((3, 3))}, a, b)


def test_messages_about_files(tmp_path, load):
    np.savez(tmp_path / "digits.npz", images=PIXELS)
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 nothing")
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    (tmp_path / "notes.md").write_text("")
    for spec, message in {
        "digit.npz": r"inputs 'digit\.npz': there is no such file.*did you mean 'digits\.npz'\?",
        "bad.npz": r"cannot read it as \.npz",
        "objects.npy": r"cannot read it as \.npy .*without objects",
        "notes.md": r"\.md is not read; give a \.npz",
    }.items():
        with pytest.raises(MutatennError, match=message):
            load(spec)


# -- images ----------------------------------------------------------------------------------


def save_images(folder, sizes, mode="RGB"):
    image = pytest.importorskip("PIL.Image")
    folder.mkdir()
    arrays = {}
    for i, (height, width) in enumerate(sizes):
        pixels = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
        arrays[f"{9 - i}.png"] = pixels
        image.fromarray(pixels).convert(mode).save(folder / f"{9 - i}.png")
    return arrays


def test_folder(tmp_path, load):
    arrays = save_images(tmp_path / "photos", [(4, 5)] * 3)
    (tmp_path / "photos" / "README.md").write_text("")
    (tmp_path / "photos" / ".hidden.png").write_text("")
    data = load("photos/", labels={"7.png": 70, "8": 80, 9: 90, "other": 1})
    assert data.names == ("7.png", "8.png", "9.png")
    assert data.labels.tolist() == [70, 80, 90]
    assert data.source == "photos"
    for i, name in enumerate(data.names):
        assert np.array_equal(data.arrays["x"][i, 0], arrays[name].transpose(2, 0, 1))
    single = load("photos/8.png", limit=1)
    assert np.array_equal(single.arrays["x"][0], data.arrays["x"][1])


def test_arithmetic(load):
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    wanted = ((PIXELS / 255 - mean) / std).transpose(0, 3, 1, 2)
    for scale in ({}, {"scale": 1 / 255}):
        got = load(PIXELS, preprocess={"mean": list(mean), "std": list(std), **scale})
        np.testing.assert_allclose(got.arrays["x"][:, 0], wanted, rtol=1e-6)
    raw = load(PIXELS, preprocess={"mean": 0, "std": 1 / 255}).arrays["x"][:, 0]
    assert np.array_equal(raw, PIXELS.transpose(0, 3, 1, 2))
    caffe = load(PIXELS, preprocess={"mean": [104, 117, 123], "channels": "BGR"})
    flipped = PIXELS[..., ::-1].transpose(0, 3, 1, 2).astype(float)
    assert np.array_equal(
        caffe.arrays["x"][:, 0], flipped - np.array([104, 117, 123])[:, None, None]
    )
    nothing = load(PIXELS, preprocess={}).arrays["x"]
    assert np.array_equal(nothing, load(PIXELS).arrays["x"])


def test_floating_images_with_preprocess(load):
    values = PIXELS.astype(np.float32)
    got = load(values, preprocess={"scale": 0.5}).arrays["x"][:, 0]
    assert np.array_equal(got, values.transpose(0, 3, 1, 2) / 2)
    got = load(values.transpose(0, 3, 1, 2), preprocess={"scale": 0.5}).arrays["x"][:, 0]
    assert np.array_equal(got, values.transpose(0, 3, 1, 2) / 2)


def test_grey_images(tmp_path, load):
    grey = Spec("x", (1, 1, 4, 5))
    plane = PIXELS[..., 0]
    assert np.array_equal(load(plane, grey).arrays["x"][:, 0, 0], plane)
    assert np.array_equal(load(plane[..., None], grey).arrays["x"][:, 0, 0], plane)
    assert np.array_equal(load(plane).arrays["x"][:, 0, 2], plane)  # to three channels
    luma = PIXELS @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(load(PIXELS, grey).arrays["x"][:, 0, 0], luma, rtol=1e-5)
    save_images(tmp_path / "photos", [(4, 5)])
    assert load("photos", grey).arrays["x"].shape == (1, 1, 1, 4, 5)


def test_uint8_network(load):
    spec = Spec("x", (1, 4, 5, 3), "uint8")
    assert load(PIXELS, spec).arrays["x"].dtype == np.uint8
    assert load(PIXELS, spec, preprocess={"scale": 2.0}).arrays["x"].max() == 255


def test_resize_and_crop(tmp_path, load):
    arrays = save_images(tmp_path / "photos", [(40, 60)])
    pixels = arrays["9.png"].transpose(2, 0, 1)
    spec = Spec("x", (1, 3, 20, 20))
    assert load("photos", spec).arrays["x"].shape == (1, 1, 3, 20, 20)
    crop = load("photos", spec, preprocess={"crop": 20}).arrays["x"][0, 0]
    assert np.array_equal(crop, pixels[:, 10:30, 20:40])
    both = load("photos", spec, preprocess={"resize": 40, "crop": 20}).arrays["x"][0, 0]
    assert np.array_equal(both, crop)
    wide = Spec("x", (1, 3, 20, 30))
    half = load("photos", wide, preprocess={"resize": 20}).arrays["x"][0, 0]
    assert np.array_equal(half, load("photos", wide).arrays["x"][0, 0])
    blocks = pixels.reshape(3, 20, 2, 30, 2).mean(axis=(2, 4))
    assert np.abs(half - blocks).mean() < 30
    array = load(arrays["9.png"][None], wide).arrays["x"][0, 0]
    np.testing.assert_allclose(array, half, atol=1)


@pytest.mark.parametrize(
    ("preprocess", "message"),
    [
        ({"men": 1}, r"preprocess: unknown key 'men'; did you mean 'mean'\?"),
        ({"resize": "big"}, r"preprocess: 'resize' is 'big'; give pixels"),
        ({"crop": 8}, r"'crop' gives images of \(8, 8\), but the input 'x'"),
        ({"resize": 3}, r"is 3 x 4 pixels, smaller than the 4 x 5"),
        ({"mean": [1, 2]}, r"'mean' is \[1, 2\]; give a number, or 3"),
        ({"std": 0}, r"'std' is 0"),
        ({"scale": "x"}, r"'scale' is 'x'; give a number"),
        ({"layout": "CHW"}, r"'layout' is 'CHW'; use 'NCHW' or 'NHWC'"),
        ({"channels": "L"}, r"'channels' is 'L', but the input 'x' \(1, 3, 4, 5\) has 3"),
        ([("scale", 2)], r"preprocess: a list is no mapping"),
    ],
)
def test_messages_about_preprocessing(load, preprocess, message):
    with pytest.raises(MutatennError, match=message):
        load(PIXELS, preprocess=preprocess)


def test_messages_about_images(tmp_path, load):
    (tmp_path / "none" / "deep").mkdir(parents=True)
    with pytest.raises(MutatennError, match=r"none has no image.*it has 1 folders"):
        load("none")
    pytest.importorskip("PIL.Image")
    (tmp_path / "none" / "a.jpg").write_bytes(b"no image")
    with pytest.raises(MutatennError, match=r"cannot read the image .*a\.jpg"):
        load("none")
    with pytest.raises(MutatennError, match=r"'f' \(1, 10\) takes no images"):
        load("none", Spec("f", (1, 10)))
    with pytest.raises(MutatennError, match="has neither 1 nor 3 channels"):
        load("none", Spec("f", (1, 10, 10, 10)))
    with pytest.raises(MutatennError, match=r"images feed one input, and the network has 2"):
        load("none", NCHW, Spec("b", (1, 3)))


def test_pillow_is_an_extra(tmp_path, load, monkeypatch):
    save_images(tmp_path / "photos", [(4, 5)])
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MutatennError, match=r"pip install 'pytest-mutatenn\[images\]'"):
        load("photos")
    assert len(load(PIXELS)) == 6  # the right size already: no Pillow


@needs_shared
def test_real_images():
    spec = Spec("Input3", (1, 1, 28, 28))
    digits = load_inputs("mnist_first200.npz", inputs=[spec], base=IMAGES, limit=5)
    assert digits.labels.tolist() == [7, 2, 1, 0, 4]
    assert digits.arrays["Input3"].max() == 255
    photos = load_inputs("photos", inputs=[Spec("x", (1, 3, 64, 64))], base=IMAGES, limit=2)
    assert photos.names == tuple(sorted(p.name for p in (IMAGES / "photos").glob("*.jpg")))[:2]


# -- labels ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.txt", "4\n5\n\n6\n"),
        ("l.txt", "0 4\n1 5\n2 6\n"),
        ("l.csv", "4\n5\n6\n"),
        ("l.csv", "label\n4\n5\n6\n"),
        ("l.csv", "name,label\n2,6\n0,4\n1,5\n"),
    ],
)
def test_labels_in_text(tmp_path, load, name, text):
    (tmp_path / name).write_text(text)
    assert load(PIXELS[:3], labels=name).labels.tolist() == [4, 5, 6]


def test_labels_in_other_forms(tmp_path, load):
    np.save(tmp_path / "l.npy", np.array([[4], [5], [6]], np.uint8))
    np.savez(tmp_path / "l.npz", targets=np.array([4.0, 5.0, 6.0]))
    (tmp_path / "lab_mod.py").write_text("def truth():\n    return {0: 4, 1: 5, 2: 6}\n")
    for spec in ([4, 5, 6], "l.npy", "l.npz", "lab_mod:truth", lambda: (4, 5, 6), ["4", "5", "6"]):
        labels = load((PIXELS[:3], [0, 0, 0]), labels=spec).labels
        assert labels.tolist() == [4, 5, 6]
        assert labels.dtype == np.int64


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1, 2], r"labels: there are 2 labels for 3 samples"),
        ([1, 2, 2.5], r"they must be integers"),
        (["cat", "dog", "cow"], r"they must be integers.*'cat'"),
        (np.eye(3), r"labels\.argmax\(axis=1\)"),
        ({0: 1, 1: 2}, r"the sample '2' has no label; there are: '0', '1'"),
        ("l.txt", r"labels 'l\.txt': 'a cat' is neither a label nor a name and a label"),
        ("none.txt", r"labels 'none\.txt': there is no such file"),
        ("l.yaml", r"not '\.yaml'"),
        ("l.npz", r"none of the arrays labels, y, targets; there are: q"),
        ("bad.npy", r"labels 'bad\.npy': cannot read it"),
    ],
)
def test_messages_about_labels(tmp_path, load, labels, message):
    (tmp_path / "l.txt").write_text("0 1\na cat\n")
    (tmp_path / "l.yaml").write_text("")
    (tmp_path / "bad.npy").write_bytes(b"")
    np.savez(tmp_path / "l.npz", q=1)
    with pytest.raises(MutatennError, match=message):
        load(PIXELS[:3], labels=labels)


# -- choice and digest -----------------------------------------------------------------------


def test_limit_takes_arrays_labels_and_names(load):
    data = load((PIXELS, range(6)), limit=3, seed=5)
    chosen = [int(name) for name in data.names]
    assert data.labels.tolist() == chosen
    assert np.array_equal(data.arrays["x"][:, 0], PIXELS[chosen].transpose(0, 3, 1, 2))
    assert load(PIXELS, limit=2).names == ("0", "1")


@pytest.mark.parametrize("limit", [0, -1, 2.5, True])
def test_limit_must_be_a_number(load, limit):
    with pytest.raises(MutatennError, match="the limit is"):
        load(PIXELS, limit=limit)


def test_the_choice_is_the_same_everywhere():
    assert choose(100, 5, 0).tolist() == [15, 44, 46, 87, 99]


@given(st.integers(1, 60), st.integers(1, 80), st.none() | st.integers())
def test_choice(total, limit, seed):
    chosen = choose(total, limit, seed).tolist()
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(limit, total)
    assert all(0 <= i < total for i in chosen)
    if seed is None or limit >= total:
        assert chosen == list(range(len(chosen)))
    else:  # a smaller limit with the same seed takes a part of it
        assert set(choose(total, max(limit - 1, 1), seed).tolist()) <= set(chosen)


@given(st.lists(st.floats(width=32), min_size=1, max_size=4), st.integers(0, 3))
@settings(max_examples=50)
def test_digest_sees_name_dtype_shape_bytes_and_labels(values, i):
    array = np.array(values, np.float32)
    first = digest({"x": array}, None)
    assert first == digest({"x": array.copy()}, None)
    assert first == digest({"x": array.astype(">f4")}, None)
    changed = array.copy()
    changed.view(np.uint8)[i] ^= 1
    others = [
        digest({"y": array}, None),
        digest({"x": array.view(np.int32)}, None),
        digest({"x": array[None]}, None),
        digest({"x": changed}, None),
        digest({"x": array}, np.array([1])),
    ]
    assert first not in others
    assert len(set(others)) == len(others)
