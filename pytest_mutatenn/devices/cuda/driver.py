"""NVIDIA's driver, libcuda, through ctypes: no more of CUDA is needed to run kernels."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from pytest_mutatenn.devices.slots import DeviceError

__all__ = ["LIBRARY", "Driver", "call", "driver"]

LIBRARY = "libcuda.so.1"
_OUT_OF_MEMORY = 2

_pointer, _handle = ctypes.POINTER, ctypes.c_void_p
_address, _size, _int = ctypes.c_uint64, ctypes.c_size_t, ctypes.c_int
_uint = ctypes.c_uint
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuInit": (_uint,),
    "cuGetErrorName": (_int, _pointer(ctypes.c_char_p)),
    "cuDriverGetVersion": (_pointer(_int),),
    "cuDeviceGetCount": (_pointer(_int),),
    "cuDeviceGet": (_pointer(_int), _int),
    "cuDeviceGetName": (ctypes.c_char_p, _int, _int),
    "cuDeviceGetAttribute": (_pointer(_int), _int, _int),
    "cuDevicePrimaryCtxRetain": (_pointer(_handle), _int),
    "cuCtxSetCurrent": (_handle,),
    "cuCtxSynchronize": (),
    "cuMemAlloc_v2": (_pointer(_address), _size),
    "cuMemFree_v2": (_address,),
    "cuMemsetD8_v2": (_address, ctypes.c_ubyte, _size),
    "cuMemcpyHtoD_v2": (_address, _handle, _size),
    "cuMemcpyDtoH_v2": (_handle, _address, _size),
    "cuModuleLoadData": (_pointer(_handle), ctypes.c_char_p),
    "cuModuleGetFunction": (_pointer(_handle), _handle, ctypes.c_char_p),
    "cuLaunchKernel": (_handle, *[_uint] * 7, _handle, _pointer(_handle), _handle),
}

Driver = Any
"""The library; its functions return a status."""


@cache
def driver() -> Driver:
    """Load the driver.

    Raises
    ------
    OSError
        If there is none.
    """
    library = ctypes.CDLL(LIBRARY)
    for name, arguments in _SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes = arguments
        function.restype = _int
    return library


def call(name: str, *arguments: Any) -> None:
    """Call a function of the driver.

    Raises
    ------
    MemoryError
        If the device has no more memory.
    DeviceError
        If the driver reports any other error, perhaps of a kernel that was launched before.
    """
    status = getattr(driver(), name)(*arguments)
    if not status:
        return
    text = ctypes.c_char_p()
    driver().cuGetErrorName(status, ctypes.byref(text))
    said = text.value.decode() if text.value else f"error {status}"
    if status == _OUT_OF_MEMORY:
        raise MemoryError(f"{name}: {said}")
    raise DeviceError(f"the CUDA device reports {said} from {name}")
