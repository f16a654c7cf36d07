"""Which CUDA devices there are, asked in a process of its own: a driver may hang or crash.

Run as ``python -m pytest_mutatenn.devices.cuda.probe``, it prints them as JSON.
"""

from __future__ import annotations

import ctypes
import json
from dataclasses import asdict, dataclass
from functools import cache

from pytest_mutatenn.devices.cuda.driver import LIBRARY, call, driver
from pytest_mutatenn.devices.probing import ask_driver

__all__ = ["Found", "found"]

_SECONDS = 60.0
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
_INSTALL = "install NVIDIA's driver, such as Debian's package nvidia-driver"


@dataclass(frozen=True)
class Found:
    """A CUDA device.

    Attributes
    ----------
    name
        As the driver gives it.
    arch
        Its architecture: ``sm_90``.
    driver
        The newest CUDA that the driver knows: ``12.4``.
    """

    name: str
    arch: str
    driver: str


@cache
def found() -> tuple[tuple[Found, ...], str]:
    """The devices, and where there are none, why. Never raises; asked once a process."""
    devices, reason = ask_driver(
        __name__,
        _SECONDS,
        hangs=f"NVIDIA's driver gave no answer within {_SECONDS:g} s: it hangs",
        unasked="NVIDIA's driver cannot be asked",
        failed="asking NVIDIA's driver failed",
    )
    return tuple(Found(**each) for each in devices), reason


def _ask() -> tuple[list[Found], str]:
    try:
        driver()
    except OSError:
        return [], f"there is no NVIDIA driver ({LIBRARY}): {_INSTALL}"
    try:
        call("cuInit", 0)
        count, version = ctypes.c_int(), ctypes.c_int()
        call("cuDeviceGetCount", ctypes.byref(count))
        call("cuDriverGetVersion", ctypes.byref(version))
        devices = [_described(i, version.value) for i in range(count.value)]
    except Exception as error:
        return [], f"NVIDIA's driver is there and does not work: {error}"
    return devices, "" if devices else "NVIDIA's driver is there, and no GPU"


def _described(number: int, version: int) -> Found:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(256)
    call("cuDeviceGet", ctypes.byref(device), number)
    call("cuDeviceGetName", name, len(name), device.value)
    call("cuDeviceGetAttribute", ctypes.byref(major), _MAJOR, device.value)
    call("cuDeviceGetAttribute", ctypes.byref(minor), _MINOR, device.value)
    knows = f"{version // 1000}.{version % 1000 // 10}"
    return Found(name.value.decode(), f"sm_{major.value}{minor.value}", knows)


if __name__ == "__main__":
    known, why = _ask()
    print(json.dumps([[asdict(device) for device in known], why]))
