"""Schedules: one rule a file, and the order they are asked in."""

from __future__ import annotations

from contextlib import suppress

from tvm.s_tir.analysis import verify_well_formed
from tvm.target import Target
from tvm.tirx import PrimFunc

from pytest_mutatenn.compiler.passes import OptLevel
from pytest_mutatenn.compiler.schedules.base import Kernel, Rule
from pytest_mutatenn.compiler.schedules.convolution import convolution
from pytest_mutatenn.compiler.schedules.depthwise import depthwise
from pytest_mutatenn.compiler.schedules.direct import direct_convolution
from pytest_mutatenn.compiler.schedules.elementwise import elementwise
from pytest_mutatenn.compiler.schedules.gpu import bind_threads
from pytest_mutatenn.compiler.schedules.reduction import reduction
from pytest_mutatenn.compiler.schedules.structure import is_regular

__all__ = [
    "CPU_RULES",
    "Kernel",
    "Rule",
    "convolution",
    "depthwise",
    "direct_convolution",
    "elementwise",
    "reduction",
    "schedule",
]

CPU_RULES: tuple[Rule, ...] = (
    convolution,
    depthwise,
    direct_convolution,
    reduction,
    elementwise,
)
"""The rules for llvm and C, the particular before the general. The first answer wins."""


def schedule(func: PrimFunc, opt: OptLevel, target: Target) -> PrimFunc:
    """Schedule one kernel. Never fails: what no rule takes stays as it is.

    Parameters
    ----------
    func
        A kernel after fusion, a mutant's included.
    opt
        The opt level; below the level of ``Schedule``, a CPU kernel comes back as it is.
    target
        What the kernel is for.

    Returns
    -------
    PrimFunc
        A kernel of the same parameters and attributes that computes the same.
    """
    if "gpu" in target.keys:
        # needed to run at all, so it is not a matter of the opt level
        with suppress(Exception):
            return func.with_body(bind_threads(func, target).body)
        return func
    if not opt.includes("Schedule") or not is_regular(func):
        return func
    for rule in CPU_RULES:
        # a rule meets mutants nobody has foreseen, and whatever it raises means only that it
        # does not apply; it worked on a copy
        try:
            with target:
                kernel = rule(func)
        except Exception:
            continue
        if kernel is not None and verify_well_formed(kernel.func, assert_mode=False):
            return func.with_body(kernel.func.body)
    return func
