"""Object files: generated, and linked into a library that can be loaded."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mutatenn.errors import MutatennError

if TYPE_CHECKING:
    from tvm.target import Target
    from tvm.tirx import PrimFunc


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


@contextmanager
def object_file(func: PrimFunc, target: Target) -> Iterator[Path]:
    """Generate a kernel's object file, in a folder that is there as long as it is used."""
    from pytest_mutatenn.compiler.kernel import generate

    module = generate(func, target)
    # it lies in the store, which may be removed at any time
    Path(tempfile.gettempdir()).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mutatenn-") as scratch:
        path = Path(scratch, "kernel.o")
        module.write_to_file(str(path), "o")
        yield path


def link(code: bytes, folder: Path, command: Sequence[str] | None = None) -> bytes:
    """Link an object file; nothing of it stays on disk.

    Parameters
    ----------
    code
        The object file.
    folder
        A folder for temporary files.
    command
        What links a shared library; :func:`linker` where nothing is said.

    Raises
    ------
    RuntimeError
        If the linker refuses it.
    """
    command = linker() if command is None else command
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="link-") as scratch:
        source, library = Path(scratch, "kernel.o"), Path(scratch, "kernel.so")
        source.write_bytes(code)
        done = subprocess.run(
            [*command, os.fspath(source), "-o", os.fspath(library)],
            capture_output=True,
            text=True,
            check=False,
            # of what the process that runs kernels has preloaded, the linker needs nothing
            env={name: text for name, text in os.environ.items() if name != "LD_PRELOAD"},
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} refused a kernel: {done.stderr.strip()[-500:]}")
        return library.read_bytes()


_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_ALLOCATED = 2  # SHF_ALLOC: the section is part of the running program
_SYMBOLS = 2  # SHT_SYMTAB
_RELOCATIONS = 4  # SHT_RELA


def code_of(binary: bytes) -> bytes:
    """Return the part of an object file that is loaded and run.

    What is left out is debugging information: it holds the names of variables, so that it differs
    between kernels of one code. The names of what the code calls in other libraries are a part:
    nothing else tells `expf` from `tanhf`. An object file that is no little-endian ELF64 is
    returned whole.
    """
    if binary[:6] != b"\x7fELF\x02\x01":
        return binary
    *_, start, _, _, _, _, size, count, _ = _HEADER.unpack_from(binary)
    sections = [_SECTION.unpack_from(binary, start + i * size) for i in range(count)]
    kept = []
    for _, kind, flags, _, offset, length, names_at, target, _, _ in sections:
        if kind == _SYMBOLS:
            names = binary[sections[names_at][4] :]
            for name, _, _, home, _, _ in _SYMBOL.iter_unpack(binary[offset : offset + length]):
                kept.append(b"" if home else names[name:].partition(b"\0")[0])
        about = sections[target][2] if kind == _RELOCATIONS else flags
        if about & _ALLOCATED:
            kept.append(binary[offset : offset + length])
    return b"".join(len(part).to_bytes(8, "little") + part for part in kept)


def section(binary: bytes, name: str) -> bytes:
    """Return a section of an object file or library by its name; nothing where it has none."""
    if binary[:6] != b"\x7fELF\x02\x01":
        return b""
    *_, start, _, _, _, _, size, count, names = _HEADER.unpack_from(binary)
    sections = [_SECTION.unpack_from(binary, start + i * size) for i in range(count)]
    texts = binary[sections[names][4] :]
    for name_at, _, _, _, offset, length, *_ in sections:
        if texts[name_at:].partition(b"\0")[0].decode() == name:
            return binary[offset : offset + length]
    return b""
