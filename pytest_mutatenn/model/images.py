"""Photographs made what a network eats: resized, cropped, scaled, normalised, laid out.

Pillow is needed to read files and to resize; it comes with the extra ``images``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.model.spec import nearest

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

_KEYS = ("resize", "crop", "scale", "mean", "std", "layout", "channels")
_CHANNELS = {"RGB": 3, "BGR": 3, "L": 1}


def check_keys(given: Mapping[str, Any]) -> None:
    """Raise MutatennError for a key that no preprocessing has, naming the nearest."""
    for key in given:
        if key not in _KEYS:
            raise MutatennError(f"preprocess: unknown key {key!r}{nearest(str(key), _KEYS)}")


@dataclass(frozen=True)
class Preprocess:
    """How pixels become the values of one network input; `parse` reads the user's mapping.

    The value is ``(pixel * scale - mean) / std``, per channel, pixels counted from 0 to 255.

    Attributes
    ----------
    height, width
        Of the network's input, pixels.
    resize
        Height and width, or the length of the shorter side, pixels; None leaves the size.
    crop
        Height and width cut from the centre; None cuts nothing.
    scale, mean, std
        ``mean`` and ``std`` have one entry, or one for each channel.
    layout
        Of the network's input, ``"NCHW"`` or ``"NHWC"``.
    channels
        ``"RGB"``, ``"BGR"`` or ``"L"`` (grey).
    dtype
        Of the network's input.
    """

    height: int
    width: int
    resize: tuple[int, int] | int | None
    crop: tuple[int, int] | None
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layout: str
    channels: str
    dtype: np.dtype[Any]

    @classmethod
    def parse(
        cls, given: Mapping[str, Any], *, name: str, shape: tuple[int, ...], dtype: str
    ) -> Preprocess:
        """Check the user's mapping against the network's input.

        Parameters
        ----------
        given
            Keys ``resize`` (pixels of the shorter side, or height and width; default the network's
            size, or no resizing where ``crop`` is given), ``crop`` (default the network's size),
            ``scale`` (default 1/255 where ``mean`` or ``std`` are given and lie within 0 to 1,
            else 1), ``mean`` (0), ``std`` (1), ``layout`` and ``channels`` (by the input's shape).
        name, shape, dtype
            The network's input, ``(batch, channels, height, width)`` or ``(batch, height, width,
            channels)``.

        Raises
        ------
        MutatennError
            An unknown key, a value of another kind, or an input that is no image.
        """
        check_keys(given)
        layout = _layout(given.get("layout"), name, shape)
        count, height, width = shape[1:] if layout == "NCHW" else (shape[3], shape[1], shape[2])
        channels = given.get("channels", "L" if count == 1 else "RGB")
        if channels not in _CHANNELS or _CHANNELS[channels] != count:
            raise MutatennError(
                f"preprocess: 'channels' is {channels!r}, but the input {name!r} {shape} has"
                f" {count} channels in layout {layout}; use 'RGB' or 'BGR' for 3, 'L' for 1, or"
                " another 'layout'"
            )
        resize, crop = _size(given, "resize"), _size(given, "crop")
        if resize is None and crop is None:
            resize = (height, width)
        cut = (crop, crop) if isinstance(crop, int) else crop or (height, width)
        if cut != (height, width):
            raise MutatennError(
                f"preprocess: 'crop' gives images of {cut}, but the input {name!r} {shape} takes"
                f" {(height, width)}; crop to that"
            )
        mean, std = _numbers(given, "mean", 0.0, count), _numbers(given, "std", 1.0, count)
        if 0.0 in std:
            raise MutatennError("preprocess: 'std' is 0, and values are divided by it")
        unit = ("mean" in given or "std" in given) and all(0 <= v <= 1 for v in (*mean, *std))
        scale = _numbers(given, "scale", 1 / 255 if unit else 1.0, 1)[0]
        return cls(height, width, resize, cut, scale, mean, std, layout, channels, np.dtype(dtype))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one prepared image."""
        depth = _CHANNELS[self.channels]
        if self.layout == "NCHW":
            return depth, self.height, self.width
        return self.height, self.width, depth

    def pixels(self, image: np.ndarray, name: str) -> np.ndarray:
        """Turn one image, height x width x channels in RGB order or grey, into the input's values.

        Raises
        ------
        MutatennError
            The image is smaller than the crop, or has another number of channels.
        """
        image = self._resized(image)
        image = self._cropped(image, name)
        depth = image.shape[2]
        wanted = _CHANNELS[self.channels]
        if depth == 4 and wanted != 4:
            image, depth = image[..., :3], 3
        if wanted == 1 and depth == 3:
            image = image @ np.array([0.299, 0.587, 0.114])[:, None]  # ITU-R 601, as Pillow does
        elif wanted == 3 and depth == 1:
            image = np.repeat(image, 3, axis=2)
        elif wanted != depth:
            raise MutatennError(
                f"inputs: {name} has {depth} channels, but the network takes {wanted}"
            )
        if self.channels == "BGR":
            image = image[..., ::-1]
        # in float64 and rounded once, so that x/255 with std 1/255 gives back the very pixel
        values = (image * self.scale - np.array(self.mean)) / np.array(self.std)
        if self.layout == "NCHW":
            values = values.transpose(2, 0, 1)
        if self.dtype.kind in "iu":
            limits = np.iinfo(self.dtype)
            values = np.clip(np.rint(values), limits.min, limits.max)
        return values.astype(self.dtype)

    def _resized(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        match self.resize:
            case None:
                return image
            case int(side):
                short = min(height, width)
                target = (round(height * side / short), round(width * side / short))
            case target:
                pass
        if target == (height, width):
            return image
        pillow = _pillow("to resize images")
        # channel by channel, in float: Pillow resizes no other arrays of more than 8 bits
        planes = [
            np.asarray(
                pillow.fromarray(np.ascontiguousarray(image[..., c], np.float32)).resize(
                    target[::-1], pillow.Resampling.BILINEAR
                )
            )
            for c in range(image.shape[2])
        ]
        resized = np.stack(planes, axis=2)
        return np.rint(resized).astype(image.dtype) if image.dtype.kind in "iu" else resized

    def _cropped(self, image: np.ndarray, name: str) -> np.ndarray:
        height, width = self.crop or image.shape[:2]
        top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        if top < 0 or left < 0:
            raise MutatennError(
                f"inputs: {name} is {image.shape[0]} x {image.shape[1]} pixels, smaller than the"
                f" {height} x {width} to cut from it; give a larger 'resize' in preprocess"
            )
        return image[top : top + height, left : left + width]


def image_files(folder: Path) -> list[Path]:
    """List the images of a folder, by name; a hidden file is none.

    Raises
    ------
    MutatennError
        There is none.
    """
    files = [
        path
        for path in sorted(folder.iterdir(), key=lambda one: one.name)
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    ]
    if not files:
        folders = sum(path.is_dir() for path in folder.iterdir())
        deeper = f"; it has {folders} folders, and only its own images are read" if folders else ""
        raise MutatennError(
            f"inputs: the folder {folder} has no image ({', '.join(SUFFIXES)}){deeper}"
        )
    return files


def read_image(path: Path, *, grey: bool) -> np.ndarray:
    """Read an image, turned upright.

    Returns
    -------
    ndarray
        uint8, height x width x 3 (RGB) or x 1 where ``grey``.

    Raises
    ------
    MutatennError
        Pillow is missing, or cannot read the file.
    """
    pillow = _pillow("to read images")
    from PIL import ImageOps

    try:
        with pillow.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            pixels = np.asarray(upright.convert("L" if grey else "RGB"))
    except Exception as error:
        raise MutatennError(
            f"inputs: cannot read the image {path} ({type(error).__name__}); mend or remove it"
        ) from error
    return pixels[..., None] if grey else pixels


def _pillow(purpose: str) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MutatennError(
            f"inputs: Pillow is needed {purpose}: pip install 'pytest-mutatenn[images]'"
        ) from error
    return Image


def _layout(given: object, name: str, shape: tuple[int, ...]) -> str:
    if len(shape) != 4:
        raise MutatennError(
            f"inputs: the input {name!r} {shape} takes no images, those have 4 dimensions; give"
            " arrays of that shape, and no 'preprocess'"
        )
    if given is not None:
        if given not in ("NCHW", "NHWC"):
            raise MutatennError(f"preprocess: 'layout' is {given!r}; use 'NCHW' or 'NHWC'")
        return str(given)
    if shape[1] in (1, 3):
        return "NCHW"
    if shape[3] in (1, 3):
        return "NHWC"
    raise MutatennError(
        f"inputs: the input {name!r} {shape} has neither 1 nor 3 channels, so it takes no images;"
        " give arrays of that shape, in its own dtype"
    )


def _size(given: Mapping[str, Any], key: str) -> tuple[int, int] | int | None:
    value = given.get(key)
    if value is None:
        return None
    sides = [value] if isinstance(value, int) else value
    if (
        not isinstance(sides, Sequence)
        or isinstance(sides, str)
        or len(sides) not in (1, 2)
        or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in sides)
    ):
        raise MutatennError(
            f"preprocess: {key!r} is {value!r}; give pixels, e.g. 224, or (height, width)"
        )
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def _numbers(given: Mapping[str, Any], key: str, default: float, count: int) -> tuple[float, ...]:
    value = given.get(key, default)
    try:
        numbers = tuple(float(v) for v in np.atleast_1d(np.asarray(value, np.float64)))
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) not in (1, count) or not np.isfinite(numbers).all():
        many = "a number" if count == 1 else f"a number, or {count}, one for each channel"
        raise MutatennError(f"preprocess: {key!r} is {value!r}; give {many}")
    return numbers
