"""Two networks held side by side: whether they differ in the code of their kernels alone.

Most graph mutants put one layer in the place of another of the same form. What is fused with what
is then decided already, since that depends on the line of calls and on the kernels' patterns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvm import relax
from tvm.tirx import PrimFunc
from tvm_ffi import structural_equal

from pytest_mutatenn.compiler.legaliser import Legalised
from pytest_mutatenn.compiler.line import bindings_of, operator_name

__all__ = ["kernels_that_differ"]

_PATTERN = "op_pattern"


def kernels_that_differ(ours: Legalised, theirs: Legalised) -> dict[str, PrimFunc] | None:
    """Return our kernels that are not theirs, by their names; None where more than that differs.

    More than that is: other calls, in another order, on other tensors or under other names, or a
    kernel that fuses in another way (its ``op_pattern``).
    """
    our_main, their_main = ours.module["main"], theirs.module["main"]
    our_line, their_line = list(bindings_of(our_main)), list(bindings_of(their_main))
    if len(our_line) != len(their_line) or len(our_main.params) != len(their_main.params):
        return None
    same: dict[Any, Any] = dict(zip(our_main.params, their_main.params, strict=True))
    found: dict[str, PrimFunc] = {}
    for one, other in zip(our_line, their_line, strict=True):
        if one.var.name != other.var.name or operator_name(one.value) != operator_name(other.value):
            return None
        if operator_name(one.value) == "relax.call_tir":
            kernel, known = ours.module[one.value.args[0]], theirs.module[other.value.args[0]]
            if not kernel.same_as(known):
                if not structural_equal(_pattern(kernel), _pattern(known)):
                    return None
                found[other.value.args[0].name_hint] = kernel
            parts = zip(one.value.args[1:], other.value.args[1:], strict=True)
            if not all(_same(a, b, same) for a, b in parts):
                return None
            if not structural_equal(one.value.ty_args, other.value.ty_args):
                return None
        elif not _same(one.value, other.value, same):
            return None
        same[one.var] = other.var
    return found if _same(our_main.body.body, their_main.body.body, same) else None


def _pattern(kernel: PrimFunc) -> Any:
    return kernel.attrs[_PATTERN] if kernel.attrs and _PATTERN in kernel.attrs else None


def _same(one: Any, other: Any, known: Mapping[Any, Any]) -> bool:
    """Whether two expressions are the same, of variables that stand for each other."""
    if isinstance(one, relax.Var):
        return one in known and bool(known[one].same_as(other))
    if isinstance(one, relax.Tuple) and isinstance(other, relax.Tuple):
        return len(one.fields) == len(other.fields) and all(
            _same(a, b, known) for a, b in zip(one.fields, other.fields, strict=True)
        )
    if isinstance(one, relax.TupleGetItem) and isinstance(other, relax.TupleGetItem):
        return one.index == other.index and _same(one.tuple_value, other.tuple_value, known)
    return not isinstance(one, relax.Call) and bool(structural_equal(one, other))
