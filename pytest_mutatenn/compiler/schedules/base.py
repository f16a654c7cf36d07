"""The contract of a schedule rule, and what the rules share.

A rule takes a kernel and returns a schedule of it, or None where it does not apply, after TVM's
dlight. It may also raise: the driver then asks the next rule, with a fresh copy of the kernel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import tvm
from tvm.s_tir import Schedule, ScheduleError
from tvm.tirx import IterVar, PrimFunc

from pytest_mutatenn.compiler.schedules.structure import reads_own_element
from pytest_mutatenn.compiler.tiling import LANES, power_of_two_part

__all__ = ["PARALLEL_WORK", "Block", "Kernel", "Loop", "Rule"]

Block: TypeAlias = Any
"""A schedule's handle on a block."""
Loop: TypeAlias = Any
"""A schedule's handle on a loop."""

PARALLEL_WORK = 1_000_000
"""Multiply-adds (some 20 microseconds) below which a second thread is not worth its start."""


class Kernel:
    """One kernel being scheduled.

    Attributes
    ----------
    schedule
        TVM's schedule, for the primitives.
    """

    def __init__(self, func: PrimFunc) -> None:
        module = tvm.IRModule({"main": func})
        self.schedule = Schedule(module, debug_mask="none", error_render_level="none")
        self.root = self.schedule.get_sblock("root")

    @property
    def func(self) -> PrimFunc:
        """The kernel as scheduled so far."""
        return self.schedule.mod["main"]

    def blocks(self) -> list[Block]:
        """Return the blocks, in program order."""
        return list(self.schedule.get_child_blocks(self.root))

    def name(self, block: Block) -> str:
        """Return the name of a block: what it was called when the operator was lowered."""
        return str(self.schedule.get(block).name_hint)

    def annotation(self, block: Block, key: str) -> int:
        """Return an annotation of a block."""
        return int(self.schedule.get(block).annotations[key])

    def extent(self, loop: Loop) -> int:
        """Return the extent of a loop."""
        return int(self.schedule.get(loop).extent)

    def work(self, loops: Sequence[Loop]) -> int:
        """Return how often the body of a nest of loops runs."""
        return math.prod(self.extent(loop) for loop in loops)

    def loops(self, block: Block) -> tuple[list[Loop], list[Loop]]:
        """Return the spatial and the reduction loops around a block nothing has been done to."""
        axes = self.schedule.get(block).iter_vars
        pairs = list(zip(self.schedule.get_loops(block), axes, strict=True))
        reduction = [loop for loop, axis in pairs if int(axis.iter_type) == IterVar.CommReduce]
        return [loop for loop, axis in pairs if int(axis.iter_type) == IterVar.DataPar], reduction

    def is_reduction(self, block: Block) -> bool:
        """Tell whether a block reduces over any axis."""
        return any(map(self.is_reduced, self.schedule.get(block).iter_vars))

    def is_reduced(self, axis: IterVar) -> bool:
        """Tell whether an axis of a block is one it reduces over."""
        return int(axis.iter_type) == IterVar.CommReduce

    def only_reduction(self) -> Block | None:
        """Return the kernel's reduction; None where it has none, or several."""
        reductions = [block for block in self.blocks() if self.is_reduction(block)]
        return reductions[0] if len(reductions) == 1 else None

    def producers(self, block: Block) -> list[Block]:
        """Return the blocks whose results a block reads."""
        return list(self.schedule.get_producers(block))

    def inline(self, may_inline: Callable[[Block], bool] = lambda block: True) -> None:
        """Inline every block without a reduction into its readers, where TVM can.

        Parameters
        ----------
        may_inline
            Says no to a block that is to stay.
        """
        for block in self.blocks():
            if self.is_reduction(block) or not self.schedule.get_consumers(block):
                continue
            if may_inline(block):
                # TVM checks before it changes anything: what cannot be inlined stays as it was
                with suppress(ScheduleError):
                    self.schedule.compute_inline(block)

    def vectorise(self, loop: Loop, limit: int = 64, least: int = 4) -> None:
        """Vectorise a loop by the largest power of two that divides it; unroll what is outside.

        Other widths are legal and ten times slower. Of a loop of odd extent, or where vectors
        would have fewer than `least` lanes, nothing changes.
        """
        extent = self.extent(loop)
        lanes = min(power_of_two_part(extent), limit)
        if lanes < 2:
            return
        if lanes == extent:
            self.schedule.vectorize(loop)
        elif lanes >= least:
            outer, inner = self.schedule.split(loop, [None, lanes])
            if extent // lanes <= 8:
                self.schedule.unroll(outer)
            self.schedule.vectorize(inner)

    def parallelise(self, loop: Loop, work: int) -> None:
        """Run the iterations of `loop` on all threads if `work` multiply-adds are worth it."""
        if work > PARALLEL_WORK:
            self.schedule.parallel(loop)

    def tail(self, block: Block) -> Block | None:
        """Return the block that writes the kernel's output after a reduction.

        That is the fused epilogue or, where there is none, a copy out of a local accumulator.
        None where the reduction has several readers, or one that reads it elsewhere than at its
        own element: under such a reader a tile would be cut wrong.
        """
        readers = list(self.schedule.get_consumers(block))
        if not readers:
            return self.schedule.cache_write(block, 0, "local")
        result = self.schedule.get(block).writes[0].source
        if len(readers) > 1 or not reads_own_element(self.schedule.get(readers[0]), result):
            return None
        return readers[0]

    def attach_tail(self, block: Block, tail: Block, loop: Loop) -> None:
        """Keep the block's result in registers and write it out by `tail` inside `loop`."""
        self.schedule.set_scope(block, 0, "local")
        # without preserve_unit_loops a tile of one column loses its loop, and the unrolling
        # below would take the one outside it
        self.schedule.reverse_compute_at(tail, loop, preserve_unit_loops=True)
        *_, rows, lanes = self.schedule.get_loops(tail)
        self.vectorise(lanes)
        self.schedule.unroll(rows)

    def place_padding(self, names: Collection[str], loop: Loop) -> None:
        """Compute the padded input, one part an iteration of `loop`, where that part is needed."""
        for block in self.blocks():
            if self.name(block) in names:
                self.schedule.compute_at(block, loop)
                self.vectorise(self.schedule.get_loops(block)[-1], LANES)


Rule: TypeAlias = Callable[[PrimFunc], Kernel | None]
"""A rule: a kernel scheduled, or None where the rule does not apply."""
