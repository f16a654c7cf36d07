"""What a kind of device generates from a kernel, for people and for other programs to read.

A kind may have ``emitted(func, target)`` for the text of its code, and ``binary(func, target)`` for
what becomes of that; both give files by their suffixes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.devices.linker import object_file

if TYPE_CHECKING:
    from tvm.target import Target
    from tvm.tirx import PrimFunc

__all__ = ["LANGUAGES", "NO_OBJECT", "binary_of", "emitted_by", "from_split", "llvm_object",
           "llvm_text"]  # fmt: skip

LANGUAGES = {".s": "asm", ".ll": "llvm", ".c": "c", ".cl": "opencl", ".cu": "cuda"}
"""Suffix of a file -> the language that is in it, of the device's own code; the host's is IR."""

NO_OBJECT = "there is none: the device's driver compiles the source when it loads a kernel"

_DEBUG = re.compile(r",? ?!(dbg|tbaa|alias\.scope|noalias) ![0-9]+")
_NOISE = re.compile(r"\s*#dbg_|!|source_filename|; ModuleID")
_ASIDE = re.compile(
    r"\s*\.(loc|file|cfi_\w+|ident|addrsig\w*)\b|\.(Ltmp|Lfunc_(begin|end))\d+:|\s*$"
)
_DATA = re.compile(r"\s*\.section\s+\"?\.(debug|note|apple)")
_SECTION = re.compile(r"\s*\.(section|text|data|bss)\b")


def emitted_by(device: Any, func: PrimFunc, target: Target) -> dict[str, str] | None:
    """What a device generates from a kernel at the device stage; None where its kind gives none."""
    function = getattr(device, "emitted", None)
    return None if function is None else dict(function(func, target))


def binary_of(device: Any, func: PrimFunc, target: Target) -> dict[str, bytes] | None:
    """The object file of a kernel at the device stage; None where its kind has none."""
    function = getattr(device, "binary", None)
    return None if function is None else dict(function(func, target))


def llvm_text(func: PrimFunc, target: Target) -> dict[str, str]:
    """LLVM's IR and assembly of a kernel, without what is not code and differs from run to run."""
    from pytest_mutatenn.compiler.kernel import generate

    module = generate(func, target)
    return {
        ".ll": _without_notes(str(module.inspect_source("ll"))),
        ".s": _without_sections(str(module.inspect_source("asm"))),
    }


def llvm_object(func: PrimFunc, target: Target) -> dict[str, bytes]:
    """The object file of a kernel."""
    with object_file(func, target) as path:
        return {".o": path.read_bytes()}


def from_split(func: PrimFunc, target: Target) -> tuple[str, str]:
    """What the host does to run a kernel, as TVMScript, and the device's source as TVM has it."""
    from pytest_mutatenn.compiler.kernel import split

    host, source = split(func, target)
    return str(host.script()), source


def _without_notes(text: str) -> str:
    """LLVM IR without metadata: it holds addresses, and debugging information of no source."""
    kept = [_DEBUG.sub("", line) for line in text.splitlines() if not _NOISE.match(line)]
    return "\n".join(kept).strip() + "\n"


def _without_sections(text: str) -> str:
    """Assembly without debugging information."""
    kept, inside = [], False
    for line in text.splitlines():
        if _SECTION.match(line):
            inside = _DATA.match(line) is not None
        if not inside and not _ASIDE.match(line):
            kept.append(line)
    return "\n".join(kept) + "\n"
