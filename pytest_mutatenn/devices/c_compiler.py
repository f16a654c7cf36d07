"""The machine's C compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pytest_mutatenn.devices.slots import Refused

__all__ = ["compile_c", "find_compiler", "library_file", "tried", "version_of"]

_SECONDS = 120.0
_ALWAYS = ("-w", "-fPIC", "-c", "-o", "kernel.o")
_HEADERS = (
    "#include <math.h>\n#include <stdint.h>\n#include <stdlib.h>\nint main(void) {return 0;}\n"
)


@cache
def find_compiler(name: str = "") -> str | None:
    """Path of a C compiler by its name, or of the machine's own; None where there is none."""
    for command in [name] if name else ["cc", "gcc", "clang"]:
        path = shutil.which(command)
        if path:
            return path
    return None


@cache
def version_of(compiler: str) -> str:
    """What a compiler says of itself, in a line."""
    return _run([compiler, "--version"], None).stdout.partition("\n")[0].strip()


@cache
def tried(compiler: str, flags: tuple[str, ...]) -> str:
    """What a compiler says against a program of one line with the usual headers, and flags."""
    done = _run([compiler, *flags, "-xc", "-c", "-o", os.devnull, "-"], None, _HEADERS)
    return _first_error(done.stderr) if done.returncode else ""


@cache
def library_file(compiler: str, names: tuple[str, ...]) -> str | None:
    """Path of the first of some libraries that a compiler has; None where it has none."""
    for name in names:
        path = Path(_run([compiler, f"-print-file-name={name}"], None).stdout.strip())
        # of what it does not find it repeats the name
        if path.is_absolute() and path.exists():
            return str(path.resolve())
    return None


def _includes() -> list[str]:
    import tvm
    from tvm_ffi import libinfo

    folders = [*libinfo.include_paths(), Path(tvm.__file__).parent / "include"]
    return [f"-I{folder}" for folder in folders]


def compile_c(compiler: str, flags: Sequence[str], source: str, name: str, folder: Path) -> bytes:
    """Compile C to an object file that can become part of a library.

    Parameters
    ----------
    compiler, flags
        The compiler's path and what it is told.
    source, name
        The C, and what its file is called.
    folder
        A folder for temporary files.

    Raises
    ------
    Refused
        If the compiler refuses it.
    """
    (folder / name).write_text(source)
    done = _run(
        [compiler, *_ALWAYS, f"-ffile-prefix-map={folder}=.", *flags, *_includes(), name],
        folder,
    )
    if done.returncode:
        raise Refused(f"{Path(compiler).name}: {_first_error(done.stderr)}")
    return (folder / "kernel.o").read_bytes()


def _run(
    command: list[str], folder: Path | None, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    # messages in English, whatever the user's language: a part of them is read
    environment = {**os.environ, "LC_ALL": "C"}
    environment.pop("LD_PRELOAD", None)
    try:
        return subprocess.run(
            command,
            cwd=folder,
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {_SECONDS:g} s")


def _first_error(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[-1] if lines else "")[:500]
