"""The examples of operators, built: what the generic test runs and the documentation prints.

The variables of an example are chosen by the names of its parameters:

=================  =============================================
``i``, ``j``, ``n``  on TIR: int32 scalars; any other, float32
``image``          on the graph: a float32 tensor (1, 2, 6, 6)
``kernel``         on the graph: a float32 tensor (2, 2, 3, 3)
``vector``         on the graph: a float32 tensor (2,)
any other          on the graph: a float32 tensor (4, 4)
=================  =============================================

On weights there is one, of the kind that the operator is asked about: in a float32 parameter
[[0.5, -1, 2], [4, -8, 16]] channel 1, element 4, and the lowest bit that has the operator's role;
for all elements the highest.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from tvm import relax, tirx
from tvm_ffi import structural_equal

from pytest_mutatenn.errors import MutatennError, nearest
from pytest_mutatenn.operators.parameter import Bit, BitPlane, Parameter, bits_within
from pytest_mutatenn.operators.registry import Operator

INTEGERS = ("i", "j", "n")
SHAPES = {"image": (1, 2, 6, 6), "kernel": (2, 2, 3, 3), "vector": (2,)}
SQUARE = (4, 4)


def example_of(op: Operator) -> tuple[Any, Any]:
    """Build an operator's example.

    Returns
    -------
    node, expected
        A node, and the first replacement that the operator is to yield for it.

    Raises
    ------
    MutatennError
        If the operator has no example, or that fails.
    """
    if op.example is None:
        raise MutatennError(f"Operator {op.name!r} has no example; pass example= a function.")
    on_graph = "graph" in op.stages
    make = _tensor if on_graph else _scalar
    try:
        if "weights" in op.stages:
            node, expected = op.example(_parameter(op))
        else:
            node, expected = op.example(*map(make, inspect.signature(op.example).parameters))
    except Exception as error:
        raise MutatennError(
            f"Operator {op.name!r} ({op.origin}): its example fails: "
            f"{type(error).__name__}: {error}"
        ) from error
    if on_graph:
        # a layer as the importer leaves it: its type is known
        node = _typed(node)
    return node, expected


def check_example(op: Operator) -> None:
    """Run an operator on its example.

    Raises
    ------
    MutatennError
        If it has none, is not asked about such a node, or yields something else.
    """
    node, expected = example_of(op)
    on_graph = "graph" in op.stages
    what = f"Operator {op.name!r}, its example"
    if not (node.op.name in op.on if on_graph else isinstance(node, op.on)):
        raise MutatennError(f"{what}: it is not asked about such a node; see on=.")
    made = next(iter(op.replacements(node)), None)
    if made is None:
        raise MutatennError(f"{what}: it yields nothing for {_text(node)}.")
    same = _same_layer if on_graph else _same
    if same(made, node):
        raise MutatennError(f"{what}: it gives {_text(node)} back, which is no change.")
    if not same(made, expected):
        raise MutatennError(
            f"{what}: of {_text(node)} it makes {_text(made)}, and not {_text(expected)}."
        )


def check_operator(name: str) -> None:
    """Test an operator by its own example; for the tests of whoever wrote it.

    Parameters
    ----------
    name
        Its id; it may be defined in a ``conftest.py`` or by an installed plugin.

    Raises
    ------
    MutatennError
        If there is no such operator, or it does not do what its example says.
    """
    from pytest_mutatenn.operators.catalogue import load

    operators = load()
    op = operators.find(name)
    if op is None:
        raise MutatennError(f"There is no mutation operator {name!r}.{nearest(name, operators)}")
    check_example(op)


def _same(one: Any, other: Any) -> bool:
    one, other = (x.values if isinstance(x, Parameter) else x for x in (one, other))
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.tobytes() == other.tobytes()
    return bool(structural_equal(one, other))


def _same_layer(one: Any, other: Any) -> bool:
    return bool(structural_equal(*map(_as_function, (one, other))))


def _as_function(expr: Any) -> Any:
    """A layer as a function of its own, with every part bound and typed."""
    builder = relax.BlockBuilder()
    variables = sorted(relax.analysis.free_vars(expr), key=lambda var: var.name)
    with builder.function("main", variables):
        with builder.dataflow():
            result = builder.emit_output(expr)
        builder.emit_func_output(result)
    return builder.get()["main"]


def _text(node: Any) -> str:
    if isinstance(node, Parameter):
        node = node.values
    if isinstance(node, np.ndarray):
        return str(node.tolist())
    return str(node.script().strip().splitlines()[-1].strip())


def _typed(node: Any) -> Any:
    """Infer the types of a layer and of the layers that it is made of, as far as they are flat."""
    if not isinstance(node, relax.Call):
        return node
    args = [_typed(arg) for arg in node.args]
    node = relax.Call(node.op, args, node.attrs, node.ty_args)
    if any(isinstance(arg, relax.Call) for arg in args):
        return node
    return relax.BlockBuilder().normalize(node)


def _scalar(name: str) -> Any:
    return tirx.Var(name, "int32" if name in INTEGERS else "float32")


def _tensor(name: str) -> Any:
    return relax.Var(name, relax.TensorType(SHAPES.get(name, SQUARE), "float32"))


def _parameter(op: Operator) -> Parameter:
    values = np.array([[0.5, -1, 2], [4, -8, 16]], np.float32)
    whole = Parameter("tensor", "weight", 0, values)
    (kind,) = op.on
    bits = bits_within(values.dtype, op.within)
    if kind is Bit:
        return Bit.of(whole, 4, bits[0])
    if kind is BitPlane:
        return BitPlane.of(whole, -1, bits[-1])
    found: Parameter = kind.of(whole)
    return found
