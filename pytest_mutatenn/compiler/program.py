"""A lowered model: a straight line of steps, each a kernel applied to tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax
from tvm.ir import IRModule
from tvm.tirx import PrimFunc

from pytest_mutatenn.compiler.digest import combine
from pytest_mutatenn.compiler.fusion import Fused, Fusion
from pytest_mutatenn.compiler.line import bindings_of, items_of, operator_name
from pytest_mutatenn.errors import MutatennError

MAIN = "main"
LIFTED = "main_transform_params"
"""What LiftTransformParams makes: the computations on weights alone, run once at load."""


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of a tensor."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Ref:
    """A tensor of a program, by where it comes from.

    ``kind`` is ``input`` (the network's), ``param`` (a weight), ``const`` (a literal of the
    graph) or ``step``; ``output`` counts a step's outputs.
    """

    kind: str
    index: int
    output: int = 0


@dataclass(frozen=True)
class Step:
    """One kernel applied to tensors.

    Attributes
    ----------
    kernel
        Name of the kernel, a key of :attr:`Program.kernels`.
    args
        What it reads, in order.
    outputs
        What it writes, after its arguments.
    layers
        The layers of the imported graph that it computes, in order.
    """

    kernel: str
    args: tuple[Ref, ...]
    outputs: tuple[TensorSpec, ...]
    layers: tuple[str, ...]

    @property
    def name(self) -> str:
        """The layer whose result the step writes; aligns the steps of two programs."""
        return self.layers[-1] if self.layers else self.kernel


@dataclass(frozen=True, eq=False)
class Program:
    """The lowered model.

    Attributes
    ----------
    steps
        In the order in which they run; those that read no network input come out the same for
        every input, and are run once.
    kernels
        The PrimFunc of each kernel, fused and not yet scheduled, by name.
    params
        The weights, by position.
    constants
        The literals of the graph, by position.
    inputs, outputs
        The network's tensors; ``results`` says which tensor of the program each output is.
    """

    steps: tuple[Step, ...]
    kernels: Mapping[str, PrimFunc]
    params: tuple[np.ndarray, ...]
    constants: tuple[np.ndarray, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    results: tuple[Ref, ...]

    def constant_steps(self) -> tuple[bool, ...]:
        """For every step, whether it depends on no network input."""
        constant: list[bool] = []
        for step in self.steps:
            constant.append(
                all(
                    ref.kind in ("param", "const") or (ref.kind == "step" and constant[ref.index])
                    for ref in step.args
                )
            )
        return tuple(constant)

    def step_digests(self, code: Mapping[str, str], leaves: Leaves) -> tuple[str, ...]:
        """Digest of each step: of its kernel's code and of the digests of what it reads.

        Parameters
        ----------
        code
            Kernel name -> digest of its code.
        leaves
            The digests of weights and literals.
        """
        digests: list[str] = []
        for step in self.steps:
            parts = [code[step.kernel], *(leaves.of(ref, digests) for ref in step.args)]
            digests.append(combine("step", *parts, *(f"{o.shape}{o.dtype}" for o in step.outputs)))
        return tuple(digests)

    def digest(self, code: Mapping[str, str], leaves: Leaves) -> str:
        """256-bit digest of all that decides the network's outputs for given inputs."""
        digests = self.step_digests(code, leaves)
        return combine("program", *(leaves.of(ref, digests) for ref in self.results))


@dataclass(frozen=True)
class Leaves:
    """Digests of what a program starts from."""

    params: tuple[str, ...]
    constants: tuple[str, ...]

    @classmethod
    def of_program(cls, program: Program) -> Leaves:
        """Hash the weights and literals of a program."""
        return cls(digests_of(program.params), digests_of(program.constants))

    def of(self, ref: Ref, steps: Sequence[str]) -> str:
        """Digest of a tensor, given the digests of the steps before it."""
        if ref.kind == "step":
            return f"{steps[ref.index]}.{ref.output}"
        if ref.kind == "param":
            return self.params[ref.index]
        if ref.kind == "const":
            return self.constants[ref.index]
        return f"input {ref.index}"


def digests_of(arrays: Sequence[np.ndarray]) -> tuple[str, ...]:
    """The :func:`array_digest` of each array."""
    return tuple(array_digest(array) for array in arrays)


def array_digest(array: np.ndarray) -> str:
    """256-bit digest of an array: dtype, shape and bytes."""
    array = np.asarray(array, order="C")
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()


def tensor_spec(ty: Any) -> TensorSpec:
    """Shape and dtype of a Relax tensor type.

    Raises
    ------
    MutatennError
        If the shape is not static.
    """
    try:
        return TensorSpec(tuple(int(v) for v in ty.shape), str(ty.dtype))
    except (TypeError, ValueError, AttributeError) as error:
        raise MutatennError(
            f"A tensor of the model has no static shape ({ty}). Pin every dimension with "
            'shapes={"input": (1, 3, 224, 224)} in the mutatenn marker.'
        ) from error


