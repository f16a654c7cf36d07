"""One kernel, from its PrimFunc to the IR that code is generated from, and its digest."""

from __future__ import annotations

import hashlib
import keyword
import re
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tvm
import tvm_ffi
from tvm import s_tir, tirx
from tvm.ir import prim
from tvm.ir.transform import Sequential
from tvm.target import Target
from tvm.tirx import PrimFunc
from tvm.tirx.build import split_host_device_mods, tir_to_runtime
from tvm_ffi.structural import structural_map

from pytest_mutatenn.compiler.vector_math import expand_vector_functions

ENTRY = "main"
"""Symbol under which every compiled kernel is found."""

# names that mean something in TVMScript; every other identifier is the author's choice
_KEYWORDS = frozenset([*keyword.kwlist, "T", "I", "R", "range", "metadata"])
_TOKEN = re.compile(r"(?P<text>\"[^\"]*\"|'[^']*')|(?P<attribute>\.\w+)|(?P<name>[A-Za-z_]\w*)")


@cache
def compiler_version() -> str:
    """Digest of the compilers a kernel goes through: TVM's, its FFI's and our own source."""
    digest = hashlib.sha256()
    for package in ("apache-tvm", "apache-tvm-ffi"):
        digest.update(f"{package} {version(package)}\n".encode())
    here = Path(__file__).resolve().parent
    for folder in (here, here.parent / "devices"):
        for file in sorted(folder.rglob("*.py")):
            digest.update(file.relative_to(here.parent).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:32]


