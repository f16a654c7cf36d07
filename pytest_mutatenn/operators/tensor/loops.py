"""Loop bounds (MutateNN's change_loop_threshold)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm import tirx
from tvm.tirx import For, ForKind

from pytest_mutatenn.operators.registry import operator
from pytest_mutatenn.operators.tensor.dtypes import constant, literal

_COUNTED = (ForKind.SERIAL, ForKind.PARALLEL, ForKind.UNROLLED)
_I = tirx.Var("i", "int32")
_NOTHING = tirx.Evaluate(tirx.const(0, "int32"))


def _loop(low: int, extent: int) -> Any:
    kind = ForKind.SERIAL
    return For(_I, tirx.const(low, "int32"), tirx.const(extent, "int32"), kind, _NOTHING)


@operator(
    "loop_extent_minus_one",
    category="stores",
    on=For,
    groups=["default"],
    example=lambda: (_loop(0, 8), _loop(0, 7)),
)
def loop_extent_minus_one(node: Any) -> Iterator[Any]:
    """Leave out a loop's last round.

    Loops over threads and vector lanes are not bounds that code counts to, and a loop of one
    round is none to a compiler; both are left alone.
    """
    if node.kind in _COUNTED and literal(node.extent) != 1:
        yield For(
            node.loop_var,
            node.min,
            node.extent - constant(1, node.extent),
            node.kind,
            node.body,
            node.thread_binding,
            node.annotations,
            node.step,
        )
