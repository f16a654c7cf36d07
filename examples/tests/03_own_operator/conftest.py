"""Two mutation operators of our own; see test_03_own_operator.py.

An operator is a function from what the network has to what it might have instead. The plugin finds
the places, numbers them, and makes and runs the mutants.
"""

import numpy as np
from tvm import relax

from pytest_mutatenn import operator
from pytest_mutatenn.operators.parameter import Parameter


def clip(x, low, high):
    return relax.op.clip(x, low, high)


@operator(
    "clip_lower",
    category="layer",
    stages=["graph"],
    on="relax.clip",
    example=lambda x: (clip(x, 0.0, 6.0), clip(x, 0.0, 3.0)),
)
def clip_lower(call, *, part=0.5):
    """Clip at a part of the upper bound: a ReLU6 that is a ReLU3."""
    x, low, high = call.args
    yield clip(x, low, float(high) * part)


@operator(
    "coarse_weights",
    category="weights",
    stages=["weights"],
    on=Parameter,
    within=["weight"],
    example=lambda tensor: (tensor, np.array([[0, -0.0, 2], [4, -8, 16]], np.float32)),
)
def coarse_weights(tensor, *, bits=4):
    """Round the weights of a layer to a few bits each, as a quantised export would."""
    step = np.abs(tensor.values).max() / 2 ** (bits - 1)
    yield np.round(tensor.values / step) * step
