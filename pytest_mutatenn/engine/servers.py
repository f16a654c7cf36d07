"""The zygote's servers: processes that hold a device and serve one row after another."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_mutatenn.engine import wire
from pytest_mutatenn.errors import MutatennError

if TYPE_CHECKING:
    from pytest_mutatenn.engine.workshop import Workshop

__all__ = ["Server", "Servers"]

_START = 600.0  # seconds: a driver may compile every kernel anew
_DONE = 30.0  # seconds a server has to drop a row that is over
_CHECK = 10.0  # seconds that the check between two rows may take,
_SLOWER = 20.0  # beside so many times as long as the first
_ROWS = 256  # rows that a server is kept for: what it gathers ends with it
_SAID = 2000  # characters shown of what a server that could not start wrote


@dataclass(eq=False)
class Server:
    """One server, as the zygote knows it.

    Attributes
    ----------
    pid, control
        Its process, and the socket that rows are brought by.
    seconds
        How long the unmutated network took on it.
    rows
        How many it has served, the one that it is serving included.
    busy, waiting
        Whether it has a row; whether it has yet to say that its last one is over.
    """

    pid: int
    control: socket.socket
    seconds: float
    rows: int = 0
    busy: bool = False
    waiting: bool = False


class Servers:
    """All servers of a zygote: as many as there are rows at a time.

    Parameters
    ----------
    workshop
        The unmutated network, compiled.
    children
        The zygote's children, to be kept up to date.
    fork
        Forks a child that calls what it is given, and returns its process id.
    """

    def __init__(
        self,
        workshop: Workshop,
        children: set[int],
        fork: Callable[[Callable[[], NoReturn]], int],
    ) -> None:
        self._workshop = workshop
        self._children = children
        self._fork = fork
        self._servers: dict[int, Server] = {}

    def assign(self, row: int, errors: int, memory_limit: int, *, fresh: bool) -> Server:
        """Give a row to a server that is free and sound; start one where there is none.

        Parameters
        ----------
        row, errors
            The row's socket, and where its standard error goes.
        memory_limit
            What the row may allocate, in bytes.
        fresh
            Whether only a server will do that has served no row.

        Raises
        ------
        MutatennError
            If a new one does not start.
        """
        for server in [server for server in self._servers.values() if not server.busy]:
            if server.rows >= _ROWS:
                self._end(server)
            elif not (fresh and server.rows) and self._takes(server, row, errors, memory_limit):
                return server
        server = self._start()
        if not self._takes(server, row, errors, memory_limit):
            raise MutatennError(
                f"The device {self._workshop.order.device} was opened, and its process ended "
                "before it ran anything. Does the machine have too little memory?"
            )
        return server

    def _takes(self, server: Server, row: int, errors: int, memory_limit: int) -> bool:
        """Offer a server a row; one that does not take it is ended."""
        try:
            self._await_done(server)
            wire.send(server.control, {"memory_limit": memory_limit}, fds=[row, errors])
            sound = self._hear(server, _CHECK + _SLOWER * server.seconds)["sound"]
        except (wire.Closed, wire.Garbled, wire.Late):
            sound = False
        if not sound:
            self._end(server)
            return False
        server.rows += 1
        server.busy = True
        return True

    def release(self, pid: int, *, wait: bool) -> None:
        """Take a server back whose row is over; with ``wait`` nothing is left of it on return."""
        server = self._servers.get(pid)
        if server is None:
            return
        server.busy, server.waiting = False, True
        if wait:
            try:
                self._await_done(server)
            except (wire.Closed, wire.Garbled, wire.Late):
                self._end(server)

    def forget(self, pid: int) -> None:
        """Note that a server is being ended by others."""
        server = self._servers.pop(pid, None)
        if server is not None:
            server.control.close()

    def _await_done(self, server: Server) -> None:
        if server.waiting:
            self._hear(server, _DONE)
            server.waiting = False

    def _hear(self, server: Server, seconds: float) -> Any:
        value, _, _ = wire.receive(server.control, deadline=time.monotonic() + seconds)
        return value

    def _start(self) -> Server:
        ours, theirs = socket.socketpair()
        errors = os.memfd_create("mutatenn-server")
        others = [server.control for server in self._servers.values()]

        def serve() -> NoReturn:
            from pytest_mutatenn.engine.serving import serve_rows

            for sock in (ours, *others):
                sock.close()
            serve_rows(theirs, errors, self._workshop)

        pid = self._fork(serve)
        theirs.close()
        self._children.add(pid)
        server = self._servers[pid] = Server(pid, ours, 0.0)
        device = self._workshop.order.device
        try:
            value = self._hear(server, _START)
        except wire.Late:
            self._end(server)
            raise MutatennError(
                f"The device {device} did not run the unmutated network within {_START:g} s. Does "
                "its driver hang, or is it held by another program?"
            ) from None
        except (wire.Closed, wire.Garbled):
            said = os.pread(errors, 1 << 20, 0).decode(errors="replace").strip()[-_SAID:]
            status = self._end(server)
            raise MutatennError(
                f"The process that opens the device {device} and runs the unmutated network on it "
                f"ended ({status}): its driver fails here.\n{said}"
            ) from None
        finally:
            os.close(errors)
        if "error" in value:
            self._end(server)
            raise StartError(value)
        server.seconds = value["seconds"]
        return server

    def _end(self, server: Server) -> str:
        """Kill a server, and all that it has started; say how it ended."""
        self.forget(server.pid)
        _, status = os.waitpid(server.pid, os.WNOHANG)
        if not status:
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(server.pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(server.pid, 0)
        self._children.discard(server.pid)
        return f"exit code {os.waitstatus_to_exitcode(status)}" if status else "killed"


class StartError(Exception):
    """What a server said instead of being ready; ``reply`` is that as plain data."""

    def __init__(self, reply: dict[str, Any]) -> None:
        super().__init__(reply["message"])
        self.reply = reply
