"""Which OpenCL devices there are, asked in a process of its own: a driver may hang or crash.

Run as ``python -m pytest_mutatenn.devices.opencl.probe``, it prints them as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache

from pytest_mutatenn.devices.probing import ask_driver

__all__ = ["INSTALL", "Found", "choose", "found"]

_SECONDS = 60.0  # a driver that is loaded for the first time may take many
INSTALL = "pip install 'pytest-mutatenn[opencl]'"


@dataclass(frozen=True)
class Found:
    """An OpenCL device.

    Attributes
    ----------
    platform, device
        Their numbers.
    platform_name, platform_version, name, driver
        As the driver gives them.
    is_gpu, is_cpu
        Its type; an accelerator is neither.
    work_items
        How many a work group may have.
    local_memory
        Bytes of memory that a work group shares.
    extensions
        What it can do beyond the standard: ``cl_khr_fp64`` and others.
    """

    platform: int
    device: int
    platform_name: str
    platform_version: str
    name: str
    driver: str
    is_gpu: bool
    is_cpu: bool
    work_items: int
    local_memory: int
    extensions: tuple[str, ...]

    def __str__(self) -> str:
        return f"opencl:{self.platform}.{self.device} ({self.platform_name}, {self.name})"


@cache
def found() -> tuple[tuple[Found, ...], str]:
    """The devices, and where there are none, why. Never raises; asked once a process."""
    devices, reason = ask_driver(
        __name__,
        _SECONDS,
        hangs=f"asking the OpenCL drivers took more than {_SECONDS:g} s: one of them hangs",
        unasked="the OpenCL drivers cannot be asked",
        failed="an OpenCL driver failed",
    )
    made = (Found(**{**each, "extensions": tuple(each["extensions"])}) for each in devices)
    return tuple(made), reason


def choose(options: str) -> tuple[Found | None, str]:
    """The device of a specification, or why there is none.

    Parameters
    ----------
    options
        What follows ``opencl:``: ``0.1`` or ``0``, the numbers of a platform and of a device on
        it; or part of their names, ``pocl`` or ``nvidia.1``; nothing is the first GPU there is,
        else the first device.
    """
    devices, reason = found()
    if not devices:
        return None, reason
    if not options:
        return next((device for device in devices if device.is_gpu), devices[0]), ""
    matching = _matching(devices, options)
    if matching:
        return matching[0], ""
    there = ", ".join(map(str, devices))
    return None, f"there is no OpenCL device {options!r}; there is {there}"


def _matching(devices: Sequence[Found], options: str) -> list[Found]:
    first, _, second = options.rpartition(".")
    if options.isdigit():
        return [device for device in devices if device.platform == int(options)]
    if first.isdigit() and second.isdigit():
        return [device for device in devices if _numbers(device) == (int(first), int(second))]
    named = [device for device in devices if _is_called(device, options)]
    if not named and second.isdigit():
        numbered = [device for device in devices if device.device == int(second)]
        return [device for device in numbered if _is_called(device, first)]
    return named


def _numbers(device: Found) -> tuple[int, int]:
    return device.platform, device.device


def _is_called(device: Found, part: str) -> bool:
    names = (device.platform_name, device.platform_version, device.name)
    return any(part.lower() in name.lower() for name in names)


def _ask() -> tuple[list[Found], str]:
    try:
        import pyopencl as cl
    except ImportError as error:
        if error.name != "pyopencl":
            return [], f"pyopencl cannot be imported: {error}"
        return [], f"the package pyopencl is not installed: {INSTALL}"
    try:
        platforms = cl.get_platforms()
    except cl.Error:
        platforms = []
    if not platforms:
        return [], (
            "there is no OpenCL platform on this machine: install the driver of its GPU, or, to "
            "run on the CPU, the system's package of PoCL (Debian's pocl-opencl-icd)"
        )
    devices = []
    for i, platform in enumerate(platforms):
        try:
            on_platform = platform.get_devices()
        except cl.Error:
            continue  # a driver without its hardware
        devices += [_described(cl, i, j, device) for j, device in enumerate(on_platform)]
    names = ", ".join(platform.name for platform in platforms)
    return devices, "" if devices else f"the OpenCL platforms here ({names}) have no device"


def _described(cl: object, i: int, j: int, device: object) -> Found:
    kinds = cl.device_type  # type: ignore[attr-defined]
    get = device.__getattribute__
    return Found(
        platform=i,
        device=j,
        platform_name=get("platform").name.strip(),
        platform_version=get("platform").version.strip(),
        name=get("name").strip(),
        driver=get("driver_version").strip(),
        is_gpu=bool(get("type") & kinds.GPU),
        is_cpu=bool(get("type") & kinds.CPU),
        work_items=int(get("max_work_group_size")),
        local_memory=int(get("local_mem_size")),
        extensions=tuple(sorted(get("extensions").split())),
    )


if __name__ == "__main__":
    known, why = _ask()
    print(json.dumps([[asdict(device) for device in known], why]))
