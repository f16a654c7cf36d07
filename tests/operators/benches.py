"""What the tests of graph operators share: small ONNX networks, and running their mutants."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pytest_mutatenn.compiler.graph import graph_changes
from pytest_mutatenn.compiler.mutant import Mutant
from pytest_mutatenn.devices.host import HOST
from pytest_mutatenn.engine.executor import MutantRun, RunStats
from pytest_mutatenn.engine.prepare import prepare
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
            order = Order(str(self.path), {}, "llvm", level, (), (), (), (), str(self.store))
            self.workshops[level] = Workshop(order)
            self.workshops[level].load_baseline()
        workshop, recipe = self.workshops[level], Mutant.parse(mutant)
        loaded = prepare(workshop, recipe).loaded
        runner = MutantRun(workshop.run, loaded, None, everything=True)
        (output,) = runner.run([HOST.copy(self.image)], 0, RunStats())
        return np.array(output)
