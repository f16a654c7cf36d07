"""A network as kernels, one PrimFunc a call; no operator is made a kernel twice.

``LegalizeOps`` makes a kernel of each operator call, and what comes out depends on the call alone:
its operator, its attributes and the types of its operands. So it is asked once for each such call,
and a graph mutant pays for the layer that it changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tvm import IRModule, relax
from tvm.target import Target
from tvm.tirx import PrimFunc
from tvm_ffi import structural_equal, structural_hash

from pytest_mutatenn.compiler.fusion import tagged
from pytest_mutatenn.compiler.line import alike, bindings_of, items_of, operands_of, operator_name
from pytest_mutatenn.compiler.passes import OptLevel, legalise

__all__ = ["Legalised", "Legaliser", "calls_by_layer"]


@dataclass(frozen=True, eq=False)
class Legalised:
    """A network as kernels, one PrimFunc a call, before fusion.

    Attributes
    ----------
    module
        ``main`` as a line of ``R.call_tir``, every kernel called once.
    kernels
        Layer -> names of its kernels, in the order in which they run.
    """

    module: IRModule
    kernels: Mapping[str, tuple[str, ...]]

    def changed(self, kernels: Mapping[str, PrimFunc]) -> Legalised:
        """The same network with these kernels, by name, instead of its own."""
        module = IRModule(dict(self.module.functions.items()), attrs=self.module.attrs)
        for name, func in kernels.items():
            module.update_func(module.get_global_var(name), func)
        return Legalised(module, self.kernels)


@dataclass(frozen=True, eq=False)
class _Template:
    """What an operator call becomes.

    Attributes
    ----------
    call, operands
        A call that was legalised, and what stands for each of its variables.
    bindings, result
        What computes it, in terms of those variables, and what it comes to.
    kernels
        The functions that the bindings call.
    """

    call: relax.Call
    operands: tuple[relax.Var, ...]
    bindings: tuple[relax.VarBinding, ...]
    result: relax.Expr
    kernels: Mapping[Any, PrimFunc]


@dataclass(frozen=True, eq=False)
class _Binding:
    """A binding of the new line, with its kernel where it calls one."""

    var: relax.Var
    value: relax.Expr
    kernel: PrimFunc | None


@dataclass(eq=False)
class Legaliser:
    """Makes kernels of networks, for one target at one opt level.

    Attributes
    ----------
    opt, target
        The opt level, and what the kernels are for.
    layers
        Names of the network's layers, in order.
    remembers
        Whether an operator call that was met before is taken from memory.
    """

    opt: OptLevel
    target: Target
    layers: Sequence[str]
    remembers: bool = True
    _templates: dict[Any, list[_Template]] = field(default_factory=dict)
    _owned: dict[Any, tuple[Any, PrimFunc]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._templates.clear()
        self._owned.clear()
        self._names = relax.BlockBuilder()

    def __call__(self, module: IRModule) -> Legalised:
        """Legalise what :func:`~.passes.optimise` returned; give every call its own kernel.

        Each kernel is named and tagged by the layer that calls it.
        """
        if not self.remembers:
            self._forget()
        main = module["main"]
        line, result = self._line(module)
        line = _alive(line, result)
        layers = calls_by_layer(
            [(one.var.name, one.kernel is not None) for one in line], self.layers
        )
        functions: dict[Any, Any] = {}
        names: dict[str, list[str]] = {}
        bindings = []
        for i, one in enumerate(line):
            value = one.value
            if one.kernel is not None:
                layer, number, count = layers[i]
                name = layer if count == 1 else f"{layer}__{number + 1}"
                gv, func = self._own(one.kernel, f"{layer} {number}", name)
                functions[gv] = func
                names.setdefault(layer, []).append(gv.name_hint)
                args = [gv, *value.args[1:]]
                value = relax.Call(value.op, args, value.attrs, value.ty_args, ret_ty=value.ty)
            bindings.append(relax.VarBinding(one.var, value))
        body = relax.SeqExpr([relax.DataflowBlock(bindings)], result)
        function = relax.Function(list(main.params), body, main.ret_ty, main.is_pure, main.attrs)
        renewed = IRModule(functions, attrs=module.attrs)
        renewed.update_func(module.get_global_var("main"), function)
        return Legalised(renewed, {layer: tuple(found) for layer, found in names.items()})

    def _line(self, module: IRModule) -> tuple[list[_Binding], relax.Expr]:
        """The new line, and what it comes to; its kernels are shared by the calls of one kind."""
        main = module["main"]
        line: list[_Binding] = []
        values: dict[Any, Any] = {}

        def emit(name: str, value: relax.Expr, ty: Any, old: Any, kernel: Any = None) -> None:
            # what leaves a dataflow block must be an ordinary variable
            kind = relax.Var if old.same_as(main.body.body) else relax.DataflowVar
            values[old] = kind(name, ty)
            line.append(_Binding(values[old], value, kernel))

        for binding in bindings_of(main):
            var, value = binding.var, binding.value
            if operator_name(value) == "relax.call_tir":
                kernel = module[value.args[0]]
                emit(var.name, _renewed(value, values), value.ty, var, kernel)
                continue
            if not operator_name(value):
                emit(var.name, _renewed(value, values), var.ty, var)
                continue
            template = self._template(value)
            operands = [values.get(var, var) for var in dict.fromkeys(_variables(value))]
            own = dict(zip(template.operands, operands, strict=True))
            for one in template.bindings:
                callee = one.value.args[0] if operator_name(one.value) == "relax.call_tir" else None
                kernel = template.kernels.get(callee)
                if one.var.same_as(template.result):
                    emit(var.name, _renewed(one.value, own), one.var.ty, var, kernel)
                    own[one.var] = values[var]
                else:
                    own[one.var] = relax.DataflowVar(f"{var.name}__part", one.var.ty)
                    line.append(_Binding(own[one.var], _renewed(one.value, own), kernel))
            if var not in values:
                emit(var.name, _renewed(template.result, own), var.ty, var)
        return line, _renewed(main.body.body, values)

    def _template(self, call: relax.Call) -> _Template:
        """What a call becomes, from memory where one like it was met."""
        reads = _variables(call)
        operands = list(dict.fromkeys(reads))
        key = (
            operator_name(call),
            structural_hash(call.attrs),
            # kernels call their buffers after what they read
            tuple((operand.name, structural_hash(operand.ty)) for operand in operands),
            tuple(operands.index(var) for var in reads),
        )
        for known in self._templates.get(key, ()):
            if structural_equal(call.ty, known.call.ty) and alike(call, known.call):
                return known
        params = {operand: relax.Var(operand.name, operand.ty) for operand in operands}
        own = _renewed(call, params)
        result = relax.Var("result", call.ty)
        body = relax.SeqExpr([relax.DataflowBlock([relax.VarBinding(result, own)])], result)
        main = relax.Function(list(params.values()), body, call.ty).with_attr(
            "global_symbol", "main"
        )
        module = legalise(IRModule({"main": main}), self.opt, self.target)
        main = module["main"]
        kernels = {gv: f for gv, f in module.functions.items() if isinstance(f, PrimFunc)}
        made = _Template(
            call, tuple(main.params), tuple(bindings_of(main)), main.body.body, kernels
        )
        self._templates.setdefault(key, []).append(made)
        return made

    def _own(self, kernel: PrimFunc, tag: str, name: str) -> tuple[Any, PrimFunc]:
        """A copy of a kernel for one call, the same each time."""
        key = (kernel, tag, name)
        if key not in self._owned:
            # the number in the tag keeps TVM from giving equal kernels of one layer one name
            func = tagged(kernel, tag)
            if self.opt.includes("FuseOps"):
                # what fuses with what is decided before a kernel mutant changes how a kernel
                # looks: its steps are the baseline's, and the fault is all that differs
                module = relax.transform.AnnotateTIROpPattern()(IRModule({"kernel": func}))
                func = module["kernel"]
            self._owned[key] = self._names.add_func(func, name), func
        return self._owned[key]


def calls_by_layer(
    line: Sequence[tuple[str, bool]], layers: Sequence[str]
) -> dict[int, tuple[str, int, int]]:
    """Which layer a kernel's call belongs to.

    A binding of unknown name belongs to the next layer: passes emit helpers before the result.

    Parameters
    ----------
    line
        For each binding its name, and whether it calls a kernel.
    layers
        The names that are layers.

    Returns
    -------
    dict
        Number of the binding -> its layer, its number among the layer's calls, and their count.
    """
    known = set(layers)
    calls: dict[str, list[int]] = {}
    waiting: list[int] = []
    last = None
    for i, (name, calls_kernel) in enumerate(line):
        if calls_kernel:
            waiting.append(i)
        if name in known:
            calls.setdefault(name, []).extend(waiting)
            last, waiting = name, []
    if waiting and last is not None:
        calls[last].extend(waiting)
    return {
        i: (layer, number, len(found))
        for layer, found in calls.items()
        for number, i in enumerate(found)
    }


def _variables(expr: relax.Expr) -> list[relax.Var]:
    """The variables that an expression reads, once a read, in order."""
    if isinstance(expr, relax.Var):
        return [expr]
    return [var for operand in operands_of(expr) for var in _variables(operand)]


def _renewed(expr: relax.Expr, values: Mapping[Any, Any]) -> relax.Expr:
    """An expression with its variables replaced by what they are now; types stay."""
    if isinstance(expr, relax.Var):
        return values.get(expr, expr)
    if isinstance(expr, relax.Call):
        args = [_renewed(argument, values) for argument in items_of(expr.args)]
        return relax.Call(expr.op, args, expr.attrs, expr.ty_args, ret_ty=expr.ty)
    if isinstance(expr, relax.Tuple):
        return relax.Tuple([_renewed(part, values) for part in expr.fields])
    if isinstance(expr, relax.TupleGetItem):
        return relax.TupleGetItem(_renewed(expr.tuple_value, values), expr.index)
    return expr


def _alive(line: Sequence[_Binding], result: relax.Expr) -> list[_Binding]:
    """The bindings that the result depends on."""
    needed = set(_variables(result))
    alive = []
    for one in reversed(line):
        if one.var in needed:
            needed.update(_variables(one.value))
            alive.append(one)
    return alive[::-1]
