"""What a marker's ``inputs`` lead to, and how a network's input is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.model import spec as specs
from pytest_mutatenn.model.images import SUFFIXES, Preprocess, image_files, read_image
from pytest_mutatenn.model.labels import KEYS as LABEL_KEYS

_IMAGE_KEYS = ("x", "images", "inputs", "data")


class TensorLike(Protocol):
    """What has to be known of a network's input; the importer's ``TensorSpec`` is one."""

    @property
    def name(self) -> str:
        """ONNX name."""

    @property
    def shape(self) -> tuple[int, ...]:
        """All dimensions, the batch's first."""

    @property
    def dtype(self) -> str:
        """NumPy's name of the type."""


@dataclass(frozen=True)
class Found:
    """What a spec led to, before any choice and conversion."""

    source: str
    names: tuple[str, ...]
    labels: Any = None
    arrays: Mapping[str, np.ndarray] | None = None
    files: tuple[Path, ...] = ()
    batched: bool = True

    def shape(self, tensor: TensorLike) -> tuple[int, ...]:
        """Return the shape of one sample of an input."""
        return tuple(tensor.shape[1:] if self.batched else tensor.shape)

    def write(
        self,
        tensor: TensorLike,
        chosen: np.ndarray,
        preprocess: Mapping[str, Any] | None,
        out: np.ndarray,
    ) -> None:
        """Write the chosen samples of one input, converted, one after the other."""
        if self.arrays is None:
            image = _parse(preprocess or {}, tensor)
            for i, place in zip(chosen, out.reshape(len(chosen), *image.shape), strict=True):
                path = self.files[i]
                place[...] = image.pixels(read_image(path, grey=image.channels == "L"), path.name)
            return
        array = self.arrays[tensor.name]
        shape = self.shape(tensor)
        how: Preprocess | None = None
        if preprocess is not None and len(tensor.shape) == 4 and len(shape) == 3:
            how = _parse(preprocess, tensor)
        elif array.shape[1:] != shape:
            if not (array.dtype.kind in "iu" and array.ndim in (3, 4) and len(shape) == 3):
                raise self.mismatch(tensor)
            how = _parse({}, tensor)
        if how is not None:
            images = self.images(tensor)
            for i, place in zip(chosen, out.reshape(len(chosen), *how.shape), strict=True):
                place[...] = how.pixels(images[i], f"{self.source}[{i}]")
            return
        self.check_values(tensor, array, chosen)
        for i, place in zip(chosen, out.reshape(len(chosen), *shape), strict=True):
            place[...] = array[i]

    def check_values(self, tensor: TensorLike, array: np.ndarray, chosen: np.ndarray) -> None:
        """Raise MutatennError if the chosen samples do not fit the network's dtype."""
        dtype = np.dtype(tensor.dtype)
        fits = np.can_cast(array.dtype, dtype, "same_kind")
        if dtype.kind in "iu" and array.dtype.kind in "iu" and array.size:
            limits = np.iinfo(dtype)
            taken = array[chosen]
            fits = limits.min <= int(taken.min()) and int(taken.max()) <= limits.max
        if not fits:
            raise MutatennError(
                f"inputs {self.source!r}: the input {tensor.name!r} is {dtype}, and"
                f" {array.dtype} values were given that do not fit in; convert them"
            )

    def images(self, tensor: TensorLike) -> np.ndarray:
        """Read an array as images: ``(n, h, w, c)``, ``(n, c, h, w)`` or grey ``(n, h, w)``."""
        assert self.arrays is not None
        array = self.arrays[tensor.name]
        if array.ndim == 3:
            array = array[..., None]
        if array.ndim != 4:
            raise self.mismatch(tensor)
        if array.shape[3] not in (1, 3, 4):
            if array.shape[1] not in (1, 3, 4):
                raise self.mismatch(tensor)
            array = array.transpose(0, 2, 3, 1)
        return array

    def mismatch(self, tensor: TensorLike) -> MutatennError:
        """Say that the samples of an input have another shape."""
        assert self.arrays is not None
        given = self.arrays[tensor.name]
        shape = self.shape(tensor)
        mended = ""
        if given.ndim == 4 and len(shape) == 3:
            for axes in ((0, 3, 1, 2), (0, 2, 3, 1)):
                if tuple(given.shape[a] for a in axes)[1:] == shape:
                    mended = (
                        f"; array.transpose{axes} has it, and so have integer (uint8) images and"
                        " those that 'preprocess' is given for"
                    )
        return MutatennError(
            f"inputs {self.source!r}: the input {tensor.name!r} takes samples of shape {shape}, and"
            f" {given.dtype} samples of shape {given.shape[1:]} were given"
            + (mended or "; give an array of shape " + _listed(("n", *shape)))
        )


def find(spec: Any, *, inputs: Sequence[TensorLike], base: Path) -> Found:
    """Follow a spec to arrays or images of as many samples as it has.

    Raises
    ------
    MutatennError
        If it leads to nothing that the network's inputs can be made of.
    """
    value, source = spec, "array"
    if isinstance(spec, str) and specs.is_function(spec) and not (base / spec).exists():
        source = spec
        value = specs.call(
            specs.import_function(spec, base=base, what="inputs"), name=spec, what="inputs"
        )
    elif callable(spec):
        source = specs.function_name(spec)
        value = specs.call(spec, name=source, what="inputs")
    if isinstance(value, str | Path):
        path = specs.find_path(value, base=base, what="inputs", like=(".npz", ".npy", *SUFFIXES))
        if value is spec:
            source = specs.shown(path, base=base)
        return _from_path(path, inputs, source)
    labels = None
    if isinstance(value, tuple):
        if len(value) != 2:
            raise MutatennError(
                f"inputs {source!r}: a tuple of {len(value)}; give (arrays, labels), or a mapping"
                " of input name to array"
            )
        value, labels = value
    return _from_arrays(value, inputs, source, labels)


