"""The graph operators on ONNX networks: every one, and what its mutants compute."""

import numpy as np
import onnxruntime
import pytest
from benches import GRAPH, IMAGE, IMAGES_NODES, IMAGES_NUMBERS, NEAR, OPERATORS, network

from pytest_mutatenn.compiler.graph import graph_changes
from pytest_mutatenn.operators import catalogue


@pytest.mark.parametrize("name", GRAPH)
class TestEvery:
    def where(self, benches, name):
        return [(bench, site) for bench in benches.values() for site in bench.sites(name)]

    def test_it_changes_what_a_network_computes(self, benches, name):
        assert any(
            not np.array_equal(bench.run(f"graph.{name}@{site}"), bench.run("identity"))
            for bench, site in self.where(benches, name)
        )

    @pytest.mark.parametrize("level", [2, 3])
    def test_it_computes_the_same_at_every_level(self, benches, name, level):
        for bench, site in self.where(benches, name)[:1]:
            mutant = f"graph.{name}@{site}"
            np.testing.assert_allclose(bench.run(mutant, level), bench.run(mutant), **NEAR)


CLIP = {"minus": -1.0, "one": 1.0}
INTEGERS = {
    "from": np.array([0, 0]),
    "to": np.array([8, 8]),
    "space": np.array([2, 3]),
    "less2": np.array([0, 0, 0, 0, 0, 0, 2, 2]),
    "less4": np.array([0, 0, 0, 0, 0, 0, 4, 4]),
    "shape": np.array([1, 4, 8, 8]),
}


def as_onnx(name, site, *nodes):
    """A mutant, and the ONNX nodes that compute it; the last one's output is the node replaced."""
    return pytest.param(f"graph.{name}@{site}", nodes, id=f"{name}-{site}")


@pytest.mark.parametrize(
    ("mutant", "nodes"),
    [
        as_onnx("relu_to_sigmoid", "clip#1", ("Sigmoid", "norm", "relu6")),
        as_onnx("relu_to_tanh", "clip#1", ("Tanh", "norm", "relu6")),
        as_onnx("relu_to_leaky_relu", "relu#1", ("LeakyRelu", "sum", "relu", {"alpha": 0.01})),
        as_onnx("relu_to_identity", "relu#1", ("Identity", "sum", "relu")),
        as_onnx("relu_to_identity", "clip#1", ("Identity", "norm", "relu6")),
        as_onnx("softmax_to_identity", "softmax#1", ("Identity", "logits", "y")),
        as_onnx(
            "max_pool_to_avg_pool", "max_pool2d#1",
            ("AveragePool", "relu", "most", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ),
        as_onnx(
            "avg_pool_to_max_pool", "avg_pool2d#1",
            ("MaxPool", "most", "average", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ),
        as_onnx("avg_pool_to_max_pool", "mean#1", ("GlobalMaxPool", "average", "all")),
        as_onnx("drop_batch_norm", "batch_norm#1", ("Identity", "conv1", "norm")),
        as_onnx("drop_residual", "add_1#1", ("Identity", "conv2", "sum")),
        as_onnx(
            "conv_padding", "conv2d_1#1",
            ("Conv", "relu6 k2", "wide", {"pads": [2, 2, 2, 2]}),
            ("Slice", "wide from to space", "conv2"),
        ),
        as_onnx(
            "conv_padding", "conv2d_1#2", ("Conv", "relu6 k2", "small"),
            ("Pad", "small less2", "conv2"),
        ),
        as_onnx(
            "conv_stride", "conv2d_1#1",
            ("Conv", "relu6 k2", "small", {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
            ("Pad", "small less4", "conv2"),
        ),
        as_onnx(
            "conv_dilation", "conv2d_1#1",
            ("Conv", "relu6 k2", "small", {"pads": [1, 1, 1, 1], "dilations": [2, 2]}),
            ("Pad", "small less2", "conv2"),
        ),
        as_onnx(
            "layout_nchw_nhwc", "conv2d_1#1",
            ("Transpose", "relu6", "last", {"perm": [0, 2, 3, 1]}),
            ("Reshape", "last shape", "lying"),
            ("Conv", "lying k2", "conv2", {"pads": [1, 1, 1, 1]}),
        ),
        as_onnx("add_to_multiply", "add_1#1", ("Mul", "conv2 relu6", "sum")),
        as_onnx(
            "negate_conv2d_0_before", "conv2d_1#1", ("Neg", "relu6", "negative"),
            ("Conv", "negative k2", "conv2", {"pads": [1, 1, 1, 1]}),
        ),
        as_onnx("zero_batch_norm_0_after", "batch_norm#1", ("Sub", "conv1 conv1", "norm")),
        as_onnx(
            "clip_batch_norm_0_before", "batch_norm#1", ("Clip", "conv1 minus one", "clipped"),
            ("BatchNormalization", "clipped scale shift mean variance", "norm"),
        ),
        as_onnx(
            "scale_dense_0_before", "matmul#1", ("Add", "flat flat", "twice"),
            ("Gemm", "twice dense offset", "logits", {"transB": 1}),
        ),
        as_onnx(
            "abs_conv2d_0_after", "conv2d_1#1",
            ("Conv", "relu6 k2", "signed", {"pads": [1, 1, 1, 1]}), ("Abs", "signed", "conv2"),
        ),
    ],
)  # fmt: skip
def test_as_the_onnx_network_with_that_fault(benches, mutant, nodes):
    fault = {nodes[-1][2]: nodes}
    changed = [part for node in IMAGES_NODES for part in fault.get(node[2], (node,))]
    model = network(changed, IMAGE, {**IMAGES_NUMBERS, **CLIP, **INTEGERS})
    session = onnxruntime.InferenceSession(model.SerializeToString())
    bench = benches["images"]
    (expected,) = session.run(None, {"x": bench.image})
    np.testing.assert_allclose(bench.run(mutant), expected, **NEAR)


def test_a_parameter_is_heard(benches):
    bench = benches["images"]
    op = catalogue.load(settings=[("relu_to_leaky_relu", "alpha", "0.25")])["relu_to_leaky_relu"]
    changes = list(graph_changes(op, bench.model.module))
    assert changes[1].after == "relu = R.nn.leakyrelu(add_1, alpha=0.25)"


def test_several_layers_at_once(benches):
    bench = benches["activations"]
    output = bench.run("graph.multiply_to_add@multiply#1+multiply_3#1")
    assert not np.array_equal(output, bench.run("graph.multiply_to_add@multiply#1"))
    np.testing.assert_allclose(
        output, bench.run("graph.multiply_to_add@multiply#1+multiply_3#1", 3), **NEAR
    )


def test_groups_are_the_catalogue_s():
    default = {
        *("relu_to_sigmoid", "relu_to_tanh", "relu_to_leaky_relu", "relu_to_identity"),
        *("max_pool_to_avg_pool", "avg_pool_to_max_pool", "drop_batch_norm", "drop_residual"),
        *("add_to_subtract", "subtract_to_add", "multiply_to_divide", "divide_to_multiply"),
        *("add_to_multiply", "multiply_to_add", "maximum_to_minimum", "minimum_to_maximum"),
        *(
            f"{change}_{kind}_0_{side}"
            for change in ("negate", "zero")
            for kind in ("conv2d", "dense", "batch_norm")
            for side in ("before", "after")
        ),
    }
    assert {name for name in GRAPH if "default" in OPERATORS[name].groups} == default
