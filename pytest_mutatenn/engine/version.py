"""What stored results depend on beside their own keys. Needs no TVM."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("apache-tvm", "apache-tvm-ffi", "onnx", "numpy")
# what the x86-64 levels ask for, as Linux calls it; other flags change no code that we generate
_LEVEL_FLAGS = {
    *("pni", "ssse3", "sse4_1", "sse4_2", "popcnt"),
    *("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"),
    *("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
}
_CODE = ("compiler", "devices", "engine", "model", "operators")


@cache
def code_version() -> str:
    """Digest of our own source below the fixtures, and of the packages it stands on."""
    digest = hashlib.sha256(source_version(*_CODE).encode())
    for package in _PACKAGES:
        digest.update(f"{package} {package_version(package)}\n".encode())
    return digest.hexdigest()


@cache
def naming_version() -> str:
    """Digest of what decides which mutant has which name: our source, and who lowers networks."""
    digest = hashlib.sha256(source_version("compiler", "model", "operators").encode())
    for package in ("apache-tvm", "onnx"):
        digest.update(f"{package} {package_version(package)}\n".encode())
    return digest.hexdigest()


@cache
def source_version(*folders: str) -> str:
    """Digest of the source in some folders of this package."""
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parent.parent
    for folder in folders:
        for file in sorted((root / folder).rglob("*.py")):
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def package_version(package: str) -> str:
    """Version of an installed package; ``none`` where it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


@cache
def host() -> str:
    """The processor and the system, as far as code generated for this host depends on them."""
    flags = ""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                flags = line.partition(":")[2]
                break
    except OSError:
        flags = platform.processor()
    if platform.machine() in ("x86_64", "AMD64"):
        flags = " ".join(sorted(_LEVEL_FLAGS.intersection(flags.split())))
    return f"{platform.system()} {platform.machine()} {flags.strip()}"


@cache
def cpu_name() -> str:
    """The processor's name, for people."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