def ir_digest(func: PrimFunc, target: Target | str) -> str:
    """256-bit digest of what a kernel does, for a target.

    Two kernels that differ only in the names of their variables, or in the kernel's own name,
    have the same digest. TVM's structural hash (64 bits) is one part; the printed text, with
    names replaced by their order of appearance, carries the rest.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    func = without_names(func)
    names: dict[str, str] = {}

    def canonical(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None or name in _KEYWORDS:
            return match[0]
        return names.setdefault(name, f"v{len(names)}")

    text = _TOKEN.sub(canonical, func.script())
    digest = hashlib.sha256(compiler_version().encode())
    for part in (str(target), str(tvm_ffi.structural_hash(func)), text):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()


def without_names(func: PrimFunc) -> PrimFunc:
    """Return the kernel without its global symbol."""
    if func.attrs and "global_symbol" in func.attrs:
        return func.without_attr("global_symbol")
    return func


def without_units(func: PrimFunc) -> PrimFunc:
    """Return the kernel without its multiplications by a literal that float32 rounds to one.

    They change no bit of what is stored, but can change how LLVM orders what is around them: a
    mutant of no effect would not be known by its code.
    """

    def visit(node: Any) -> Any:
        unit = node.b
        if isinstance(unit, prim.Broadcast):
            unit = unit.value
        if not isinstance(unit, prim.FloatImm) or "float64" in str(unit.ty.dtype):
            return node
        return node.a if np.float32(unit.value) == 1 else node

    return func.with_body(structural_map(func.body, [(prim.Mul, visit)]))


def _before_device_stage(vectors: bool) -> list[Any]:
    """TVM's own TIR pipeline, up to the IR whose lines the device stage mutates.

    Loops marked for unrolling are still loops here: unrolled, each operator would stand as many
    times as the loop has rounds.
    """
    return [
        s_tir.transform.CanonicalizeLoop(),
        s_tir.transform.LowerCrossThreadReduction(),
        s_tir.transform.LowerInitBlock(),
        s_tir.transform.PlanAndUpdateBufferAllocationLocation(),
        s_tir.transform.ConvertBlocksToOpaque(),
        s_tir.transform.LiftThreadBinding(),
        s_tir.transform.ManifestSharedMemoryLocalStage(),
        s_tir.transform.CompactBufferAllocation(),
        s_tir.transform.LowerAutoCopy(),
        s_tir.transform.UnifyThreadBinding(),
        s_tir.transform.LowerMatchBuffer(),
        s_tir.transform.StmtSimplify(),
        s_tir.transform.InjectPermutedLayout(),
        s_tir.transform.AnnotateIrregularLoop(),
        s_tir.transform.InjectSoftwarePipeline(),
        s_tir.transform.TransformMmaBufferLayout(),
        s_tir.transform.LowerOpaqueBlock(),
        tirx.transform.FlattenBuffer(),
        tirx.transform.BF16ComputeLegalize(),
        tirx.transform.NarrowDataType(32),
        s_tir.transform.LoopPartition(),
        tirx.transform.VectorizeLoop(vectors),
        s_tir.transform.InjectVirtualThread(),
        s_tir.transform.InjectDoubleBuffer(),
        tirx.transform.StorageRewrite(),
        s_tir.transform.HoistIfThenElse(),
        s_tir.transform.RenormalizeSplitPattern(),
        tirx.transform.StmtSimplify(),
        tirx.transform.RemoveNoOp(),
        s_tir.transform.RewriteUnsafeSelect(),
        tirx.transform.FP8ComputeLegalize(),
        tirx.transform.VerifyMemory(),
        tirx.transform.AnnotateEntryFunc(),
        s_tir.transform.ThreadSync("shared"),
        s_tir.transform.ThreadSync("shared.dyn"),
        s_tir.transform.ThreadSync("warp"),
        s_tir.transform.InferFragment(),
        s_tir.transform.LowerThreadAllreduce(),
        s_tir.transform.MergeSharedMemoryAllocations(),
    ]


def _to_split() -> list[Any]:
    return [
        tirx.transform.BF16ComputeLegalize(),
        tirx.transform.UnrollLoop(),
        s_tir.transform.RenormalizeSplitPattern(),
        tirx.transform.StmtSimplify(),
        tirx.transform.RemoveNoOp(),
        s_tir.transform.RewriteUnsafeSelect(),
        tirx.transform.CommonSubexprElim(),
        tirx.transform.SplitHostDevice(),
    ]


def _after_split() -> list[Any]:
    return [
        tirx.transform.MakePackedAPI(),
        tirx.transform.FP8StorageLegalize(),
        tirx.transform.BF16StorageLegalize(),
        # the caller guarantees shapes, dtypes and alignment, once and for all
        tirx.transform.SkipAssert(),
    ]


def to_device_stage(func: PrimFunc, target: Target) -> PrimFunc:
    """Lower a scheduled kernel to the IR that the device stage mutates.

    Parameters
    ----------
    func
        The scheduled kernel.
    target
        What it is compiled for, with its host.

    Returns
    -------
    PrimFunc
        Flat buffers, loops and statements; no blocks.
    """
    module = tvm.IRModule({ENTRY: func.with_attr("global_symbol", ENTRY)})
    module = tirx.transform.BindTarget(target)(module)
    # C has no vectors: its compiler makes them of the loops
    vectors = str(target.kind.name) != "c"
    return Sequential(_before_device_stage(vectors))(module)[ENTRY]


def generate(func: PrimFunc, target: Target) -> Any:
    """Generate code from a kernel at the device stage.

    Returns
    -------
    tvm.runtime.Module
        The module; its entry is :data:`ENTRY`.
    """
    if "cpu" in target.keys:
        func = expand_vector_functions(func)
    host = Sequential([*_to_split(), *_after_split()])(tvm.IRModule({ENTRY: func}))
    # on a CPU all of it is the host's, and asking costs some milliseconds
    host, devices = (host, {}) if "cpu" in target.keys else split_host_device_mods(host)
    _, finalize_host, finalize_device = tirx.get_tir_pipeline("s_tir")
    host = finalize_host()(host)
    devices = {kind: finalize_device()(part) for kind, part in devices.items()}
    return tir_to_runtime(host, devices, target.host or target)


def split(func: PrimFunc, target: Target) -> tuple[PrimFunc, str]:
    """Split a kernel at the device stage into what the host does and the device's source.

    For devices that TVM can generate code for, and has no runtime for.

    Returns
    -------
    host
        The function :data:`ENTRY` with the kernel's parameters: buffers and launches, one after
        another.
    source
        The device's functions, in its language.
    """
    module = Sequential(_to_split())(tvm.IRModule({ENTRY: func}))
    _, devices = split_host_device_mods(Sequential(_after_split())(module))
    _, _, finalize = tirx.get_tir_pipeline("s_tir")
    build = tvm.get_global_func(f"target.build.{target.kind.name}")
    sources = [build(finalize()(part), kind).inspect_source() for kind, part in devices.items()]
    return module[ENTRY], "\n".join(sources)
