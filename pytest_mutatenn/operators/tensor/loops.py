"""Loop bounds (MutateNN's change_loop_threshold), and loops run at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm import tirx
from tvm.tirx import BufferStore, For, ForKind, IfThenElse
from tvm_ffi.structural import structural_walk

from pytest_mutatenn.operators.registry import operator
from pytest_mutatenn.operators.tensor.drops import accumulates
from pytest_mutatenn.operators.tensor.dtypes import constant, literal
from pytest_mutatenn.operators.tensor.places import out

_COUNTED = (ForKind.SERIAL, ForKind.PARALLEL, ForKind.UNROLLED)
_CONCURRENT = (ForKind.PARALLEL, ForKind.THREAD_BINDING)
_I: Any = tirx.Var("i", "int32")
_NOTHING = tirx.Evaluate(tirx.const(0, "int32"))


def _loop(low: int, extent: int) -> Any:
    kind = ForKind.SERIAL
    return For(_I, tirx.const(low, "int32"), tirx.const(extent, "int32"), kind, _NOTHING)


def _changed(node: Any, *, low: Any = None, extent: Any = None, kind: Any = None) -> Any:
    return For(
        node.loop_var,
        node.min if low is None else low,
        node.extent if extent is None else extent,
        node.kind if kind is None else kind,
        node.body,
        node.thread_binding,
        node.annotations,
        node.step,
    )


def _is_counted(node: Any) -> bool:
    """Whether code counts to the loop's bound.

    Loops over threads and vector lanes are no such bounds, and a loop of one round is none to a
    compiler.
    """
    return node.kind in _COUNTED and literal(node.extent) != 1


@operator(
    "loop_extent_minus_one",
    category="stores",
    on=For,
    groups=["default"],
    example=lambda: (_loop(0, 8), _loop(0, 7)),
)
def loop_extent_minus_one(node: Any) -> Iterator[Any]:
    """Leave out a loop's last round."""
    if _is_counted(node):
        yield _changed(node, extent=node.extent - constant(1, node.extent))


@operator(
    "loop_extent_plus_one",
    category="stores",
    on=For,
    example=lambda: (_loop(0, 8), _loop(0, 9)),
)
def loop_extent_plus_one(node: Any) -> Iterator[Any]:
    """Run a loop one round too far, and maybe out of its buffers."""
    if _is_counted(node):
        yield _changed(node, extent=node.extent + constant(1, node.extent))


@operator(
    "loop_start_plus_one",
    category="stores",
    on=For,
    example=lambda: (_loop(0, 8), _loop(1, 7)),
)
def loop_start_plus_one(node: Any) -> Iterator[Any]:
    """Leave out a loop's first round."""
    if _is_counted(node):
        one = constant(1, node.extent)
        yield _changed(node, low=node.min + one, extent=node.extent - one)


def _sum(kind: Any) -> Any:
    one, eight = tirx.const(1.0, "float32"), tirx.const(8, "int32")
    zero = tirx.const(0, "int32")
    return For(_I, zero, eight, kind, BufferStore(out(), out()[zero] + one, [zero]))


def _found(statement: Any, kind: Any) -> list[Any]:
    found: list[Any] = []
    structural_walk(statement, [((kind,), found.append)])
    return found


def _uses(expressions: Any, var: Any) -> bool:
    return any(used.same_as(var) for one in expressions for used in _found(one, tirx.Var))


def _is_reduced(store: Any, loop: Any) -> bool:
    """Whether the rounds of a loop update one place by what the round before left there."""
    if not accumulates(store) or _uses(store.indices, loop.loop_var):
        return False
    # where every round starts the sum anew they share nothing; the first round alone may do so
    first = [
        other
        for branch in _found(loop.body, IfThenElse)
        if _uses([branch.condition], loop.loop_var)
        for other in _found(branch, BufferStore)
    ]
    return not any(
        other.buffer.same_as(store.buffer)
        and not accumulates(other)
        and not any(other.same_as(one) for one in first)
        for other in _found(loop.body, BufferStore)
    )


@operator(
    "parallel_race",
    category="stores",
    on=For,
    stages=["device"],
    example=lambda: (_sum(ForKind.SERIAL), _sum(ForKind.PARALLEL)),
)
def parallel_race(node: Any) -> Iterator[Any]:
    """Run the rounds of a reduction on many threads at once: a data race.

    On CPUs only, and only where no loop around or inside is parallel, which TVM refuses. With
    one thread (`TVM_NUM_THREADS=1`) the rounds run one after the other, and nothing shows.
    """
    if node.kind != ForKind.SERIAL or literal(node.extent) == 1:
        return
    if any(loop.kind in _CONCURRENT for loop in _found(node.body, For)):
        return
    if any(_is_reduced(store, node) for store in _found(node.body, BufferStore)):
        yield _changed(node, kind=ForKind.PARALLEL)
