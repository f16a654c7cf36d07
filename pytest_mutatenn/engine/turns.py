"""Turns on a device that the workers of a run, and other runs, share."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from filelock import BaseFileLock, FileLock

__all__ = ["turn"]


def turn(fingerprint: str) -> BaseFileLock:
    """A lock between all processes of this user that run kernels on a device.

    It lies in the machine's folder for temporary files, since a device is shared between stores.
    A process that is killed gives it up.

    Parameters
    ----------
    fingerprint
        What the device is known by; two of one kind in one machine take turns, too.
    """
    name = hashlib.sha256(fingerprint.encode()).hexdigest()[:16]
    return FileLock(Path(tempfile.gettempdir(), f"mutatenn-{os.getuid()}-{name}.lock"))
