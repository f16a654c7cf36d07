"""The child's side: a process that loads a baseline once and forks a child for every mutant.

Run as ``python -m pytest_mutatenn.engine.zygote FD``, with a socket to pytest's process under
that descriptor. The zygote itself never runs a mutant and starts no thread, so that its children
begin in a state that is known; a child that dies takes nothing with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Set
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_mutatenn.engine import wire
from pytest_mutatenn.engine.failures import describe
from pytest_mutatenn.engine.pages import use_large_pages
from pytest_mutatenn.engine.servers import Servers, StartError
from pytest_mutatenn.errors import InternalError, MutatennError

if TYPE_CHECKING:
    from pytest_mutatenn.engine.workshop import Workshop

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


_ADDR_NO_RANDOMIZE = 0x0040000


def fix_addresses() -> None:
    """Start over with addresses that are the same on every run, where the system allows it.

    A mutant may compute with what it finds on the stack, and that holds addresses.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    now = libc.personality(0xFFFFFFFF)
    if now == -1 or now & _ADDR_NO_RANDOMIZE:
        return
    if libc.personality(now | _ADDR_NO_RANDOMIZE) != -1:
        os.execv(sys.executable, [sys.executable, "-m", __spec__.name, *sys.argv[1:]])


def die_with_parent(parent: int | None = None) -> None:
    """Ask the kernel to kill this process when its parent goes: no process is left behind.

    A parent that was gone before the kernel was asked is noticed by its number.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os._exit(70)


def adopt_orphans() -> None:
    """Become the parent of whatever a child leaves behind, so that it can be found."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def kill_orphans(children: Set[int]) -> None:
    """Kill every child but those given: a mutant forked, and what it forked left its session."""
    while strays := [pid for pid in _children() if pid not in children]:
        for pid in strays:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    try:
        with open("/proc/thread-self/children") as file:  # noqa: PTH123
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def main(fd: int) -> None:
    """Serve pytest's process until it closes the socket."""
    die_with_parent()
    adopt_orphans()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sock = socket.socket(fileno=fd)
    try:
        with contextlib.suppress(wire.Closed):
            workshop = _load(sock)
            if workshop is not None:
                _serve(sock, workshop)
    finally:
        kill_orphans(set())  # the children, and then what they have left behind


def _load(sock: socket.socket) -> Workshop | None:
    order, _, _ = wire.receive(sock)
    number = order.pop("number")
    start = time.perf_counter()
    try:
        import numpy.random  # noqa: F401  a child would import it anew, and what it serves with

        from pytest_mutatenn.devices.base import is_remote
        from pytest_mutatenn.engine import serving  # noqa: F401
        from pytest_mutatenn.engine.workshop import Order, Workshop

        workshop = Workshop(Order(**order))
        # another machine's may be starting again: opening it waits
        reason = None if is_remote(order["device"]) else workshop.device.missing()
        only = workshop.order.compile_only
        if reason is not None and not only:
            wire.send(sock, {"missing": reason, "number": number})
            return None
        # a device that does not survive a fork is opened after it
        loads = workshop.device.forks and not only
        _in_a_thread(workshop.load_baseline if loads else workshop.compile_baseline)
        refused = workshop.refused() if only else {}
        # a collection in a child would touch, and so copy, all that it shares with this process
        gc.collect()
        gc.freeze()
        use_large_pages()
    except Exception as error:
        wire.send(sock, {**describe(error), "number": number})
        return None
    program = workshop.baseline.program
    wire.send(
        sock,
        {
            "number": number,
            "digest": workshop.digest,
            "fingerprint": workshop.device.fingerprint(),
            "target": str(workshop.target),
            "exclusive": workshop.device.exclusive,
            "remote": is_remote(workshop.order.device),
            "forks": workshop.device.forks or only,
            "refused": refused,
            "inputs": [asdict(spec) for spec in workshop.model.inputs],
            "outputs": [asdict(spec) for spec in workshop.model.outputs],
            "steps": [
                {
                    "name": step.name,
                    "layers": step.layers,
                    "sizes": [_size(spec) for spec in step.outputs],
                    "args": [[r.index, r.output] for r in step.args if r.kind == "step"],
                    "constant": constant,
                }
                for step, constant in zip(program.steps, program.constant_steps(), strict=True)
            ],
            "layers": [asdict(layer) for layer in workshop.model.layers],
            "counters": asdict(workshop.counters),
            "seconds": time.perf_counter() - start,
        },
    )
    return workshop


def _size(spec: Any) -> int:
    from pytest_mutatenn.engine.tensors import byte_size

    return byte_size(spec)


def _in_a_thread(work: Callable[[], None]) -> None:
    """Run kernels in a thread that ends: TVM's pool belongs to the thread that first uses it.

    A pool started in the main thread would be there, without its workers, in every child.
    """
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def _serve(sock: socket.socket, workshop: Workshop) -> None:
    children: set[int] = set()
    left: set[int] = set()  # were killed, and take their time
    zygote = os.getpid()

    def fork(become: Callable[[], NoReturn]) -> int:
        pid = os.fork()
        if pid == 0:
            sock.close()
            die_with_parent(zygote)
            become()
        return pid

    servers = Servers(workshop, children, fork)

    def reap_left() -> None:
        for pid in list(left):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                left.remove(pid)
                _reap(pid, children)

    while True:
        request, _, fds = wire.receive(sock, watch=reap_left)
        if request["do"] == "fork":
            row, errors = fds
            try:
                reply = _fork(workshop, servers, fork, request, row, errors)
            except StartError as error:
                reply = error.reply
            except MutatennError as error:
                reply = describe(error)
            os.close(row)
            os.close(errors)
            children.update([reply["pid"]] if "pid" in reply else [])
            wire.send(sock, {**reply, "number": request["number"]})
        elif request["do"] == "release":
            servers.release(request["pid"], wait=request["wait"])
            if request["wait"]:
                wire.send(sock, {"number": request["number"]})
        elif request["do"] == "leave":
            left.add(request["pid"])
        elif request["do"] == "reap":
            servers.forget(request["pid"])
            reply = _reap(request["pid"], children)
            wire.send(sock, {**reply, "number": request["number"]})
        else:
            raise InternalError(f"unknown request {request!r}")


def _fork(
    workshop: Workshop,
    servers: Servers,
    fork: Callable[[Callable[[], NoReturn]], int],
    request: dict[str, Any],
    row: int,
    errors: int,
) -> dict[str, Any]:
    """Give a row a process: one of its own, or a server where the device does not survive a fork.

    Nothing of the device is asked of a process that only lists mutants.
    """
    from pytest_mutatenn.engine.serving import serve_row

    limit = request["memory_limit"]
    if request["device"] and not (workshop.device.forks or workshop.order.compile_only):
        server = servers.assign(row, errors, limit, fresh=request["fresh"])
        return {"pid": server.pid, "server": True, "used": server.rows > 1}
    with contextlib.suppress(Exception):  # the child will meet it, and say so
        workshop.expect(request["mutant"])
    pid = fork(lambda: serve_row(row, errors, workshop, limit))
    return {"pid": pid, "server": False, "used": False}


def _reap(pid: int, children: set[int]) -> dict[str, Any]:
    """Wait for a child that is ending, and end what it has left behind."""
    _, status, usage = os.wait4(pid, 0)
    children.discard(pid)
    kill_orphans(children)
    return {"status": status, "peak_kib": usage.ru_maxrss}


if __name__ == "__main__":
    fix_addresses()
    main(int(sys.argv[1]))
