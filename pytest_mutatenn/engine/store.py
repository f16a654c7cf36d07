"""A content-addressed store on disk, for many processes at once.

An entry is a header line with the digest of the rest, and the rest. Writes go to a temporary
file that is renamed into place; a reader therefore sees an entry whole or not at all. An entry
that does not match its digest is a miss and is removed (after Hypothesis' and Triton's stores).
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import math
import os
import platform
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from pytest_mutatenn.engine.log import Log

if TYPE_CHECKING:
    import numpy as np

_MAGIC = b"mutatenn-store-2 "
_ALIGNED = 64  # bytes, as NumPy aligns its own


class Store:
    """Entries by kind and key.

    Parameters
    ----------
    root
        The folder; made when first written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._logs: dict[tuple[str, str], Log] = {}

    def log(self, kind: str, group: str) -> Log:
        """Small entries of a kind that are used together."""
        if (kind, group) not in self._logs:
            folder = self.root / kind / group[:2] / group
            self._logs[kind, group] = Log(folder, self._describe)
        return self._logs[kind, group]

    def path(self, kind: str, key: str) -> Path:
        """Where an entry lies."""
        return self.root / kind / key[:2] / key

    def get(self, kind: str, key: str) -> bytes | None:
        """Read an entry; ``None`` where there is none, or none whole."""
        path = self.path(kind, key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        head, _, body = data.partition(b"\n")
        if head == _header(body):
            return body
        with contextlib.suppress(OSError):
            path.unlink()
        return None

    def put(self, kind: str, key: str, body: bytes) -> None:
        """Write an entry, whole or not at all."""
        self._write(self.path(kind, key), _header(body) + b"\n" + body)

    def get_json(self, kind: str, key: str) -> Any:
        """Read an entry of JSON; ``None`` where there is none."""
        body = self.get(kind, key)
        return None if body is None else json.loads(body)

    def put_json(self, kind: str, key: str, value: Any) -> None:
        """Write an entry of JSON."""
        self.put(kind, key, json.dumps(value, sort_keys=True, separators=(",", ":")).encode())

    def get_arrays(self, kind: str, key: str) -> tuple[Any, dict[str, np.ndarray]] | None:
        """Read an entry of JSON and arrays; the arrays are read-only."""
        body = self.get(kind, key)
        if body is None:
            return None
        import numpy as np

        head, _, _ = body.partition(b"\n")
        value, about = json.loads(head)
        arrays = {}
        for name, dtype, shape, start in about:
            kept = np.dtype(dtype)
            flat = np.frombuffer(body, kept, math.prod(shape), len(head) + 1 + start)
            arrays[name] = flat.reshape(shape)
        return value, arrays

    def put_arrays(self, kind: str, key: str, value: Any, arrays: Mapping[str, np.ndarray]) -> None:
        """Write an entry of JSON and arrays."""
        about, parts, place = [], [], 0
        for name, array in arrays.items():
            data = array.tobytes()
            padded = data.ljust(-(-len(data) // _ALIGNED) * _ALIGNED, b"\0")
            about.append([name, array.dtype.str, array.shape, place])
            parts.append(padded)
            place += len(padded)
        head = json.dumps([value, about], sort_keys=True, separators=(",", ":")).encode()
        # the head ends on a multiple, and with it every array begins on one
        head = head.ljust(-(-(len(head) + 1) // _ALIGNED) * _ALIGNED - 1)
        self.put(kind, key, b"".join([head, b"\n", *parts]))

    def put_file(self, kind: str, body: bytes, suffix: str) -> str:
        """Write a file under the digest of its content; give its name.

        Other programs can open such a file by its path (:meth:`file`).
        """
        name = hashlib.sha256(body).hexdigest() + suffix
        path = self.path(kind, name)
        if self.file(kind, name) is None:
            self._write(path, body)
        return name

    def file(self, kind: str, name: str) -> Path | None:
        """Path of a file of :meth:`put_file`, if it is there and whole."""
        path = self.path(kind, name)
        try:
            body = path.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(body).hexdigest() == name.partition(".")[0]:
            return path
        with contextlib.suppress(OSError):
            path.unlink()
        return None

    @contextlib.contextmanager
    def lock(self, key: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold a lock between processes, so that the same work is not done twice at once.

        Give whether it is held: without ``wait``, it is not where another process has it.
        """
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{key}.lock")
        try:
            lock.acquire(blocking=wait)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def scratch(self) -> Path:
        """Make a folder for a process' temporary files; :meth:`remove` it afterwards."""
        folder = self.temporary(os.getpid(), uuid.uuid4().hex[:8])
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def temporary(self, pid: int, name: str) -> Path:
        """Path of what a process of this machine may leave, to be swept when it is gone."""
        return self.root / "tmp" / f"{pid}-{name}@{_machine()}"

    def remove(self, folder: Path) -> None:
        """Remove a folder of :meth:`scratch`, and what processes that are gone have left."""
        shutil.rmtree(folder, ignore_errors=True)
        self._sweep(lambda pid: not Path("/proc", pid).exists())

    def clear(self) -> None:
        """Remove all temporary files of this process: nothing of it may be at work any more."""
        self._sweep(lambda pid: pid == str(os.getpid()))

    def _sweep(self, unwanted: Callable[[str], bool]) -> None:
        # another machine may use the store, too, and has processes of its own
        for left in (self.root / "tmp").glob(f"*-*@{glob.escape(_machine())}"):
            pid = left.name.partition("-")[0]
            if pid.isdigit() and unwanted(pid):
                shutil.rmtree(left, ignore_errors=True)
                with contextlib.suppress(OSError):
                    left.unlink()  # half an entry

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._describe()
        # a name of our own: two processes may write the same entry at once, and the last wins
        temporary = self.temporary(os.getpid(), uuid.uuid4().hex)
        temporary.parent.mkdir(exist_ok=True)
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def _describe(self) -> None:
        """Keep the store out of version control and backups, as pytest does its cache."""
        ignore = self.root / ".gitignore"
        if not ignore.exists():
            self.root.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):
                ignore.write_text("# Made by pytest-mutatenn.\n*\n")
                (self.root / "CACHEDIR.TAG").write_text(
                    "Signature: 8a477f597d28d172789f06886806bc55\n"
                    "# This is the store of pytest-mutatenn; it can be deleted at any time.\n"
                )


@cache
def _machine() -> str:
    return re.sub(r"[^\w.-]", "_", platform.node())


def _header(body: bytes) -> bytes:
    """What stands before a body."""
    return _MAGIC + hashlib.sha256(body).hexdigest().encode()
