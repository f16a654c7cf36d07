"""pytest's side of one row's process: ask, watch, kill.

A request has a deadline. Whatever the child does (answer, raise, die, hang, allocate, scribble on
its channel), what comes back is a reply or a :class:`Failure`, never an exception of the child's
making.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.devices.sanitizer import finding
from pytest_mutatenn.engine import wire
from pytest_mutatenn.engine.outcome import Failure, Outcome
from pytest_mutatenn.errors import InternalError, MutatennError

if TYPE_CHECKING:
    import numpy as np

    from pytest_mutatenn.engine.sandbox import Zygote

_STDERR_KEPT = 8192
_GRACE = 10.0  # seconds a process has to exit once its socket is closed


class _TooLarge(Exception):
    """The child is past its memory limit."""


@dataclass(frozen=True)
class Reply:
    """What a child answered."""

    value: Any
    arrays: Mapping[str, np.ndarray]


class Child:
    """One row's process.

    Attributes
    ----------
    alive
        Whether it can be asked.
    used
        Whether other rows had the process before.
    """

    def __init__(
        self,
        zygote: Zygote,
        process: Mapping[str, Any],
        sock: socket.socket,
        errors: int,
        memory_limit: int,
    ) -> None:
        self._zygote = zygote
        self._pid = pid = int(process["pid"])
        self._server = bool(process["server"])
        self.used = bool(process["used"])
        self._sock = sock
        self._errors = errors
        self._limit = _own_memory(pid) + memory_limit
        # a process that dies this close to its limit was refused memory, and did not ask
        self._nearly = _resident(pid) + memory_limit - memory_limit // 5
        self._peak = 0
        self.alive = True
        self._busy = False

    def ask(
        self,
        request: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray] | None = None,
        *,
        fds: Sequence[int] = (),
        seconds: float | None = None,
        mapped: int = 0,
    ) -> Reply | Failure:
        """Send a request and wait for its answer.

        ``mapped`` is what the descriptors hold, in bytes: memory that the child shares, and that
        does not count as its own.

        Raises
        ------
        MutatennError, InternalError
            If the child says that the user, or this package, is at fault.
        """
        if not self.alive:
            raise InternalError("a child was asked after it had died")
        self._busy = True
        self._nearly += mapped
        with contextlib.suppress(wire.Closed):  # it will not answer, and that is met below
            wire.send(self._sock, dict(request), arrays, fds)
        return self.answer(seconds)

    def answer(self, seconds: float | None) -> Reply | Failure:
        """Wait for the answer to what was sent; as :meth:`ask`."""
        deadline = None if seconds is None else time.monotonic() + seconds
        self._busy = True
        try:
            value, found, _ = wire.receive(self._sock, deadline=deadline, watch=self._watch)
        except wire.Late:
            return self._fail(Outcome.TIMED_OUT, f"no answer within {seconds:.1f} s")
        except _TooLarge:
            return self._fail(Outcome.OUT_OF_MEMORY, "it went past its memory limit")
        except wire.Garbled as error:
            return self._fail(Outcome.CRASHED, str(error))
        except wire.Closed:
            return self._fail(Outcome.CRASHED, None)
        self._busy = False
        if isinstance(value, dict) and "error" in value:
            return self._error(value)
        return Reply(value, found)

    def _error(self, value: Mapping[str, Any]) -> Failure:
        if value["error"] == "memory":
            return self._fail(Outcome.OUT_OF_MEMORY, value["message"])
        if value["error"] == "late":
            return self._fail(Outcome.TIMED_OUT, value["message"])
        if value["error"] == "fault":
            return self._fail(Outcome.CRASHED, value["message"])
        if value["error"] == "raised":
            return self._fail(Outcome.RAISED, value["message"])
        self.close()
        raise error_of(value)

    def _watch(self) -> None:
        if _own_memory(self._pid) > self._limit:
            raise _TooLarge

    def _fail(self, outcome: Outcome, reason: str | None) -> Failure:
        stderr = tail(self._errors)
        ended = outcome is Outcome.CRASHED and reason is None
        status = self.close(kill=not ended, ended=ended)
        if reason is None:
            reason = f"its process {status_text(status)}"
            if self._peak > self._nearly:
                outcome, reason = Outcome.OUT_OF_MEMORY, f"{reason} at its memory limit"
        if outcome is Outcome.CRASHED:
            reason = finding(stderr) or reason
        return Failure(outcome, reason, stderr)

    def close(self, *, kill: bool = False, ended: bool = False, wait: bool = False) -> int:
        """End the process, and any that it started; give its wait status as an exit code.

        One that has ended by itself (``ended``) is given a moment, so that its status is its own.
        One that is well is left to the zygote, unless it is to be gone on return (``wait``). A
        server that is well stays, without what the row had there.
        """
        if not self.alive:
            return 0
        self.alive = False
        self._sock.close()
        well = not (kill or ended or self._busy)
        if well and self._server:
            os.close(self._errors)
            self._zygote.release(self, self._pid, wait=wait)
            return 0
        if well and not wait:
            # it has answered, and waits for a question: nothing that it would do is of interest
            _kill_group(self._pid)
            os.close(self._errors)
            self._zygote.leave(self, self._pid)
            return 0
        if ended:
            _await_end(self._pid)
        _kill_group(self._pid)
        os.close(self._errors)
        reply = self._zygote.reap(self, self._pid)
        self._peak = reply["peak_kib"] * 1024
        return os.waitstatus_to_exitcode(reply["status"])


def error_of(reply: Mapping[str, Any]) -> MutatennError | InternalError:
    """The error for what a process says that the user, or this package, is at fault for."""
    if reply["error"] == "user":
        return MutatennError(reply["message"])
    return InternalError(f"in a child process:\n{reply['message']}")


def status_text(code: int) -> str:
    """How a process ended, from its exit code: ``died of SIGSEGV``."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"died of {signal.Signals(-code).name}"
        return f"died of signal {-code}"
    return f"exited with status {code}"


def _kill_group(pid: int) -> None:
    # the child leads a session of its own, so this reaches whatever it started
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _await_end(pid: int) -> None:
    """Give a process a moment to end by itself; it stays a zombie until it is reaped."""
    deadline = time.monotonic() + _GRACE
    while time.monotonic() < deadline:
        try:
            state = Path("/proc", str(pid), "stat").read_bytes().rpartition(b")")[2].split()[0]
        except (OSError, IndexError):
            return
        if state == b"Z":
            return
        time.sleep(0.0005)


def _resident(pid: int) -> int:
    """Memory a process holds, in bytes; 0 once it is gone."""
    return _memory_of(pid)[0]


def _own_memory(pid: int) -> int:
    """Memory a process holds without files and what it shares, in bytes; 0 once it is gone."""
    resident, shared = _memory_of(pid)
    return resident - shared


def _memory_of(pid: int) -> tuple[int, int]:
    try:
        fields = Path("/proc", str(pid), "statm").read_bytes().split()
    except OSError:
        return 0, 0
    if len(fields) < 3:
        return 0, 0
    page = resource.getpagesize()
    return int(fields[1]) * page, int(fields[2]) * page


def tail(fd: int) -> str:
    """The end of what was written to a file; what is left out is said."""
    size = os.fstat(fd).st_size
    start = max(0, size - _STDERR_KEPT)
    text = os.pread(fd, _STDERR_KEPT, start).decode(errors="replace").strip()
    return f"[... {start} bytes left out ...]\n{text}" if start else text
