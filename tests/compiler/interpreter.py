"""A kernel as plain Python, for the truth about which elements it touches.

What is loaded is zero, so this is for kernels whose indices and conditions do not depend on data.
"""

import math

from tvm import tirx
from tvm.ir import Call, Var, prim
from tvm.ir.expr import TensorLoad

# what computes values, and no index
VALUES = (
    *(prim.Div, prim.LShift, prim.RShift),
    *(prim.BitwiseAnd, prim.BitwiseOr, prim.BitwiseXor),
)
SIGNS = {
    prim.Add: "+",
    prim.Sub: "-",
    prim.Mul: "*",
    prim.FloorDiv: "//",
    prim.FloorMod: "%",
    prim.LT: "<",
    prim.LE: "<=",
    prim.GT: ">",
    prim.GE: ">=",
    prim.EQ: "==",
    prim.NE: "!=",
    prim.And: "and",
    prim.Or: "or",
}


def parts(buffer):
    """Bits and lanes of an element."""
    dtype = buffer.ty.dtype.dtype
    return dtype.bits, dtype.lanes


class Interpreter:
    """Touches what a kernel touches; `outside` is a set of (reads or writes, name, index)."""

    def __init__(self, func):
        self.names = {}
        self.views = {}
        self.lines = []
        self.outside = set()
        self.statement(func.body, 0)
        source = "\n".join(self.lines)
        exec(source, {"touch": self.touch})

    def touch(self, does, name, index, size):
        if not 0 <= index < size:
            self.outside.add((does, name, index))
        return 0

    def name(self, var):
        return self.names.setdefault(var, f"v{len(self.names)}")

    def emit(self, depth, text):
        self.lines.append("  " * depth + text)

    def access(self, does, buffer, indices):
        (index,) = indices
        return f"touch({does!r}, {buffer.name!r}, {self.expr(index)}, {self.size(buffer)})"

    def size(self, buffer):
        """Elements of the memory that a buffer is a view of."""
        under = self.views.get(buffer, buffer)
        bits = math.prod(map(int, under.ty.shape)) * math.prod(parts(under))
        return bits // math.prod(parts(buffer))

    def expr(self, node):
        kind = type(node)
        if kind in SIGNS:
            return f"({self.expr(node.a)} {SIGNS[kind]} {self.expr(node.b)})"
        if isinstance(node, prim.FloatImm):
            return f"({float(node.value)!r})".replace("inf", "1e999").replace("nan", "0.0")
        if isinstance(node, prim.IntImm):
            return f"({int(node.value)})"
        if isinstance(node, TensorLoad):
            return self.access("reads", node.source, node.indices)
        if isinstance(node, Var):
            return self.name(node)
        if isinstance(node, prim.Ramp):
            return f"({self.expr(node.base)} + {self.expr(node.stride)} * lane)"
        if isinstance(node, prim.Broadcast | prim.Cast):
            return self.expr(node.value)
        if isinstance(node, prim.Max | prim.Min):
            name = "max" if isinstance(node, prim.Max) else "min"
            return f"{name}({self.expr(node.a)}, {self.expr(node.b)})"
        if isinstance(node, VALUES):
            return f"(0 * ({self.expr(node.a)} + {self.expr(node.b)}))"
        if isinstance(node, prim.Not):
            return f"(not {self.expr(node.a)})"
        if isinstance(node, prim.Let):
            body = f"(lambda {self.name(node.var)}: {self.expr(node.body)})"
            return f"{body}({self.expr(node.value)})"
        if isinstance(node, prim.Select):
            parts = node.condition, node.true_value, node.false_value
        elif isinstance(node, Call) and node.op.name.endswith("if_then_else"):
            parts = node.args
        else:
            return f"(0 * sum([{', '.join(self.expr(part) for part in node.args)}]))"
        condition, then, other = map(self.expr, parts)
        return f"({then} if {condition} else {other})"

    def statement(self, node, depth):
        if isinstance(node, tirx.SeqStmt):
            for part in node.seq:
                self.statement(part, depth)
        elif isinstance(node, tirx.For | tirx.AttrStmt):
            if isinstance(node, tirx.For):
                var, low, extent = node.loop_var, self.expr(node.min), self.expr(node.extent)
            else:
                var, low, extent = node.node.var, "0", self.expr(node.value)
            self.emit(depth, f"for {self.name(var)} in range({low}, {low} + {extent}):")
            self.statement(node.body, depth + 1)
        elif isinstance(node, tirx.IfThenElse):
            self.emit(depth, f"if {self.expr(node.condition)}:")
            self.statement(node.then_case, depth + 1)
            if node.else_case is not None:
                self.emit(depth, "else:")
                self.statement(node.else_case, depth + 1)
        elif isinstance(node, tirx.BufferStore):
            lanes = str(node.value.ty).partition("x")[2] or "1"
            self.emit(depth, f"for lane in range({lanes}):")
            self.emit(depth + 1, self.expr(node.value))
            self.emit(depth + 1, self.access("writes", node.buffer, node.indices))
        elif isinstance(node, tirx.Bind):
            self.emit(depth, f"{self.name(node.var)} = {self.expr(node.value)}")
        elif isinstance(node, tirx.Evaluate):
            self.emit(depth, self.expr(node.value))
        elif isinstance(node, tirx.DeclBuffer):
            (under,) = node.data.args
            self.views[node.buffer] = self.views.get(under, under)
        elif not isinstance(node, tirx.AllocBuffer):
            raise TypeError(type(node))
