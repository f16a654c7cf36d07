"""Parameters of the network changed: soft errors in memory, and damaged neurons.

Single-bit flips and stuck bits are the fault models of hardware fault injection (TensorFI, Chen et
al. 2020; PyTorchFI, Mahmoud et al. 2020); the noise and the operators on channels are those of
DeepMutation (Ma et al. 2018). Nothing is compiled anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pytest_mutatenn.operators.parameter import Bit, BitPlane, Channel, Draw, Parameter
from pytest_mutatenn.operators.registry import operator


def _array(*rows: list[float]) -> Any:
    return np.array(rows, np.float32)


@operator(
    "bit_flip_sign",
    category="weights",
    stages=["weights"],
    on=Bit,
    within=["sign"],
    example=lambda bit: (bit, _array([0.5, -1, 2], [4, 8, 16])),
)
def bit_flip_sign(bit: Any) -> Iterator[Any]:
    """Flip the sign of one parameter."""
    yield bit.flipped()


@operator(
    "bit_flip_exponent",
    category="weights",
    stages=["weights"],
    on=Bit,
    within=["exponent"],
    groups=["default"],
    example=lambda bit: (bit, _array([0.5, -1, 2], [4, -16, 16])),
)
def bit_flip_exponent(bit: Any) -> Iterator[Any]:
    """Flip one bit of one parameter's exponent: the soft error that shows most."""
    yield bit.flipped()


@operator(
    "bit_flip_mantissa",
    category="weights",
    stages=["weights"],
    on=Bit,
    within=["mantissa"],
    example=lambda bit: (bit, _array([0.5, -1, 2], [4, -8 * (1 + 2**-23), 16])),
)
def bit_flip_mantissa(bit: Any) -> Iterator[Any]:
    """Flip one bit of one parameter's mantissa."""
    yield bit.flipped()


@operator(
    "stuck_at_zero",
    category="weights",
    stages=["weights"],
    on=BitPlane,
    example=lambda bits: (bits, _array([0.5, 1, 2], [4, 8, 16])),
)
def stuck_at_zero(bits: Any) -> Iterator[Any]:
    """Hold one bit at 0 in every element of a parameter: a broken data line."""
    yield bits.stuck(0)


@operator(
    "stuck_at_one",
    category="weights",
    stages=["weights"],
    on=BitPlane,
    example=lambda bits: (bits, _array([-0.5, -1, -2], [-4, -8, -16])),
)
def stuck_at_one(bits: Any) -> Iterator[Any]:
    """Hold one bit at 1 in every element of a parameter: a broken data line."""
    yield bits.stuck(1)


@operator(
    "zero_channel",
    category="weights",
    stages=["weights"],
    on=Channel,
    within=["weight"],
    groups=["default"],
    example=lambda channel: (channel, _array([0.5, -1, 2], [0, 0, 0])),
)
def zero_channel(channel: Any) -> Iterator[Any]:
    """Zero the weights of one output channel (DeepMutation's neuron effect blocking)."""
    yield channel.changed(0)


@operator(
    "scale_channel",
    category="weights",
    stages=["weights"],
    on=Channel,
    within=["weight"],
    example=lambda channel: (channel, _array([0.5, -1, 2], [-4, 8, -16])),
)
def scale_channel(channel: Any, *, factor: float = -1.0) -> Iterator[Any]:
    """Scale the weights of one output channel, by -1 unless told otherwise.

    With -1 it is DeepMutation's neuron activation inverse.
    """
    yield channel.changed(channel.of_channel(channel.values, channel.number) * np.float32(factor))


@operator(
    "swap_channels",
    category="weights",
    stages=["weights"],
    on=Channel,
    within=["weight"],
    example=lambda channel: (channel, _array([4, -8, 16], [0.5, -1, 2])),
)
def swap_channels(channel: Any) -> Iterator[Any]:
    """Swap one output channel with another (DeepMutation's neuron switch)."""
    if channel.count > 1:
        step = 1 + int(channel.random().integers(channel.count - 1))
        other = (channel.number + step) % channel.count
        values = channel.changed(channel.of_channel(channel.values, other))
        channel.of_channel(values, other)[...] = channel.of_channel(channel.values, channel.number)
        yield values


@operator(
    "shuffle_channel",
    category="weights",
    stages=["weights"],
    on=Channel,
    within=["weight"],
    example=lambda channel: (channel, _array([0.5, -1, 2], [4, 16, -8])),
)
def shuffle_channel(channel: Any) -> Iterator[Any]:
    """Shuffle the weights of one output channel (DeepMutation's weight shuffling)."""
    mine = channel.of_channel(channel.values, channel.number)
    yield channel.changed(channel.random().permutation(mine.reshape(-1)).reshape(mine.shape))


@operator(
    "gaussian_noise",
    category="weights",
    stages=["weights"],
    on=Draw,
    within=["weight"],
    groups=["default"],
    example=lambda tensor: (tensor, next(gaussian_noise(tensor))),
)
def gaussian_noise(tensor: Any, *, strength: float = 0.5) -> Iterator[Any]:
    """Add Gaussian noise to a parameter (DeepMutation's Gaussian fuzzing).

    Its standard deviation is the parameter's own times the strength.
    """
    values = tensor.values
    noise = tensor.random().standard_normal(values.shape) * (strength * values.std())
    yield (values + noise).astype(values.dtype)


@operator(
    "drop_bias",
    category="weights",
    stages=["weights"],
    on=Parameter,
    within=["bias"],
    example=lambda bias: (bias, _array([0, 0, 0], [0, 0, 0])),
)
def drop_bias(bias: Any) -> Iterator[Any]:
    """Zero the bias of a layer."""
    yield np.zeros_like(bias.values)
