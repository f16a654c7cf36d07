"""The examples of operators, built: what the generic test runs and the documentation prints.

The variables of an example are chosen by the names of its parameters:

=================  =============================================
``i``, ``j``, ``n``  on TIR: int32 scalars; any other, float32
``image``          on the graph: a float32 tensor (1, 2, 6, 6)
``kernel``         on the graph: a float32 tensor (2, 2, 3, 3)
``vector``         on the graph: a float32 tensor (2,)
any other          on the graph: a float32 tensor (4, 4)
=================  =============================================
"""

from __future__ import annotations

import inspect
from typing import Any

from tvm import relax, tirx

from pytest_mutatenn.errors import MutatennError
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
        If the operator has no example.
    """
    if op.example is None:
        raise MutatennError(f"Operator {op.name!r} has no example; pass example= a function.")
    on_graph = "graph" in op.stages
    make = _tensor if on_graph else _scalar
    node, expected = op.example(*map(make, inspect.signature(op.example).parameters))
    if on_graph:
        # a layer as the importer leaves it: its type is known
        node = _typed(node)
    return node, expected


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
