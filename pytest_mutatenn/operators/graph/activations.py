"""Activations replaced by one another, or left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from tvm import relax

from pytest_mutatenn.operators.graph.operand import constant, depth, is_made_by, producer
from pytest_mutatenn.operators.registry import operator

RELU = ("relax.nn.relu", "relax.clip")
GATES = ("relax.sigmoid", "relax.clip")
ERRORS = ("relax.erf", "relax.tanh")
# what a gate is put together from, beside its sigmoid or its erf
SCALING = ("relax.add", "relax.multiply", "relax.divide", "relax.power")


def is_relu(call: Any) -> bool:
    """Whether a call is a ReLU, or a clip that starts at zero as ReLU6 does."""
    return call.op.name == "relax.nn.relu" or float(call.args[1].value) == 0.0


@operator(
    "relu_to_sigmoid",
    category="layer",
    stages=["graph"],
    on=RELU,
    groups=["mutatenn", "default"],
    example=lambda x: (relax.op.nn.relu(x), relax.op.sigmoid(x)),
)
def relu_to_sigmoid(call: Any) -> Iterator[Any]:
    """Replace a ReLU, or a ReLU6, by a sigmoid (MutateNN's replace_relu)."""
    if is_relu(call):
        yield relax.op.sigmoid(call.args[0])


@operator(
    "relu_to_tanh",
    category="layer",
    stages=["graph"],
    on=RELU,
    groups=["default"],
    example=lambda x: (relax.op.nn.relu(x), relax.op.tanh(x)),
)
def relu_to_tanh(call: Any) -> Iterator[Any]:
    """Replace a ReLU, or a ReLU6, by a tanh.

    After DeepCrime's change of the activation function (ACH).
    """
    if is_relu(call):
        yield relax.op.tanh(call.args[0])


@operator(
    "relu_to_leaky_relu",
    category="layer",
    stages=["graph"],
    on=RELU,
    groups=["default"],
    example=lambda x: (relax.op.nn.relu(x), relax.op.nn.leakyrelu(x, 0.01)),
)
def relu_to_leaky_relu(call: Any, *, alpha: float = 0.01) -> Iterator[Any]:
    """Replace a ReLU, or a ReLU6, by a leaky ReLU: `alpha` of what is negative passes."""
    if is_relu(call):
        yield relax.op.nn.leakyrelu(call.args[0], alpha)


@operator(
    "relu_to_identity",
    category="layer",
    stages=["graph"],
    on=RELU,
    groups=["default"],
    example=lambda x: (relax.op.nn.relu(x), x),
)
def relu_to_identity(call: Any) -> Iterator[Any]:
    """Leave a ReLU, or a ReLU6, out.

    DeepMutation's activation function removal (AFRm), made in the compiled network.
    """
    if is_relu(call):
        yield call.args[0]


@operator(
    "sigmoid_to_relu",
    category="layer",
    stages=["graph"],
    on="relax.sigmoid",
    example=lambda x: (relax.op.sigmoid(x), relax.op.nn.relu(x)),
)
def sigmoid_to_relu(call: Any) -> Iterator[Any]:
    """Replace a sigmoid by a ReLU."""
    yield relax.op.nn.relu(call.args[0])


@operator(
    "tanh_to_relu",
    category="layer",
    stages=["graph"],
    on="relax.tanh",
    example=lambda x: (relax.op.tanh(x), relax.op.nn.relu(x)),
)
def tanh_to_relu(call: Any) -> Iterator[Any]:
    """Replace a tanh by a ReLU."""
    yield relax.op.nn.relu(call.args[0])


@operator(
    "gelu_to_relu",
    category="layer",
    stages=["graph"],
    on=("relax.nn.gelu", "relax.nn.gelu_tanh", "relax.multiply"),
    example=lambda x: (relax.op.nn.gelu(x), relax.op.nn.relu(x)),
)
def gelu_to_relu(call: Any) -> Iterator[Any]:
    """Replace a GELU by a ReLU, also one spelled out as `x * (1 + erf(x / sqrt(2))) / 2`."""
    x = _spelled_gelu(call) if call.op.name == "relax.multiply" else call.args[0]
    if x is not None:
        yield relax.op.nn.relu(x)


@operator(
    "silu_to_relu",
    category="layer",
    stages=["graph"],
    on=("relax.nn.silu", "relax.multiply"),
    example=lambda x: (relax.op.multiply(x, relax.op.sigmoid(x)), relax.op.nn.relu(x)),
)
def silu_to_relu(call: Any) -> Iterator[Any]:
    """Replace a SiLU (swish), `x * sigmoid(x)`, or a hard swish, by a ReLU."""
    product = call.op.name == "relax.multiply"
    x = _gated(call.args[0], call.args[1], GATES) if product else call.args[0]
    if x is not None:
        yield relax.op.nn.relu(x)


@operator(
    "softmax_to_identity",
    category="layer",
    stages=["graph"],
    on=("relax.nn.softmax", "relax.nn.log_softmax"),
    example=lambda x: (relax.op.nn.softmax(x), x),
)
def softmax_to_identity(call: Any) -> Iterator[Any]:
    """Leave a softmax out: the output is no distribution any more."""
    yield call.args[0]


def _gated(left: Any, right: Any, gates: Collection[str]) -> Any:
    """The `x` of a product of `x` and a gate that is computed from it, on either side."""
    for x, gate in ((left, right), (right, left)):
        if _is_gate(gate, x, gates):
            return x
    return None


def _is_gate(operand: Any, x: Any, gates: Collection[str]) -> bool:
    """Whether an operand is computed from `x` element by element, through one of the gates."""
    passed = False
    while is_made_by(operand, *gates, *SCALING):
        passed = passed or is_made_by(operand, *gates)
        made = producer(operand)
        operand = next((arg for arg in made.args if depth(arg) is not None), None)
        if operand is None:
            return False
        if operand.same_as(x):
            return passed
    return False


def _spelled_gelu(product: Any) -> Any:
    """The `x` of a GELU written as multiplications, of which this is the last; or None."""
    factor, rest = _scaled(product)
    made = producer(rest) if factor != 1.0 else product
    if made is None or made.op.name != "relax.multiply":
        return None
    (left_factor, left), (right_factor, right) = map(_scaled, made.args)
    # the half is what tells the last multiplication from those before it
    if abs(factor * left_factor * right_factor - 0.5) > 1e-6:
        return None
    return _gated(left, right, ERRORS)


def _scaled(operand: Any) -> tuple[float, Any]:
    """Take multiplications by a number off an operand."""
    factor = 1.0
    while is_made_by(operand, "relax.multiply"):
        left, right = producer(operand).args
        number, rest = (
            (constant(left), right)
            if constant(left) is not None
            else (
                constant(right),
                left,
            )
        )
        if number is None:
            break
        factor, operand = factor * number, rest
    return factor, operand
