"""What an operator may yield for a node."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import ir, tirx

from pytest_mutatenn.operators.parameter import Parameter


def misfit(node: Any, new: Any, *, on_graph: bool) -> str:
    """Say why a replacement cannot stand in a node's place; nothing where it can.

    A layer's type is not looked at: a replacement of another one is no site.
    """
    kind = type(new).__name__
    if isinstance(node, Parameter):
        wanted = f"an array of floats of the shape {node.values.shape}"
        if not isinstance(new, np.ndarray):
            return f"a {kind}, not {wanted}"
        fits = new.shape == node.values.shape and new.dtype.kind == "f"
        return "" if fits else f"an array of {new.dtype} of the shape {new.shape}, not {wanted}"
    if on_graph:
        return "" if isinstance(new, ir.Expr) else f"a {kind}, not an expression of Relax"
    if isinstance(node, tirx.Stmt):
        return "" if isinstance(new, tirx.Stmt) else f"a {kind}, not a statement"
    if not isinstance(new, ir.Expr):
        return f"a {kind}, not an expression"
    had, has = (str(getattr(each.ty, "dtype", each.ty)) for each in (node, new))
    return "" if had == has else f"an expression of {has}, not of {had}"
