"""What is known of a layer's operands: what computed them, how deep they lie, their value.

An operator is asked about one layer, whose operands are variables. While it is asked, the whole
line is known here (:meth:`Line.known`). Outside of that, as in an example, an operand may be the
call itself, and every variable counts as an input.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import relax

WEIGHTED = ("relax.matmul", "relax.nn.conv")
"""How the names of layers with weights of their own begin."""


@dataclass(frozen=True)
class Line:
    """The layers of a network.

    Attributes
    ----------
    values
        What each variable is bound to.
    depths
        How many layers with weights lie between the inputs and each variable, at most; what is
        computed from weights alone has none.
    """

    values: Mapping[Any, Any]
    depths: Mapping[Any, int]

    @classmethod
    def of(cls, main: Any) -> Line:
        """The layers of a straight ``main``; without ``num_input``, all it takes are inputs."""
        inputs = (main.attrs or {}).get("num_input", len(main.params))
        values: dict[Any, Any] = {}
        depths: dict[Any, int] = dict.fromkeys(main.params[: int(inputs)], 0)
        line = cls(values, depths)
        for block in main.body.blocks:
            for binding in block.bindings:
                values[binding.var] = binding.value
                found = _depth(binding.value, line)
                if found is not None:
                    depths[binding.var] = found
        return line

    @contextlib.contextmanager
    def known(self) -> Iterator[None]:
        """Answer what is asked about operands from this line."""
        token = _LINE.set(self)
        try:
            yield
        finally:
            _LINE.reset(token)


_LINE: ContextVar[Line | None] = ContextVar("line", default=None)


def producer(operand: Any) -> Any:
    """Return the call that computed an operand; None for an input, a weight or a constant."""
    line = _LINE.get()
    value = operand if line is None else line.values.get(operand, operand)
    return value if isinstance(value, relax.Call) else None


def is_made_by(operand: Any, *names: str) -> bool:
    """Tell whether one of these Relax operators computed an operand."""
    made = producer(operand)
    return made is not None and getattr(made.op, "name", "") in names


def depth(operand: Any) -> int | None:
    """Return how many layers with weights lie before an operand; None if no input does."""
    return _depth(operand, _LINE.get())


def _depth(expr: Any, line: Line | None) -> int | None:
    if isinstance(expr, relax.Var):
        return 0 if line is None else line.depths.get(expr)
    if isinstance(expr, relax.TupleGetItem):
        return _depth(expr.tuple_value, line)
    if not isinstance(expr, relax.Call | relax.Tuple):
        return None
    parts = expr.args if isinstance(expr, relax.Call) else expr.fields
    found = [one for part in parts if (one := _depth(part, line)) is not None]
    if not found:
        return None
    name = str(getattr(getattr(expr, "op", None), "name", ""))
    return max(found) + name.startswith(WEIGHTED)


def constant(operand: Any) -> float | None:
    """Return the value of a literal number; None of anything else."""
    if not isinstance(operand, tvm.ir.GenericConst):
        return None
    array = operand.value.numpy()
    return float(array.reshape(())) if array.size == 1 else None


def shape_of(operand: Any) -> list[int] | None:
    """Return the static shape of a tensor; None of a tuple."""
    shape = getattr(operand.ty, "shape", None)
    return None if shape is None else [int(extent) for extent in shape]


def is_float(operand: Any) -> bool:
    """Tell whether an operand is a tensor of floating-point numbers."""
    return str(getattr(operand.ty, "dtype", "")).startswith("float")
