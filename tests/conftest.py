"""What all tests share: a tiny network with inputs, a project around it, and one store."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import scipy.stats  # noqa: F401 - pytester unloads what a run inside a test loads first
from onnx import TensorProto, helper, numpy_helper
from suites import SUITE

import pytest_mutatenn.analysis.metrics
import pytest_mutatenn.analysis.spread
import pytest_mutatenn.engine.predictions
import pytest_mutatenn.model.inputs  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared():
    """The folder beside the checkout with networks and images too large for it."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "models").is_dir():
        pytest.skip(f"needs {folder}, which is not part of the repository")
    return folder


@pytest.fixture(scope="session")
def examples():
    return ROOT / "examples"


def tiny_network():
    """Conv + BatchNormalization + Clip + GlobalAveragePool + Gemm + Softmax on 1 x 1 x 8 x 8."""
    random = np.random.default_rng(7)
    weights = {
        "kernel": random.normal(0, 0.6, (4, 1, 3, 3)),
        "bias": random.normal(0, 0.3, 4),
        "scale": random.uniform(0.5, 1.5, 4),
        "shift": random.normal(0, 0.3, 4),
        "mean": random.normal(0, 0.3, 4),
        "variance": random.uniform(0.5, 1.5, 4),
        "low": np.array(0.0),
        "high": np.array(6.0),
        "dense": random.normal(0, 2.0, (5, 4)),
        "offset": random.normal(0, 0.2, 5),
    }
    layers = [
        ("Conv", ["image", "kernel", "bias"], "conv", {"pads": [1, 1, 1, 1]}),
        ("BatchNormalization", ["conv", "scale", "shift", "mean", "variance"], "norm", {}),
        ("Clip", ["norm", "low", "high"], "relu6", {}),
        ("GlobalAveragePool", ["relu6"], "pool", {}),
        ("Flatten", ["pool"], "flat", {}),
        ("Gemm", ["flat", "dense", "offset"], "logits", {"transB": 1}),
        ("Softmax", ["logits"], "probabilities", {"axis": 1}),
    ]
    graph = helper.make_graph(
        [helper.make_node(op, ins, [out], name=out, **more) for op, ins, out, more in layers],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 5])],
        [numpy_helper.from_array(v.astype(np.float32), name) for name, v in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A folder with `tiny.onnx` and `tiny.npz`: 12 images."""
    folder = tmp_path_factory.mktemp("tiny")
    onnx.save(tiny_network(), folder / "tiny.onnx")
    images = np.random.default_rng(11).normal(0, 1, (12, 1, 8, 8)).astype(np.float32)
    np.savez(folder / "tiny.npz", images)
    return folder


@pytest.fixture(scope="session")
def store_folder(tmp_path_factory):
    """One store for all tests that do not ask for an empty one: kernels compile once."""
    return tmp_path_factory.mktemp("store") / "mutatenn"


class Project:
    """A user's project with the tiny network in it."""

    def __init__(self, pytester, tiny, cache):
        self.pytester = pytester
        self.path = pytester.path
        self.cache = cache
        for name in ("tiny.onnx", "tiny.npz"):
            (self.path / name).write_bytes((tiny / name).read_bytes())

    def write(self, **files):
        """Write Python files: `project.write(test_a="...")`."""
        self.pytester.makepyfile(**files)
        return self

    def arguments(self, *args, report=True):
        written = [f"--mutatenn-report=json:{self.path / 'report.json'}"] if report else []
        return [f"--mutatenn-cache-dir={self.cache}", *written, *args]

    def run(self, *args, report=True, apart=False):
        """Run pytest on mutants, in this process or apart; `result.report` is the report."""
        runner = self.pytester.runpytest_subprocess if apart else self.pytester.runpytest_inprocess
        (self.path / "report.json").unlink(missing_ok=True)
        result = runner(*self.arguments(*args, report=report))
        written = self.path / "report.json"
        result.report = json.loads(written.read_text()) if written.exists() else None
        return result

    def plain(self, *args):
        """Run pytest without mutants."""
        return self.pytester.runpytest_inprocess(f"--mutatenn-cache-dir={self.cache}", *args)


@pytest.fixture
def project(pytester, tiny, store_folder):
    """A project that has `tiny.onnx` and `tiny.npz`, and no tests yet."""
    return Project(pytester, tiny, store_folder)


@pytest.fixture
def suite(project):
    """The project with a green suite."""
    return project.write(test_tiny=SUITE)
