"""Rewriting a straight-line Relax function one binding at a time, with its layer names kept.

TVM's ``BlockBuilder`` makes names unique behind the caller's back and binds the output anew; the
names of ours are how a fault is traced to its layer, so :class:`LineBuilder` keeps them verbatim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tvm_ffi
from tvm import IRModule, relax
from tvm_ffi import Array, structural_equal, structural_hash
from tvm_ffi.structural import structural_map

__all__ = [
    "LineBuilder",
    "alike",
    "bindings_of",
    "forget_types",
    "items_of",
    "operands_of",
    "operator_name",
    "rewrite_main",
    "shape_of",
    "uses_of",
]


_item = tvm_ffi.get_global_func("ffi.ArrayGetItem")


def items_of(array: Array[Any]) -> list[Any]:
    """Return what is in an array; a third of the time that iterating over it takes."""
    return [_item(array, i) for i in range(len(array))]


def bindings_of(function: relax.Function) -> Iterator[relax.VarBinding]:
    """Yield the bindings of `function` in order."""
    for block in function.body.blocks:
        yield from items_of(block.bindings)


def operator_name(expr: relax.Expr) -> str:
    """Return the name of the operator `expr` calls (``relax.nn.conv2d``), or an empty string."""
    return str(getattr(getattr(expr, "op", None), "name", ""))


def shape_of(expr: relax.Expr) -> list[int] | None:
    """Return the static shape of a tensor; None where it is no tensor or not static."""
    try:
        return [int(extent) for extent in expr.ty.shape]
    except (AttributeError, TypeError, ValueError):
        return None


def operands_of(expr: relax.Expr) -> Sequence[relax.Expr]:
    """Return the direct operands of a binding's value, in order."""
    if isinstance(expr, relax.Call):
        return items_of(expr.args)
    if isinstance(expr, relax.Tuple):
        return items_of(expr.fields)
    if isinstance(expr, relax.TupleGetItem):
        return [expr.tuple_value]
    return [expr] if isinstance(expr, relax.Var) else []


def uses_of(function: relax.Function) -> dict[relax.Var, list[relax.Var]]:
    """Return for each variable the variables whose values read it, once per read.

    The function's own result counts as a reader of itself, so that an output always has a use.
    """
    readers: dict[relax.Var, list[relax.Var]] = {}

    def visit(expr: relax.Expr, reader: relax.Var) -> None:
        for operand in operands_of(expr):
            if isinstance(operand, relax.Var):
                readers.setdefault(operand, []).append(reader)
            else:
                visit(operand, reader)

    for binding in bindings_of(function):
        visit(binding.value, binding.var)
    visit(relax.Tuple([function.body.body]), function.body.body)
    return readers


def alike(one: relax.Expr, other: relax.Expr) -> bool:
    """Whether two expressions are the same but for which variables they read."""
    if isinstance(one, relax.Var) or isinstance(other, relax.Var):
        both = isinstance(one, relax.Var) and isinstance(other, relax.Var)
        return both and structural_equal(one.ty, other.ty)
    if isinstance(one, relax.Call) and isinstance(other, relax.Call):
        return (
            one.op.same_as(other.op)
            and structural_equal(one.attrs, other.attrs)
            and structural_equal(one.ty_args, other.ty_args)
            and _all_alike(one.args, other.args)
        )
    if isinstance(one, relax.Tuple) and isinstance(other, relax.Tuple):
        return _all_alike(one.fields, other.fields)
    return bool(structural_equal(one, other))


def _all_alike(ours: Array[Any], theirs: Array[Any]) -> bool:
    return len(ours) == len(theirs) and all(
        alike(a, b) for a, b in zip(items_of(ours), items_of(theirs), strict=True)
    )


_inferred: dict[Any, list[relax.Call]] = {}  # calls whose type is known, by what decides it


def forget_types() -> None:
    """Have TVM infer the type of every call anew."""
    _inferred.clear()


