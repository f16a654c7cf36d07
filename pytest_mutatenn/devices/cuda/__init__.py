"""NVIDIA GPUs: TVM's CUDA C++, compiled by NVRTC or nvcc and launched by the driver."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.devices.cuda.nvrtc import (
    INSTALL,
    compile_cuda,
    compiler_version,
    find_nvcc,
    find_nvrtc,
)
from pytest_mutatenn.devices.cuda.probe import Found, found
from pytest_mutatenn.devices.emitted import from_split
from pytest_mutatenn.devices.plan import Launch, Plan, read_plan
from pytest_mutatenn.devices.slots import DeviceError, Memory, Refused
from pytest_mutatenn.devices.specs import pieces
from pytest_mutatenn.errors import MutatennError

if TYPE_CHECKING:
    from tvm.target import Target
    from tvm.tirx import PrimFunc

_ARCH = "sm_80"  # where there is no device, and none is named: it compiles for all since 2020
_FAST = "fast_math"  # a key of the target
_SIZE = 8  # bytes of a file's first number: how long its source is
_TYPES: dict[str, Any] = {
    "int32": ctypes.c_int32,
    "int64": ctypes.c_int64,
    "uint32": ctypes.c_uint32,
    "uint64": ctypes.c_uint64,
    "float32": ctypes.c_float,
    "float64": ctypes.c_double,
}


class Device:
    """``cuda[:i]``: one NVIDIA GPU.

    Parameters
    ----------
    options
        The GPU's number, from 0; ``arch=sm_80`` to compile for another architecture than its own,
        which without a GPU is ``sm_80``.

    Raises
    ------
    MutatennError
        If an option is unknown.
    """

    kind = "cuda"
    forks = False
    exclusive = True
    suffix = ".cubin"
    memory: Memory

    def __init__(self, options: str = "") -> None:
        self._number = 0
        self._arch = ""
        for piece in pieces(options):
            if piece.isdecimal():
                self._number = int(piece)
            elif re.fullmatch(r"arch=sm_\d+a?", piece):
                self._arch = piece.partition("=")[2]
            else:
                raise MutatennError(
                    f"{piece!r} is no option of cuda. It takes the number of a GPU, and "
                    "arch=sm_80 or another architecture."
                )

    @property
    def _found(self) -> Found | None:
        devices, _ = found()
        return devices[self._number] if self._number < len(devices) else None

    def missing(self) -> str | None:
        """Say why the device is not here; ``None`` where it is. Never raises."""
        devices, reason = found()
        if not devices:
            return reason
        if self._found is None:
            there = ", ".join(f"cuda:{i} ({each.name})" for i, each in enumerate(devices))
            return f"there is no GPU with the number {self._number}; there is {there}"
        return self.why_not_compiled() or _too_new(self._found)

    def why_not_compiled(self) -> str | None:
        """Say why nothing compiles its code; None where something does."""
        if find_nvrtc() is None and find_nvcc() is None:
            return f"CUDA's compiler is not here: {INSTALL}"
        return None

    def check(self) -> None:
        """See that the compiler knows the architecture, where one is named.

        Raises
        ------
        MutatennError
            With what it says.
        """
        if not self._arch or self.why_not_compiled() is not None:
            return
        try:
            compile_cuda("", self._arch, ())
        except Refused as error:
            raise MutatennError(f"there is no code for {self._arch}: {error}") from None

    def about(self) -> str:
        """The GPU, and the compiler."""
        there = self._found
        return f"{there.name if there else 'no GPU'}, {self._compiles_for()}, {compiler_version()}"

    def _compiles_for(self) -> str:
        there = self._found
        return self._arch or (there.arch if there is not None else _ARCH)

    def fingerprint(self) -> str:
        """The GPU, its driver and the compiler; without a GPU, what is compiled for."""
        there = self._found
        on = f"{there.name}, driver {there.driver}" if there is not None else "compiled only"
        return f"cuda {self._compiles_for()} {compiler_version()} {on}"

    def target(self, *, fast_math: bool) -> Target:
        """Return the CUDA target of the architecture."""
        from tvm.target import Target

        config = {
            "kind": "cuda",
            "arch": self._compiles_for(),
            "keys": ["cuda", "gpu", *([_FAST] if fast_math else [])],
            "max_num_threads": 1024,
            "max_threads_per_block": 1024,
            "max_shared_memory_per_block": 48 << 10,
        }
        return Target(config).with_host(Target("llvm"))

    def open(self) -> None:
        """Make a context, in the process that runs kernels: no fork survives it.

        Raises
        ------
        MutatennError
            If the driver refuses.
        """
        from pytest_mutatenn.devices.cuda.driver import call
        from pytest_mutatenn.devices.cuda.memory import CudaMemory

        device, context = ctypes.c_int(), ctypes.c_void_p()
        try:
            call("cuInit", 0)
            call("cuDeviceGet", ctypes.byref(device), self._number)
            call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device.value)
            call("cuCtxSetCurrent", context)
        except (DeviceError, MemoryError, OSError) as error:
            raise MutatennError(
                f"NVIDIA's driver refuses a context on cuda:{self._number}: {error}. Does another "
                "program hold the GPU, or all of its memory?"
            ) from error
        self.memory = CudaMemory()

    def compile(self, func: PrimFunc, target: Target) -> tuple[bytes, bytes]:
        """Generate CUDA C++ and what the host does to run it, and compile it to a cubin.

        Raises
        ------
        Refused
            If CUDA's compiler refuses it, or the host would have to compute.
        """
        from pytest_mutatenn.compiler.kernel import split
        from pytest_mutatenn.devices.cuda.source import device_source

        host, printed = split(func, target)
        options = ("--use_fast_math",) if _FAST in target.keys else ()
        plan = read_plan(host, options)
        # a mutant may have nothing left to launch
        source = device_source(printed) if plan.launches else ""
        code = plan.with_source(source)
        cubin = compile_cuda(source, str(target.attrs["arch"]), options) if source else b""
        return code, len(code).to_bytes(_SIZE, "little") + code + cubin

    def emitted(self, func: PrimFunc, target: Target) -> dict[str, str]:
        """CUDA C++, and what the host does to run it."""
        from pytest_mutatenn.devices.cuda.source import device_source

        host, printed = from_split(func, target)
        source = device_source(printed) if "__global__" in printed else ""
        return {".cu": source, ".host.py": host}

    def binary(self, func: PrimFunc, target: Target) -> dict[str, bytes]:
        """The cubin."""
        data = self.compile(func, target)[1]
        return {".cubin": data[_SIZE + int.from_bytes(data[:_SIZE], "little") :]}

    def check_compiles(self, _code: bytes) -> None:
        """Nothing: what :meth:`compile` gives is compiled."""

    def load(self, path: Path, *, guard: bool = False) -> Callable[..., Any]:
        """Load a kernel, and give the function that launches it.

        Raises
        ------
        Refused
            If the driver refuses it.
        """
        from pytest_mutatenn.devices.cuda.source import with_poison

        data = path.read_bytes()
        end = _SIZE + int.from_bytes(data[:_SIZE], "little")
        plan, source = Plan.of_file(data[_SIZE:end])
        cubin = data[end:]
        if guard and with_poison(source) != source:
            cubin = compile_cuda(with_poison(source), self._compiles_for(), plan.options)
        return self._loaded(plan, cubin, guard=guard)

    def arm(self, build: Callable[[PrimFunc], Path]) -> None:
        """Do nothing: a guarded kernel needs nothing but its own source."""

    def _loaded(self, plan: Plan, cubin: bytes, *, guard: bool) -> Callable[..., Any]:
        names = {launch.function for launch in plan.launches}
        functions = _functions(cubin, names) if names else {}
        temporaries = [self.memory.slot((size,), "uint8") for size in plan.temporaries]
        own = [slot.tensor for slot in temporaries]

        def run(*tensors: int) -> None:
            if guard:
                for slot in temporaries:
                    slot.poison()
            for launch in plan.launches:
                _start(functions[launch.function], launch, tensors, own)

        return run


def _too_new(device: Found) -> str | None:
    """Say that the driver does not load what the compiler makes; None where it does."""
    version = re.search(r"(\d+)\.\d+", compiler_version())
    knows = int(device.driver.partition(".")[0])
    if version is None or int(version[1]) <= knows:
        return None
    return (
        f"{compiler_version()} makes code that its driver, which knows CUDA {device.driver}, does "
        f"not load: install a newer driver, or pip install nvidia-cuda-nvrtc-cu{knows}"
    )


def _functions(cubin: bytes, names: set[str]) -> dict[str, Any]:
    """Function name -> the function, loaded."""
    from pytest_mutatenn.devices.cuda.driver import call

    module = ctypes.c_void_p()
    try:
        call("cuModuleLoadData", ctypes.byref(module), cubin)
        functions = {}
        for name in sorted(names):
            function = ctypes.c_void_p()
            call("cuModuleGetFunction", ctypes.byref(function), module, name.encode())
            functions[name] = function
    except DeviceError as error:
        raise Refused(str(error)) from error
    return functions


def _start(function: Any, launch: Launch, tensors: Sequence[int], own: Sequence[int]) -> None:
    from pytest_mutatenn.devices.cuda.driver import call

    values: list[Any] = []
    for arg in launch.args:
        if arg.kind == "tensor":
            values.append(ctypes.c_uint64(tensors[int(arg.value)]))
        elif arg.kind == "temporary":
            values.append(ctypes.c_uint64(own[int(arg.value)]))
        else:
            values.append(_TYPES[arg.kind](arg.value))
    pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
    call("cuLaunchKernel", function, *launch.groups, *launch.size, 0, None, pointers, None)
