"""The inputs a network is run on: arrays, photographs or what a function gives, and their labels.

It runs in pytest's own process and imports neither TVM nor ONNX.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.model.found import TensorLike, batch_of, find
from pytest_mutatenn.model.labels import check_labels, load_labels
from pytest_mutatenn.model.shared import SharedArrays


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs ready for a network, and the right answers where they are known.

    Attributes
    ----------
    arrays
        ONNX name of an input to an array ``(runs, *shape)``: ``arrays[name][i]`` has exactly the
        input's shape, its batch dimension included, and its dtype. Read-only, and in memory that
        other processes can map.
    labels
        int64, one a sample; None where they are not known.
    source
        What the user wrote, for reports.
    digest
        SHA-256 over names, dtypes, shapes and bytes of the arrays and labels.
    names
        One a sample: its file's name, or its index before any choice.
    """

    arrays: Mapping[str, np.ndarray]
    labels: np.ndarray | None
    source: str
    digest: str
    names: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of runs: samples, divided by the network's own batch."""
        return len(next(iter(self.arrays.values())))


def load_inputs(
    spec: Any,
    *,
    inputs: Sequence[TensorLike],
    preprocess: Mapping[str, Any] | None = None,
    labels: Any = None,
    limit: int | None = None,
    seed: int | None = None,
    base: Path,
) -> Dataset:
    """Read the inputs that a marker, an ini key or an option names.

    Parameters
    ----------
    spec
        A ``.npz`` (arrays by the inputs' names; for a network of one input also ``x``, ``images``,
        ``inputs``, ``data`` or its only array; labels as ``labels``, ``y`` or ``targets``), a
        ``.npy``, a folder of images, an array, a mapping of name to array, a function or
        ``"package.module:function"`` that returns an array, such a mapping, or a pair of either
        and labels.
    inputs
        The network's inputs. Samples come with or without the batch dimension; a network whose own
        batch is ``B`` gets ``B`` samples a run.
    preprocess
        How images become values, see `Preprocess.parse`. Without it integer arrays of images
        ``(n, height, width, channels)`` are only resized, laid out and converted; with it floating
        arrays are treated as images too.
    labels
        See `load_labels`; they win over those in ``spec``.
    limit
        Take so many samples: the first, or with a seed a choice of them, in order.
    seed
        Of that choice.
    base
        Paths are relative to this folder.

    Returns
    -------
    Dataset

    Raises
    ------
    MutatennError
        Something is missing, or has another shape or dtype than the network takes.
    """
    if preprocess is not None and not isinstance(preprocess, Mapping):
        raise MutatennError(
            f"preprocess: a {type(preprocess).__name__} is no mapping; give e.g."
            ' {"resize": 256, "crop": 224, "mean": [0.485, 0.456, 0.406]}'
        )
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise MutatennError(f"inputs: the limit is {limit!r}; give a number of samples, 1 or more")
    found = find(spec, inputs=inputs, base=base)
    total = len(found.names)
    if not total:
        raise MutatennError(f"inputs {found.source!r}: there is no sample in it")
    truth = None
    if labels is not None:
        truth = load_labels(labels, names=found.names, base=base)
    elif found.labels is not None:
        truth = check_labels(found.labels, total, f"labels in {found.source!r}")
    chosen = choose(total, limit, seed)
    batch = batch_of(inputs) or 1
    if len(chosen) % batch:
        raise MutatennError(
            f"inputs {found.source!r}: the network takes {batch} samples a run, and {len(chosen)}"
            f" is no multiple of that; set the limit to {len(chosen) // batch * batch or batch} or"
            " export the network with batch 1"
        )
    runs = len(chosen) // batch

    def fill(arrays: dict[str, np.ndarray]) -> None:
        for tensor in inputs:
            found.write(tensor, chosen, preprocess, arrays[tensor.name])

    specs_of = {tensor.name: ((runs, *tensor.shape), tensor.dtype) for tensor in inputs}
    arrays = SharedArrays(specs_of, fill)
    truth = None if truth is None else truth[chosen]
    return Dataset(
        arrays=arrays,
        labels=truth,
        source=found.source,
        digest=digest(arrays, truth),
        names=tuple(found.names[i] for i in chosen),
    )


def choose(total: int, limit: int | None, seed: int | None) -> np.ndarray:
    """Choose samples: all, the first ``limit``, or with a seed ``limit`` of them, sorted.

    The choice is the same on every machine and with every NumPy.
    """
    if limit is None or limit >= total:
        return np.arange(total)
    if seed is None:
        return np.arange(limit)

    def key(i: int) -> bytes:
        return hashlib.sha256(f"{seed}:{i}".encode()).digest()

    return np.array(sorted(sorted(range(total), key=key)[:limit]))


def digest(arrays: Mapping[str, np.ndarray], labels: np.ndarray | None) -> str:
    """Return the SHA-256 of arrays and labels, by name, dtype, shape and bytes."""
    result = hashlib.sha256()
    named = sorted(arrays.items())
    # no ONNX tensor is called "": labels cannot be taken for an input
    for name, array in named if labels is None else [*named, ("", labels)]:
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        result.update(repr((name, little.dtype.str, little.shape)).encode())
        result.update(little.reshape(-1).view(np.uint8).data)
    return result.hexdigest()
