"""GPU targets: every kernel bound to threads, or it could not run there at all."""

from __future__ import annotations

from tvm.s_tir import Schedule, dlight
from tvm.target import Target
from tvm.tirx import PrimFunc

__all__ = ["bind_threads"]


def bind_threads(func: PrimFunc, target: Target) -> PrimFunc:
    """Bind a kernel's outer loops to blocks and threads, by TVM's own fallback rule.

    Raises
    ------
    Exception
        Whatever TVM raises on a kernel it cannot bind.
    """
    schedule = dlight.gpu.Fallback().apply(func, target, False)
    if not isinstance(schedule, Schedule):
        raise TypeError(f"{func} has no schedule for {target}")
    return next(iter(schedule.mod.functions.values()))
