"""The places that a kernel loads from and stores to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

from tvm import tirx
from tvm.ir import prim
from tvm.ir.expr import TensorLoad
from tvm.tirx import BufferStore
from tvm_ffi import structural_equal

from pytest_mutatenn.operators.registry import operator
from pytest_mutatenn.operators.tensor.dtypes import constant, dtype_of, literal
from pytest_mutatenn.operators.tensor.places import grid, out

_INT16 = 2**15

Shift = Callable[[Any, int], Any]  # an index, and the last place that it may have


def _at(node: Any, indices: list[Any]) -> Any:
    if isinstance(node, BufferStore):
        return BufferStore(node.buffer, node.value, indices)
    return tirx.BufferLoad(node.source, indices)


def _shape(node: Any) -> Any:
    return (node.buffer if isinstance(node, BufferStore) else node.source).shape


def _moved(node: Any, shift: Shift, longer_than: int) -> Iterator[Any]:
    """The load or store with one index moved, for each axis that has room for it.

    Of a vector of places the first moves and takes the others along: it stays one load.
    """
    for axis, (index, extent) in enumerate(zip(node.indices, _shape(node), strict=True)):
        known = literal(extent)
        if known is None or known <= longer_than:
            continue
        new, last = None, int(known) - 1
        if not isinstance(index, prim.Ramp):
            new = shift(index, last)
        elif (stride := literal(index.stride)) is not None and stride >= 0:
            last -= int(stride) * (int(literal(index.lanes) or 1) - 1)
            new = prim.Ramp(shift(index.base, last), index.stride, index.lanes)
        if new is not None and not structural_equal(new, index):
            indices = list(node.indices)
            indices[axis] = new
            yield _at(node, indices)


def _next(index: Any, last: int) -> Any:
    known = literal(index)
    if known is not None:
        return constant(min(known + 1, max(last, known)), index)
    return prim.Min(index + constant(1, index), constant(last, index))


@operator(
    "index_plus_one",
    category="stores",
    on=(TensorLoad, BufferStore),
    groups=["default"],
    example=lambda i: (out()[i], out()[prim.Min(i + 1, tirx.const(7, "int32"))]),
)
def index_plus_one(node: Any) -> Iterator[Any]:
    """Load from, or store to, the next element: one mutant for every index.

    The last element is its own next: what is outside a buffer is undefined behaviour, which
    shows or does not whatever the tests ask. A vector moves as a whole, as far as there is room.
    """
    yield from _moved(node, _next, 1)


def _wrapped(index: Any, last: int) -> Any:
    if literal(index) is not None:
        return index
    # in arithmetic, not by casts: TVM's simplifier takes it that a cast of an index loses nothing
    shifted = index + constant(_INT16, index)
    narrow = prim.FloorMod(shifted, constant(2 * _INT16, index)) - constant(_INT16, index)
    return prim.Min(prim.Max(narrow, constant(0, index)), constant(last, index))


_LONG: Any = tirx.decl_buffer((40000,), "float32", "long")


@operator(
    "index_int32_to_int16",
    category="types",
    on=(TensorLoad, BufferStore),
    example=lambda i: (_LONG[i], _LONG[_wrapped(i, 39999)]),
)
def index_int32_to_int16(node: Any) -> Iterator[Any]:
    """Pass an index of a long axis through int16 and back.

    Only where the axis has more than 32768 elements, so that it can matter. What wraps below
    zero reads or writes the first element, so that nothing outside the buffer is touched.
    """
    yield from _moved(node, _wrapped, _INT16)


@operator(
    "index_swap",
    category="stores",
    on=TensorLoad,
    example=lambda i, j: (grid()[i, j], grid()[j, i]),
)
def index_swap(node: Any) -> Iterator[Any]:
    """Swap two indices of a load, along axes of the same length: a transposed read."""
    extents = [literal(extent) for extent in _shape(node)]
    for first, second in combinations(range(len(extents)), 2):
        one, other = node.indices[first], node.indices[second]
        if extents[first] is None or extents[first] != extents[second] or extents[first] == 1:
            continue
        if dtype_of(one) == dtype_of(other) and not structural_equal(one, other):
            indices = list(node.indices)
            indices[first], indices[second] = other, one
            yield _at(node, indices)
