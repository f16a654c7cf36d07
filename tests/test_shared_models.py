"""Real networks on real images, at every opt level, against onnxruntime and the known counts."""

from pathlib import Path

import numpy as np
import pytest

from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.engine.evaluate import Engine
from pytest_mutatenn.engine.specs import TensorInfo
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.model.inputs import load_inputs
from pytest_mutatenn.model.source import resolve_model

SHARED = Path(__file__).resolve().parents[2] / "shared"

CIFAR = {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2023, 0.1994, 0.2010]}
CORAL = {"mean": [0.50196] * 3, "std": [0.50196] * 3}

# network, its images, how they become values, right answers (None: no labels)
MODELS = [
    ("ms_mnist8", "mnist_first200.npz", None, 199),
    ("mlperf_resnet8_bn", "cifar10_eran100.npz", None, 88),
    ("mlperf_resnet8_folded", "cifar10_eran100.npz", None, 88),
    ("abcrown_conv_sigmoid", "cifar10_eran100.npz", CIFAR, 73),
    ("coral_mobilenetv1_025_128", "photos", CORAL, None),
    ("coral_mobilenetv2_100_224", "photos", CORAL, None),
]
PHOTOS = {
    "chelsea": "tiger cat",
    "coffee": "espresso",
    "horse": "sorrel",
    "traffic-light": "traffic light",
    "speedboat": "speedboat",
    "china": "palace",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


def run(name, images, preprocess, level, store):
    source = resolve_model(SHARED / "models" / f"{name}.onnx", base=SHARED, scratch=store.root)
    engine = Engine(source, Cell("llvm", level), store)
    try:
        inputs = [TensorInfo.of(spec) for spec in engine.info["inputs"]]
        data = load_inputs(
            SHARED / "images" / images, inputs=inputs, preprocess=preprocess, base=SHARED
        )
        result = engine.baseline(data.arrays, data.digest)
    finally:
        engine.close()
    (output,) = result.outputs.values()
    return source, data, output.reshape(len(data), -1)


def reference(source, data):
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(str(source.path), providers=["CPUExecutionProvider"])
    (array,) = data.arrays.values()
    name = session.get_inputs()[0].name
    return np.stack([session.run(None, {name: x})[0] for x in array]).reshape(len(data), -1)


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared models beside the checkout")
@pytest.mark.parametrize("level", range(5))
@pytest.mark.parametrize(("name", "images", "preprocess", "right"), MODELS)
def test_outputs_are_onnxruntimes_at_every_opt_level(name, images, preprocess, right, level, store):
    source, data, scores = run(name, images, preprocess, level, store)

    expected = reference(source, data)
    # relative to the largest score: one network gives logits of some hundreds
    scale = max(1.0, float(np.abs(expected).max()))
    assert np.abs(scores - expected).max() / scale <= (1e-2 if level == 4 else 1e-4)
    if right is not None:
        assert (scores.argmax(1) == data.labels).sum() == right
    if name == "coral_mobilenetv2_100_224":
        classes = (SHARED / "images" / "imagenet_labels.txt").read_text().splitlines()
        best = zip(data.names, scores.argmax(1), strict=True)
        found = {Path(n).stem: classes[top].partition(",")[0] for n, top in best}
        assert {photo: found[photo] for photo in PHOTOS} == PHOTOS
