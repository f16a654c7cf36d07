"""The OpenCL device of this machine, for tests; they are skipped where there is none."""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from pytest_mutatenn.compiler.kernel import to_device_stage
from pytest_mutatenn.devices.opencl import Device


@cache
def _opened():
    device = Device("")
    if device.missing() is None:
        device.open()
    return device


def opencl_device():
    """The device, opened in this process."""
    device = _opened()
    if device.missing() is not None:
        pytest.skip(device.missing())
    return device


def needs_opencl():
    """Skip where there is no device; nothing is opened."""
    reason = Device("").missing()
    if reason is not None:
        pytest.skip(reason)


def load(code, *, guard=False):
    """Load what the device's compiler gave."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.cl")
        path.write_bytes(code)
        return opencl_device().load(path, guard=guard)


def run_on_opencl(func, inputs, *, guard=False):
    """Lower a kernel that is bound to threads, and run it on all its parameters but the output."""
    device = opencl_device()
    target = device.target(fast_math=False)
    code, _ = device.compile(to_device_stage(func, target), target)
    return run_code(code, func, inputs, guard=guard)


def run_code(code, func, inputs, *, guard=False):
    """Run a kernel's code; what it does not write is NaN."""
    memory = opencl_device().memory
    slots = [memory.copy(array) for array in inputs]
    shape = tuple(int(extent) for extent in func.params[-1].shape)
    output = memory.slot(shape, str(func.params[-1].dtype))
    output.poison()
    load(code, guard=guard)(*(slot.tensor for slot in [*slots, output]))
    output.pull()
    return np.array(output.array)
