"""A TVM RPC server that mutants cannot break: run it on the board, or anywhere.

    python -m pytest_mutatenn.devices.rpc_server --host 0.0.0.0 --port 9090 --key board

It speaks TVM's protocol, to a tracker too, and serves any TVM client. Unlike TVM's own server

- it goes on when the process of a session dies (TVM's stops to answer), and tells the client what
  it died of;
- it ends a session's process when the client has gone, also from a kernel that does not end;
- a client of this package keeps its tensors in guarded memory there, as on the device ``llvm``.

Whoever can connect to an RPC server can run any code on its machine: keep it in a trusted network.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import logging
import os
import platform
import resource
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_LOG = logging.getLogger("mutatenn-rpc")
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_ADDR_NO_RANDOMIZE = 0x0040000
_LEAVE = 2.0  # seconds a session's process has to end by itself once the client has gone
_GREETING = 3.0  # seconds a client has to say that it is one
_STEADY = "MUTATENN_RPC_STEADY"
_RDHUP = getattr(select, "POLLRDHUP", 0x2000)


# -- what a session offers beside TVM's own functions -----------------------------------------


class Guarded:
    """The guarded memory of a session, and the kernels that run in it; the client has numbers."""

    def __init__(self) -> None:
        from pytest_mutatenn.devices.native import Native

        self._native = Native()
        self._arrays: dict[int, Any] = {}
        self._next = 0
        self._seconds = 0.0

    def about(self) -> str:
        """What this machine is, and which interface it has."""
        from pytest_mutatenn.devices.processor import processor_level

        return f"1 {platform.machine()} {processor_level()}"

    def block(self, size: int) -> int:
        """Allocate bytes between poison and addresses that cannot be touched; give a number."""
        from pytest_mutatenn.devices.memory import guarded

        return self._kept(guarded((int(size),), "uint8"))

    def slot(self, block: int, dtype: str, *shape: int) -> int:
        """The tensor that begins where a block does; give its number."""
        import numpy as np

        kind, sizes = np.dtype(str(dtype)), [int(n) for n in shape]
        size = int(np.prod(sizes, dtype=np.int64)) * kind.itemsize
        return self._kept(self._arrays[int(block)][:size].view(kind).reshape(sizes))

    def tensor(self, number: int) -> Any:
        """A slot as kernels take it."""
        from pytest_mutatenn.devices.memory import as_tensor

        return as_tensor(self._arrays[int(number)])

    def _kept(self, array: Any) -> int:
        self._next += 1
        self._arrays[self._next] = array
        return self._next

    def poison(self, number: int) -> None:
        """Make a slot and its red zones what they are before a kernel has run."""
        from pytest_mutatenn.devices.memory import poison

        poison(self._arrays[int(number)])

    def poison_around(self, number: int) -> None:
        """Make a slot's red zones what they are before a kernel has run."""
        from pytest_mutatenn.devices.memory import poison_around

        poison_around(self._arrays[int(number)])

    def free(self, number: int) -> None:
        """Give a block or a slot back."""
        self._arrays.pop(int(number), None)

    def arm(self, library: str) -> None:
        """Load the kernel that leaves the stack the same on every run."""
        self._native.arm(lambda _: _linked(Path(str(library)).absolute()))

    def load(self, library: str, guard: int) -> Any:
        """Load a kernel that was uploaded, with ``guard`` as a mutant's is; it is timed here."""
        import tvm_ffi

        kernel = self._native.load(_linked(Path(str(library)).absolute()), guard=bool(guard))

        def timed(*tensors: Any) -> None:
            start = time.perf_counter()
            try:
                kernel(*tensors)
            finally:
                self._seconds += time.perf_counter() - start

        return tvm_ffi.convert(timed)

    def clock(self) -> float:
        """Seconds that kernels have run in this session."""
        return self._seconds


def _linked(path: Path) -> Path:
    """A library, linked here where it came as an object file."""
    if path.suffix != ".o":
        return path
    from tvm.contrib import cc

    library = path.with_suffix(".so")
    if not library.exists():
        cc.create_shared(str(library), str(path))
    return library


def register() -> None:
    """Offer :class:`Guarded` to clients, as ``mutatenn.block`` and so on."""
    import tvm_ffi

    guarded = Guarded()
    names = (
        *("about", "block", "slot", "tensor", "poison", "poison_around"),
        *("free", "arm", "load", "clock"),
    )
    for name in names:
        tvm_ffi.register_global_func(f"mutatenn.{name}", getattr(guarded, name), override=True)


# -- one session ------------------------------------------------------------------------------


