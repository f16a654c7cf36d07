"""Changes of what goes into a layer or comes out of it (MutateNN's input/output family).

Each operator is an operation, a side, an argument and the kinds of node it stands at; the table
at the end lists MutateNN's, and a further one is a further line.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tvm import relax

from pytest_mutatenn.operators.registry import operator

NODES = {
    "conv2d": ("relax.nn.conv2d",),
    "dense": ("relax.matmul",),
    "conv2d_dense": ("relax.nn.conv2d", "relax.matmul"),
    "batch_norm": ("relax.nn.batch_norm",),
}

Operation = Callable[[Any], Iterator[Any]]


def swapped_axes(tensor: Any) -> Iterator[Any]:
    """The tensor with two equal-sized axes (longer than one) swapped, for the last such pair.

    The last pair is the image's height and width, or a weight's window: shapes stay as they are.
    """
    shape = [int(extent) for extent in tensor.ty.shape]
    pairs = [
        (i, j) for i, j in itertools.combinations(range(len(shape)), 2) if shape[i] == shape[j] > 1
    ]
    if pairs:
        axes = list(range(len(shape)))
        i, j = pairs[-1]
        axes[i], axes[j] = axes[j], axes[i]
        yield relax.op.permute_dims(tensor, axes)


def _float_only(function: Callable[[Any], Any]) -> Operation:
    def operation(tensor: Any) -> Iterator[Any]:
        if str(tensor.ty.dtype).startswith("float"):
            yield function(tensor)

    return operation


OPERATIONS: dict[str, tuple[Operation, str]] = {
    "transpose": (swapped_axes, "Swap two equal-sized axes of"),
    "exp": (_float_only(relax.op.exp), "Take the exponential of"),
    "round": (_float_only(relax.op.round), "Round to whole numbers"),
}


def _define(
    operation: str, node: str, argument: int, side: str, groups: Sequence[str], example: Any
) -> None:
    change, verb = OPERATIONS[operation]

    def replacements(call: Any) -> Iterator[Any]:
        if side == "before":
            for new in change(call.args[argument]):
                args = [*call.args]
                args[argument] = new
                yield relax.Call(call.op, args, call.attrs, call.ty_args)
        else:
            yield from change(call)

    kinds = " or a ".join([*node.split("_dense")[:1], "dense"] if "_dense" in node else [node])
    what = f"argument {argument} of" if side == "before" else "the output of"
    replacements.__doc__ = f"{verb} {what} a {kinds} layer."
    operator(
        f"{operation}_{node}_{argument}_{side}",
        category="input-output",
        stages=["graph"],
        on=NODES[node],
        groups=groups,
        example=example,
    )(replacements)


def _conv(x: Any, w: Any) -> Any:
    return relax.op.nn.conv2d(x, w, padding=1)


def _norm(x: Any, vector: Any) -> Any:
    return relax.op.nn.batch_norm(x, vector, vector, vector, vector, axis=1)


def _swap(tensor: Any) -> Any:
    return next(swapped_axes(tensor))


_define(
    "transpose", "conv2d", 0, "before", ["mutatenn"],
    lambda image, kernel: (_conv(image, kernel), _conv(_swap(image), kernel)),
)  # fmt: skip
_define(
    "transpose", "dense", 0, "before", ["mutatenn"],
    lambda x, y: (relax.op.matmul(x, y), relax.op.matmul(_swap(x), y)),
)  # fmt: skip
_define(
    "transpose", "conv2d_dense", 0, "before", ["mutatenn"],
    lambda image, kernel: (_conv(image, kernel), _conv(_swap(image), kernel)),
)  # fmt: skip
_define(
    "transpose", "conv2d_dense", 1, "before", ["mutatenn"],
    lambda image, kernel: (_conv(image, kernel), _conv(image, _swap(kernel))),
)  # fmt: skip
_define(
    "transpose", "batch_norm", 0, "before", ["mutatenn"],
    lambda image, vector: (_norm(image, vector), _norm(_swap(image), vector)),
)  # fmt: skip
_define(
    "exp", "conv2d_dense", 0, "before", ["mutatenn"],
    lambda image, kernel: (_conv(image, kernel), _conv(relax.op.exp(image), kernel)),
)  # fmt: skip
_define(
    "exp", "conv2d_dense", 0, "after", ["mutatenn"],
    lambda image, kernel: (_conv(image, kernel), relax.op.exp(_conv(image, kernel))),
)  # fmt: skip
_define(
    "exp", "batch_norm", 0, "before", ["mutatenn"],
    lambda image, vector: (_norm(image, vector), _norm(relax.op.exp(image), vector)),
)  # fmt: skip
_define(
    "round", "batch_norm", 0, "before", ["mutatenn"],
    lambda image, vector: (_norm(image, vector), _norm(relax.op.round(image), vector)),
)  # fmt: skip
