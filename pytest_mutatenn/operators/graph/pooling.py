"""Pooling layers replaced by one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tvm import relax

from pytest_mutatenn.operators.graph.operand import shape_of
from pytest_mutatenn.operators.registry import operator

nn = relax.op.nn

MAXIMUM: dict[str, Callable[..., Any]] = {
    "relax.nn.avg_pool1d": nn.max_pool1d,
    "relax.nn.avg_pool2d": nn.max_pool2d,
    "relax.nn.avg_pool3d": nn.max_pool3d,
}
AVERAGE: dict[str, Callable[..., Any]] = {
    "relax.nn.max_pool1d": nn.avg_pool1d,
    "relax.nn.max_pool2d": nn.avg_pool2d,
    "relax.nn.max_pool3d": nn.avg_pool3d,
}


@operator(
    "max_pool_to_avg_pool",
    category="layer",
    stages=["graph"],
    on=[*AVERAGE, "relax.max"],
    groups=["default"],
    example=lambda image: (nn.max_pool2d(image, 2, 2), nn.avg_pool2d(image, 2, 2)),
)
def max_pool_to_avg_pool(call: Any) -> Iterator[Any]:
    """Take the average of each window, or of the whole image, where the network takes the maximum.

    The window, the strides and the padding stay; what is padded is not averaged.
    """
    if call.op.name in AVERAGE:
        yield _pooled_by(AVERAGE[call.op.name], call)
    elif _is_over_the_image(call):
        yield relax.op.mean(call.args[0], call.attrs.axis, call.attrs.keepdims)


@operator(
    "avg_pool_to_max_pool",
    category="layer",
    stages=["graph"],
    on=[*MAXIMUM, "relax.mean", "relax.nn.adaptive_avg_pool2d"],
    groups=["default"],
    example=lambda image: (nn.avg_pool2d(image, 2, 2), nn.max_pool2d(image, 2, 2)),
)
def avg_pool_to_max_pool(call: Any) -> Iterator[Any]:
    """Take the maximum of each window, or of the whole image, where the network takes the average.

    The window, the strides and the padding stay.
    """
    if call.op.name in MAXIMUM:
        yield _pooled_by(MAXIMUM[call.op.name], call)
    elif call.op.name == "relax.nn.adaptive_avg_pool2d":
        # Relax has no adaptive maximum; to one pixel, this is it
        layout = str(call.attrs.layout)
        yield relax.op.max(call.args[0], [layout.index("H"), layout.index("W")], True)
    elif _is_over_the_image(call):
        yield relax.op.max(call.args[0], call.attrs.axis, call.attrs.keepdims)


def _pooled_by(pool: Callable[..., Any], call: Any) -> Any:
    attrs = call.attrs
    return pool(
        call.args[0],
        attrs.pool_size,
        attrs.strides,
        attrs.padding,
        attrs.dilation,
        bool(attrs.ceil_mode),
        bool(attrs.count_include_pad),
        attrs.layout,
        attrs.out_layout,
    )


def _is_over_the_image(call: Any) -> bool:
    """Whether a reduction is a global pooling: over all axes after the batch and the channels."""
    rank = len(shape_of(call.args[0]) or [])
    axes = {int(axis) % rank for axis in call.attrs.axis or ()} if rank > 2 else set()
    return bool(axes) and axes == set(range(2, rank))
