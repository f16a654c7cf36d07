"""Kernels of a CPU: from TVM's IR, after all passes on it, to code by LLVM."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import memory
import tvm
from tvm import s_tir, tirx
from tvm.ir.transform import Sequential
from tvm.target import Target
from tvm.tirx.build import tir_to_runtime


def missing() -> str:
    """What this machine lacks; nothing where it lacks nothing."""
    return ""


class Device:
    """Compiles kernels for the target of the cell, and loads them."""

    def __init__(self, program: dict[str, Any], scratch: Path) -> None:
        self.target = Target(program["target"]).with_host(Target(program["target"]))
        self.scratch = scratch
        self.linker = next(filter(None, map(shutil.which, ("ld", "cc", "gcc", "clang"))), None)
        self.count = 0

    def slot(self, shape: tuple[int, ...], dtype: str) -> memory.Slot:
        """A new tensor."""
        return memory.Slot(shape, dtype)

    def load(self, path: Path) -> Callable[..., Any]:
        """Generate the code of a kernel: the last passes, LLVM, and where there is one a linker.

        Without a linker the code is loaded where LLVM leaves it, and temporary buffers come from
        TVM's own pool, without poison.
        """
        module = tvm.ir.load_json(path.read_text())
        _, finalize_host, _ = tirx.get_tir_pipeline("s_tir")
        built = tir_to_runtime(finalize_host()(LAST_PASSES(module)), {}, self.target)
        if self.linker is None:
            return built["main"]
        self.count += 1
        objects, library = (str(self.scratch / f"{self.count}.{end}") for end in ("o", "so"))
        built.write_to_file(objects, "o")
        subprocess.run([self.linker, "-shared", objects, "-o", library], check=True)
        loaded = tvm.runtime.load_module(library)["main"]
        memory.guard_temporaries(library)
        return loaded


LAST_PASSES = Sequential(
    [
        tirx.transform.BF16ComputeLegalize(),
        tirx.transform.UnrollLoop(),
        s_tir.transform.RenormalizeSplitPattern(),
        tirx.transform.StmtSimplify(),
        tirx.transform.RemoveNoOp(),
        s_tir.transform.RewriteUnsafeSelect(),
        tirx.transform.CommonSubexprElim(),
        tirx.transform.SplitHostDevice(),
        tirx.transform.MakePackedAPI(),
        tirx.transform.FP8StorageLegalize(),
        tirx.transform.BF16StorageLegalize(),
        tirx.transform.SkipAssert(),
    ]
)
