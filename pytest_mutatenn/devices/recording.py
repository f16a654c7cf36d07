"""The file of a recording: what a run computed, for another run elsewhere to read.

A zip archive of ``recording.json`` and arrays as ``.npy`` files, so that ``numpy.load`` opens it,
too. Nothing in it is pickled: reading a recording runs no code of whoever wrote it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.errors import MutatennError

if TYPE_CHECKING:
    import numpy as np

SCHEMA = "mutatenn-recording/1"
_ABOUT = "recording.json"
_PARTS = {"cells": list, "datasets": dict, "results": list, "run": dict}
_DAMAGE = (
    OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile,
    NotImplementedError, RuntimeError,  # a way to pack that zipfile lacks; a password
)  # fmt: skip
# a member's date is that of no clock, so that the same content is the same file
_DATE = (1980, 1, 1, 0, 0, 0)


class Recording:
    """A recording, opened to be read; arrays are read when they are asked for.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    about
        All of it but the arrays; see ``docs/recorded.md``.

    Raises
    ------
    MutatennError
        If there is no such file, or it is no recording, or a damaged one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
            about = json.loads(self._zip.read(_ABOUT))
        except FileNotFoundError:
            raise MutatennError(f"there is no file {path.absolute()}") from None
        except KeyError:
            raise MutatennError(f"{path} is no recording of --mutatenn-record") from None
        except _DAMAGE as error:
            raise MutatennError(
                f"{path} is no recording, or a damaged one ({error}); write it again with "
                "--mutatenn-record"
            ) from error
        if not isinstance(about, dict) or about.get("schema") != SCHEMA:
            said = about.get("schema") if isinstance(about, dict) else None
            raise MutatennError(
                f"{path} has the format {said!r}, and this version reads {SCHEMA!r}; write it again"
            )
        lacking = [name for name, type_ in _PARTS.items() if not isinstance(about.get(name), type_)]
        if lacking:
            raise MutatennError(
                f"{path} is no recording, or a damaged one: {_ABOUT} lacks {', '.join(lacking)}; "
                "write it again with --mutatenn-record"
            )
        self.about: dict[str, Any] = about

    @property
    def digest(self) -> str:
        """SHA-256 over the members' names and checksums: another content has another."""
        members = sorted((one.filename, one.CRC, one.file_size) for one in self._zip.infolist())
        return hashlib.sha256(repr(members).encode()).hexdigest()

    def arrays(self, names: Mapping[str, str]) -> dict[str, np.ndarray]:
        """Read arrays: name -> the member that holds it.

        Raises
        ------
        MutatennError
            If one is damaged or not there.
        """
        import numpy as np

        found = {}
        for name, member in names.items():
            try:
                body = io.BytesIO(self._zip.read(member))
                found[name] = np.lib.format.read_array(body, allow_pickle=False)
            except _DAMAGE as error:
                raise MutatennError(
                    f"{self.path} is damaged at {member} ({error}); write it again with "
                    "--mutatenn-record"
                ) from error
        return found


def write_recording(
    path: Path,
    about: Mapping[str, Any],
    results: Iterable[tuple[dict[str, Any], Mapping[str, np.ndarray]]],
) -> None:
    """Write a recording, whole or not at all.

    Parameters
    ----------
    path
        The file; one that is there is replaced.
    about
        What stands in ``recording.json`` beside the results.
    results
        What is known of each result, and its arrays; written one after another, so that they
        need not be in memory together.

    Raises
    ------
    MutatennError
        If it cannot be written.
    """
    import numpy as np

    described = []
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for number, (value, arrays) in enumerate(results):
                members = {}
                for place, (name, array) in enumerate(arrays.items()):
                    members[name] = f"{number}.{place}.npy"
                    body = io.BytesIO()
                    np.lib.format.write_array(body, np.asarray(array), allow_pickle=False)
                    archive.writestr(_member(members[name]), body.getvalue())
                described.append({**value, "arrays": members})
            whole = {"schema": SCHEMA, **about, "results": described}
            archive.writestr(_member(_ABOUT), json.dumps(whole, sort_keys=True))
        beside.replace(path)
    except OSError as error:
        raise MutatennError(
            f"--mutatenn-record: cannot write {path}: {error.strerror or error}."
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _DATE)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    return member
