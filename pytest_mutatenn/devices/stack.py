"""A kernel that leaves the stack as it is left on every run.

A mutant may read temporaries that it has not written. Small ones lie on the stack, where they hold
whatever was called last; after this kernel they hold NaN.
"""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.ir.prim import Cast
from tvm.tirx import AllocBuffer, BufferStore, For, ForKind, PrimFunc, SeqStmt

_FLOATS = 192  # TVM puts no more than 1 KiB on the stack in one piece
_PIECES = 64


def stack_poisoner() -> PrimFunc:
    """Write NaN over 48 KiB of stack.

    Returns
    -------
    PrimFunc
        A kernel of one float32 tensor of one element, which holds 0 and comes to hold NaN: so
        no compiler can leave the writes out.
    """
    out = tirx.decl_buffer((1,), "float32", "out")
    statements: list[Any] = []
    total: Any = tirx.const(0.0, "float32")
    where = Cast("int32", out[0])
    for piece in range(_PIECES):
        buffer = tirx.decl_buffer((_FLOATS,), "float32", f"piece_{piece}")
        i = tirx.Var("i", "int32")
        fill = BufferStore(buffer, tirx.const(float("nan"), "float32"), [i])
        zero, extent = tirx.const(0, "int32"), tirx.const(_FLOATS, "int32")
        statements += [AllocBuffer(buffer), For(i, zero, extent, ForKind.SERIAL, fill)]
        total = total + buffer[where]
    statements.append(BufferStore(out, total, [tirx.const(0, "int32")]))
    return PrimFunc([out], SeqStmt(statements))
