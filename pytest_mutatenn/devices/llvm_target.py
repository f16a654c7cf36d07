"""LLVM's targets: the same processor gets the same code, be it this machine's or another's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvm.target import Target

__all__ = ["llvm_target"]


def llvm_target(
    options: Mapping[str, Any], cpu: str, attributes: Sequence[str], *, fast_math: bool
) -> Target:
    """The target of a processor, its own host.

    LLVM's own optimisation stays low: above 1 it costs time and brings none. Nor does its loop
    strength reduction, which is an eighth of code generation.

    Parameters
    ----------
    options
        What else TVM's target takes, and wins over what is said here; no ``mcpu``.
    cpu
        The processor, as LLVM calls it; empty for the least of its kind.
    attributes
        What it has besides and lacks: ``+avx2``, ``-fma``.
    fast_math
        Whether floating-point arithmetic may be rearranged.
    """
    from tvm.target import Target

    config: dict[str, Any] = {
        "kind": "llvm",
        "opt-level": 1,
        "cl-opt": ["-unroll-threshold:uint=0", "-disable-lsr:bool=1"],
        **options,
    }
    if cpu:
        config["mcpu"] = cpu
    if attributes:
        config["mattr"] = list(attributes)
    if fast_math:
        config["fast-math"] = True
    target = Target(config)
    return target.with_host(target)
