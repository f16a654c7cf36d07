"""Small pictures of a network's inputs, where they are images, for reports to show.

Written as PNG by hand, which takes no library: the same input gives the same bytes.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.errors import MutatennError

if TYPE_CHECKING:
    import numpy as np

    from pytest_mutatenn.model.found import TensorLike
    from pytest_mutatenn.model.inputs import Dataset

__all__ = ["LONGEST", "MOST", "thumbnails_of"]

LONGEST = 48
"""Pixels of the longer side, at most; what is smaller stays as it is."""
MOST = 200
"""Inputs of a dataset that have a picture: the first ones."""

_LEAST = 4  # pixels of a side that make an image
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def thumbnails_of(
    dataset: Dataset, inputs: Sequence[TensorLike], preprocess: Any = None
) -> dict[str, Any] | None:
    """Make the pictures.

    Values are made pixels again as the user's ``preprocess`` made them of pixels. Without it they
    are taken as they are within 0 to 255, 0 to 1 or -1 to 1, and are stretched, channel by channel
    and over all pictures alike, elsewhere.

    Parameters
    ----------
    dataset
        The inputs.
    inputs
        The network's inputs; the first that is an image, of 1 or 3 channels, is shown.
    preprocess
        The user's, if any.

    Returns
    -------
    dict or None
        ``images``: input number, as text -> ``data:image/png;base64,...``; ``left_out``: how many
        inputs have none. None where the inputs are no images.
    """
    import numpy as np

    given = preprocess if isinstance(preprocess, Mapping) else {}
    for tensor in inputs:
        layout = given.get("layout") or _layout(tensor.shape)
        if layout is None:
            continue
        values = dataset.arrays[tensor.name].reshape(-1, *tensor.shape[1:])[:MOST]
        if layout == "NCHW":
            values = values.transpose(0, 2, 3, 1)
        small = np.stack([_shrunk(np.asarray(image, np.float64)) for image in values])
        pixels = _pixels(small, values.dtype, tensor, given)
        images = {str(i): _data_uri(_png(image)) for i, image in enumerate(pixels)}
        return {"images": images, "left_out": len(dataset.names) - len(images)}
    return None


def _layout(shape: Sequence[int]) -> str | None:
    if len(shape) != 4:
        return None
    for layout, channels, sides in (("NCHW", shape[1], shape[2:]), ("NHWC", shape[3], shape[1:3])):
        if channels in (1, 3) and min(sides) >= _LEAST:
            return layout
    return None


def _shrunk(image: np.ndarray) -> np.ndarray:
    """An image (height, width, channels), each pixel the mean of those that it stands for."""
    import numpy as np

    height, width, _ = image.shape
    longest = max(height, width)
    if longest <= LONGEST:
        return image
    for axis, side in enumerate((height, width)):
        count = max(1, side * LONGEST // longest)
        starts = np.arange(count) * side // count
        sizes = np.diff([*starts, side])
        summed = np.add.reduceat(image, starts, axis=axis)
        image = summed / (sizes[:, None, None] if axis == 0 else sizes[None, :, None])
    return image


def _pixels(
    values: np.ndarray, dtype: np.dtype[Any], tensor: TensorLike, given: Mapping[str, Any]
) -> np.ndarray:
    """Values of images (n, height, width, channels) as pixels from 0 to 255."""
    import numpy as np

    if given:
        from pytest_mutatenn.model.images import Preprocess

        try:
            how = Preprocess.parse(given, name=tensor.name, shape=tensor.shape, dtype=tensor.dtype)
        except MutatennError:
            how = None  # it is of another input
        if how is not None:
            values = (values * np.array(how.std) + np.array(how.mean)) / how.scale
            if how.channels == "BGR":
                values = values[..., ::-1]
            return _bytes(values)
    return _bytes(_stretched(values, dtype))


def _stretched(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    import numpy as np

    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    if dtype == np.int8:
        return values + 128
    if low >= 0 and 1 < high <= 255:
        return values
    if low >= 0 and high <= 1:
        return values * 255
    if low >= -1 and high <= 1:
        return (values + 1) * 127.5
    clean = np.where(np.isfinite(values), values, low)
    lows = clean.min(axis=(0, 1, 2))
    spans = np.maximum(clean.max(axis=(0, 1, 2)) - lows, np.finfo(np.float64).tiny)
    return (clean - lows) / spans * 255


def _bytes(values: np.ndarray) -> np.ndarray:
    import numpy as np

    clean = np.nan_to_num(values, nan=0.0, posinf=255.0, neginf=0.0)
    return np.clip(np.rint(clean), 0, 255).astype(np.uint8)


def _png(image: np.ndarray) -> bytes:
    """A PNG file of an image of uint8 (height, width, 1 or 3 channels); see ISO/IEC 15948."""
    height, width, channels = image.shape
    colour = 2 if channels == 3 else 0
    lines = b"".join(b"\0" + line.tobytes() for line in image)
    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
