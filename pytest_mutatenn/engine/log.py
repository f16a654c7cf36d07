"""Many small entries in few files, for many processes at once.

Thousands of recipes as files of their own cost more to open than to use. A log is a folder of
*segments*: each process appends lines to a segment of its own, and reads everyone's. No two
processes write to one file, so that no lock is needed, a network's file system is no danger, and
the folders of two machines are merged by copying them into one. A line carries the digest of its
rest: what is torn or damaged is a miss. Segments are merged when they are many (after the
log-structured merge tree of O'Neil et al., 1996).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

_MANY = 32  # segments, from which on they are merged
_QUIET = 3600.0  # seconds without a write, after which a segment's process counts as done


class Log:
    """Entries of JSON by key.

    Parameters
    ----------
    folder
        Where the segments lie; made when first written to.
    prepare
        Called before the first write.
    """

    def __init__(self, folder: Path, prepare: Callable[[], None]) -> None:
        self.folder = folder
        self._prepare = prepare
        self._own: Path | None = None
        self._lines: dict[bytes, bytes] = {}
        self._read: dict[str, int] = {}
        self._opened = False

    def get(self, key: str) -> Any:
        """Read an entry; ``None`` where there is none whole."""
        if not self._opened:
            self._opened = True
            self._refresh()
            self._merge()
        found = self._entry(key)
        if found is None:
            self._refresh()  # another process may have written it since
            found = self._entry(key)
        return found

    def put(self, key: str, value: Any) -> None:
        """Write an entry."""
        line = _line(key, json.dumps(value, sort_keys=True, separators=(",", ":")).encode())
        if self._own is None:
            self._prepare()
            self.folder.mkdir(parents=True, exist_ok=True)
            self._own = self.folder / f"{uuid.uuid4().hex}.log"
        self._lines[key.encode()] = line[:-1]
        # opened each time: the user may delete the store at any time
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._own.open("ab", buffering=0) as file:
            written = file.write(line)
        if written != len(line):
            self._own = None  # nothing is appended to half a line
            raise OSError(f"{self.folder}: only a part of an entry could be written")

    def _entry(self, key: str) -> Any:
        line = self._lines.get(key.encode())
        if line is None:
            return None
        if not _is_whole(line):
            del self._lines[key.encode()]
            return None
        return json.loads(line.split(b" ", 2)[2])

    def _refresh(self) -> None:
        """Read what the segments have gained."""
        with contextlib.suppress(OSError), os.scandir(self.folder) as segments:
            for segment in sorted(segments, key=lambda each: each.name):
                with contextlib.suppress(OSError):
                    self._extend(segment)

    def _extend(self, segment: os.DirEntry[str]) -> None:
        start = self._read.get(segment.name, 0)
        if not segment.name.endswith(".log") or segment.stat().st_size <= start:
            return
        with open(segment.path, "rb") as file:  # noqa: PTH123
            file.seek(start)
            data = file.read()
        end = data.rfind(b"\n") + 1  # the rest is being written, or was never finished
        self._read[segment.name] = start + end
        for line in data[: end - 1].split(b"\n") if end else ():
            _, _, rest = line.partition(b" ")
            name = rest.partition(b" ")[0]
            # what is damaged here may be whole in another segment
            if name not in self._lines or _is_whole(line):
                self._lines[name] = line

    def _merge(self) -> None:
        """Make one segment of many, but for those that may still be written to.

        A process that reads them meanwhile has read them or finds the new one; at worst an entry
        is a miss.
        """
        if len(self._read) <= _MANY:
            return
        now = time.time()
        done = [
            path
            for path in (self.folder / name for name in self._read)
            if path.exists() and now - path.stat().st_mtime > _QUIET
        ]
        if len(done) < 2:
            return
        with contextlib.suppress(OSError):
            merged = self.folder / f"{uuid.uuid4().hex}.log"
            temporary = merged.with_suffix(".tmp")
            body = b"".join(path.read_bytes().rpartition(b"\n")[0] + b"\n" for path in done)
            temporary.write_bytes(body)
            temporary.replace(merged)
            self._read[merged.name] = len(body)
            for path in done:
                path.unlink()
                del self._read[path.name]


def _line(key: str, body: bytes) -> bytes:
    name = key.encode()
    return b"%s %s %s\n" % (_digest(name, body), name, body)


def _is_whole(line: bytes) -> bool:
    digest, *rest = line.split(b" ", 2)
    return len(rest) == 2 and digest == _digest(*rest)


def _digest(name: bytes, body: bytes) -> bytes:
    return hashlib.sha256(name + b" " + body).hexdigest()[:32].encode()
