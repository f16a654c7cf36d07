"""Kernels of a CPU as C, compiled by the machine's C compiler with the flags of the cell."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import memory
import tvm
from tvm_ffi import libinfo


def missing() -> str:
    """What this machine lacks; nothing where it lacks nothing."""
    if any(map(shutil.which, ("cc", "gcc", "clang"))):
        return ""
    return "a C compiler: cc, gcc or clang"


class Device:
    """Compiles kernels, and loads them."""

    def __init__(self, program: dict[str, Any], scratch: Path) -> None:
        named = [program["compiler"]] if program["compiler"] else []
        names = [*named, "cc", "gcc", "clang"]
        self.compiler = next(filter(None, map(shutil.which, names)))
        folders = [*libinfo.include_paths(), Path(tvm.__file__).parent / "include"]
        self.flags = [*program["flags"], *(f"-I{folder}" for folder in folders)]
        self.scratch = scratch
        self.count = 0

    def slot(self, shape: tuple[int, ...], dtype: str) -> memory.Slot:
        """A new tensor."""
        return memory.Slot(shape, dtype)

    def load(self, path: Path) -> Callable[..., Any]:
        """Compile a kernel to a library, and load it."""
        self.count += 1
        library = str(self.scratch / f"{self.count}.so")
        command = [self.compiler, "-w", "-fPIC", "-shared", *self.flags, str(path), "-o", library]
        subprocess.run(command, check=True)
        loaded = tvm.runtime.load_module(library)["main"]
        memory.guard_temporaries(library)
        return loaded