class _Builder:
    """Reads the straight-line functions of a grouped module into steps."""

    def __init__(self, module: IRModule, fusion: Fusion, layers: Sequence[str]) -> None:
        self.module = module
        self.fusion = fusion
        self.layers = layers
        self.steps: list[Step] = []
        self.kernels: dict[str, PrimFunc] = {}
        self.constants: list[np.ndarray] = []
        self.env: dict[Any, Any] = {}

    def ref(self, expr: Any) -> Any:
        """Resolve an expression to a tensor, or to a tuple of them."""
        if isinstance(expr, relax.Var):
            return self.env[expr]
        if isinstance(expr, relax.Tuple):
            return tuple(self.ref(field) for field in items_of(expr.fields))
        if isinstance(expr, relax.TupleGetItem):
            return self.ref(expr.tuple_value)[expr.index]
        value = getattr(expr, "data", None)
        if value is None:
            value = getattr(expr, "value", None)
        if value is None:
            raise MutatennError(f"The lowered model has an expression that is no tensor: {expr}.")
        array = value.numpy() if hasattr(value, "numpy") else np.asarray(value, str(expr.ty.dtype))
        self.constants.append(array)
        return Ref("const", len(self.constants) - 1)

    def read(self, name: str) -> Any:
        """Append the steps of one function; give what it returns."""
        function = self.module[name]
        for binding in bindings_of(function):
            self.env[binding.var] = self._bind(binding)
        return self.ref(function.body.body)

    def _bind(self, binding: Any) -> Any:
        value = binding.value
        if not isinstance(value, relax.Call):
            return self.ref(value)
        if isinstance(value.op, relax.GlobalVar):  # a group of kernels
            callee, fused = value.op, self.fusion.fused(self.module, value.op)
            given = [self.ref(arg) for arg in items_of(value.args)]
            refs = [given[i] if k is None else given[i][k] for i, k in fused.args]
            return self._step(callee.name_hint, fused, refs, fused.output)
        if operator_name(value) != "relax.call_tir":
            raise MutatennError(
                f"Layer {binding.var.name_hint!r} is {value.op.name}, which does not lower to a "
                "kernel of static shape; TVM leaves it to its virtual machine. Replace the node "
                "in the ONNX model, or fold it (onnxsim does)."
            )
        callee, args = value.args[0], value.args[1]
        fields = args.fields if isinstance(args, relax.Tuple) else [args]
        refs = []
        for field in fields:
            found = self.ref(field)
            refs.extend(found if isinstance(found, tuple) else (found,))
        fused = self.fusion.fused(self.module, callee)
        return self._step(callee.name_hint, fused, refs, value.ty_args[0])

    def _step(self, kernel: str, fused: Fused, refs: list[Ref], output: Any) -> Any:
        """Append a step; give the tensor, or the tuple of tensors, that it writes."""
        types = list(output.fields) if hasattr(output, "fields") else [output]
        layers = in_order(fused.layers, self.layers)
        self.kernels[kernel] = fused.kernel
        self.steps.append(Step(kernel, tuple(refs), tuple(map(tensor_spec, types)), layers))
        index = len(self.steps) - 1
        if hasattr(output, "fields"):
            return tuple(Ref("step", index, i) for i in range(len(types)))
        return Ref("step", index)


def in_order(layers: Collection[str], network: Sequence[str]) -> tuple[str, ...]:
    """Layers in the order in which the network has them."""
    return tuple(layer for layer in network if layer in layers)


def build_program(
    module: IRModule,
    fusion: Fusion,
    params: Sequence[np.ndarray],
    layers: Sequence[str],
    num_inputs: int,
) -> Program:
    """Read a grouped module as a program.

    Parameters
    ----------
    module
        ``main`` and, where weights were lifted, ``main_transform_params``, both straight lines of
        calls: of kernels, and of groups of kernels.
    fusion
        Makes the groups kernels.
    params
        The weights, in the order of the parameters of ``main`` before lifting.
    layers
        Names of the network's layers, in order.
    num_inputs
        How many parameters of ``main`` are network inputs.

    Raises
    ------
    MutatennError
        If something in the module is no kernel of static shapes.
    """
    builder = _Builder(module, fusion, layers)
    main = module[MAIN]
    weights: list[Any] = [Ref("param", i) for i in range(len(params))]
    if LIFTED in [gv.name_hint for gv in module.get_global_vars()]:
        _bind_weights(builder, module[LIFTED].params, weights)
        lifted = builder.read(LIFTED)
        weights = list(lifted) if isinstance(lifted, tuple) else [lifted]
    for i, var in enumerate(main.params[:num_inputs]):
        builder.env[var] = Ref("input", i)
    for var, ref in zip(main.params[num_inputs:], weights, strict=True):
        builder.env[var] = ref
    results = builder.read(MAIN)
    results = results if isinstance(results, tuple) else (results,)
    out = main.ret_ty if hasattr(main, "ret_ty") else main.body.body.ty
    outputs = list(out.fields) if hasattr(out, "fields") else [out]
    return Program(
        steps=tuple(builder.steps),
        kernels=builder.kernels,
        params=tuple(params),
        constants=tuple(builder.constants),
        inputs=tuple(tensor_spec(var.ty) for var in main.params[:num_inputs]),
        outputs=tuple(map(tensor_spec, outputs)),
        results=results,
    )


def _bind_weights(builder: _Builder, variables: Sequence[Any], weights: Sequence[Ref]) -> None:
    """Bind the lifted function's parameters: one tuple of all weights, or one each."""
    if len(variables) == 1 and hasattr(variables[0].ty, "fields"):
        builder.env[variables[0]] = tuple(weights)
        return
    for var, ref in zip(variables, weights, strict=True):
        builder.env[var] = ref
