"""Kernels of an OpenCL device, compiled by its driver and launched by pyopencl.

TVM's package has no OpenCL runtime, so that this needs ``pip install pyopencl`` besides, and a
driver. The first line of each kernel says what is launched, with which buffers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RED_ZONE = 16 << 10


def missing() -> str:
    """What this machine lacks; nothing where it lacks nothing."""
    try:
        import pyopencl as cl
    except ImportError:
        return "pyopencl: pip install pyopencl"
    try:
        devices = [device for platform in cl.get_platforms() for device in platform.get_devices()]
    except cl.Error as error:
        return f"an OpenCL driver: {error}"
    return "" if devices else "an OpenCL device: install its driver, or PoCL for the processor"


class Slot:
    """A tensor of the device between red zones, and an array to copy from and to."""

    def __init__(self, device: Device, shape: tuple[int, ...], dtype: str) -> None:
        import pyopencl as cl

        self.device = device
        self.array = np.zeros(shape, dtype)
        self.size = max(4, self.array.nbytes)
        flags = cl.mem_flags.READ_WRITE
        self.whole = cl.Buffer(device.context, flags, RED_ZONE + self.size + RED_ZONE)
        self.tensor = self.whole.get_sub_region(RED_ZONE, self.size)
        self.poison()

    def push(self) -> None:
        """Copy the array to the device."""
        import pyopencl as cl

        if self.array.nbytes:
            cl.enqueue_copy(self.device.queue, self.tensor, np.ascontiguousarray(self.array))

    def pull(self) -> None:
        """Copy from the device to the array."""
        import pyopencl as cl

        if self.array.nbytes:
            cl.enqueue_copy(self.device.queue, self.array, self.tensor)

    def poison(self) -> None:
        """Fill it, and what is beside it, with NaN."""
        import pyopencl as cl

        size = RED_ZONE + self.size + RED_ZONE
        cl.enqueue_fill_buffer(self.device.queue, self.whole, np.uint8(0xFF), 0, size)


class Device:
    """One OpenCL device; ``program["number"]`` is ``platform.device``, or empty for the first."""

    def __init__(self, program: dict[str, Any], scratch: Path) -> None:
        import pyopencl as cl

        platforms = cl.get_platforms()
        if program["number"]:
            platform, number = map(int, program["number"].split("."))
            chosen = platforms[platform].get_devices()[number]
        else:
            chosen = next(device for p in platforms for device in p.get_devices())
        self.context = cl.Context([chosen])
        self.queue = cl.CommandQueue(self.context)

    def slot(self, shape: tuple[int, ...], dtype: str) -> Slot:
        """A new tensor."""
        return Slot(self, shape, dtype)

    def load(self, path: Path) -> Callable[..., Any]:
        """Compile a kernel; give the function that launches it."""
        import pyopencl as cl

        head, _, source = path.read_text().partition("\n")
        plan = json.loads(head.removeprefix("// launches: "))
        built = cl.Program(self.context, source).build(plan["options"])
        functions = {function.function_name: function for function in built.all_kernels()}
        temporaries = [self.slot((size,), "uint8") for size in plan["temporaries"]]

        def run(*tensors: Any) -> None:
            for slot in temporaries:
                slot.poison()
            own = {"tensor": tensors, "temporary": [slot.tensor for slot in temporaries]}
            for launch in plan["launches"]:
                function = functions[launch["function"]]
                for place, arg in enumerate(launch["args"]):
                    kind, value = arg["kind"], arg["value"]
                    given = own[kind][int(value)] if kind in own else np.dtype(kind).type(value)
                    function.set_arg(place, given)
                items = [g * s for g, s in zip(launch["groups"], launch["size"], strict=True)]
                cl.enqueue_nd_range_kernel(self.queue, function, items, list(launch["size"]))
            self.queue.finish()

        return run
