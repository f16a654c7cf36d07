"""Attributes of a convolution, one off.

What comes out keeps the layer's shape: where it is larger it is cropped, where it is smaller it is
padded with zeros, both at the far edges. So a padding one too large shifts the image by a pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tvm import relax

from pytest_mutatenn.operators.graph.operand import shape_of
from pytest_mutatenn.operators.registry import operator

nn = relax.op.nn

CONVOLUTIONS: dict[str, Callable[..., Any]] = {
    "relax.nn.conv1d": nn.conv1d,
    "relax.nn.conv2d": nn.conv2d,
    "relax.nn.conv3d": nn.conv3d,
}


def _cropped(image: Any, *extents: int) -> Any:
    return relax.op.strided_slice(image, [2, 3], [0, 0], extents)


def _padded(image: Any, less: int) -> Any:
    return nn.pad(image, [0, 0, 0, 0, 0, less, 0, less])


@operator(
    "conv_stride",
    category="layer",
    stages=["graph"],
    on=CONVOLUTIONS,
    example=lambda image, kernel: (
        nn.conv2d(image, kernel, padding=1),
        _padded(nn.conv2d(image, kernel, strides=2, padding=1), 3),
    ),
)
def conv_stride(call: Any) -> Iterator[Any]:
    """Move a convolution's window one pixel further, or one less, at a step."""
    strides = _ints(call.attrs.strides)
    # at a single position no step is taken
    if any(extent > 1 for extent in _extents(call)):
        for step in (1, -1):
            yield from _fitted(call, strides=[stride + step for stride in strides])


@operator(
    "conv_padding",
    category="layer",
    stages=["graph"],
    on=CONVOLUTIONS,
    example=lambda image, kernel: (
        nn.conv2d(image, kernel, padding=1),
        _cropped(nn.conv2d(image, kernel, padding=2), 6, 6),
    ),
)
def conv_padding(call: Any) -> Iterator[Any]:
    """Pad one pixel more, or one less, around what a convolution reads."""
    padding = _ints(call.attrs.padding)
    for step in (1, -1):
        changed = [max(pad + step, 0) for pad in padding]
        if changed != padding:
            yield from _fitted(call, padding=changed)


@operator(
    "conv_dilation",
    category="layer",
    stages=["graph"],
    on=CONVOLUTIONS,
    example=lambda image, kernel: (
        nn.conv2d(image, kernel, padding=1),
        _padded(nn.conv2d(image, kernel, padding=1, dilation=2), 2),
    ),
)
def conv_dilation(call: Any) -> Iterator[Any]:
    """Spread a convolution's window one pixel wider, or one less."""
    dilation = _ints(call.attrs.dilation)
    # a window of a single pixel cannot be spread
    if any(size > 1 for size in _window(call)):
        for step in (1, -1):
            yield from _fitted(call, dilation=[rate + step for rate in dilation])


def _ints(values: Sequence[Any]) -> list[int]:
    return [int(value) for value in values]


def _image_axes(call: Any) -> list[int]:
    return [i for i, axis in enumerate(str(call.attrs.data_layout)) if axis not in "NC"]


def _extents(call: Any) -> list[int]:
    """Height and width of what comes out."""
    shape = shape_of(call) or []
    return [shape[axis] for axis in _image_axes(call)]


def _window(call: Any) -> list[int]:
    shape = shape_of(call.args[1]) or []
    layout = str(call.attrs.kernel_layout)
    return [extent for extent, axis in zip(shape, layout, strict=True) if axis not in "OI"]


def _fitted(call: Any, **changed: list[int]) -> Iterator[Any]:
    """The convolution with the attributes changed, in its own shape; nothing if it has no pixel."""
    attrs = call.attrs
    names = ("strides", "padding", "dilation")
    values = {name: _ints(getattr(attrs, name)) for name in names} | changed
    extents = _new_extents(call, **values)
    if min(*values["strides"], *values["dilation"], *extents) < 1:
        return
    new = CONVOLUTIONS[call.op.name](
        *call.args,
        **values,
        groups=int(attrs.groups),
        data_layout=attrs.data_layout,
        kernel_layout=attrs.kernel_layout,
        out_layout=attrs.out_layout,
        out_dtype=attrs.out_dtype or None,
    )
    yield _in_shape(new, shape_of(call) or [], dict(zip(_image_axes(call), extents, strict=True)))


def _new_extents(
    call: Any, strides: list[int], padding: list[int], dilation: list[int]
) -> list[int]:
    shape = shape_of(call.args[0]) or []
    axes = _image_axes(call)
    before, after = padding[: len(axes)], padding[len(axes) :]
    return [
        (shape[axis] + b + a - (size - 1) * rate - 1) // max(stride, 1) + 1
        for axis, b, a, size, rate, stride in zip(
            axes, before, after, _window(call), dilation, strides, strict=True
        )
    ]


def _in_shape(tensor: Any, wanted: list[int], extents: dict[int, int]) -> Any:
    """Crop and pad a tensor at the far ends of the axes whose extents are not as wanted."""
    longer = [axis for axis, extent in extents.items() if extent > wanted[axis]]
    if longer:
        ends = [wanted[axis] for axis in longer]
        tensor = relax.op.strided_slice(tensor, longer, [0] * len(longer), ends)
    missing = [max(w - extents.get(axis, w), 0) for axis, w in enumerate(wanted)]
    if any(missing):
        tensor = nn.pad(tensor, [pad for less in missing for pad in (0, less)])
    return tensor
