"""The nodes of the stage ``weights``: what of a parameter tensor an operator is asked about.

An operator on weights is asked about one of these, drawn with the run's seed or named by a mutant's
id, and yields the tensor's new values. Needs NumPy alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Parameter:
    """A parameter tensor of the network, the whole of it.

    Attributes
    ----------
    name
        Its name in the imported graph.
    role
        What a layer does with it: ``weight`` and ``bias`` of a convolution or a dense layer,
        ``scale``, ``shift``, ``mean`` and ``variance`` of a batch norm, or ``other``.
    axis
        The axis of its output channels.
    values
        float16, float32 or float64; read-only.
    number, bit
        Which one of its kind it is; see the classes below. Here 1 and -1.
    """

    name: str
    role: str
    axis: int
    values: Array
    number: int = 1
    bit: int = -1

    def random(self) -> np.random.Generator:
        """Random numbers that depend on the parameter's name and its number alone."""
        return generator(self.name, self.number)

    @classmethod
    def draw(cls, whole: Parameter, seed: int, operator: str, within: Set[str]) -> Iterator[Self]:
        """Nodes of this kind in a parameter, in an order that the seed decides.

        The first that an operator changes becomes a mutant. ``within`` narrows them where the
        operator names roles of a node of this kind.
        """
        yield cls.of(whole)

    @classmethod
    def of(cls, whole: Parameter, number: int = 1, bit: int = -1) -> Self:
        """The node of that number in a parameter."""
        return cls(whole.name, whole.role, whole.axis, whole.values, number, bit)

    def exists(self) -> bool:
        """Whether the parameter has such a node; asked of one that an id names."""
        return (self.number, self.bit) == (1, -1)


class Draw(Parameter):
    """A whole tensor, and random numbers: ``number`` is the seed that the run was given."""

    @classmethod
    def draw(cls, whole: Parameter, seed: int, operator: str, within: Set[str]) -> Iterator[Self]:
        """The one of the run's seed."""
        yield cls.of(whole, seed)

    def exists(self) -> bool:
        """Any seed will do."""
        return self.number >= 0 and self.bit < 0


class Channel(Parameter):
    """One output channel of a parameter, counted by ``number`` from 0."""

    @property
    def count(self) -> int:
        """How many channels the parameter has."""
        return int(self.values.shape[self.axis])

    def of_channel(self, values: Array, number: int) -> Array:
        """A view of one channel of an array of the parameter's shape."""
        return np.moveaxis(values, self.axis, 0)[number, ...]  # a view of one number, too

    def changed(self, new: Array | float) -> Array:
        """The parameter with this channel exchanged."""
        values = self.values.copy()
        self.of_channel(values, self.number)[...] = new
        return values

    @classmethod
    def draw(cls, whole: Parameter, seed: int, operator: str, within: Set[str]) -> Iterator[Self]:
        """Every channel, shuffled."""
        if whole.values.ndim:
            count = whole.values.shape[whole.axis]
            for number in generator(seed, operator, whole.name).permutation(count):
                yield cls.of(whole, int(number))

    def exists(self) -> bool:
        """Whether there are so many channels."""
        return bool(self.values.ndim) and 0 <= self.number < self.count and self.bit < 0


class Bit(Parameter):
    """One bit of one element: ``number`` is the element, from 0 in C order, ``bit`` 0 the lowest.

    Its roles are ``sign``, ``exponent`` and ``mantissa``.
    """

    _TRIES = 16  # elements drawn, where an operator leaves the first as it is

    def flipped(self) -> Array:
        """The parameter with this bit flipped."""
        values = self.values.copy()
        flat = bits_of(values)
        flat[self.number] ^= flat.dtype.type(1 << self.bit)
        return values

    @classmethod
    def draw(cls, whole: Parameter, seed: int, operator: str, within: Set[str]) -> Iterator[Self]:
        """Elements and bits at random."""
        random = generator(seed, operator, whole.name)
        bits = bits_within(whole.values.dtype, within)
        for _ in range(min(cls._TRIES, whole.values.size)):
            yield cls.of(whole, int(random.integers(whole.values.size)), int(random.choice(bits)))

    def exists(self) -> bool:
        """Whether the parameter has that element, and its type that bit."""
        return (
            0 <= self.number < self.values.size and 0 <= self.bit < 8 * self.values.dtype.itemsize
        )


class BitPlane(Parameter):
    """The same bit of every element of a parameter."""

    def stuck(self, at: int) -> Array:
        """The parameter with this bit 0, or 1, in every element."""
        values = self.values.copy()
        flat = bits_of(values)
        mask = flat.dtype.type(1 << self.bit)
        flat[...] = flat | mask if at else flat & ~mask
        return values

    @classmethod
    def draw(cls, whole: Parameter, seed: int, operator: str, within: Set[str]) -> Iterator[Self]:
        """Every bit, shuffled."""
        bits = bits_within(whole.values.dtype, within)
        for bit in generator(seed, operator, whole.name).permutation(bits):
            yield cls.of(whole, -1, int(bit))

    def exists(self) -> bool:
        """Whether the type has that bit."""
        return self.number == -1 and 0 <= self.bit < 8 * self.values.dtype.itemsize


def bits_of(values: Array) -> Array:
    """A flat view of an array's bits, as unsigned integers."""
    return values.reshape(-1).view(f"u{values.dtype.itemsize}")


def role_of_bit(bit: int, dtype: np.dtype[Any]) -> str:
    """Tell what a bit of an IEEE 754 number is."""
    if bit == 8 * dtype.itemsize - 1:
        return "sign"
    return "mantissa" if bit < np.finfo(dtype).nmant else "exponent"


def bits_within(dtype: np.dtype[Any], within: Set[str]) -> list[int]:
    """The bits of a type that have one of the roles; all where no role of a bit is named."""
    everything = range(8 * dtype.itemsize)
    return [b for b in everything if role_of_bit(b, dtype) in within] or list(everything)


def generator(*words: object) -> np.random.Generator:
    """Random numbers that are the same everywhere for the same words."""
    text = "\0".join(map(str, words)).encode()
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text).digest()[:16], "little"))