def serve(sock: Any, address: Any, options: dict[str, float], libraries: Any, memory: int) -> None:
    """Serve one client, in a process of its own; come back whatever becomes of that.

    Parameters
    ----------
    sock, address
        The client.
    options
        Its wishes: ``timeout``, the seconds that the session may last.
    libraries
        Further libraries for the session to load.
    memory
        Bytes that the session may allocate; 0 for any number.
    """
    from tvm.rpc import server as stock

    folder = stock.utils.tempdir()
    pid = os.fork()
    if pid == 0:
        _session(sock, libraries, folder, memory)
    reason, status = _watch(pid, sock, options.get("timeout"))
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
    if status is None:
        _, status = os.waitpid(pid, 0)
    _kill_orphans()
    if not reason:
        reason = _death(os.waitstatus_to_exitcode(status), sock)
    if reason:
        _LOG.warning("%s: %s", address, reason)
        with contextlib.suppress(Exception):  # the client may be gone
            stock._ffi_api.ReturnException(sock.fileno(), reason)
    with contextlib.suppress(OSError):
        sock.close()
    folder.remove()


def _death(code: int, sock: Any) -> str:
    """What a session's process died of; nothing where its client has hung up, and it ended."""
    poll = select.poll()
    poll.register(sock, _RDHUP | select.POLLHUP)
    if not code and poll.poll(0):
        return ""
    died = f"died of {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"
    return f"MutatennDied: its process {died}"


def _kill_orphans() -> None:
    """End what a session has started and left behind, whatever session it has put itself in."""
    while True:
        found: list[int] = []
        for task in Path("/proc/self/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, task.read_text().split())
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _session(sock: Any, libraries: Any, folder: Any, memory: int) -> None:
    """Become the process of a session."""
    from tvm.rpc import server as stock

    code = 70
    try:
        if sys.platform == "linux":
            # a session that outlives its server holds the port, and no new server can start
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        os.chdir(folder.path)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory:
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            _, most = resource.getrlimit(resource.RLIMIT_AS)
            from pytest_mutatenn.devices.memory import guarded

            guarded((1,), "uint8")  # reserves the addresses for tensors, which are no memory
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + memory, most))
        stock._server_env(libraries, folder)
        register()
        stock._ffi_api.ServerLoop(sock.fileno())
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _watch(pid: int, sock: Any, timeout: float | None) -> tuple[str, int | None]:
    """Wait until a session is over; give why it has to be ended, and its status if it has ended."""
    start = time.monotonic()
    gone: float | None = None
    poll = select.poll()
    poll.register(sock, _RDHUP | select.POLLHUP)
    pause = 0.001
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return "", status
        now = time.monotonic()
        if timeout and now - start > timeout:
            return f"RPCSessionTimeoutError: the session has lasted {timeout:g} s", None
        if gone is not None and now - gone > _LEAVE:
            return "the client has gone", None
        if poll.poll(0) and gone is None:
            gone = now
        time.sleep(pause)
        pause = min(0.05, pause * 1.5)


# -- the server -------------------------------------------------------------------------------


def steady(argv: Sequence[str]) -> None:
    """Start over with addresses and allocations that are the same on every run.

    A mutant may compute with what it finds on the stack or in fresh memory.
    """
    if sys.platform != "linux" or os.environ.get(_STEADY):
        return
    os.environ |= {_STEADY: "1", "MALLOC_PERTURB_": "85", "PYTHONHASHSEED": "0"}
    os.environ.setdefault("TVM_NUM_THREADS", "1")
    libc = ctypes.CDLL(None)
    now = libc.personality(0xFFFFFFFF)
    if now != -1:
        libc.personality(now | _ADDR_NO_RANDOMIZE)
    os.execv(sys.executable, [sys.executable, "-m", __spec__.name, *argv])


def main(argv: Sequence[str]) -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(
        prog="python -m pytest_mutatenn.devices.rpc_server", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=9090, help="(%(default)s)")
    parser.add_argument("--port-end", type=int, help="first port not to try (port + 1)")
    parser.add_argument("--key", default="", help="what clients must name (nothing)")
    parser.add_argument("--tracker", help="HOST:PORT of a tracker to register at, under the key")
    parser.add_argument("--custom-addr", help="address to tell the tracker (the host's own)")
    parser.add_argument("--memory", type=int, default=2048, help="MiB a session may take; 0: any")
    given = parser.parse_args(argv)
    steady(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    from tvm.rpc import server as stock

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    tracker = None
    if given.tracker:
        host, _, port = given.tracker.rpartition(":")
        tracker = (host, int(port))
    memory = given.memory << 20

    # its accept loop, with the handshake and the tracker, is what it should be; what it does with
    # a client is not: an error there ends the loop, and nobody is served any more
    def serving(sock: Any, addr: Any, opts: dict[str, float], libraries: Any) -> None:
        try:
            sock.settimeout(None)
            serve(sock, addr, opts, libraries, memory)
        except Exception:
            _LOG.exception("%s: the session failed", addr)
            sock.close()

    stock._serving = serving
    # who connects and says nothing must not keep the others out
    socket.setdefaulttimeout(_GREETING)
    state = stock.PopenRPCServerState(
        given.host,
        given.port,
        given.port_end or given.port + 1,
        tracker_addr=tracker,
        key=given.key,
        custom_addr=given.custom_addr,
        silent=True,
    )
    state.sock.settimeout(None)
    print(f"serving on {given.host}:{state.port}", flush=True)
    state.thread.join()


if __name__ == "__main__":
    main(sys.argv[1:])