def _from_path(path: Path, inputs: Sequence[TensorLike], source: str) -> Found:
    suffix = path.suffix.lower()
    if path.is_dir() or suffix in SUFFIXES:
        files = tuple(image_files(path)) if path.is_dir() else (path,)
        if len(inputs) != 1:
            raise MutatennError(
                f"inputs {source!r}: images feed one input, and the network has {len(inputs)}"
                f" ({_names(inputs)}); give a .npz or a function with an array for each"
            )
        return Found(source, tuple(one.name for one in files), files=files)
    if suffix not in (".npz", ".npy"):
        raise MutatennError(
            f"inputs {source!r}: {suffix or 'a file without suffix'} is not read; give a .npz, a"
            " .npy, a folder of images or a function"
        )
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.ndarray):
            with loaded as archive:
                loaded = {key: archive[key] for key in archive.files}
    except Exception as error:  # of many classes: ValueError, EOFError, BadZipFile, zlib.error
        raise MutatennError(
            f"inputs {source!r}: cannot read it as {suffix} ({type(error).__name__}: {error});"
            f" write it with numpy.{'savez' if suffix == '.npz' else 'save'}, without objects"
        ) from error
    if isinstance(loaded, np.ndarray):
        return _from_arrays(loaded, inputs, source, None)
    names = {tensor.name for tensor in inputs}
    key = next((key for key in LABEL_KEYS if key in loaded and key not in names), None)
    labels = None if key is None else loaded.pop(key)
    return _from_arrays(loaded, inputs, source, labels)


def _from_arrays(value: Any, inputs: Sequence[TensorLike], source: str, labels: Any) -> Found:
    if isinstance(value, Mapping):
        arrays = _matched(value, inputs, source)
    elif len(inputs) == 1:
        arrays = {inputs[0].name: value}
    else:
        raise MutatennError(
            f"inputs {source!r}: one array, and the network has {len(inputs)} inputs"
            f" ({_names(inputs)}); give one for each, by name"
        )
    batched = batch_of(inputs) is not None
    samples = {t.name: _samples(arrays[t.name], t, source, batched=batched) for t in inputs}
    counts = {name: len(array) for name, array in samples.items()}
    if len(set(counts.values())) != 1:
        listed = ", ".join(f"{name!r} {count}" for name, count in counts.items())
        raise MutatennError(
            f"inputs {source!r}: the inputs have different numbers of samples ({listed}); give as"
            " many for each"
        )
    count = next(iter(counts.values()))
    return Found(source, tuple(str(i) for i in range(count)), labels, samples, batched=batched)


def _matched(given: Mapping[str, Any], inputs: Sequence[TensorLike], source: str) -> dict[str, Any]:
    """Pair arrays with the network's inputs: by name, else the image-like one of a single input."""
    missing = [tensor.name for tensor in inputs if tensor.name not in given]
    if not missing:
        return {tensor.name: given[tensor.name] for tensor in inputs}
    if len(inputs) == 1:
        key = next((key for key in _IMAGE_KEYS if key in given), None)
        if key is None and len(given) == 1:
            key = next(iter(given))
        if key is not None:
            return {inputs[0].name: given[key]}
    there = ", ".join(repr(key) for key in given) or "none"
    raise MutatennError(
        f"inputs {source!r}: no array for the input {missing[0]!r}; the arrays are {there}, and the"
        f" network's inputs {_names(inputs)}: name the arrays like the inputs"
    )


def _samples(value: Any, tensor: TensorLike, source: str, *, batched: bool) -> np.ndarray:
    """Bring an array to ``(n, ...)``, the network's batch dimension taken into ``n``."""
    array = np.asarray(value)
    shape = tuple(tensor.shape)
    item = shape[1:] if batched else shape
    if array.dtype.kind not in "biuf" and "float" not in array.dtype.name:
        raise MutatennError(
            f"inputs {source!r}: {array.dtype} was given for the input {tensor.name!r}, which takes"
            f" {tensor.dtype}; give a numeric array of shape {_listed(('n', *item))}"
        )
    if batched and array.ndim == len(shape) + 1 and array.shape[1] == shape[0]:
        array = array.reshape(-1, *array.shape[2:])  # each sample with its batch dimension
    elif array.shape == item and array.ndim:
        array = array[None]
    if array.ndim == 0:
        raise MutatennError(
            f"inputs {source!r}: a single number was given for the input {tensor.name!r}; give an"
            f" array of shape {_listed(('n', *item))}"
        )
    return array


def _parse(preprocess: Mapping[str, Any], tensor: TensorLike) -> Preprocess:
    return Preprocess.parse(
        preprocess, name=tensor.name, shape=tuple(tensor.shape), dtype=tensor.dtype
    )


def batch_of(inputs: Sequence[TensorLike]) -> int | None:
    """Return the batch that all inputs share; None where they do not agree on one."""
    sizes = {tensor.shape[0] if tensor.shape else None for tensor in inputs}
    return sizes.pop() if len(sizes) == 1 else None


def _names(inputs: Sequence[TensorLike]) -> str:
    return ", ".join(repr(tensor.name) for tensor in inputs)


def _listed(shape: tuple[object, ...]) -> str:
    return f"({', '.join(map(str, shape))})"
