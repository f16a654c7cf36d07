"""Where operators apply in a kernel: the walk, and the rewrite of one place.

Only what a kernel *does* is walked: values, indices, conditions, loop bounds. What merely
describes it (the access regions of a block, the domains of its axes, the shapes of buffers) is
not code and is never a site. A site is a path from the root, so that a node object which stands
in two places is two sites, and a rewrite rebuilds the path and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.ir import Call, prim
from tvm.ir.expr import TensorLoad
from tvm.s_tir import SBlock, SBlockRealize
from tvm.s_tir.analysis import get_sblock_access_region
from tvm.tirx import PrimFunc
from tvm_ffi import dtype, structural_equal

from pytest_mutatenn.operators.registry import Operator

Path = tuple[int, ...]
Children = list[tuple[Any, str | None]]  # child and its role; None keeps the parent's
Rebuild = Callable[[Any, list[Any]], Any]


@dataclass(frozen=True)
class _Kind:
    """How to take a node apart into its code children and put it together again."""

    children: Callable[[Any], Children]
    rebuild: Rebuild


def _binary(cls: Any, role: str | None = None) -> _Kind:
    return _Kind(lambda n: [(n.a, role), (n.b, role)], lambda n, c: cls(c[0], c[1]))


def _is_conditional(call: Any) -> bool:
    return getattr(call.op, "name", "").endswith("if_then_else")


def _call_children(node: Any) -> Children:
    roles = ["condition", None, None] if _is_conditional(node) else [None] * len(node.args)
    return list(zip(node.args, roles, strict=True))


def _rebuild_call(node: Any, args: list[Any]) -> Any:
    return Call(node.op, args, node.attrs, node.ty_args, ret_ty=node.ty)


def _rebuild_block(node: Any, parts: list[Any]) -> Any:
    """A block with its regions taken again from its new body: passes trust them.

    Regions are of the buffers that the block had regions of: a root block states none, and
    what a block allocates is not to be seen outside it.
    """
    init = parts.pop(0) if node.init is not None else None
    block = SBlock(
        node.iter_vars,
        [],
        [],
        node.name_hint,
        parts[0],
        init,
        node.alloc_buffers,
        node.match_buffers,
        node.annotations,
    )
    known = {buffer: buffer for buffer in _buffers_of(node)}
    reads, writes, _ = get_sblock_access_region(block, known)
    return SBlock(
        node.iter_vars,
        reads,
        writes,
        node.name_hint,
        parts[0],
        init,
        node.alloc_buffers,
        node.match_buffers,
        node.annotations,
    )


def _buffers_of(block: Any) -> list[Any]:
    return [region.source for region in (*block.reads, *block.writes)]


def _for_loop(node: Any, parts: list[Any]) -> Any:
    return tirx.For(
        node.loop_var,
        parts[0],
        parts[1],
        node.kind,
        parts[2],
        node.thread_binding,
        node.annotations,
        node.step,
    )


def _if_children(node: Any) -> Children:
    children: Children = [(node.condition, "condition"), (node.then_case, None)]
    return [*children, (node.else_case, None)] if node.else_case is not None else children


_COMPARISONS = (prim.LT, prim.LE, prim.GT, prim.GE, prim.EQ, prim.NE)
_ARITHMETIC = (
    *(prim.Add, prim.Sub, prim.Mul, prim.Div, prim.Mod, prim.FloorDiv, prim.FloorMod),
    *(prim.Min, prim.Max, prim.And, prim.Or),
    *(prim.BitwiseAnd, prim.BitwiseOr, prim.BitwiseXor, prim.LShift, prim.RShift),
)

_SHIFTS = (prim.LShift, prim.RShift)
_DIVISIONS = (prim.Div, prim.Mod, prim.FloorDiv, prim.FloorMod)

_KINDS: dict[Any, _Kind] = {
    **{cls: _binary(cls, "condition") for cls in _COMPARISONS},
    **{cls: _binary(cls) for cls in _ARITHMETIC},
    prim.Not: _Kind(lambda n: [(n.a, None)], lambda n, c: prim.Not(c[0])),
    prim.Cast: _Kind(lambda n: [(n.value, None)], lambda n, c: prim.Cast(n.ty, c[0])),
    prim.Select: _Kind(
        lambda n: [(n.condition, "condition"), (n.true_value, None), (n.false_value, None)],
        lambda n, c: prim.Select(*c),
    ),
    prim.Let: _Kind(
        lambda n: [(n.value, None), (n.body, None)], lambda n, c: prim.Let(n.var, c[0], c[1])
    ),
    prim.Broadcast: _Kind(lambda n: [(n.value, None)], lambda n, c: prim.Broadcast(c[0], n.lanes)),
    prim.Ramp: _Kind(lambda n: [(n.base, None)], lambda n, c: prim.Ramp(c[0], n.stride, n.lanes)),
    Call: _Kind(_call_children, _rebuild_call),
    TensorLoad: _Kind(
        lambda n: [(i, "index") for i in n.indices], lambda n, c: tirx.BufferLoad(n.source, c)
    ),
    tirx.BufferStore: _Kind(
        lambda n: [(n.value, "value"), *((i, "index") for i in n.indices)],
        lambda n, c: tirx.BufferStore(n.buffer, c[0], c[1:]),
    ),
    tirx.Bind: _Kind(lambda n: [(n.value, "value")], lambda n, c: tirx.Bind(n.var, c[0])),
    tirx.Evaluate: _Kind(lambda n: [(n.value, "value")], lambda n, c: tirx.Evaluate(c[0])),
    tirx.IfThenElse: _Kind(_if_children, lambda n, c: tirx.IfThenElse(*(*c, None)[:3])),
    tirx.For: _Kind(lambda n: [(n.min, "extent"), (n.extent, "extent"), (n.body, None)], _for_loop),
    tirx.While: _Kind(
        lambda n: [(n.condition, "condition"), (n.body, None)], lambda n, c: tirx.While(*c)
    ),
    tirx.SeqStmt: _Kind(lambda n: [(s, None) for s in n.seq], lambda n, c: tirx.SeqStmt(c)),
    tirx.AttrStmt: _Kind(
        lambda n: [(n.body, None)],
        lambda n, c: tirx.AttrStmt(n.node, n.attr_key, n.value, c[0]),
    ),
    SBlockRealize: _Kind(
        lambda n: [(n.block, None)],
        lambda n, c: SBlockRealize(n.iter_values, n.predicate, c[0]),
    ),
    SBlock: _Kind(
        lambda n: [*([(n.init, None)] if n.init is not None else []), (n.body, None)],
        _rebuild_block,
    ),
}

# statements whose own expressions make up one line of TVMScript
_LINES = frozenset(
    {
        *(tirx.BufferStore, tirx.Bind, tirx.Evaluate),
        *(tirx.IfThenElse, tirx.For, tirx.While, tirx.AttrStmt),
    }
)

_DECLARATION = re.compile(r"\w+ = T\.(Buffer\(.*\)|\w+\(\))")


@dataclass(frozen=True)
class Place:
    """A node of a kernel, where it stands, its role and the statement it is part of.

    ``threaded`` where a loop around it is parallel already, or is a GPU's launch; ``part`` says
    what it is to the number around it, where not every number will do: a ``divisor``, or the
    ``amount`` of a shift.
    """

    path: Path
    node: Any
    role: str | None
    statement: Path
    threaded: bool = False
    part: str = ""


def walk(root: Any) -> Iterator[Place]:
    """Every code node below a statement or expression, parents before children, in print order.

    An ``init`` stands before the body of its block, the way it runs.
    """
    stack = [Place((), root, None, ())]
    while stack:
        place = stack.pop()
        yield place
        kind = _KINDS.get(type(place.node))
        if kind is not None:
            threaded = place.threaded or _is_threaded(place.node)
            children = kind.children(place.node)
            for i in range(len(children) - 1, -1, -1):
                child, role = children[i]
                path = (*place.path, i)
                statement = path if type(child) in _LINES else place.statement
                part = _part(place, i)
                stack.append(Place(path, child, role or place.role, statement, threaded, part))


def _part(parent: Place, child: int) -> str:
    if isinstance(parent.node, prim.Broadcast):
        return parent.part
    if child == 1 and isinstance(parent.node, _DIVISIONS):
        return "divisor"
    return "amount" if child == 1 and isinstance(parent.node, _SHIFTS) else ""


def _is_threaded(node: Any) -> bool:
    if isinstance(node, tirx.AttrStmt):
        return bool(node.attr_key == "thread_extent")
    return _is_parallel(node)


def _is_parallel(node: Any) -> bool:
    return isinstance(node, tirx.For) and bool(node.kind == tirx.ForKind.PARALLEL)


def descend(root: Any, path: Path) -> Any:
    """Return the node at the path."""
    for index in path:
        root = _KINDS[type(root)].children(root)[index][0]
    return root


def replace(root: Any, path: Path, new: Any) -> Any:
    """Return the root with the node at the path exchanged; everything else is the same object."""
    if not path:
        return new
    kind = _KINDS[type(root)]
    children = [child for child, _ in kind.children(root)]
    children[path[0]] = replace(children[path[0]], path[1:], new)
    return kind.rebuild(root, children)


@dataclass(frozen=True)
class Change:
    """One replacement that an operator offers in one kernel.

    Attributes
    ----------
    op
        The operator.
    place
        Where.
    choice
        Which of the operator's replacements of that node, from 0.
    new
        The replacement.
    """

    op: Operator
    place: Place
    choice: int
    new: Any

    def lines(self, root: Any) -> tuple[str, str]:
        """The line of TVMScript that changes, before and after.

        Where the statement's own line does not, it is the first line below it that does.
        """
        statement = descend(root, self.place.statement)
        inner = self.place.path[len(self.place.statement) :]
        lines = line_of(statement), line_of(replace(statement, inner, self.new))
        if lines[0] != lines[1]:
            return lines
        return _first_difference(self.place.node.script(), self.new.script()) or lines


def changes(op: Operator, root: Any, places: Iterable[Place] | None = None) -> Iterator[Change]:
    """Everything the operator offers in a kernel's body, in walk order.

    A replacement that is equal to its node (`0 * 1.5`, folded, is `0`) changes nothing, and some
    are none to TVM.
    """
    for place in walk(root) if places is None else places:
        if isinstance(place.node, op.on) and (not op.within or place.role in op.within):
            for choice, new in enumerate(op.replacements(place.node)):
                if not _is_refused(place, new) and not structural_equal(new, place.node):
                    yield Change(op, place, choice, new)


def _is_refused(place: Place, new: Any) -> bool:
    """Whether TVM knows no such thing.

    That is: a parallel loop in another, and by a literal a division by zero or a shift by more
    bits than there are.
    """
    if place.part and isinstance(new, (prim.FloatImm, prim.IntImm)):
        if place.part == "divisor":
            return bool(new.value == 0)
        return not 0 <= new.value < dtype(str(new.ty.dtype)).bits
    return place.threaded and _is_parallel(new) and not _is_parallel(place.node)


def apply(func: PrimFunc, chosen: Iterable[Change]) -> PrimFunc:
    """Return the kernel with all the changes made.

    Of several changes at one node the first is made. Inner nodes change before the nodes around
    them, which are then asked for their replacement as they have become; one that has none any
    more (a loop around one that has become parallel) stays.
    """
    body = func.body
    by_path: dict[Path, Change] = {}
    for change in chosen:
        by_path.setdefault(change.place.path, change)
    for path in sorted(by_path, key=lambda p: (-len(p), p)):
        change = by_path[path]
        node = descend(body, path)
        new = change.new
        if node is not change.place.node and any(p[: len(path)] == path != p for p in by_path):
            offered = list(change.op.replacements(node))[change.choice :]
            new = offered[0] if offered else node
        body = replace(body, path, new)
    return func.with_body(body)


def line_of(node: Any) -> str:
    """One line of TVMScript for a statement or an expression."""
    if isinstance(node, tirx.For):
        low, extent = _text(node.min), _text(node.extent)
        kind = {0: "serial", 1: "T.parallel", 2: "T.vectorized", 3: "T.unroll"}.get(int(node.kind))
        span = extent if low in ("0", "T.int64(0)") else f"{low}, {low} + {extent}"
        name = kind if kind and kind != "serial" else "range"
        return f"for {node.loop_var.name} in {name}({span}):"
    if isinstance(node, tirx.AttrStmt) and node.attr_key == "thread_extent":
        return f'with T.launch_thread("{node.node.thread_tag}", {_text(node.value)}):'
    if isinstance(node, tirx.AttrStmt):
        return f'with T.attr("{node.attr_key}", {_text(node.value)}):'
    if isinstance(node, tirx.IfThenElse):
        return f"if {_text(node.condition)}:"
    if isinstance(node, tirx.While):
        return f"while {_text(node.condition)}:"
    return _text(node)


def _first_difference(before: str, after: str) -> tuple[str, str] | None:
    for old, new in zip(_statements(before), _statements(after), strict=False):
        if old != new:
            return old, new
    return None


def _statements(script: str) -> list[str]:
    """The lines of a script, without those that only say what its variables are."""
    lines = [line.strip() for line in script.splitlines()]
    return [line for line in lines if not _DECLARATION.fullmatch(line)]


def _text(node: Any) -> str:
    if isinstance(node, tirx.SeqStmt) and not len(node.seq):
        return "pass"
    return node.script().rstrip().splitlines()[-1].strip()
