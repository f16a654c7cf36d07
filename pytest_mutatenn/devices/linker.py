"""Linking an object file into a library that can be loaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from pytest_mutatenn.errors import MutatennError


@cache
def linker() -> tuple[str, ...]:
    """The command that links a shared library: the linker itself, else the C compiler.

    Raises
    ------
    MutatennError
        If the machine has neither.
    """
    for command in ("ld", "cc", "gcc", "clang"):
        path = shutil.which(command)
        if path:
            return (path, "-shared")
    raise MutatennError(
        "No linker found: the llvm device needs ld, or a C compiler (cc, gcc, clang), to load the "
        "kernels it compiles. Install one, such as Debian's package gcc."
    )


def link(code: bytes, folder: Path) -> bytes:
    """Link an object file; nothing of it stays on disk.

    Raises
    ------
    RuntimeError
        If the linker refuses it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="link-") as scratch:
        source, library = Path(scratch, "kernel.o"), Path(scratch, "kernel.so")
        source.write_bytes(code)
        done = subprocess.run(
            [*linker(), os.fspath(source), "-o", os.fspath(library)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{linker()[0]} refused a kernel: {done.stderr.strip()[-500:]}")
        return library.read_bytes()
