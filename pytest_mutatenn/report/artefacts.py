"""The folder of artefacts: what of each mutant is kept for people to open.

A mutant has a folder of its own in each cell, and so has the unmutated network; an ``index.json``
beside the files says what they are, and what there is none of. Ids of mutants, cells and networks
become names that every file system and every archive of a CI service takes; the index at the top
says which is which.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_mutatenn.errors import MutatennError

__all__ = [
    "BASELINE",
    "DEFAULT_FOLDER",
    "INDEX",
    "KINDS",
    "folder_of",
    "prepare_folder",
    "read_index",
    "safe_name",
    "write_entry",
    "write_json",
]

KINDS = ("ir", "source", "object", "outputs", "log")
"""What can be kept."""

SCHEMA = "mutatenn-artefacts/1"
INDEX = "index.json"
BASELINE = "baseline"
"""Folder of the unmutated network in a cell; no id of a mutant is that."""

DEFAULT_FOLDER = "mutatenn-artefacts"

_UNSAFE = re.compile(r"[^A-Za-z0-9._@#+~,=-]")
_LONGEST = 100  # characters of a name
_KIND_SUFFIX = re.compile(r"(\.(before|legalised|kernel|device|host))?\.\w+$")


def safe_name(text: str) -> str:
    """A file's name for an id or a name: the same always, and another for each.

    Letters, digits and ``._@#+~,=-`` stay. Where anything else was in it, or it was too long, a
    digest of the whole stands at the end, before the suffix.
    """
    name = _UNSAFE.sub("_", text)
    if name == text and len(name) <= _LONGEST and name[:1] not in (".", "-", "~", ""):
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    suffix = _KIND_SUFFIX.search(name)
    tail = suffix[0] if suffix else ""
    stem = name[: len(name) - len(tail)][: _LONGEST - 9 - len(tail)].lstrip(".-~")
    return f"{stem or '_'}-{digest}{tail}"


def folder_of(model: str, cell: str, mutant: str | None) -> Path:
    """Where a mutant's files lie, relative to the folder of artefacts; None for the baseline."""
    inner = BASELINE if mutant is None else safe_name(mutant)
    return Path(safe_name(model), safe_name(cell), inner)


def prepare_folder(folder: Path, option: str) -> None:
    """Make the folder, and take away what an earlier run has kept in it.

    Raises
    ------
    MutatennError
        If it holds anything else, or cannot be written.
    """
    try:
        if folder.is_dir() and any(folder.iterdir()):
            if read_index(folder) is None:
                raise MutatennError(
                    f"{option}: {folder} is not empty, and holds no artefacts of an earlier run; "
                    "name another folder, or empty it."
                )
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        # from now on the folder is known as one of ours, however the run ends
        write_json(folder / INDEX, {"schema": SCHEMA, "kept": [], "entries": []})
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise MutatennError(
            f"{option}: {folder} cannot be written: {error.strerror or error}."
        ) from None


def read_index(folder: Path) -> dict[str, Any] | None:
    """The index of a folder of artefacts; None where it is none."""
    try:
        found = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("schema") == SCHEMA else None


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all."""
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        beside.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_entry(
    folder: Path, place: Path, files: Mapping[str, bytes], index: Mapping[str, Any]
) -> None:
    """Write a mutant's files and their index, all of them or none.

    Where another process has written the same in the meantime, that stays.

    Parameters
    ----------
    folder, place
        The folder of artefacts, and where in it.
    files
        Name -> content.
    index
        What :func:`read_index` gives back.

    Raises
    ------
    MutatennError
        If they cannot be written.
    """
    there = folder / place
    beside = there.with_name(f".{uuid.uuid4().hex}")
    try:
        beside.mkdir(parents=True)
        for name, content in files.items():
            (beside / name).write_bytes(content)
        write_json(beside / INDEX, {"schema": SCHEMA, **index})
        try:
            os.rename(beside, there)  # noqa: PTH104  a folder that is there refuses it
        except OSError:
            if not there.is_dir():
                raise
    except OSError as error:
        raise MutatennError(
            f"The artefacts of {index['mutant'] or 'the baseline'} could not be written to "
            f"{there}: {error.strerror or error}."
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
