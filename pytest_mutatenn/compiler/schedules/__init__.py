"""Schedules: one rule a file, and the order they are asked in."""

from __future__ import annotations

from tvm.s_tir.analysis import verify_well_formed
from tvm.target import Target
from tvm.tirx import PrimFunc

from pytest_mutatenn.compiler.passes import OptLevel
from pytest_mutatenn.compiler.schedules.base import Kernel, Rule
from pytest_mutatenn.compiler.schedules.convolution import convolution
from pytest_mutatenn.compiler.schedules.depthwise import depthwise
from pytest_mutatenn.compiler.schedules.direct import direct_convolution
from pytest_mutatenn.compiler.schedules.elementwise import elementwise
from pytest_mutatenn.compiler.schedules.gpu import GPU_RULES
from pytest_mutatenn.compiler.schedules.gpu_bound import bind_nests
from pytest_mutatenn.compiler.schedules.reduction import reduction
from pytest_mutatenn.compiler.schedules.structure import is_regular, without_dead_parts

__all__ = [
    "CPU_RULES",
    "GPU_RULES",
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
        The opt level; below the level of ``Schedule``, a CPU kernel comes back as it is, and a
        GPU kernel is bound to threads and nothing more.
    target
        What the kernel is for.

    Returns
    -------
    PrimFunc
        A kernel of the same parameters and attributes that computes the same.
    """
    on_gpu = "gpu" in target.keys
    if on_gpu:
        func = without_dead_parts(func)
    rules = GPU_RULES if on_gpu else CPU_RULES
    for rule in rules if opt.includes("Schedule") and is_regular(func) else ():
        # a rule meets mutants nobody has foreseen, and whatever it raises means only that it
        # does not apply; it worked on a copy
        try:
            with target:
                kernel = rule(func)
        except Exception:
            continue
        if kernel is not None and verify_well_formed(kernel.func, assert_mode=False):
            return func.with_body(kernel.func.body)
    # threads are needed to run there at all, so they are not a matter of the opt level
    return func.with_body(bind_nests(func, target).body) if on_gpu else func
