"""Errors of a process that makes or runs mutants, as plain data for pytest's process."""

from __future__ import annotations

import traceback
from typing import Any

from pytest_mutatenn.devices.slots import DeviceError, DeviceTimeout
from pytest_mutatenn.errors import MutatennError

__all__ = ["describe"]


def describe(error: BaseException) -> dict[str, Any]:
    """An error as plain data: whose it is, and what it says."""
    if isinstance(error, MutatennError):
        return {"error": "user", "message": str(error)}
    if isinstance(error, DeviceTimeout):
        return {"error": "late", "message": str(error)}
    if isinstance(error, DeviceError):
        return {"error": "fault", "message": str(error)}
    if isinstance(error, MemoryError) or "bad_alloc" in str(error):
        return {"error": "memory", "message": "an allocation failed"}
    if isinstance(error, OSError):
        message = (
            f"The system refused a process that makes mutants something: {error}. Is the store "
            "(--mutatenn-cache-dir) there, its disk not full, and was it left alone meanwhile?"
        )
        return {"error": "user", "message": message}
    return {"error": "internal", "message": "".join(traceback.format_exception(error))}
