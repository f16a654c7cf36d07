"""How many output channels and columns a convolution computes at once.

Packed weights lie in blocks of 16 floats on every machine. How many of them, and of how many
columns, a tile takes depends on the target: its sums have to stay in the vector registers, of which
AVX-512 has 32 of 16 floats and AVX2 16 of 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache

from tvm.target import Target, codegen

__all__ = [
    "LANES",
    "ConvolutionTile",
    "Fit",
    "VectorUnit",
    "convolution_tile",
    "dense_tile",
    "divisors",
    "vector_unit",
]

LANES = 16
"""Floats in a block of packed weights, and at most in a vector of a schedule."""

_MAX_CHANNELS = 64
_ENOUGH_ACCUMULATORS = 12
"""Sums that hide the latency of a multiply-add (8 do on two units), with some to spare; more of
them make a kernel longer to compile and no faster."""


@dataclass(frozen=True)
class VectorUnit:
    """The vector registers of a processor: how many floats one holds, and how many there are."""

    floats: int
    registers: int


def vector_unit() -> VectorUnit:
    """Return the vector registers of the current target; those every CPU has where it says less."""
    target = Target.current(allow_none=True)
    if target is None or "cpu" not in target.keys:
        return _LEAST
    attributes = tuple(map(str, target.attrs.get("mattr", ())))
    width = int(target.attrs.get("vector-width", 0))
    return _unit_of(str(target.attrs.get("mcpu", "")), attributes, width)


@cache
def _unit_of(cpu: str, attributes: tuple[str, ...], width: int) -> VectorUnit:
    unit = _LEAST
    if cpu or attributes:
        config: dict[str, object] = {"kind": "llvm"}
        if cpu:
            config["mcpu"] = cpu
        if attributes:
            config["mattr"] = list(attributes)
        features = {str(name) for name in codegen.llvm_get_cpu_features(Target(config))}
        unit = next((u for name, u in _UNITS.items() if name in features), _LEAST)
    return VectorUnit(min(unit.floats, width // 32), unit.registers) if width else unit


_LEAST = VectorUnit(4, 16)
_UNITS = {"avx512f": VectorUnit(16, 32), "avx": VectorUnit(8, 16), "neon": VectorUnit(4, 32)}


class Fit(Enum):
    """How the blocks of channels and columns cover the output."""

    EXACT = "blocks divide the output"
    SLICE = "one block of channels wider than the output, cut afterwards"
    PAD = "channels and columns are rounded up, and what is needed is copied out"


@dataclass(frozen=True)
class ConvolutionTile:
    """The part of a convolution's output that stays in registers: `lanes` x `columns`."""

    fit: Fit
    lanes: int
    columns: int


def divisors(number: int, limit: int) -> list[int]:
    """Return the divisors of `number` up to `limit`, ascending."""
    return [d for d in range(1, min(number, limit) + 1) if number % d == 0]


def power_of_two_part(number: int) -> int:
    """Return the largest power of two that divides `number`."""
    return number & -number


def throughput(channels: int, columns: int, lanes: int = LANES) -> float:
    """Return the multiply-adds a cycle that a register tile reaches, after a port model.

    The model: two fused multiply-adds and two loads a cycle, a latency of four cycles, and the
    current target's registers, one of which holds the input. Of equals, the tile with more
    accumulators wins, up to as many as are of use.

    Parameters
    ----------
    channels, columns
        The tile.
    lanes
        Floats in a vector of the schedule; a wider one than the target's takes several registers.
    """
    unit = vector_unit()
    vectors = -(-channels // min(lanes, unit.floats))
    accumulators = vectors * columns
    if accumulators + vectors + 1 > unit.registers - 1:
        return 0.0
    cycles = max(accumulators / 2, (vectors + columns) / 2, 4.0)
    return channels * columns / cycles * (1 + 0.01 * min(accumulators, _ENOUGH_ACCUMULATORS))


def convolution_tile(channels: int, groups: int, width: int) -> ConvolutionTile:
    """Choose the tile of a convolution.

    Parameters
    ----------
    channels
        Output channels of one group.
    groups
        Groups of the convolution.
    width
        Output columns.
    """
    best = (0.0, ConvolutionTile(Fit.EXACT, 1, 1))

    def offer(score: float, fit: Fit, lanes: int, columns: int) -> None:
        nonlocal best
        if score > best[0]:
            best = score, ConvolutionTile(fit, lanes, columns)

    for lanes in divisors(channels, _MAX_CHANNELS):
        vector = min(LANES, power_of_two_part(lanes))
        if lanes % LANES and lanes != power_of_two_part(channels):
            continue
        for columns in divisors(width, 28 if lanes <= LANES else 16):
            offer(throughput(lanes, columns, vector), Fit.EXACT, lanes, columns)
    for lanes in range(LANES, 80 + 1, LANES):
        blocks = -(-channels // lanes)
        used = channels / (blocks * lanes)
        if blocks > 1 and blocks * lanes - channels >= LANES:
            continue
        if groups == 1 and blocks == 1:
            for columns in divisors(width, 16):
                offer(0.97 * used * throughput(lanes, columns), Fit.SLICE, lanes, columns)
        for columns in range(1, min(width, 16) + 1):
            used_columns = width / (-(-width // columns) * columns)
            score = 0.85 * used * used_columns * throughput(lanes, columns)
            offer(score, Fit.PAD, lanes, columns)
    return best[1]


def dense_tile(outputs: int, rows: int) -> ConvolutionTile:
    """Choose the tile of a matrix product: `outputs` columns of the weights by `rows` of data."""
    candidates = [d for d in divisors(outputs, _MAX_CHANNELS) if d % LANES == 0]
    candidates = candidates or [d for d in divisors(outputs, _MAX_CHANNELS) if d % 8 == 0]
    if candidates:
        fit, lanes = Fit.EXACT, min(candidates, key=lambda d: abs(d - 2 * LANES))
    else:
        fit, lanes = Fit.PAD, LANES if outputs <= LANES else 2 * LANES
    vector = min(LANES, power_of_two_part(lanes))
    columns = max(divisors(rows, 14), key=lambda c: throughput(lanes, c, vector))
    return ConvolutionTile(fit, lanes, columns)
