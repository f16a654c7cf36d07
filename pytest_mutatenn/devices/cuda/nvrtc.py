"""CUDA C++ to a cubin: by NVRTC, which needs no GPU, or by nvcc."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pytest_mutatenn.devices.slots import Refused
from pytest_mutatenn.errors import InternalError

__all__ = ["INSTALL", "compile_cuda", "compiler_version", "find_nvcc", "find_nvrtc"]

INSTALL = "pip install 'pytest-mutatenn[cuda]' (NVRTC), or put CUDA's nvcc into the PATH"
_SECONDS = 120.0
_LIBRARY = re.compile(r"libnvrtc\.so(\.\d+)*")


@cache
def find_nvrtc() -> Path | None:
    """Where NVRTC is: of the Python packages first, then of a CUDA toolkit; None if nowhere."""
    for folder in _folders():
        if folder.is_dir():
            found = sorted(file for file in folder.iterdir() if _LIBRARY.fullmatch(file.name))
            if found:
                return found[-1]
    return None


def _folders() -> Iterator[Path]:
    for entry in sys.path:
        nvidia = Path(entry or ".", "nvidia")
        if nvidia.is_dir():
            yield from sorted(nvidia.glob("*/lib"), reverse=True)
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if os.environ.get(variable):
            yield Path(os.environ[variable], "lib64")
    yield Path("/usr/local/cuda/lib64")
    for text in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep):
        if text:
            yield Path(text)


@cache
def find_nvcc() -> str | None:
    """Path of CUDA's own compiler; None if it is not here."""
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        path = shutil.which("nvcc", path=str(Path(os.environ.get(variable, ""), "bin")))
        if os.environ.get(variable) and path:
            return path
    return shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")


@cache
def _nvrtc() -> Any:
    library = ctypes.CDLL(str(find_nvrtc()))
    library.nvrtcGetErrorString.restype = ctypes.c_char_p
    return library


def compiler_version() -> str:
    """Which compiler is used, and its version."""
    if find_nvrtc() is not None:
        major, minor = ctypes.c_int(), ctypes.c_int()
        _check(_nvrtc().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
        return f"NVRTC {major.value}.{minor.value}"
    nvcc = find_nvcc()
    if nvcc is None:
        return "no compiler"
    said = _run([nvcc, "--version"]).stdout
    release = re.search(r"release (\S+),", said)
    return f"nvcc {release[1] if release else said.strip()}"


def compile_cuda(source: str, arch: str, options: Sequence[str]) -> bytes:
    """Compile CUDA C++ for an architecture.

    Parameters
    ----------
    source
        The device's functions.
    arch
        Such as ``sm_80``.
    options
        What the compiler is told beside it.

    Returns
    -------
    bytes
        A cubin.

    Raises
    ------
    Refused
        If the compiler refuses it.
    """
    if find_nvrtc() is not None:
        return _by_nvrtc(source, [f"--gpu-architecture={arch}", *options])
    nvcc = find_nvcc()
    if nvcc is None:
        raise InternalError("CUDA was to be compiled without a compiler")
    return _by_nvcc(nvcc, source, [f"--gpu-architecture={arch}", *options])


def _by_nvrtc(source: str, options: Sequence[str]) -> bytes:
    library = _nvrtc()
    program = ctypes.c_void_p()
    _check(
        library.nvrtcCreateProgram(
            ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None
        )
    )
    try:
        told = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        status = library.nvrtcCompileProgram(program, len(options), told)
        if status:
            log = _taken(library, program, "nvrtcGetProgramLog").rstrip(b"\0").decode()
            raise Refused(f"NVRTC: {_first_error(log) or _said(status)}")
        return _taken(library, program, "nvrtcGetCUBIN")
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _taken(library: Any, program: Any, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(getattr(library, f"{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(getattr(library, what)(program, buffer))
    return buffer.raw


def _check(status: int) -> None:
    if status:
        raise InternalError(f"NVRTC failed: {_said(status)}")


def _said(status: int) -> str:
    return str(_nvrtc().nvrtcGetErrorString(status).decode())


def _by_nvcc(nvcc: str, source: str, options: Sequence[str]) -> bytes:
    Path(tempfile.gettempdir()).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mutatenn-") as scratch:
        file, cubin = Path(scratch, "kernel.cu"), Path(scratch, "kernel.cubin")
        file.write_text(source)
        done = _run([nvcc, "-cubin", *options, str(file), "-o", str(cubin)])
        if done.returncode:
            raise Refused(f"nvcc: {_first_error(done.stderr)}")
        return cubin.read_bytes()


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {_SECONDS:g} s")


def _first_error(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[0] if lines else "")[:500]
