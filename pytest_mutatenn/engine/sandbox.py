"""pytest's side of the process that forks those which run mutants: start, ask, end."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_mutatenn.devices.base import environment
from pytest_mutatenn.engine import wire
from pytest_mutatenn.engine.child import Child, error_of, status_text, tail
from pytest_mutatenn.errors import InternalError, MutatennError

_GRACE = 10.0  # seconds a process has to exit once its socket is closed


@dataclass
class Zygote:
    """A process with a baseline loaded, that forks a child for every row.

    Parameters
    ----------
    order
        What to load; see :class:`pytest_mutatenn.engine.workshop.Order`.
    threads
        Threads a kernel may use.
    scratch
        Folder for temporary files.
    """

    order: Mapping[str, Any]
    threads: int
    scratch: Path
    info: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self._asked = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._children: list[Child] = []
        ours, theirs = socket.socketpair()
        self._errors = os.memfd_create("mutatenn-zygote")
        variables = {
            **{k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
            "TVM_NUM_THREADS": str(self.threads),
            # the same numbers on every run, even of what a mutant reads before it is written
            "PYTHONHASHSEED": "0",
            "MALLOC_PERTURB_": "85",
            "TMPDIR": str(self.scratch),
            **environment(self.order["device"]),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            **_opencl_on_cpus(self.threads, Path(self.order["store"])),
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pytest_mutatenn.engine.zygote", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                env=variables,
                start_new_session=True,
            )
        self._sock = ours
        try:
            self.info = self._ask(dict(self.order))
            if "missing" in self.info:
                raise MutatennError(str(self.info["missing"]))
        except BaseException:
            self.close(kill=True)
            raise

    def _ask(self, request: Any, fds: Sequence[int] = ()) -> dict[str, Any]:
        return self._answer(self._post(request, fds))

    def _post(self, request: Any, fds: Sequence[int] = ()) -> int:
        """Send a request; give its number, which its answer has."""
        self._asked += 1
        with contextlib.suppress(wire.Closed):  # it will not answer, and that is met there
            wire.send(self._sock, {**request, "number": self._asked}, fds=fds)
        return self._asked

    def _answer(self, number: int) -> dict[str, Any]:
        """Wait for an answer. Others come between; that to an interrupted question is left."""
        try:
            while number not in self._answers:
                found, _, _ = wire.receive(self._sock)
                self._answers[found["number"]] = found
            reply = self._answers.pop(number)
        except (wire.Closed, wire.Garbled) as error:
            self._process.kill()
            status = self._process.wait()
            raise InternalError(
                f"The process that loads {self.order['model']} for {self.order['device']} at O"
                f"{self.order['opt_level']} ended ({status_text(status)}).\n{tail(self._errors)}"
            ) from error
        if "error" in reply:
            raise error_of(reply)
        return dict(reply)

    def fork(
        self, memory_limit: int, mutant: str = "", *, device: bool = True, fresh: bool = False
    ) -> Coming:
        """Ask for a child, or for a server to take its part, and do not wait for it.

        Parameters
        ----------
        memory_limit
            What the child may allocate beyond what the zygote has, in bytes.
        mutant
            The mutant that it will make, if it is to make one.
        device
            Whether it is to run anything.
        fresh
            Whether it must be a process that no other mutant has run in.
        """
        ours, theirs = socket.socketpair()
        errors = os.memfd_create("mutatenn-child")
        with theirs:
            number = self._post(
                {
                    "do": "fork",
                    "memory_limit": memory_limit,
                    "mutant": mutant,
                    "device": device,
                    "fresh": fresh,
                },
                fds=[theirs.fileno(), errors],
            )
        return Coming(self, number, ours, errors, memory_limit)

    def child(self, coming: Coming) -> Child:
        """Wait for a child; see :meth:`Coming.child`."""
        try:
            reply = self._answer(coming.number)
        except BaseException:
            coming.sock.close()
            os.close(coming.errors)
            raise
        child = Child(self, reply, coming.sock, coming.errors, coming.memory_limit)
        self._children.append(child)
        return child

    def leave(self, child: Child, pid: int) -> None:
        """Leave it to the zygote to wait for a child that was killed; no answer comes."""
        self._children.remove(child)
        with contextlib.suppress(wire.Closed):  # the next question will meet it
            wire.send(self._sock, {"do": "leave", "pid": pid})

    def release(self, child: Child, pid: int, *, wait: bool) -> None:
        """Give a server back that is well; with ``wait`` nothing of the row is left on return."""
        self._children.remove(child)
        if wait:
            self._ask({"do": "release", "pid": pid, "wait": True})
        else:
            with contextlib.suppress(wire.Closed):  # the next question will meet it
                wire.send(self._sock, {"do": "release", "pid": pid, "wait": False})

    def reap(self, child: Child, pid: int) -> dict[str, Any]:
        """Wait for a child that is ending; give its status and the most memory it had."""
        self._children.remove(child)
        return self._ask({"do": "reap", "pid": pid})

    def close(self, *, kill: bool = False) -> None:
        """End the process, its children that still live, and all that those have started."""
        with contextlib.suppress(InternalError):
            for child in list(self._children):
                child.close(kill=True)
        self._sock.close()
        if kill:
            self._process.kill()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._errors)


@dataclass(frozen=True, eq=False)
class Coming:
    """A child that was asked for, and may not be there yet.

    Attributes
    ----------
    zygote, number
        Who was asked for it, and the number of the request.
    sock, errors
        Our end of its channel, and what it writes its errors to.
    memory_limit
        What it may allocate, in bytes.
    """

    zygote: Zygote
    number: int
    sock: socket.socket
    errors: int
    memory_limit: int

    def send(self, request: Mapping[str, Any]) -> None:
        """Send it its first request, to be done once it is there; that it is not is met later."""
        with contextlib.suppress(wire.Closed):
            wire.send(self.sock, dict(request))

    def child(self) -> Child:
        """Wait for it.

        Raises
        ------
        MutatennError
            If the device cannot be opened.
        """
        return self.zygote.child(self)


def _opencl_on_cpus(threads: int, store: Path) -> dict[str, str]:
    """What PoCL is told, the OpenCL driver for CPUs: its threads, and where it keeps programs."""
    return {
        "POCL_MAX_PTHREAD_COUNT": str(threads),
        "POCL_CPU_MAX_CU_COUNT": str(threads),  # its name since PoCL 5
        "POCL_CACHE_DIR": os.environ.get("POCL_CACHE_DIR", str(store / "pocl")),
    }
