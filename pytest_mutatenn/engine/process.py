"""pytest's side of the process that holds a whole network: start, ask, watch the clock, end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.engine import wire
from pytest_mutatenn.engine.child import Reply, status_text, tail
from pytest_mutatenn.engine.outcome import Failure, Outcome
from pytest_mutatenn.errors import InternalError, MutatennError

if TYPE_CHECKING:
    import numpy as np

_GRACE = 10.0  # seconds a process has to exit once its socket is closed


class Process:
    """A server of a whole network.

    Parameters
    ----------
    order
        What to load; see :mod:`pytest_mutatenn.engine.server`.
    scratch
        Folder for temporary files.
    seconds
        How long loading may take.

    Raises
    ------
    MutatennError
        If the network does not load, or not in time.
    """

    def __init__(self, order: Mapping[str, Any], scratch: Path, seconds: float) -> None:
        self.alive = True
        self._what = f"{order['model']} on {order['device']}"
        self._errors = os.memfd_create("mutatenn-server")
        self._sock, theirs = socket.socketpair()
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
            "TMPDIR": str(scratch),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pytest_mutatenn.engine.server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                env=environment,
                start_new_session=True,
            )
        try:
            reply = self.ask(order, seconds=seconds)
        except BaseException:
            self.close()
            raise
        if isinstance(reply, Failure):
            said = f"\n{reply.stderr}" if reply.stderr else ""
            raise MutatennError(f"{self._what} does not load: {reply.reason}.{said}")
        self.info = dict(reply.value)

    def ask(
        self,
        request: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray] | None = None,
        *,
        fds: Sequence[int] = (),
        seconds: float,
    ) -> Reply | Failure:
        """Send a request and wait for its answer; a process that gives none is ended.

        Raises
        ------
        MutatennError, InternalError
            If the process says that the user, or this package, is at fault.
        """
        deadline = time.monotonic() + seconds
        try:
            wire.send(self._sock, dict(request), arrays, fds)
            value, found, _ = wire.receive(self._sock, deadline=deadline)
        except wire.Late:
            return self._fail(Outcome.TIMED_OUT, f"no answer within {seconds:.1f} s")
        except (wire.Closed, wire.Garbled) as error:
            garbled = isinstance(error, wire.Garbled)
            return self._fail(Outcome.CRASHED, str(error) if garbled else "")
        except BaseException:
            self.close()  # its answer would be taken for the next one's
            raise
        if isinstance(value, dict) and "error" in value:
            if value["error"] == "user":
                raise MutatennError(value["message"])
            if value["error"] == "memory":
                return self._fail(Outcome.OUT_OF_MEMORY, value["message"])
            raise InternalError(f"in the process that runs {self._what}:\n{value['message']}")
        return Reply(value, found)

    def _fail(self, outcome: Outcome, reason: str) -> Failure:
        stderr = tail(self._errors)
        status = self.close(wait=not reason)
        return Failure(outcome, reason or f"its process {status_text(status)}", stderr)

    def close(self, *, wait: bool = False) -> int:
        """End the process; with ``wait`` it is given a moment to end by itself."""
        if not self.alive:
            return 0
        self.alive = False
        self._sock.close()
        if wait:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            self._process.kill()
        status = self._process.wait()
        os.close(self._errors)
        return status
