"""Messages between pytest and the processes that run mutants.

A message is JSON and arrays behind a header with their length and digest. A mutant may write
anything to any descriptor it finds: what does not match its digest is no message.
"""

from __future__ import annotations

import hashlib
import json
import math
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_HEADER = struct.Struct("<8sIQ32s")
_MAGIC = b"mutateNN"
_MAX_FDS = 8


class Garbled(Exception):
    """What came is no message."""


class Closed(Exception):
    """The other side is gone."""


class Late(Exception):
    """No whole message came in time."""


def send(
    sock: socket.socket,
    value: Any,
    arrays: Mapping[str, np.ndarray] | None = None,
    fds: Sequence[int] = (),
) -> None:
    """Send a message, and with it descriptors.

    Raises
    ------
    Closed
        If the other side is gone.
    """
    blobs: list[bytes] = []
    described: list[tuple[str, str, tuple[int, ...]]] = []
    for name, array in (arrays or {}).items():
        described.append((name, array.dtype.str, array.shape))
        blobs.append(array.tobytes())
    head = json.dumps([value, described]).encode()
    body = head + b"".join(blobs)
    header = _HEADER.pack(_MAGIC, len(head), len(body), hashlib.sha256(body).digest())
    try:
        # in one piece where they fit: each piece wakes the other side
        if fds:
            # descriptors ride on the header, alone
            socket.send_fds(sock, [header], list(fds))
            sock.sendall(body)
        else:
            sock.sendall(header + body)
    except (BrokenPipeError, ConnectionError, OSError) as error:
        raise Closed(str(error)) from error


def receive(
    sock: socket.socket,
    *,
    deadline: float | None = None,
    watch: Callable[[], None] | None = None,
) -> tuple[Any, dict[str, np.ndarray], list[int]]:
    """Receive a message.

    Parameters
    ----------
    sock
        Where from.
    deadline
        Time on the monotonic clock, in seconds, by which the whole message must be there.
    watch
        Called some twenty times a second while waiting; may raise.

    Raises
    ------
    Closed, Garbled, Late
        If none came, what came is none, or it did not come in time.
    """
    fds: list[int] = []
    header = _exactly(sock, _HEADER.size, deadline, watch, fds)
    magic, head_size, size, digest = _HEADER.unpack(header)
    if magic != _MAGIC or head_size > size or size > 1 << 40:
        raise Garbled("it wrote to the channel of its results")
    body = _exactly(sock, size, deadline, watch, fds)
    if hashlib.sha256(body).digest() != digest:
        raise Garbled("it wrote into its results on their way")
    value, described = json.loads(body[:head_size])
    return value, _arrays(body, head_size, described), fds


def _arrays(body: bytes, start: int, described: Sequence[Any]) -> dict[str, np.ndarray]:
    if not described:
        return {}
    import numpy as np

    arrays = {}
    for name, dtype, shape in described:
        size = math.prod(shape)
        array = np.frombuffer(body, dtype, size, start).reshape(shape)
        arrays[name] = array
        start += array.nbytes
    return arrays


def _exactly(
    sock: socket.socket,
    size: int,
    deadline: float | None,
    watch: Callable[[], None] | None,
    fds: list[int],
) -> bytes:
    chunks = bytearray()
    while len(chunks) < size:
        if deadline is not None or watch is not None:
            _wait(sock, deadline, watch)
        try:
            data, found, _, _ = socket.recv_fds(sock, min(size - len(chunks), 1 << 20), _MAX_FDS)
        except ConnectionError as error:
            raise Closed(str(error)) from error
        fds.extend(found)
        if not data:
            raise Closed("the other side is gone")
        chunks += data
    return bytes(chunks)


def _wait(sock: socket.socket, deadline: float | None, watch: Callable[[], None] | None) -> None:
    while True:
        left = math.inf if deadline is None else deadline - time.monotonic()
        if left <= 0:
            raise Late
        poll = select.poll()  # select() knows no descriptor above 1023
        poll.register(sock, select.POLLIN)
        if poll.poll(1000 * (min(left, 0.05) if watch else left)):
            return
        if watch is not None:
            watch()
