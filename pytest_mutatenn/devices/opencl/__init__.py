"""OpenCL devices: TVM's OpenCL C, compiled by the device's driver and launched by pyopencl."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.devices.emitted import from_split
from pytest_mutatenn.devices.opencl.build import build, check_types, why_refused
from pytest_mutatenn.devices.opencl.probe import Found, choose
from pytest_mutatenn.devices.opencl.probe import found as found_here
from pytest_mutatenn.devices.plan import Launch, Plan, read_plan, with_plain_names
from pytest_mutatenn.devices.slots import Memory, Refused
from pytest_mutatenn.errors import MutatennError

if TYPE_CHECKING:
    from tvm.target import Target
    from tvm.tirx import PrimFunc

_THREADS = 256  # of a work group, where the device allows as many
_LOCAL_MEMORY = 16 << 10  # bytes, likewise
_FAST = "fast_math"  # a key of the target


class Device:
    """``opencl[:platform.device]``: one device of an OpenCL driver.

    Attributes
    ----------
    exclusive
        Whether parallel workers take turns on it. A CPU's driver starts its threads in every
        process, and they share the CPU as other processes do.
    """

    kind = "opencl"
    forks = False
    suffix = ".cl"
    memory: Memory

    def __init__(self, options: str) -> None:
        self._options = options
        self._context: Any = None

    @cached_property
    def _chosen(self) -> tuple[Found | None, str]:
        return choose(self._options)

    @property
    def exclusive(self) -> bool:
        """Whether parallel workers take turns on it."""
        found, _ = self._chosen
        return found is not None and not found.is_cpu

    def missing(self) -> str | None:
        """Say why the device is not here; ``None`` where it is. Never raises."""
        found, reason = self._chosen
        return None if found is not None else reason

    def about(self) -> str:
        """The platform and the device, in a phrase."""
        found, _ = self._chosen
        return "" if found is None else f"{found.platform_name}, {found.name}"

    @property
    def variants(self) -> tuple[str, ...]:
        """Numbers of the devices here, where there are several."""
        devices, _ = found_here()
        numbers = tuple(f"{device.platform}.{device.device}" for device in devices)
        return numbers if len(numbers) > 1 else ()

    def fingerprint(self) -> str:
        """The driver, its version and the device: they decide how a kernel is compiled."""
        found, _ = self._chosen
        if found is None:
            return "opencl"
        return f"opencl {found.platform_version} {found.name} {found.driver}"

    def target(self, *, fast_math: bool) -> Target:
        """Return the OpenCL target, with as many threads as the device allows, up to 256."""
        from tvm.target import Target

        found, _ = self._chosen
        threads = _THREADS if found is None else min(_THREADS, found.work_items)
        shared = _LOCAL_MEMORY if found is None else min(_LOCAL_MEMORY, found.local_memory)
        config = {
            "kind": "opencl",
            "keys": ["opencl", "gpu", *([_FAST] if fast_math else [])],
            "max_num_threads": threads,
            "max_threads_per_block": threads,
            "max_shared_memory_per_block": shared,
        }
        return Target(config).with_host(Target("llvm"))

    def open(self) -> None:
        """Make a context and a queue, in the process that runs kernels: no fork survives them.

        Raises
        ------
        MutatennError
            If the driver refuses.
        """
        import pyopencl as cl

        from pytest_mutatenn.devices.opencl.memory import DeviceMemory, SharedMemory

        found, reason = self._chosen
        if found is None:
            raise MutatennError(f"The device opencl:{self._options} is not here: {reason}.")
        try:
            device = cl.get_platforms()[found.platform].get_devices()[found.device]
            self._context = cl.Context([device])
            self._queue = cl.CommandQueue(self._context)
        except (cl.Error, IndexError) as error:
            raise MutatennError(
                f"The OpenCL driver of {found} refuses a context: {error}. Does another program "
                "hold the device?"
            ) from error
        kind = SharedMemory if found.is_cpu else DeviceMemory
        self.memory = kind(self._context, self._queue)

    def compile(self, func: PrimFunc, target: Target) -> tuple[bytes, bytes]:
        """Generate OpenCL C, and what the host does to run it; the driver compiles it on load."""
        from pytest_mutatenn.compiler.kernel import split

        host, source = split(func, target)
        options = ("-cl-fast-relaxed-math",) if _FAST in target.keys else ()
        code = read_plan(host, options).with_source(with_plain_names(source))
        return code, code

    def emitted(self, func: PrimFunc, target: Target) -> dict[str, str]:
        """OpenCL C, and what the host does to run it."""
        host, _ = from_split(func, target)
        code, _ = self.compile(func, target)
        return {".cl": code.decode(), ".host.py": host}

    def load(self, path: Path, *, guard: bool = False) -> Callable[..., Any]:
        """Compile a kernel for the device, and give the function that launches it.

        Raises
        ------
        Refused
            If the driver refuses it, or the device lacks a type that it needs.
        """
        plan, source = Plan.of_file(path.read_bytes())
        return self._loaded(plan, source, guard=guard)

    def arm(self, build: Callable[[PrimFunc], Path]) -> None:
        """Do nothing: a guarded kernel needs nothing but its own source."""

    def why_not_compiled(self) -> str | None:
        """Say why no kernel can be compiled; None where there is any OpenCL driver."""
        devices, reason = found_here()
        return None if devices else reason

    def check_compiles(self, code: bytes) -> str | None:
        """Say why the driver does not compile what :meth:`compile` gave; None where it does.

        Where the device is not here, the first driver that is has to do.
        """
        found, _ = self._chosen
        if found is None:
            return why_refused(found_here()[0][0], code)
        try:
            check_types(found, Plan.of_file(code)[1])
        except Refused as error:
            return str(error)
        return why_refused(found, code)

    def _loaded(self, plan: Plan, source: str, *, guard: bool) -> Callable[..., Any]:
        from pytest_mutatenn.devices.opencl.memory import faults
        from pytest_mutatenn.devices.opencl.poison import with_poison

        found, _ = self._chosen
        assert found is not None
        check_types(found, source)
        functions = build(self._context, plan, with_poison(source) if guard else source)
        temporaries = [self.memory.slot((size,), "uint8") for size in plan.temporaries]
        launches = [(functions[launch.function], launch) for launch in plan.launches]
        memory, queue = self.memory, self._queue

        def run(*tensors: Any) -> None:
            if guard:
                for slot in temporaries:
                    slot.poison()
            with faults():
                for function, launch in launches:
                    _start(queue, function, launch, tensors, temporaries)
            if not memory.asynchronous:
                memory.synchronise()

        return run


def _start(
    queue: Any, function: Any, launch: Launch, tensors: Sequence[Any], temporaries: Sequence[Any]
) -> None:
    import numpy as np
    import pyopencl as cl

    for place, arg in enumerate(launch.args):
        if arg.kind == "tensor":
            function.set_arg(place, tensors[int(arg.value)])
        elif arg.kind == "temporary":
            function.set_arg(place, temporaries[int(arg.value)].tensor)
        else:
            function.set_arg(place, np.dtype(arg.kind).type(arg.value))
    items = [groups * size for groups, size in zip(launch.groups, launch.size, strict=True)]
    cl.enqueue_nd_range_kernel(queue, function, items, list(launch.size))
