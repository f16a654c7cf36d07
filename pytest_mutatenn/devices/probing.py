"""Asking a driver in a process of its own: it may hang or crash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

__all__ = ["ask_driver", "environment"]


def environment() -> dict[str, str]:
    """Variables for a process of this package's: it finds what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def ask_driver(
    module: str, seconds: float, *, hangs: str, unasked: str, failed: str
) -> tuple[list[dict[str, Any]], str]:
    """Run a module that prints, as JSON, a list of devices and why there are none. Never raises.

    Parameters
    ----------
    module
        Its name.
    seconds
        How long it may take.
    hangs, unasked, failed
        What to say where it takes longer, cannot be run, or ends with an error.

    Returns
    -------
    tuple
        The devices, and where there are none, why.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", module],
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
            timeout=seconds,
        )
        answer = json.loads(done.stdout) if done.returncode == 0 else None
    except subprocess.TimeoutExpired:
        return [], hangs
    except (OSError, ValueError) as error:
        return [], f"{unasked}: {error}"
    if answer is None:
        said = done.stderr.strip().splitlines()
        last = f": {said[-1]}" if said else ""
        return [], f"{failed} (exit status {done.returncode}){last}"
    return list(answer[0]), str(answer[1])