def _typed(expr: relax.Expr, normaliser: relax.BlockBuilder) -> relax.Expr:
    """Infer the type of an expression, once for all calls that are alike."""
    if not isinstance(expr, relax.Call) or not operator_name(expr):
        return normaliser.normalize(expr)
    args = items_of(expr.args)
    key = (
        operator_name(expr),
        structural_hash(expr.attrs),
        tuple(structural_hash(a.ty if isinstance(a, relax.Var) else a) for a in args),
    )
    for known in _inferred.get(key, ()):
        if alike(expr, known):
            relax.expr._update_type(expr, known.ty)
            return expr
    normal = normaliser.normalize(expr)
    # an operand that is a call itself would be bound to a variable of that builder's
    if normal.same_as(expr) and not any(isinstance(a, (relax.Call, relax.Tuple)) for a in args):
        _inferred.setdefault(key, []).append(normal)
    return normal


class LineBuilder:
    """Collects the bindings of a new straight line.

    Attributes
    ----------
    values
        What each variable of the old line is called in the new one. Parameters stay themselves.
    """

    def __init__(self, parameters: Sequence[relax.Var]) -> None:
        self.values: dict[relax.Var, relax.Expr] = {p: p for p in parameters}
        self._bindings: list[relax.VarBinding] = []
        self._normaliser = relax.BlockBuilder()

    def emit(self, expr: relax.Expr, name: str, old: relax.Var | None = None) -> relax.Var:
        """Bind `expr`, whose operands are bound already, to a new variable called `name`.

        Of the same type as the variable that it takes the place of (`old`), it is bound to that
        one, so that what reads it stays as it is.
        """
        expr = _typed(expr, self._normaliser)
        if old is not None and structural_equal(old.ty, expr.ty):
            var = old
        else:
            var = relax.DataflowVar(name, expr.ty)
        self._bindings.append(relax.VarBinding(var, expr))
        return var

    def keep(self, binding: relax.VarBinding) -> relax.Var:
        """Take over a binding of the old line: as it is, if its operands are what they were."""
        var, value = binding.var, binding.value
        if all(self._is_kept(operand) for operand in operands_of(value)):
            self._bindings.append(binding)
            return var
        return self.emit(self.renewed(value), var.name, var)

    def _is_kept(self, expr: relax.Expr) -> bool:
        if isinstance(expr, relax.Var):
            return bool(self.values.get(expr, expr).same_as(expr))
        return all(self._is_kept(operand) for operand in operands_of(expr))

    def renewed(self, expr: relax.Expr) -> relax.Expr:
        """Return `expr` of the old line with its operands replaced by those of the new one."""
        if isinstance(expr, relax.Var):
            return self.values.get(expr, expr)
        if isinstance(expr, relax.Call):
            arguments = [self.renewed(argument) for argument in items_of(expr.args)]
            return relax.Call(expr.op, arguments, expr.attrs, expr.ty_args)
        if isinstance(expr, relax.Tuple):
            return relax.Tuple([self.renewed(field) for field in expr.fields])
        if isinstance(expr, relax.TupleGetItem):
            return relax.TupleGetItem(self.renewed(expr.tuple_value), expr.index)
        return expr

    def finish(self, old: relax.Function, result: relax.Expr) -> relax.Function:
        """Return the function made of what was emitted, with the signature of `old`."""
        if not isinstance(result, relax.Var):
            result = self.emit(result, getattr(old.body.body, "name", "outputs"))
        block = relax.DataflowBlock(self._bindings)
        body = relax.SeqExpr([block], result)
        function = relax.Function(list(old.params), body, old.ret_ty, old.is_pure, old.attrs)
        if not isinstance(result, relax.DataflowVar):
            return function
        # what leaves a dataflow block must be an ordinary variable
        output = relax.Var(result.name, result.ty)
        return structural_map(
            function, [(relax.DataflowVar, lambda var: output if var.same_as(result) else var)]
        )


def rewrite_main(
    module: IRModule, visit: Callable[[LineBuilder, relax.VarBinding], relax.Expr | None]
) -> IRModule:
    """Return `module` with every binding of ``main`` passed through `visit`.

    Parameters
    ----------
    module
        A module whose ``main`` is one straight line.
    visit
        Called with the builder and each old binding, in order. It returns what the binding's
        variable is from now on (and may emit what it likes before), or None to keep the binding.
    """
    name = module.get_global_var("main")
    main = module[name]
    builder = LineBuilder(main.params)
    for binding in bindings_of(main):
        value = visit(builder, binding)
        if value is None:
            value = builder.keep(binding)
        builder.values[binding.var] = value
    renewed = IRModule(dict(module.functions.items()), attrs=module.attrs)
    renewed.update_func(name, builder.finish(main, builder.renewed(main.body.body)))
    return renewed
