"""Changes of what goes into a layer or comes out of it (MutateNN's input/output family).

An id reads ``<operation>_<kinds>_<argument>_<side>``: an operation of
:mod:`~pytest_mutatenn.operators.graph.operations`, one or several kinds of layer, which of the
layer's operands (0 for its output) and ``before`` or ``after``. The tables at the end list those of
MutateNN and of the catalogue; every other id of the grammar is defined when it is asked for.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tvm import relax

from pytest_mutatenn.operators.graph.activations import is_relu
from pytest_mutatenn.operators.graph.operand import is_float, shape_of
from pytest_mutatenn.operators.graph.operations import OPERATIONS, swapped_axes
from pytest_mutatenn.operators.registry import on_demand, operator

op = relax.op

KINDS: dict[str, tuple[str, ...]] = {
    "conv1d": ("relax.nn.conv1d",),
    "conv2d": ("relax.nn.conv2d",),
    "conv3d": ("relax.nn.conv3d",),
    "conv2d_transpose": ("relax.nn.conv2d_transpose",),
    "dense": ("relax.matmul",),
    "batch_norm": ("relax.nn.batch_norm",),
    "layer_norm": ("relax.nn.layer_norm",),
    "relu": ("relax.nn.relu", "relax.clip"),
    "leaky_relu": ("relax.nn.leakyrelu",),
    "gelu": ("relax.nn.gelu", "relax.nn.gelu_tanh"),
    "sigmoid": ("relax.sigmoid",),
    "tanh": ("relax.tanh",),
    "softmax": ("relax.nn.softmax", "relax.nn.log_softmax"),
    "add": ("relax.add",),
    "subtract": ("relax.subtract",),
    "multiply": ("relax.multiply",),
    "divide": ("relax.divide",),
    "max_pool2d": ("relax.nn.max_pool2d",),
    "avg_pool2d": ("relax.nn.avg_pool2d",),
    "mean": ("relax.mean",),
}
"""What a kind of layer is called in an id, and in Relax."""

_ANY_KIND = "|".join(sorted(KINDS, key=len, reverse=True))
_ID = re.compile(
    rf"(?P<operation>{'|'.join(OPERATIONS)})_(?P<kinds>(?:{_ANY_KIND})(?:_(?:{_ANY_KIND}))*)_"
    r"(?P<argument>\d)_(?P<side>before|after)"
)


@on_demand
def from_grammar(name: str) -> bool:
    """Define the operator of an id of the grammar that is in no table."""
    match = _ID.fullmatch(name)
    if match is None or (match["side"] == "after" and match["argument"] != "0"):
        return False
    _define(match["operation"], match["kinds"], int(match["argument"]), match["side"])
    return True


@operator(
    "layout_nchw_nhwc",
    category="input-output",
    stages=["graph"],
    on="relax.nn.conv2d",
    example=lambda image, kernel: (_conv(image, kernel), _conv(_relaid(image), kernel)),
)
def layout_nchw_nhwc(call: Any) -> Iterator[Any]:
    """Lay an image out as NHWC before a convolution that still reads it as NCHW.

    MutateNN's change_layout: a conversion of layouts that is left half done.
    """
    shape = shape_of(call.args[0]) or []
    # one channel, or one pixel, lies alike in both
    if call.attrs.data_layout == "NCHW" and shape[1] > 1 and shape[2] * shape[3] > 1:
        yield _with_argument(call, 0, _relaid(call.args[0]))


def _relaid(image: Any) -> Any:
    return op.reshape(op.permute_dims(image, [0, 2, 3, 1]), shape_of(image))


def _with_argument(call: Any, argument: int, new: Any) -> Any:
    args = [*call.args]
    args[argument] = new
    return relax.Call(call.op, args, call.attrs, call.ty_args)


def _define(
    operation: str,
    kinds: str,
    argument: int,
    side: str,
    groups: Sequence[str] = (),
    example: Callable[..., tuple[Any, Any]] | None = None,
) -> None:
    """Define the operator of one id."""
    change = OPERATIONS[operation].change
    where = _before if side == "before" else _after

    def replacements(call: Any, **parameters: Any) -> Iterator[Any]:
        if call.op.name != "relax.clip" or is_relu(call):
            yield from where(call, argument, lambda tensor: change(tensor, **parameters))

    names = re.findall(_ANY_KIND, kinds)
    what = f"argument {argument} of" if side == "before" else "the output of"
    replacements.__doc__ = f"{OPERATIONS[operation].verb} {what} {_spoken(names)}."
    replacements.__signature__ = _signature(change)  # type: ignore[attr-defined]
    operator(
        f"{operation}_{kinds}_{argument}_{side}",
        category="input-output",
        stages=["graph"],
        on=dict.fromkeys(relax_name for name in names for relax_name in KINDS[name]),
        groups=groups,
        example=example,
    )(replacements)


def _spoken(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"a {names[0]} layer"
    return "a " + " or a ".join(names) + " layer" if len(names) < 4 else "one of several layers"


def _signature(change: Callable[..., Any]) -> inspect.Signature:
    """Of an operator: the layer, and the parameters of the operation."""
    layer = inspect.Parameter("call", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    own = inspect.signature(change).parameters.values()
    return inspect.Signature([layer, *(one for one in own if one.kind is one.KEYWORD_ONLY)])


def _before(call: Any, argument: int, change: Callable[[Any], Iterator[Any]]) -> Iterator[Any]:
    if argument < len(call.args) and _is_float_tensor(call.args[argument]):
        for new in change(call.args[argument]):
            yield _with_argument(call, argument, new)


def _after(call: Any, _: int, change: Callable[[Any], Iterator[Any]]) -> Iterator[Any]:
    if call.op.name == "relax.nn.batch_norm":
        for new in change(relax.TupleGetItem(call, 0)):
            # the statistics that a batch norm gives too are, in inference, those it was given
            yield relax.Tuple([new, call.args[3], call.args[4]])
    elif _is_float_tensor(call):
        yield from change(call)


def _is_float_tensor(expr: Any) -> bool:
    return isinstance(getattr(expr, "ty", None), relax.TensorType) and is_float(expr)


def _conv(image: Any, kernel: Any) -> Any:
    return op.nn.conv2d(image, kernel, padding=1)


def _norm(x: Any, vector: Any) -> Any:
    return op.nn.batch_norm(x, vector, vector, vector, vector, axis=1)


def _swap(tensor: Any) -> Any:
    return next(swapped_axes(tensor))


# MutateNN's nine

_define(
    "transpose", "conv2d", 0, "before", ["mutatenn"],
    lambda image, kernel: (_conv(image, kernel), _conv(_swap(image), kernel)),
)  # fmt: skip
_define(
    "transpose", "dense", 0, "before", ["mutatenn"],
    lambda x, y: (op.matmul(x, y), op.matmul(_swap(x), y)),
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
    lambda image, kernel: (_conv(image, kernel), _conv(op.exp(image), kernel)),
)  # fmt: skip
_define(
    "exp", "conv2d_dense", 0, "after", ["mutatenn"],
    lambda image, kernel: (_conv(image, kernel), op.exp(_conv(image, kernel))),
)  # fmt: skip
_define(
    "exp", "batch_norm", 0, "before", ["mutatenn"],
    lambda image, vector: (_norm(image, vector), _norm(op.exp(image), vector)),
)  # fmt: skip
_define(
    "round", "batch_norm", 0, "before", ["mutatenn"],
    lambda image, vector: (_norm(image, vector), _norm(op.round(image), vector)),
)  # fmt: skip


# the catalogue's: five operations, three kinds, both sides

Example = Callable[..., tuple[Any, Any]]

EXAMPLES: dict[tuple[str, str], Callable[[Callable[[Any], Any]], Example]] = {
    ("conv2d", "before"): lambda change: (
        lambda image, kernel: (
            _conv(image, kernel),
            _conv(change(image), kernel),
        )
    ),
    ("conv2d", "after"): lambda change: (
        lambda image, kernel: (
            _conv(image, kernel),
            change(_conv(image, kernel)),
        )
    ),
    ("dense", "before"): lambda change: lambda x, y: (op.matmul(x, y), op.matmul(change(x), y)),
    ("dense", "after"): lambda change: lambda x, y: (op.matmul(x, y), change(op.matmul(x, y))),
    ("batch_norm", "before"): lambda change: (
        lambda image, vector: (
            _norm(image, vector),
            _norm(change(image), vector),
        )
    ),
    ("batch_norm", "after"): lambda change: (
        lambda image, vector: (
            _norm(image, vector),
            relax.Tuple([change(relax.TupleGetItem(_norm(image, vector), 0)), vector, vector]),
        )
    ),
}

CATALOGUE: dict[str, tuple[Callable[[Any], Any], Sequence[str]]] = {
    "negate": (op.negative, ["default"]),
    "abs": (op.abs, []),
    "zero": (lambda tensor: op.multiply(tensor, relax.const(0.0, "float32")), ["default"]),
    "clip": (lambda tensor: op.clip(tensor, -1.0, 1.0), []),
    "scale": (lambda tensor: op.multiply(tensor, relax.const(2.0, "float32")), []),
}

for _operation, (_change, _groups) in CATALOGUE.items():
    for (_kind, _side), _example in EXAMPLES.items():
        _define(_operation, _kind, 0, _side, _groups, _example(_change))
