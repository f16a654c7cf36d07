"""Compiling a kernel's source by an OpenCL driver, in this process or, for a look, in another.

Run as ``python -m pytest_mutatenn.devices.opencl.build PLATFORM DEVICE`` with a kernel on its
standard input, it prints why the driver refuses it, or ``null``, as JSON.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

from pytest_mutatenn.devices.opencl.probe import Found
from pytest_mutatenn.devices.plan import Plan
from pytest_mutatenn.devices.probing import environment
from pytest_mutatenn.devices.slots import Refused
from pytest_mutatenn.errors import InternalError

__all__ = ["build", "why_refused"]

_SECONDS = 120.0
_FILE = re.compile(r"\S+\.cl:(?=\d)")  # a driver's own copy of the source, under a random name
# what TVM's source asks of the device where it computes in a type
_TYPES = {"cl_khr_fp64": "float64", "cl_khr_fp16": "float16"}


def check_types(found: Found, source: str) -> None:
    """See that a device has the types that a source computes in.

    Raises
    ------
    Refused
        If it has not.
    """
    for extension, name in _TYPES.items():
        if extension in source and extension not in found.extensions:
            raise Refused(f"{found} does not compute in {name}: it lacks {extension}")


def build(context: Any, plan: Plan, source: str) -> dict[str, Any]:
    """Compile a source: function name -> the function.

    Raises
    ------
    Refused
        If the driver refuses it.
    """
    import pyopencl as cl

    try:
        # the driver keeps what it has compiled; a second cache would only be the slower one
        program = cl.Program(context, source).build(list(plan.options), cache_dir=False)
        return {function.function_name: function for function in program.all_kernels()}
    except cl.Error as error:
        raise Refused(_first_error(str(error))) from error


def why_refused(found: Found, code: bytes) -> str | None:
    """Say why a driver does not compile a kernel; None where it does.

    The driver works in a process of its own, so that the calling one can be forked still.
    """
    numbers = [str(found.platform), str(found.device)]
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__, *numbers],
            input=code,
            capture_output=True,
            check=False,
            env=environment(),
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"the compiler of {found} took more than {_SECONDS:g} s"
    if done.returncode:
        return f"the compiler of {found} failed (exit status {done.returncode})"
    reason: str | None = json.loads(done.stdout)
    return reason


def _first_error(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    told = [_FILE.sub("", line) for line in lines if "error" in line.lower()]
    if not lines:
        raise InternalError("an OpenCL driver refused a kernel and said nothing")
    return (told or lines)[0][:500]


def _main(platform: int, device: int) -> str | None:
    import pyopencl as cl

    context = cl.Context([cl.get_platforms()[platform].get_devices()[device]])
    try:
        build(context, *Plan.of_file(sys.stdin.buffer.read()))
    except Refused as error:
        return str(error)
    return None


if __name__ == "__main__":
    print(json.dumps(_main(int(sys.argv[1]), int(sys.argv[2]))))
