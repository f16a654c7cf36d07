"""The graph operators on ONNX networks: where they apply, and what their mutants compute."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_mutatenn.compiler.graph import graph_changes
from pytest_mutatenn.compiler.mutant import Mutant
from pytest_mutatenn.devices.memory import as_tensor, guarded_copy
from pytest_mutatenn.engine.executor import MutantRun, RunStats
from pytest_mutatenn.engine.workshop import Order, Workshop
from pytest_mutatenn.model.onnx_import import import_onnx
from pytest_mutatenn.operators import catalogue

OPERATORS = catalogue.load()
GRAPH = sorted(name for name, op in OPERATORS.items() if "graph" in op.stages)
NEAR = {"rtol": 1e-4, "atol": 1e-5}


def weights(**shapes):
    random = np.random.default_rng(5)
    return {name: random.uniform(0.3, 0.9, shape) for name, shape in shapes.items()}


def tensor(value):
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def network(nodes, inputs, numbers=None, opset=20, outputs=("y",)):
    """An ONNX model; a node is (operator, inputs, output, attributes)."""
    numbers = numbers or {}
    graph = helper.make_graph(
        [
            helper.make_node(op, ins.split(), [out], name=out, **(more[0] if more else {}))
            for op, ins, out, *more in nodes
        ],
        "network",
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(tensor(v), k) for k, v in numbers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 9
    return model


IMAGE = {"x": [1, 3, 8, 8]}
IMAGES_NODES = [
    ("Conv", "x k1 b1", "conv1", {"pads": [1, 1, 1, 1]}),
    ("BatchNormalization", "conv1 scale shift mean variance", "norm"),
    ("Clip", "norm low high", "relu6"),
    ("Conv", "relu6 k2", "conv2", {"pads": [1, 1, 1, 1]}),
    ("Add", "conv2 relu6", "sum"),
    ("Relu", "sum", "relu"),
    ("MaxPool", "relu", "most", {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("AveragePool", "most", "average", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    ("GlobalAveragePool", "average", "all"),
    ("Flatten", "all", "flat"),
    ("Gemm", "flat dense offset", "logits", {"transB": 1}),
    ("Softmax", "logits", "y"),
]
IMAGES_NUMBERS = {
    **weights(k1=(4, 3, 3, 3), b1=4, scale=4, mean=4, variance=4, k2=(4, 4, 3, 3), offset=4),
    "k2": np.random.default_rng(2).normal(0, 0.3, (4, 4, 3, 3)),
    "shift": np.array([0.5, -0.3, 0.2, -0.4]),
    "dense": np.random.default_rng(3).normal(0, 0.5, (4, 4)),
    "low": 0.0,
    "high": 6.0,
}
ACTIVATIONS_NODES = [
    ("Sigmoid", "x", "sigmoid"),
    ("Mul", "x sigmoid", "silu"),
    ("Tanh", "silu", "tanh"),
    ("Gelu", "tanh", "gelu"),
    ("Div", "gelu root", "reduced"),
    ("Erf", "reduced", "erf"),
    ("Add", "erf one", "gate"),
    ("Mul", "gelu gate", "double"),
    ("Mul", "double half", "spelled"),
    ("HardSwish", "spelled", "y"),
]
ACTIVATIONS_NUMBERS = {"root": 2**0.5, "one": 1.0, "half": 0.5}
ARITHMETIC_NODES = [
    ("MatMul", "x m", "product"),
    ("Sub", "product a", "less"),
    ("Mul", "less b", "times"),
    ("Div", "times a", "part"),
    ("Max", "part a", "most"),
    ("Min", "most b", "y"),
]
ARITHMETIC_NUMBERS = {"a": np.linspace(-0.8, 0.9, 16).reshape(4, 4), **weights(b=(4, 4), m=(4, 4))}

NETWORKS = {
    "images": network(IMAGES_NODES, IMAGE, IMAGES_NUMBERS),
    "activations": network(ACTIVATIONS_NODES, {"x": [1, 2, 4, 4]}, ACTIVATIONS_NUMBERS),
    "arithmetic": network(ARITHMETIC_NODES, {"x": [1, 4, 4]}, ARITHMETIC_NUMBERS),
}


class Bench:
    """A network in process: its sites, and what its mutants compute at each opt level."""

    def __init__(self, model, folder, store):
        self.path = folder / "network.onnx"
        onnx.save(model, self.path)
        self.store = store
        self.model = import_onnx(self.path)
        shape = self.model.inputs[0].shape
        self.image = np.random.default_rng(1).normal(0.2, 1, shape).astype(np.float32)
        self.workshops, self.outputs = {}, {}

    def sites(self, op):
        """What an operator, or the one of a name, finds: `relu#1`."""
        op = OPERATORS.find(op) if isinstance(op, str) else op
        return [f"{c.layer}#{c.number}" for c in graph_changes(op, self.model.module)]

    def run(self, mutant, level=0):
        if (mutant, level) not in self.outputs:
            self.outputs[mutant, level] = self.computed(mutant, level)
        return self.outputs[mutant, level]

    def computed(self, mutant, level):
        if level not in self.workshops:
            order = Order(str(self.path), {}, "llvm", level, (), (), (), str(self.store))
            self.workshops[level] = Workshop(order)
            self.workshops[level].load_baseline()
        workshop, recipe = self.workshops[level], Mutant.parse(mutant)
        workshop.operators.find(recipe.operator)
        loaded = workshop.prepare(recipe).loaded
        runner = MutantRun(workshop.run, loaded, None, everything=True)
        (output,) = runner.run([as_tensor(guarded_copy(self.image))], 0, RunStats())
        return np.array(output)


@pytest.fixture(scope="session")
def make_bench(tmp_path_factory, store_folder):
    return lambda model: Bench(model, tmp_path_factory.mktemp("network"), store_folder)


@pytest.fixture(scope="session")
def benches(make_bench):
    return {name: make_bench(model) for name, model in NETWORKS.items()}


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


class TestActivations:
    def test_a_gelu_is_found_by_its_last_multiplication(self, benches):
        assert benches["activations"].sites("gelu_to_relu") == ["gelu#1", "multiply_2#1"]

    @pytest.mark.parametrize(
        "nodes",
        [
            [("Mul", "x half", "h"), ("Mul", "h gate", "y")],
            [("Mul", "half gate", "h"), ("Mul", "x h", "y")],
            [("Mul", "gate x", "h"), ("Mul", "half h", "y")],
        ],
    )
    @pytest.mark.parametrize("tanh", [False, True])
    def test_however_it_is_spelled(self, make_bench, nodes, tanh):
        inside = [("Div", "x root", "r"), ("Erf", "r", "e"), ("Add", "one e", "gate")]
        if tanh:
            inside = [
                ("Pow", "x three", "cube"), ("Mul", "cube small", "s"), ("Add", "x s", "a"),
                ("Mul", "a root", "r"), ("Tanh", "r", "t"), ("Add", "t one", "gate"),
            ]  # fmt: skip
        numbers = {**ACTIVATIONS_NUMBERS, "three": 3.0, "small": 0.044715}
        bench = make_bench(network([*inside, *nodes], {"x": [2, 3]}, numbers))
        (site,) = bench.sites("gelu_to_relu")
        assert bench.model.layers[-1].name == site.partition("#")[0]
        image = np.maximum(bench.image, 0)
        np.testing.assert_array_equal(bench.run(f"graph.gelu_to_relu@{site}"), image)

    @pytest.mark.parametrize("product", ["x s", "s x"])
    def test_a_silu_is_a_product_with_its_own_sigmoid(self, make_bench, product):
        model = network([("Sigmoid", "x", "s"), ("Mul", product, "y")], {"x": [2, 3]})
        bench = make_bench(model)
        np.testing.assert_array_equal(
            bench.run("graph.silu_to_relu@multiply#1"), np.maximum(bench.image, 0)
        )

    def test_a_gate_of_something_else_is_none(self, make_bench):
        nodes = [
            ("Exp", "x", "other"),
            ("Sigmoid", "other", "s"),
            ("Mul", "x s", "gated"),
            ("Add", "gated x", "sum"),
            ("Mul", "sum x", "y"),
        ]
        assert not make_bench(network(nodes, {"x": [2, 3]})).sites("silu_to_relu")

    def test_a_clip_that_does_not_start_at_zero_is_no_relu(self, make_bench):
        numbers = {"low": -1.0, "high": 1.0}
        bench = make_bench(network([("Clip", "x low high", "y")], {"x": [2, 3]}, numbers))
        assert not bench.sites("relu_to_identity")
        assert not bench.sites("exp_relu_0_before")

    @pytest.mark.parametrize("level", range(5))
    def test_a_network_of_nothing_else(self, make_bench, level):
        bench = make_bench(network([("Relu", "x", "y")], {"x": [2, 3]}))
        np.testing.assert_array_equal(
            bench.run("graph.relu_to_identity@relu#1", level), bench.image
        )


class TestResiduals:
    def test_a_bias_of_the_image_s_shape_is_no_shortcut(self, make_bench):
        nodes = [("Conv", "x k b", "c"), ("Add", "c c", "y")]
        model = network(nodes, {"x": [1, 2, 3, 3]}, weights(k=(2, 2, 3, 3), b=2))
        bench = make_bench(model)
        assert [layer.op for layer in bench.model.layers].count("relax.add") == 2
        assert not bench.sites("drop_residual")

    @pytest.mark.parametrize("order", ["deep short", "short deep"])
    def test_the_projection_is_the_shortcut(self, make_bench, order):
        nodes = [
            ("Conv", "x k", "first"),
            ("Conv", "first k", "deep"),
            ("Conv", "x k", "short"),
            ("Add", order, "y"),
        ]
        model = network(nodes, {"x": [1, 2, 3, 3]}, {"k": np.full((2, 2, 1, 1), 3.0)})
        bench = make_bench(model)
        (site,) = bench.sites("drop_residual")
        # every convolution multiplies the sum of the channels by three
        deep = np.repeat(bench.image.sum(1, keepdims=True) * 18, 2, axis=1)
        np.testing.assert_allclose(bench.run(f"graph.drop_residual@{site}"), deep, rtol=1e-5)


class TestConvolutions:
    def sites(self, make_bench, name, attributes, kernel=(2, 2, 3, 3), image=(1, 2, 7, 7)):
        nodes = [("Conv", "x k", "c", attributes), ("Relu", "c", "y")]
        bench = make_bench(network(nodes, {"x": image}, weights(k=kernel)))
        for site in bench.sites(name):
            bench.run(f"graph.{name}@{site}", 3)
        return bench.sites(name)

    @pytest.mark.parametrize(
        ("name", "attributes", "count"),
        [
            ("conv_stride", {}, 1),
            ("conv_stride", {"strides": [2, 2]}, 2),
            ("conv_stride", {"strides": [2, 1]}, 1),
            ("conv_padding", {}, 1),
            ("conv_padding", {"pads": [1, 1, 1, 1]}, 2),
            ("conv_padding", {"pads": [0, 0, 1, 1], "strides": [2, 2]}, 2),
            ("conv_dilation", {}, 1),
            ("conv_dilation", {"dilations": [2, 2]}, 2),
            ("conv_dilation", {"dilations": [3, 3]}, 1),
        ],
    )
    def test_one_more_and_one_less(self, make_bench, name, attributes, count):
        assert len(self.sites(make_bench, name, attributes)) == count

    @pytest.mark.parametrize("name", ["conv_stride", "conv_padding", "conv_dilation"])
    def test_depthwise_and_one_dimensional(self, make_bench, name):
        pads = {"pads": [1, 1, 1, 1], "strides": [2, 2]}
        assert self.sites(make_bench, name, {"group": 2, **pads}, kernel=(2, 1, 3, 3))
        assert self.sites(make_bench, name, {"pads": [1, 1]}, (2, 2, 3), (1, 2, 7))

    def test_what_would_change_nothing(self, make_bench):
        assert not self.sites(make_bench, "conv_dilation", {}, kernel=(2, 2, 1, 1))
        assert not self.sites(make_bench, "conv_stride", {}, kernel=(2, 2, 7, 7))
        assert not self.sites(make_bench, "layout_nchw_nhwc", {}, (2, 1, 3, 3), (1, 1, 7, 7))

    def test_a_window_wider_than_the_image_is_none(self, make_bench):
        assert not self.sites(make_bench, "conv_dilation", {}, kernel=(2, 2, 5, 5))


class TestPooling:
    @pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
    @pytest.mark.parametrize("rank", [1, 3])
    def test_other_ranks(self, make_bench, operator, rank):
        nodes = [(operator, "x", "y", {"kernel_shape": [2] * rank})]
        bench = make_bench(network(nodes, {"x": [1, 2, *[4] * rank]}))
        name = {"MaxPool": "max_pool_to_avg_pool", "AveragePool": "avg_pool_to_max_pool"}[operator]
        (site,) = bench.sites(name)
        assert not np.array_equal(bench.run(f"graph.{name}@{site}"), bench.run("identity"))

    def test_a_mean_over_channels_is_no_pooling(self, make_bench):
        nodes = [("ReduceMean", "x axes", "y")]
        bench = make_bench(network(nodes, {"x": [1, 2, 4, 4]}, {"axes": np.array([1])}))
        assert not bench.sites("avg_pool_to_max_pool")

    def test_a_maximum_of_two_tensors_is_no_pooling(self, benches):
        assert not benches["arithmetic"].sites("max_pool_to_avg_pool")


class TestOnDemand:
    @pytest.mark.parametrize(
        ("name", "sites"),
        [
            ("sqrt_conv2d_dense_0_before", ["conv2d#1", "conv2d_1#1", "matmul#1"]),
            ("square_relu_softmax_0_after", ["clip#1", "relu#1", "softmax#1"]),
            ("sign_add_1_before", ["add#1", "add_1#1", "add_2#1"]),
            ("zero_batch_norm_4_before", ["batch_norm#1"]),
            ("tanh_max_pool2d_mean_0_before", ["max_pool2d#1", "mean#1"]),
            ("log_conv2d_2_before", []),
        ],
    )  # fmt: skip
    def test_every_id_of_the_grammar(self, benches, name, sites):
        bench = benches["images"]
        assert bench.sites(name) == sites
        for site in sites[:1]:
            assert np.isfinite(bench.run(f"graph.{name}@{site}")).all()

    def test_it_belongs_to_no_group(self):
        op = OPERATORS.find("floor_conv2d_0_after")
        assert op.groups == frozenset()
        assert op.summary == "Round down the output of a conv2d layer."
        assert OPERATORS.find("floor_dense_relu_1_before").summary == (
            "Round down argument 1 of a dense or a relu layer."
        )

    @pytest.mark.parametrize(
        "name",
        [
            "sqrt_conv2d_0_between",
            "sqrt_conv2d_before",
            "sqrt_conv9d_0_before",
            "cube_conv2d_0_before",
            "sqrt_conv2d_1_after",
            "sqrt_0_before",
            "sqrt_*",
        ],
    )
    def test_what_is_no_id(self, name):
        assert OPERATORS.find(name) is None

    def test_names_that_share_their_words(self):
        assert OPERATORS.find("transpose_conv2d_transpose_1_before").on == (
            "relax.nn.conv2d_transpose",
        )
        assert OPERATORS.find("relu_relu_0_before").on == ("relax.nn.relu", "relax.clip")

    def test_its_parameters(self):
        op = catalogue.load(settings=[("scale_relu_0_after", "factor", "0.5")]).find(
            "scale_relu_0_after"
        )
        assert op.parameters == {"factor": 0.5}
        assert OPERATORS["clip_dense_0_after"].parameters == {"low": -1.0, "high": 1.0}
        assert OPERATORS["negate_dense_0_after"].parameters == {}


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
