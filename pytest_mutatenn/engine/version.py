"""What stored results depend on beside their own keys. Needs no TVM."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("apache-tvm", "apache-tvm-ffi", "onnx", "numpy")
_CODE = ("compiler", "devices", "engine", "model", "operators")


@cache
def code_version() -> str:
    """Digest of our own source below the fixtures, and of the packages it stands on."""
    digest = hashlib.sha256(source_version(*_CODE).encode())
    for package in _PACKAGES:
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
                flags = line.partition(":")[2].strip()
                break
    except OSError:
        flags = platform.processor()
    return f"{platform.system()} {platform.machine()} {flags}"


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
