"""What this processor has, and what LLVM knows of processors.

pytest's own process loads no TVM, so LLVM is asked in a process that ends with its answer; where
TVM is loaded already, it is asked there.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pytest_mutatenn.errors import InternalError

__all__ = ["LEVELS", "Facts", "facts", "features_missing", "processor_level"]

# what each x86-64 level asks of a processor beyond the level before it (the psABI's table), as
# Linux calls it
LEVELS = {
    "x86-64": ("sse2",),
    "x86-64-v2": ("pni", "ssse3", "sse4_1", "sse4_2", "popcnt"),
    "x86-64-v3": ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"),
    "x86-64-v4": ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
}
_SECONDS = 60.0


@cache
def _flags() -> frozenset[str]:
    """What Linux says of this processor; nothing elsewhere."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                return frozenset(line.partition(":")[2].split())
    except OSError:
        pass
    return frozenset()


def _is_x86() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64")


def features_missing(level: str) -> list[str]:
    """What this processor lacks of an x86-64 level, in the table's order."""
    wanted: list[str] = []
    for name, flags in LEVELS.items():
        wanted += flags
        if name == level:
            break
    return [flag for flag in wanted if flag not in _flags()]


@cache
def processor_level() -> str:
    """The highest x86-64 level this processor has; ``generic`` on any other kind."""
    if not _is_x86():
        return "generic"
    return max((name for name in LEVELS if not features_missing(name)), default="x86-64")


@dataclass(frozen=True)
class Facts:
    """What LLVM says of a processor that code is wanted for.

    Attributes
    ----------
    cpu
        Its name; this processor's own where ``native`` was asked for.
    cpus
        All names that LLVM knows, of processors that run this kind of code.
    attributes
        All features that LLVM knows.
    lacking
        What code for it may use and this processor does not have.
    """

    cpu: str
    cpus: tuple[str, ...]
    attributes: tuple[str, ...]
    lacking: tuple[str, ...]


@cache
def facts(cpu: str, attributes: tuple[str, ...]) -> Facts:
    """Ask LLVM about a processor by name and the features added to or taken from it.

    Parameters
    ----------
    cpu
        Empty for any processor of this machine's kind.
    attributes
        Such as ``+avx2`` and ``-fma``.

    Raises
    ------
    InternalError
        If LLVM gives no answer.
    """
    if "tvm" in sys.modules:
        return _ask(cpu, attributes)
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__, cpu, *attributes],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
        found = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, ValueError, IndexError) as error:
        said = getattr(error, "stderr", "") or ""
        raise InternalError(f"LLVM gave no answer about {cpu!r}: {error}\n{said}") from error
    return Facts(found[0], *(tuple(part) for part in found[1:]))


def _ask(cpu: str, attributes: tuple[str, ...]) -> Facts:
    import tvm
    from tvm.target import Target, codegen

    if cpu == "native":
        cpu = str(codegen.llvm_get_system_cpu())
    every = sorted(map(str, codegen.llvm_get_cpu_archlist(Target("llvm"))))
    has = {name: _features(name) for name in every}
    if _is_x86():
        every = [name for name in every if "64bit" in has[name]]
    known = sorted(set().union(*has.values()))
    lacking: list[str] = []
    if not cpu or cpu in every:
        # with a feature that it does not know, LLVM would only warn
        added = [text for text in attributes if text[1:] in known]
        ask = tvm.get_global_func("tvm.codegen.llvm.GetHostCPUFeatures", allow_missing=True)
        found = ask() if ask is not None else None
        here = {str(name): bool(int(has)) for name, has in dict(found).items()} if found else {}
        lacking = sorted(name for name in _features(cpu, added) if not here.get(name, True))
    return Facts(cpu, tuple(every), tuple(known), tuple(lacking))


def _features(cpu: str, attributes: tuple[str, ...] | list[str] = ()) -> set[str]:
    from tvm.target import Target, codegen

    config: dict[str, object] = {"kind": "llvm"}
    if cpu:
        config["mcpu"] = cpu
    if attributes:
        config["mattr"] = list(attributes)
    return set(map(str, codegen.llvm_get_cpu_features(Target(config))))


if __name__ == "__main__":
    said = _ask(sys.argv[1], tuple(sys.argv[2:]))
    print(json.dumps([said.cpu, said.cpus, said.attributes, said.lacking]))
