"""Activations replaced by one another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm import relax

from pytest_mutatenn.operators.registry import operator

RELU = ("relax.nn.relu", "relax.clip")


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
