"""The right answers, from an array, a file, a mapping or a function."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.model import spec as specs

KEYS = ("labels", "y", "targets")
"""Keys of an ``.npz`` that hold labels, in order of preference."""


def load_labels(spec: Any, *, names: Sequence[str], base: Path) -> np.ndarray:
    """Read the labels of the samples.

    Parameters
    ----------
    spec
        A sequence of integers, one a sample, in order; a mapping of sample name (a file's, with or
        without its suffix, or the index) to label; a ``.npy``, ``.npz`` (key ``labels``, ``y`` or
        ``targets``), ``.txt`` (a label a line) or ``.csv`` (``name,label`` or only the label, with
        or without a header); a function, or ``"package.module:function"``, that returns one of
        these.
    names
        Of all samples.
    base
        Paths are relative to this folder.

    Returns
    -------
    ndarray
        int64, one a sample.

    Raises
    ------
    MutatennError
        A sample has no label, there are too many, or one is no integer.
    """
    source = "labels"
    if isinstance(spec, str) and specs.is_function(spec) and not (base / spec).exists():
        source = f"labels {spec!r}"
        spec = specs.call(
            specs.import_function(spec, base=base, what="labels"), name=spec, what="labels"
        )
    elif callable(spec):
        name = specs.function_name(spec)
        source = f"labels {name!r}"
        spec = specs.call(spec, name=name, what="labels")
    if isinstance(spec, str | Path):
        path = specs.find_path(
            spec, base=base, what="labels", like=(".npy", ".npz", ".txt", ".csv")
        )
        source = f"labels {str(spec)!r}"
        spec = _read(path, source)
    if isinstance(spec, Mapping):
        spec = _by_name(spec, names, source)
    return check_labels(spec, len(names), source)


def check_labels(labels: Any, count: int, source: str) -> np.ndarray:
    """Make labels an int64 array of ``count`` entries, or say what is wrong.

    Raises
    ------
    MutatennError
        Another number of labels, another shape, or one that is no integer.
    """
    try:
        array = np.asarray(labels)
        if array.dtype.kind in "OUS":
            array = np.asarray([int(str(one)) for one in array.ravel()])
    except (TypeError, ValueError) as error:
        raise MutatennError(
            f"{source}: they must be integers, the index of the right class; {error}"
        ) from error
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        raise MutatennError(
            f"{source}: they have shape {array.shape}; give one integer a sample, e.g."
            " labels.argmax(axis=1) of one-hot rows"
        )
    if array.ndim != 1 or len(array) != count:
        raise MutatennError(
            f"{source}: there are {array.size} labels for {count} samples; give one for each"
        )
    whole = array.astype(np.int64) if array.dtype.kind in "iufb" else None
    if whole is None or not np.array_equal(whole, array):
        raise MutatennError(f"{source}: they must be integers, the index of the right class")
    return whole


def _read(path: Path, source: str) -> Any:
    suffix = path.suffix.lower()
    try:
        if suffix == ".npy":
            return np.load(path, allow_pickle=False)
        if suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                key = next((key for key in KEYS if key in archive), None)
                if key is None:
                    raise MutatennError(
                        f"{source}: it has none of the arrays {', '.join(KEYS)}; there are:"
                        f" {', '.join(archive.files)}"
                    )
                return archive[key]
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise MutatennError(
            f"{source}: cannot read it ({type(error).__name__}: {error})"
        ) from error
    except MutatennError:
        raise
    except Exception as error:  # zipfile.BadZipFile, zlib.error
        raise MutatennError(
            f"{source}: cannot read it ({type(error).__name__}: {error})"
        ) from error
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines())]
    if suffix not in (".csv", ".txt"):
        raise MutatennError(f"{source}: labels come as .npy, .npz, .txt or .csv, not {suffix!r}")
    if suffix == ".txt":
        rows = [line.replace(",", " ").split() for line in text.splitlines()]
    rows = [row for row in rows if any(row)]
    if rows and not _is_integer(rows[0][-1]):
        rows = rows[1:]  # a header
    for row in rows:
        if len(row) > 2 or not _is_integer(row[-1]):
            raise MutatennError(
                f"{source}: {' '.join(row)!r} is neither a label nor a name and a label; labels are"
                " integers, the index of the right class"
            )
    if rows and all(len(row) == 2 for row in rows):
        return {row[0]: int(row[1]) for row in rows}
    return [int(row[-1]) for row in rows]


def _by_name(table: Mapping[Any, Any], names: Sequence[str], source: str) -> list[Any]:
    known = {str(key): value for key, value in table.items()}
    found = []
    for name in names:
        key = next((key for key in (name, Path(name).stem) if key in known), None)
        if key is None:
            raise MutatennError(
                f"{source}: the sample {name!r} has no label{specs.nearest(name, known)}"
            )
        found.append(known[key])
    return found


def _is_integer(text: str) -> bool:
    return text.lstrip("+-").isdigit()
