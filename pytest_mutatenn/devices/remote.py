"""Sessions on a TVM RPC server: found, connected to, shared, and given up in time.

Nothing here waits for ever: TVM's own client does, where a server accepts a connection and then
says nothing, which is what TVM's own server does once a kernel has crashed in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import struct
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pytest_mutatenn.devices.slots import DeviceError, DeviceTimeout
from pytest_mutatenn.errors import MutatennError

_TRACKER = struct.pack("<i", 0x2F271)
_SERVER = struct.pack("<i", 0xFF271)
_SUCCESS, _REQUEST, _SUMMARY = 0, 4, 6  # of the tracker's protocol
_ANSWER = 5.0  # seconds for a machine to answer at all
_KEPT = 5.0  # seconds that a session is kept at least while another process waits for it
_PAUSE = 0.25


@dataclass(frozen=True)
class Address:
    """Where a server or a tracker listens, and the key to ask it for.

    Attributes
    ----------
    host, port, key
        As ``HOST:PORT/KEY`` names them.
    """

    host: str
    port: int
    key: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" + (f"/{self.key}" if self.key else "")


class _Silent(Exception):
    """Something listens there, and does not answer."""


class _Away(Exception):
    """Nothing listens there."""


def probe(address: Address, seconds: float = _ANSWER) -> str | None:
    """Say why no server can be reached; ``None`` where one can, or is at work for another client.

    Never raises, and takes no longer than ``seconds`` or so.
    """
    if _held(address):
        return None  # it may be too busy to answer
    try:
        if _is_tracker(address, seconds):
            _free(address, seconds)
    except _Silent:
        return (
            f"{address.host}:{address.port} takes connections and does not answer: it serves "
            "another client, or a kernel has broken it, which happens to TVM's own server; restart "
            "it as python -m pytest_mutatenn.devices.rpc_server"
        )
    except _Away as error:
        return f"no RPC server at {address.host}:{address.port}: {error}"
    except MutatennError as error:
        return str(error)
    return None


def _is_tracker(address: Address, seconds: float) -> bool:
    """Whether a tracker listens there; a server does not know the tracker's greeting, and hangs up.

    Raises
    ------
    _Away, _Silent
        If nothing listens, or does not answer.
    """
    try:
        with socket.create_connection((address.host, address.port), seconds) as sock:
            sock.settimeout(seconds)
            sock.sendall(_TRACKER)
            found = sock.recv(4)
    except TimeoutError as error:
        raise _Silent from error
    except ConnectionResetError:
        return False
    except OSError as error:
        raise _Away(error.strerror or str(error)) from error
    return found == _TRACKER


def _ask_tracker(address: Address, seconds: float, message: list[Any]) -> Any:
    """Ask a tracker one thing.

    Raises
    ------
    _Away, _Silent
        If it is not there, or does not answer.
    """
    try:
        with socket.create_connection((address.host, address.port), seconds) as sock:
            sock.settimeout(seconds)
            sock.sendall(_TRACKER)
            if _exactly(sock, 4) != _TRACKER:
                raise _Away("it is no tracker any more")
            body = json.dumps(message).encode()
            sock.sendall(struct.pack("<i", len(body)) + body)
            (size,) = struct.unpack("<i", _exactly(sock, 4))
            code, *rest = json.loads(_exactly(sock, size))
    except TimeoutError as error:
        raise _Silent from error
    except OSError as error:
        raise _Away(error.strerror or str(error)) from error
    if code != _SUCCESS:
        raise _Away(f"the tracker answers {code}")
    return rest[0]


def _exactly(sock: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = sock.recv(size - len(found))
        if not piece:
            raise ConnectionResetError("it closes the connection")
        found += piece
    return found


def _free(address: Address, seconds: float) -> int:
    """How many servers of a key a tracker has free.

    Raises
    ------
    MutatennError
        If it knows none of that key.
    """
    told = _ask_tracker(address, seconds, [_SUMMARY])
    keys = {str(one["key"]).removeprefix("server:") for one in told["server_info"]}
    if address.key not in keys:
        there = ", ".join(sorted(keys)) or "none"
        raise MutatennError(
            f"the tracker {address.host}:{address.port} has no server of the key "
            f"{address.key!r}; it has {there}"
        )
    return int(told["queue_info"].get(address.key, {}).get("free", 0))


def _check_key(address: Address, seconds: float) -> None:
    """Greet a server as a client does with a key that is none, which costs no session.

    Raises
    ------
    _Away, _Silent
        If it is not there, or is not free.
    """
    greeting = b"client:" + b"?" * 8
    try:
        with socket.create_connection((address.host, address.port), seconds) as sock:
            sock.settimeout(seconds)
            sock.sendall(_SERVER + struct.pack("<i", len(greeting)) + greeting)
            if not sock.recv(4):
                raise _Away("it closes the connection")
    except TimeoutError as error:
        raise _Silent from error
    except OSError as error:
        raise _Away(error.strerror or str(error)) from error


class Session:
    """A session on a server, held by this process alone.

    Parameters
    ----------
    address
        The server, or the tracker that knows one.
    timeout
        Seconds after which the server ends it.
    patience
        Seconds to wait for a server that is away: it may be starting again.

    Attributes
    ----------
    remote
        TVM's own session.

    Raises
    ------
    MutatennError
        If there is none to be had.
    """

    def __init__(self, address: Address, timeout: float, patience: float) -> None:
        self.address = address
        self.timeout = timeout
        self._lock, self._queue = _lock(address, "session"), _lock(address, "queue")
        self._folder = Path(tempfile.gettempdir())
        tracked = self._wait(patience)
        if not tracked:
            # one session at a time: whoever waits is seen by who holds it
            with self._queue:
                self._lock.acquire()
        try:
            self.remote = self._connect(tracked, patience)
        except BaseException:
            self._lock.release()
            raise
        self._away.unlink(missing_ok=True)
        self._functions: dict[str, Any] = {}
        self._since = time.monotonic()

    @property
    def _away(self) -> Path:
        """There while the server has been given up: the next row need not wait for it as long."""
        return self._folder / f"away-{_digest(self.address)}"

    def _wait(self, patience: float) -> bool:
        """Wait until something listens; give whether it is a tracker."""
        deadline = time.monotonic() + (0 if self._away.exists() else patience)
        while True:
            try:
                return _is_tracker(self.address, _ANSWER)
            except _Silent:
                return False  # a server that serves somebody
            except _Away as error:
                if time.monotonic() > deadline:
                    raise self._given_up(f"no answer: {error}") from error
            time.sleep(_PAUSE)

    def _given_up(self, what: str) -> MutatennError:
        self._away.touch()
        return MutatennError(
            f"rpc:{self.address}: {what}. Is the server still there? Start it as python -m "
            f"pytest_mutatenn.devices.rpc_server --host 0.0.0.0 --port {self.address.port}"
            + (f" --key {self.address.key}" if self.address.key else "")
            + ", and run again: what has been computed is in the store."
        )

    def _connect(self, tracked: bool, patience: float) -> Any:
        from tvm import rpc

        start = time.monotonic()
        reason = ""
        # a session that hung is ended by its server, after its time
        busy = start + (_ANSWER if self._away.exists() else self.timeout + patience)
        gone = start + (0 if self._away.exists() else patience)
        while True:
            try:
                where = (self.address.host, self.address.port, self.address.key)
                if tracked:
                    where = self._requested()
                else:
                    _check_key(self.address, _ANSWER)
                return rpc.connect(*where, self.timeout)
            except _Silent:
                reason, late = "it serves another client, or does not answer", busy
            except _Away as error:
                reason, late = str(error), gone
            except Exception as error:
                if "matches key" in str(error):
                    raise MutatennError(
                        f"rpc:{self.address}: the server does not go by the key "
                        f"{self.address.key!r}; name its own, as in "
                        f"rpc:{self.address.host}:{self.address.port}/KEY."
                    ) from error
                reason, late = str(error).strip().splitlines()[0][:200], gone
            if time.monotonic() > late:
                raise self._given_up(reason)
            time.sleep(_PAUSE)

    def _requested(self) -> tuple[str, int, str]:
        """Address and key of whichever server of the key is free.

        Raises
        ------
        _Silent
            If none is.
        """
        try:
            if not _free(self.address, _ANSWER):
                raise _Silent
        except MutatennError as error:
            raise _Away(str(error)) from error  # it registers again when it has started
        host, port, key = _ask_tracker(self.address, _ANSWER, [_REQUEST, self.address.key, "", 1])
        return str(host), int(port), str(key)

    def close(self) -> None:
        """Give the server up."""
        self._functions.clear()
        self.remote = None  # TVM hangs up when nothing uses it any more
        self._lock.release()

    def over(self, *, idle: bool) -> bool:
        """Whether it should be ended before the next row: it is old, or another process waits."""
        age = time.monotonic() - self._since
        if age > self.timeout / 2:
            return True
        return (idle or age > _KEPT) and self._wanted()

    def _wanted(self) -> bool:
        if not self._lock.is_locked:
            return False  # a tracker hands its servers out itself
        try:
            with self._queue.acquire(blocking=False):
                return False
        except Timeout:
            return True

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call what may fail on the server's side.

        Raises
        ------
        DeviceError
            If the session is over.
        """
        try:
            return function(*args)
        except Exception as error:
            raise self.fault(error) from error

    def ask(self, name: str, *args: Any) -> Any:
        """Call a function of the server's, by its name."""
        if name not in self._functions:
            self._functions[name] = self.call(self.remote.get_function, name)
        return self.call(self._functions[name], *args)

    def forget(self, number: int) -> None:
        """Have the server give back what has a number; one that is gone has done so."""
        with contextlib.suppress(Exception):
            self.ask("mutatenn.free", number)

    def has(self, name: str) -> bool:
        """Whether the server has a function of that name."""
        try:
            self.remote.get_function(name)
        except AttributeError:
            return False
        except Exception as error:
            raise self.fault(error) from error
        return True

    def fault(self, error: Exception) -> Exception:
        """What an error of a call says: the session's end, or the kernel's own.

        Returns
        -------
        Exception
            A :class:`DeviceError` if the session is over, and else the error itself.
        """
        text = str(error)
        if "RPCSessionTimeoutError" in text:
            return DeviceTimeout(f"no answer within the session's {self.timeout:g} s")
        try:
            self.remote.get_function("tvm.rpc.server.workpath")
        except Exception:
            said = text.strip().splitlines()[-1][:200] if text.strip() else "the connection broke"
            if "MutatennDied: " in text:
                said = text.partition("MutatennDied: ")[2].strip().splitlines()[0]
            return DeviceError(f"on {self.address}: {said}")
        return error


def _held(address: Address) -> bool:
    """Whether a process of this machine has a session there."""
    try:
        with _lock(address, "session").acquire(blocking=False):
            return False
    except Timeout:
        return True


def _digest(address: Address) -> str:
    return hashlib.sha256(f"{address.host}:{address.port}".encode()).hexdigest()[:16]


def _lock(address: Address, what: str) -> FileLock:
    """A lock of this user's on a server; the system frees it when its process is gone."""
    # not the temporary folder of a process: all processes of the machine must meet
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp", f"mutatenn-rpc-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    return FileLock(folder / f"{_digest(address)}.{what}")
