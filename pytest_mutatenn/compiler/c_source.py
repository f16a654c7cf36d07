"""A kernel as C that any compiler of C11 takes, to the last bit of its literals.

What TVM's generator of C prints is completed here: floating-point literals, of which it prints
seven digits and no infinity or NaN, are passed as their bits; and temporaries come from functions
that a loader can replace, as the LLVM generator's do.
"""

from __future__ import annotations

import re
import struct
from typing import Any

import numpy as np
from tvm import tirx
from tvm.ir import prim
from tvm.target import Target
from tvm.tirx import PrimFunc
from tvm_ffi.structural import structural_map

from pytest_mutatenn.compiler.kernel import generate

__all__ = ["c_source", "uses_half"]

_HEAD = """\
#include <stdint.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "tvm/runtime/c_backend_api.h"
static inline float mutatenn_float(uint32_t bits) {
  union { uint32_t bits; float value; } word = {bits};
  return word.value;
}
static inline double mutatenn_double(uint64_t bits) {
  union { uint64_t bits; double value; } word = {bits};
  return word.value;
}
#define TVMBackendAllocWorkspace mutatenn_allocate
#define TVMBackendFreeWorkspace mutatenn_free
"""
_HALF = """\
typedef _Float16 half;
"""
_OF_THE_LOADER = """\
/* filled in by whoever loads the library */
__attribute__((visibility("default"))) void* (*__TVMBackendAllocWorkspace)(
    int, int, uint64_t, int, int) = NULL;
__attribute__((visibility("default"))) int (*__TVMBackendFreeWorkspace)(int, int, void*) = NULL;
static __attribute__((malloc, noinline)) void* mutatenn_allocate(
    int device, int id, uint64_t size, int code, int bits) {
  return __TVMBackendAllocWorkspace(device, id, size, code, bits);
}
#define mutatenn_free __TVMBackendFreeWorkspace
"""
_OF_THE_HEAP = """\
static void* mutatenn_allocate(int device, int id, uint64_t size, int code, int bits) {
  void* memory = NULL;
  if (posix_memalign(&memory, 64, size)) return NULL;
  return memset(memory, 0xFF, size); /* NaN, where nothing has been written yet */
}
static int mutatenn_free(int device, int id, void* memory) {
  free(memory);
  return 0;
}
"""


_STACK = 4 << 10  # bytes; a tile's sums are at most a quarter of it
_ALLOCATED = re.compile(
    r"(?P<type>\w+)\* (?P<name>\w+) = \(\((?P=type)\*\)\(\((?P=type)\*\)TVMBackendAllocWorkspace"
    r"\(1, dev_id, \(uint64_t\)(?P<size>\d+)ULL, \d+, \d+\)\)\);"
)
_FREED = re.compile(r"TVMBackendFreeWorkspace\(1, dev_id, (?P<name>\w+)\) != 0")


def c_source(func: PrimFunc, target: Target, *, heap: bool = False) -> str:
    """Generate C from a kernel at the device stage.

    Parameters
    ----------
    func
        The kernel, without vectors.
    target
        TVM's target ``c``, with its host.
    heap
        Take temporaries from the C library's heap, each for itself, and not from the loader.
    """
    exact = func.with_body(structural_map(func.body, [(prim.FloatImm, _exact)]))
    temporaries = _OF_THE_HEAP if heap else _OF_THE_LOADER
    body = str(generate(exact, target).inspect_source())
    if not heap:
        body = _small_ones_on_the_stack(body)
    return _HEAD + (_HALF if uses_half(body) else "") + temporaries + body


def _small_ones_on_the_stack(body: str) -> str:
    """Make arrays of small temporaries: a compiler keeps in registers only what it sees whole."""
    small = set()

    def declared(match: re.Match[str]) -> str:
        size = int(match["size"])
        if size > _STACK:
            return match[0]
        small.add(match["name"])
        kind = match["type"]
        return f"{kind} {match['name']}[{size} / sizeof({kind})] __attribute__((aligned(64)));"

    def freed(match: re.Match[str]) -> str:
        return "0" if match["name"] in small else match[0]

    return _FREED.sub(freed, _ALLOCATED.sub(declared, body))


def uses_half(source: str) -> bool:
    """Whether C computes in float16, for which the compiler's own library may be needed."""
    return re.search(r"\bhalf\b", source) is not None


def _exact(literal: Any) -> Any:
    """The literal, if what is printed of it reads back as the same; else a call with its bits."""
    dtype = str(literal.ty.dtype)
    value = float(literal.value)
    if dtype == "float32":
        with np.errstate(over="ignore"):
            bits = int(np.float32(value).view(np.uint32))
            printed = int(np.float32(float(f"{value:e}")).view(np.uint32))
        if bits != printed or not np.isfinite(value):
            argument = tirx.const(bits, "uint32")
            return tirx.call_extern("float32", "mutatenn_float", argument)
    if dtype == "float64" and (float(f"{value:e}") != value or not np.isfinite(value)):
        (bits,) = struct.unpack("<Q", struct.pack("<d", value))
        return tirx.call_extern("float64", "mutatenn_double", tirx.const(bits, "uint64"))
    return literal
