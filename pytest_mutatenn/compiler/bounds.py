"""Whether a kernel stays inside its buffers: every access, for every value of its loops.

What depends on data cannot be known before the kernel runs: an index that is loaded counts as
inside, and a condition that is loaded as one that may hold. Everything else is decided exactly,
but for kernels that fuse more than a million values into one index with its guards (a GPU's blocks
and threads can): those are said to be undecided.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.ir import Call, Var, prim
from tvm.ir.expr import TensorLoad
from tvm.tirx import PrimFunc

from pytest_mutatenn.compiler.extremes import Scope, worst
from pytest_mutatenn.compiler.points import Guard, Undecided, children, is_if


@dataclass(frozen=True)
class Stray:
    """An access outside its buffer.

    Attributes
    ----------
    text
        What it does: ``reads pad_temp[-33], outside its 1024 elements``.
    certain
        Whether it is known to happen; else there are too many indices to try them out.
    """

    text: str
    certain: bool = True


def outside(func: PrimFunc) -> Stray | None:
    """Find the first access of a kernel that leaves its buffer.

    Parameters
    ----------
    func
        A kernel at the device stage: flat buffers, no blocks.

    Returns
    -------
    Stray or None
        The first in the order of the kernel's text, with the index that is furthest outside; one
        that is only possible if none is certain; ``None`` if all stay inside.
    """
    possible: Stray | None = None
    for stray in _Walk().statement(func.body):
        if stray.certain:
            return stray
        possible = possible or stray
    return possible


class _Walk:
    """Goes through a kernel, and knows at every access what is around it."""

    def __init__(self) -> None:
        self.scope = Scope()
        self.guards: list[Guard] = []
        self.aliases: dict[Any, Any] = {}

    @contextmanager
    def _under(self, *guards: Guard) -> Iterator[None]:
        before = len(self.guards)
        self.guards += guards
        yield
        del self.guards[before:]

    def statement(self, node: Any) -> Iterator[Stray]:
        """Everything that a statement gets wrong, in order."""
        if isinstance(node, tirx.SeqStmt):
            for part in node.seq:
                yield from self.statement(part)
        elif isinstance(node, tirx.For):
            yield from self._values(node.min, node.extent)
            yield from self._loop(node.loop_var, node.min, node.extent, node.body)
        elif isinstance(node, tirx.BufferStore):
            yield from self._access("writes", node.buffer, list(node.indices))
            yield from self._values(node.value)
        elif isinstance(node, tirx.IfThenElse):
            yield from self._values(node.condition)
            with self._under((node.condition, True)):
                yield from self.statement(node.then_case)
            if node.else_case is not None:
                with self._under((node.condition, False)):
                    yield from self.statement(node.else_case)
        elif isinstance(node, tirx.While):
            yield from self._values(node.condition)
            with self._under((node.condition, True)):
                yield from self.statement(node.body)
        elif isinstance(node, tirx.Bind):
            yield from self._values(node.value)
            self.scope.values[node.var] = node.value
        elif isinstance(node, tirx.Evaluate):
            yield from self._values(node.value)
        elif isinstance(node, tirx.DeclBuffer):
            self._alias(node)
        elif isinstance(node, tirx.AttrStmt):
            if node.attr_key in ("thread_extent", "virtual_thread"):
                var = getattr(node.node, "var", node.node)
                yield from self._loop(var, tirx.const(0, str(var.ty)), node.value, node.body)
            else:
                yield from self.statement(node.body)

    def _loop(self, var: Any, low: Any, extent: Any, body: Any) -> Iterator[Stray]:
        fixed = isinstance(low, prim.IntImm) and isinstance(extent, prim.IntImm)
        if fixed and extent.value <= 0:
            return
        self.scope.bind(var, low, extent)
        # of bounds that vary, the variable's range is the union: the rest is a guard
        guards = [] if fixed else [(prim.GE(var, low), True), (prim.LT(var, low + extent), True)]
        with self._under(*guards):
            yield from self.statement(body)

    def _alias(self, node: Any) -> None:
        """Remember what lies under a buffer: a view may be smaller than what it is a view of."""
        under = node.data.args[0] if isinstance(node.data, Call) and node.data.args else node.data
        if isinstance(under, Var) and hasattr(under.ty, "shape"):
            self.aliases[node.buffer] = self.aliases.get(under, under)

    def _values(self, *nodes: Any) -> Iterator[Stray]:
        """Everything that expressions load."""
        for node in nodes:
            if isinstance(node, TensorLoad):
                yield from self._access("reads", node.source, list(node.indices))
            elif is_if(node) or (isinstance(node, prim.Select) and _scalar(node.condition)):
                # a Select of loads becomes a branch, unless its condition is a vector
                condition, then, other = children(node)
                yield from self._values(condition)
                yield from self._if(condition, True, then)
                yield from self._if(condition, False, other)
            elif isinstance(node, prim.And | prim.Or):
                yield from self._values(node.a)
                yield from self._if(node.a, isinstance(node, prim.And), node.b)
            elif isinstance(node, prim.Let):
                yield from self._values(node.value)
                self.scope.values[node.var] = node.value
                yield from self._values(node.body)
            elif isinstance(node, Call) and getattr(node.op, "name", "").endswith("access_ptr"):
                yield from self._pointer(node)
            else:
                yield from self._values(*children(node))

    def _if(self, condition: Any, holds: bool, node: Any) -> Iterator[Stray]:
        with self._under((condition, holds)):
            yield from self._values(node)

    def _pointer(self, node: Any) -> Iterator[Stray]:
        """A pointer given away: all that it is said to reach."""
        data, offset, extent, mode = list(node.args)[1:5]
        yield from self._values(offset, extent)
        buffer = data.args[0] if isinstance(data, Call) and data.args else data
        does = "writes" if isinstance(mode, prim.IntImm) and mode.value & 2 else "reads"
        if isinstance(extent, prim.IntImm) and extent.value > 0:
            yield from self._access(does, buffer, [prim.Ramp(offset, 1, int(extent.value))])

    def _access(self, does: str, buffer: Any, indices: list[Any]) -> Iterator[Stray]:
        sizes = self._sizes(buffer)
        for axis, (index, size) in enumerate(zip(indices, sizes, strict=False)):
            if size is None:
                continue
            where = ["_"] * len(sizes)
            elements = f"{' x '.join(map(str, sizes))} element{'s' * (sizes != [1])}"
            try:
                found = worst(index, size, self.guards, self.scope)
            except Undecided:
                where[axis] = index.script().rstrip().splitlines()[-1]
                text = f"may reach {buffer.name}[{', '.join(where)}] outside its {elements}"
                yield Stray(f"{text}: too many indices to try out", certain=False)
            else:
                if found is not None:
                    where[axis] = str(found)
                    text = f"{does} {buffer.name}[{', '.join(where)}], outside its {elements}"
                    yield Stray(text)
        for index in indices:
            yield from self._values(index)

    def _sizes(self, buffer: Any) -> list[int | None]:
        """The extents of a buffer; ``None`` for one that is not known."""
        shape = getattr(getattr(buffer, "ty", None), "shape", [])
        sizes = [int(n) if isinstance(n, int | prim.IntImm) else None for n in shape]
        under = self.aliases.get(buffer)
        if under is None or len(sizes) != 1 or not _at_start(buffer):
            return sizes
        extents = [n for n in under.ty.shape if isinstance(n, int | prim.IntImm)]
        if len(extents) != len(under.ty.shape):
            return [None]
        return [math.prod(map(int, extents)) * _bytes(under) // _bytes(buffer)]


def _at_start(buffer: Any) -> bool:
    offset = buffer.ty.elem_offset
    return offset is None or (isinstance(offset, prim.IntImm) and offset.value == 0)


def _bytes(buffer: Any) -> int:
    dtype = buffer.ty.dtype.dtype
    return -(-int(dtype.bits) // 8) * int(dtype.lanes)


def _scalar(condition: Any) -> bool:
    return "x" not in str(condition.ty)
