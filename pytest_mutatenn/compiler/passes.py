"""The opt levels: which passes a model goes through, and which of them can be switched.

The levels keep the meaning that TVM's Relay gave them. In today's TVM a ``PassContext`` with
another ``opt_level`` gives the same code at 1, 2, 3 and 4, so they are put together here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tvm import IRModule, relax
from tvm.target import Target

from pytest_mutatenn.compiler.batch_norm import fold_batch_norm
from pytest_mutatenn.compiler.fast_math import fast_math
from pytest_mutatenn.compiler.layout import channels_last
from pytest_mutatenn.compiler.line import bindings_of
from pytest_mutatenn.compiler.packing import PACKED_OPERATORS
from pytest_mutatenn.compiler.tuples import take_tuples_apart
from pytest_mutatenn.errors import MutatennError

__all__ = ["OPT_LEVELS", "PASSES", "OptLevel", "Pass", "group", "legalise", "optimise"]

OPT_LEVELS = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Pass:
    """A pass that can be switched by name.

    Attributes
    ----------
    level
        The lowest opt level that has it.
    does
        What it does, in a phrase.
    """

    level: int
    does: str


PASSES: dict[str, Pass] = {
    "FuseOps": Pass(1, "makes one kernel of an operator and what follows it element by element"),
    "LiftTransformParams": Pass(2, "folds constants: computes once what depends on weights alone"),
    "Schedule": Pass(2, "tiles, vectorises and parallelises each kernel for its target"),
    "FoldBatchNorm": Pass(3, "folds a batch norm into the weights of the convolution before it"),
    "CanonicalizeBindings": Pass(3, "removes bindings that only rename another"),
    "EliminateCommonSubexpr": Pass(3, "computes equal expressions once"),
    "ChannelsLast": Pass(3, "computes convolutions and what is between them as NHWC (CPU targets)"),
    "PackWeights": Pass(3, "lays weights out in blocks of vector lanes (CPU targets)"),
    "CombineParallelMatmul": Pass(4, "makes one matrix product of several with the same input"),
    "FastMath": Pass(4, "approximates exp, erf, tanh, sigmoid and softmax"),
}
"""The switchable passes, in the order they run at the highest level (FuseOps and after it last)."""


@dataclass(frozen=True)
class OptLevel:
    """An opt level, with single passes taken out or in.

    Attributes
    ----------
    level
        0 to 4; see :data:`PASSES`.
    disabled, required
        Names of passes that do not, or do, run whatever the level says.

    Raises
    ------
    MutatennError
        The level is none, or a name is not that of a pass, or is both disabled and required.
    """

    level: int
    disabled: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.level not in OPT_LEVELS:
            raise MutatennError(f"The opt level must be between 0 and 4, got {self.level}.")
        _check_names(self.disabled | self.required)
        if both := sorted(self.disabled & self.required):
            raise MutatennError(
                f"Pass {both[0]!r} is both disabled and required; drop one of them."
            )

    def includes(self, name: str) -> bool:
        """Tell whether the pass called `name` runs."""
        if name in self.disabled:
            return False
        return name in self.required or self.level >= PASSES[name].level

    def on(self, target: Target) -> OptLevel:
        """The level as it is for a target: a GPU's kernels keep NCHW, unless required otherwise.

        Channels come last so that weights can be packed for vector lanes; threads that are pixels
        find their neighbours in memory as it is.
        """
        if "cpu" in target.keys or "ChannelsLast" in self.required:
            return self
        return replace(self, disabled=self.disabled | {"ChannelsLast"})


def _check_names(names: Iterable[str]) -> None:
    for name in sorted(names):
        if name in PASSES:
            continue
        near = difflib.get_close_matches(name, PASSES, n=1, cutoff=0.0)
        raise MutatennError(
            f"Unknown pass {name!r}. Did you mean {near[0]!r}? Available: {', '.join(PASSES)}."
        )


def optimise(module: IRModule, opt: OptLevel) -> IRModule:
    """Rewrite the network's graph, Relax to Relax.

    Parameters
    ----------
    module
        An imported model: ``main`` is one straight line with its weights as parameters, and the
        name of each binding is the name of a layer.
    opt
        The opt level.

    Returns
    -------
    IRModule
        The same function, of the same parameters. A binding under a layer's name ends that layer;
        bindings under other names belong to the next layer that ends.
    """
    layers = frozenset(binding.var.name for binding in bindings_of(module["main"]))
    if opt.includes("FoldBatchNorm"):
        module = fold_batch_norm(module)
    module = relax.transform.DecomposeOpsForInference()(module)
    module = take_tuples_apart(module, layers)
    if opt.includes("CanonicalizeBindings"):
        module = relax.transform.CanonicalizeBindings()(module)
    if opt.includes("EliminateCommonSubexpr"):
        module = relax.transform.EliminateCommonSubexpr()(module)
    if opt.includes("CombineParallelMatmul"):
        module = relax.transform.CombineParallelMatmul()(module)
    if opt.includes("ChannelsLast"):
        module = channels_last(_without_dead_code(module))
    if opt.includes("FastMath"):
        module = fast_math(module)
    return _without_dead_code(module)


def legalise(module: IRModule, opt: OptLevel, target: Target) -> IRModule:
    """Lower every operator to a kernel.

    Parameters
    ----------
    module
        What :func:`optimise` returned.
    opt
        The opt level.
    target
        What the kernels are for.

    Returns
    -------
    IRModule
        ``main`` is a straight line of ``R.call_tir``, with layer names kept as there, and the
        kernels are PrimFuncs beside it.
    """
    packs = opt.includes("PackWeights") and "cpu" in target.keys
    with target:
        module = relax.transform.LegalizeOps(PACKED_OPERATORS if packs else None)(module)
    return _without_dead_code(module)


def group(module: IRModule, opt: OptLevel, target: Target) -> IRModule:
    """Fold constants, and say which kernels are to be fused.

    Parameters
    ----------
    module
        What :func:`legalise` returned, its kernels annotated with their patterns
        (``AnnotateTIROpPattern``); they may have been changed since.
    opt
        The opt level.
    target
        What the kernels are for.

    Returns
    -------
    IRModule
        A module with ``main``, its kernels, a Relax function for every group of kernels that
        become one and, where constants are folded, ``main_transform_params``, which takes the
        parameters (as one tuple) to those of ``main`` after the network's inputs, by position.
    """
    with target:
        if opt.includes("LiftTransformParams"):
            module = relax.transform.LiftTransformParams()(module)
        if opt.includes("FuseOps"):
            module = relax.transform.FuseOps(fuse_opt_level=1)(module)
    return _without_dead_code(module)


def _without_dead_code(module: IRModule) -> IRModule:
    entries = ["main"]
    if any(name.name_hint == "main_transform_params" for name in module.get_global_vars()):
        entries.append("main_transform_params")
    return relax.transform.DeadCodeElimination(entries)(module)
