"""``recorded:FILE``: what a run elsewhere has computed, read and not run."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl

from pytest_mutatenn.devices.recording import Recording
from pytest_mutatenn.errors import MutatennError


class Device:
    """``recorded:FILE[?device=DEVICE]``: the predictions of a file of ``--mutatenn-record``.

    Attributes
    ----------
    path
        The file, relative to the current directory; None where none is named.
    device
        The device whose predictions are read; empty where the file has one only.
    """

    kind = "recorded"
    takes = "recording"
    forks = False

    def __init__(self, options: str) -> None:
        name, _, rest = options.partition("?")
        chosen = dict(parse_qsl(rest, keep_blank_values=True))
        self.device = chosen.pop("device", "")
        if (options and not name) or chosen or (rest and not self.device):
            raise MutatennError(
                "write recorded:FILE, or recorded:FILE?device=DEVICE where the file has several "
                "devices."
            )
        self.path = Path(name).expanduser() if name else None

    def missing(self) -> str | None:
        """Say why there is no recording to read; ``None`` where there is."""
        try:
            self.read()
        except MutatennError as error:
            return str(error)
        return None

    def read(self) -> Recording:
        """Open the recording, once in a process as long as the file stays the same.

        Raises
        ------
        MutatennError
            If there is none, or it is damaged.
        """
        if self.path is None:
            raise MutatennError("it is a file: write recorded:FILE")
        try:
            stat = self.path.stat()
            state = (stat.st_mtime_ns, stat.st_size)
        except OSError:
            state = (0, 0)
        return _read(self.path.absolute(), state)


@cache
def _read(path: Path, state: tuple[int, int]) -> Recording:
    return Recording(path)
