"""Kernels fused with their neighbours, and no group of them twice.

``FuseOps`` says which kernels belong together, ``FuseTIR`` makes one of each group. The second is
the dear one, and a mutant changes a group or two: what a group becomes is remembered by its
kernels, so that only groups are fused that were not met before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import tvm_ffi
from tvm import IRModule, relax
from tvm.s_tir import SBlock
from tvm.target import Target
from tvm.tirx import PrimFunc
from tvm_ffi.structural import structural_map

from pytest_mutatenn.compiler.kernel import without_units
from pytest_mutatenn.compiler.line import bindings_of, operator_name

__all__ = ["Fused", "Fusion", "kernels_called", "tagged"]

_LAYER = "mutatenn_layer"


@dataclass(frozen=True, eq=False)
class Fused:
    """What a function that ``main`` calls has become.

    Attributes
    ----------
    kernel
        The PrimFunc.
    layers
        The layers that it computes, in no order.
    args
        What the kernel takes: which argument of the call, and which field of it, if it is a tuple.
    output
        The type of what it gives: a tensor, or a tuple of them.
    """

    kernel: PrimFunc
    layers: frozenset[str]
    args: tuple[tuple[int, int | None], ...]
    output: Any


@dataclass(eq=False)
class Fusion:
    """Fuses the groups of modules for one target.

    Attributes
    ----------
    target
        What the kernels are for.
    remembers
        Whether a group that was fused before is taken from memory.
    """

    target: Target
    remembers: bool = True
    _groups: dict[Any, list[tuple[Any, list[PrimFunc], Fused]]] = field(default_factory=dict)
    _untagged: dict[PrimFunc, tuple[PrimFunc, frozenset[str]]] = field(default_factory=dict)
    _plain: dict[PrimFunc, PrimFunc] = field(default_factory=dict)

    def without_units(self, module: IRModule) -> IRModule:
        """Return a module with its kernels as :func:`~.kernel.without_units` leaves them."""
        renewed = IRModule({}, attrs=module.attrs)
        for gv, func in module.functions.items():
            renewed.update_func(gv, self.plain(func) if isinstance(func, PrimFunc) else func)
        return renewed

    def plain(self, func: PrimFunc) -> PrimFunc:
        """One kernel without its units; the same object for the same kernel."""
        if func not in self._plain or not self.remembers:
            self._plain[func] = without_units(func)
        return self._plain[func]

    def fused(self, module: IRModule, callee: Any) -> Fused:
        """What a function of a module that ``FuseOps`` has grouped becomes.

        Parameters
        ----------
        module
            The module.
        callee
            The GlobalVar of a group (a Relax function), or of a kernel that stands alone.
        """
        function = module[callee]
        if isinstance(function, PrimFunc):
            kernel, layers = self._without_tags(function)
            return Fused(kernel, layers, (), None)
        called = [module[gv] for gv in kernels_called(function)]
        key = (tvm_ffi.structural_hash(function), tuple(map(hash, called)))
        for other, others, known in self._groups.get(key, ()) if self.remembers else ():
            same = all(a.same_as(b) for a, b in zip(called, others, strict=True))
            if same and tvm_ffi.structural_equal(function, other):
                return known
        made = self._fuse(module, callee, function)
        self._groups.setdefault(key, []).append((function, called, made))
        return made

    def _without_tags(self, func: PrimFunc) -> tuple[PrimFunc, frozenset[str]]:
        if func not in self._untagged or not self.remembers:
            self._untagged[func] = _without_tags(func)
        return self._untagged[func]

    def _fuse(self, module: IRModule, callee: Any, function: relax.Function) -> Fused:
        """Fuse one group, in a module of its own that calls it once."""
        alone = IRModule({gv: module[gv] for gv in kernels_called(function)})
        alone.update_func(callee, function)
        params = [relax.Var(f"argument_{i}", var.ty) for i, var in enumerate(function.params)]
        call = relax.BlockBuilder().normalize(relax.Call(callee, params))
        result = relax.Var("result", call.ty)
        body = relax.SeqExpr([relax.BindingBlock([relax.VarBinding(result, call)])], result)
        main = relax.Function(params, body, call.ty).with_attr("global_symbol", "main")
        alone.update_func(relax.GlobalVar("main"), main)
        with self.target:
            alone = relax.transform.FuseTIR()(alone)
        main = alone["main"]
        known: dict[Any, Any] = {}
        for i, var in enumerate(main.params):
            fields = getattr(var.ty, "fields", None)
            known[var] = (i, None) if fields is None else [(i, k) for k in range(len(fields))]
        for binding in bindings_of(main):
            value = binding.value
            if operator_name(value) == "relax.call_tir":
                kernel, layers = self._without_tags(alone[value.args[0]])
                args = tuple(_taken(value.args[1], known))
                return Fused(kernel, layers, args, value.ty_args[0])
            known[binding.var] = _resolved(value, known)
        raise ValueError(f"{callee.name_hint} was not fused")  # FuseTIR leaves no group alone


def kernels_called(function: relax.Function | PrimFunc) -> Iterator[Any]:
    """Yield the GlobalVars of the kernels that a group calls, in order; a kernel calls none."""
    if isinstance(function, PrimFunc):
        return
    for binding in bindings_of(function):
        if operator_name(binding.value) == "relax.call_tir":
            yield binding.value.args[0]


def _resolved(expr: Any, known: Mapping[Any, Any]) -> Any:
    if isinstance(expr, relax.TupleGetItem):
        return _resolved(expr.tuple_value, known)[expr.index]
    if isinstance(expr, relax.Tuple):
        return [_resolved(part, known) for part in expr.fields]
    return known[expr]


def _taken(expr: Any, known: Mapping[Any, Any]) -> Iterator[tuple[int, int | None]]:
    found = _resolved(expr, known)
    for one in found if isinstance(found, list) else [found]:
        yield from one if isinstance(one, list) else [one]


def tagged(func: PrimFunc, tag: str) -> PrimFunc:
    """Write a layer and the number of its call on every block, where they survive fusion."""
    return _annotate(func, lambda notes: {**notes, _LAYER: tag})


def _without_tags(func: PrimFunc) -> tuple[PrimFunc, frozenset[str]]:
    """Read the layers off the blocks of a fused kernel, and wipe them off."""
    seen: set[str] = set()

    def wipe(notes: dict[str, Any]) -> dict[str, Any]:
        layer = notes.pop(_LAYER, None)
        if layer is not None:
            seen.add(str(layer).partition(" ")[0])
        return notes

    clean = _annotate(func, wipe)
    return clean, frozenset(seen)


def _annotate(func: PrimFunc, change: Callable[[dict[str, Any]], dict[str, Any]]) -> PrimFunc:
    def visit(block: Any) -> Any:
        return SBlock(
            block.iter_vars,
            block.reads,
            block.writes,
            block.name_hint,
            block.body,
            block.init,
            block.alloc_buffers,
            block.match_buffers,
            change(dict(block.annotations)),
        )

    return func.with_body(structural_map(func.body, [(SBlock, visit)]))
