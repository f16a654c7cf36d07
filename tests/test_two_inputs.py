"""A network of two inputs, one of them integers, and two outputs, all the way to verdicts."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


def network():
    rng = np.random.default_rng(0)
    weights = {"table": (20, 8), "w": (8, 5), "v": (6, 5)}
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["e"], name="/embed/Gather"),
        helper.make_node("ReduceMean", ["e"], ["m"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["m", "w"], ["a"]),
        helper.make_node("MatMul", ["x", "v"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["positive"]),
        helper.make_node("Softmax", ["positive"], ["probs"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "two",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["N", 4]),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 6]),
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 5])
            for name in ("sum", "probs")
        ],
        [
            numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
            for name, shape in weights.items()
        ],
    )
    opset = [helper.make_opsetid("", 13)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)


SUITE = """
import numpy as np
import onnxruntime
import pytest
from pytest_mutatenn import top1_agreement

DATA = dict(np.load("data.npz"))
pytestmark = pytest.mark.mutatenn(model="two.onnx", inputs="data.npz", output="probs")

def test_agree(predictions, reference):
    assert predictions.scores.shape == (12, 5)
    assert top1_agreement(predictions, reference) == 1

def test_every_output(model):
    ids, x = DATA["ids"][:3], DATA["x"][:3]
    expected = onnxruntime.InferenceSession("two.onnx").run(["sum"], {"ids": ids, "x": x})[0]
    assert np.allclose(model.all_outputs(ids, x=x)["sum"], expected, atol=1e-4)
"""


@pytest.fixture
def project(pytester):
    pytest.importorskip("onnxruntime")
    onnx.save(network(), pytester.path / "two.onnx")
    rng = np.random.default_rng(1)
    ids, x = rng.integers(0, 20, (12, 4)), rng.normal(size=(12, 6)).astype(np.float32)
    np.savez(pytester.path / "data.npz", ids=ids, x=x)
    pytester.makepyfile(SUITE)
    return pytester


def test_as_deployed(project):
    project.runpytest_subprocess().assert_outcomes(passed=2)


def test_with_mutants(project):
    result = project.runpytest_subprocess(
        "--mutatenn-opt-levels=0,3",
        "--mutatenn-operators=add_to_subtract,relu_to_sigmoid,mul_to_div",
        "--mutatenn-stages=graph,kernel",
        "--mutatenn-report=json:out.json",
    )

    assert result.ret == 0
    report = json.loads((project.path / "out.json").read_text())
    assert [check["verdict"] for check in report["checks"] if check["id"] == "identity"] == [
        "SURVIVED",
        "SURVIVED",
    ]
    verdicts = {m["id"]: [c["verdict"] for c in m["cells"].values()] for m in report["mutants"]}
    assert verdicts["graph.add_to_subtract@add_1#1"] == ["KILLED", "KILLED"]
    assert report["models"][0]["output"]["name"] == "probs"
    assert [spec["name"] for spec in report["models"][0]["inputs"]] == ["ids", "x"]
