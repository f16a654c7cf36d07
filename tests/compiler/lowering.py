"""What the compiler's tests share: small networks, and running what they are lowered to."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tvm
from tvm import relax, tirx
from tvm.target import Target
from tvm_ffi.structural import structural_hash

from pytest_mutatenn.compiler.line import bindings_of
from pytest_mutatenn.compiler.passes import OptLevel, group, legalise, optimise
from pytest_mutatenn.compiler.schedules import schedule

SHARED = Path(__file__).parents[3] / "shared"
LLVM = Target({"kind": "llvm", "opt-level": 1})
LEVELS = [OptLevel(level) for level in range(5)]


def network(
    build: Callable[..., relax.Expr],
    inputs: Sequence[Sequence[int]],
    weights: Sequence[Sequence[int]] = (),
) -> tvm.IRModule:
    """A module whose main is what `build(emit, *inputs, *weights)` emits under layer names.

    What `build` returns is the layer `result_0`.
    """
    builder = relax.BlockBuilder()
    shapes = [*inputs, *weights]
    names = [f"x{n}" for n in range(len(inputs))] + [f"w{n}" for n in range(len(weights))]
    params = [
        relax.Var(name, relax.TensorType(shape, "float32"))
        for name, shape in zip(names, shapes, strict=True)
    ]
    with builder.function("main", params, attrs={"num_input": len(inputs)}):
        with builder.dataflow():
            result = build(lambda expr, name: builder.emit(expr, name), *params)
            output = builder.emit_output(result, "result_0")
        builder.emit_func_output(output)
    return builder.get()


def small_network() -> tvm.IRModule:
    """Two convolutions with their biases and ReLUs, a mean, a dense layer and a softmax."""

    def build(emit: Callable, x: relax.Var, *weights: relax.Var) -> relax.Expr:
        for n, kernel, bias in ((1, *weights[:2]), (2, *weights[2:4])):
            x = emit(relax.op.nn.conv2d(x, kernel, padding=1), f"conv_{n}")
            x = emit(relax.op.nn.relu(emit(relax.op.add(x, bias), f"bias_{n}")), f"relu_{n}")
        x = emit(relax.op.matmul(emit(relax.op.mean(x, [2, 3]), "mean"), weights[4]), "dense")
        return relax.op.nn.softmax(x, 1)

    weights = [(4, 2, 3, 3), (1, 4, 1, 1), (4, 4, 3, 3), (1, 4, 1, 1), (4, 3)]
    return network(build, [(1, 2, 6, 6)], weights)


def names(module: tvm.IRModule) -> list[str]:
    return [binding.var.name for binding in bindings_of(module["main"])]


def fused(module: tvm.IRModule, opt: OptLevel, target: Target = LLVM) -> tvm.IRModule:
    """Every group of kernels made one, by TVM's pass on the whole module."""
    with target:
        module = relax.transform.AnnotateTIROpPattern()(module)
        module = relax.transform.FuseTIR()(group(module, opt, target))
    entries = [name for name in ("main", "main_transform_params") if name in names_of(module)]
    return relax.transform.DeadCodeElimination(entries)(module)


def names_of(module: tvm.IRModule) -> set[str]:
    return {gv.name_hint for gv in module.get_global_vars()}


def lower(
    module: tvm.IRModule, opt: OptLevel, target: Target = LLVM, scheduled: bool = True
) -> tvm.IRModule:
    module = fused(legalise(optimise(module, opt), opt, target), opt, target)
    if scheduled:
        for name, func in kernels(module).items():
            module.update_func(module.get_global_var(name), schedule(func, opt, target))
    return module


def kernels(module: tvm.IRModule) -> dict[str, tirx.PrimFunc]:
    return {
        name.name_hint: func
        for name, func in module.functions.items()
        if isinstance(func, tirx.PrimFunc)
    }


def digests(module: tvm.IRModule) -> set[int]:
    functions = kernels(module).values()
    return {structural_hash(f.without_attr("global_symbol"), True) for f in functions}


def arrays(shapes: Sequence[Sequence[int]], seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(size=tuple(shape)).astype("float32") for shape in shapes]


def load_module(
    module: tvm.IRModule, weights: Sequence[np.ndarray] = (), target: Target = LLVM
) -> Callable[..., np.ndarray]:
    """Build a lowered module, transform its weights where it wants that, and give its main."""
    machine = relax.VirtualMachine(relax.build(module, target=target), tvm.cpu())
    parameters = [tvm.runtime.tensor(weight) for weight in weights]
    if any(name.name_hint == "main_transform_params" for name in module.get_global_vars()):
        parameters = list(machine["main_transform_params"](parameters))

    def run(*inputs: np.ndarray) -> np.ndarray:
        return machine["main"](*map(tvm.runtime.tensor, inputs), *parameters).numpy()

    return run


def parameter_shapes(func: tirx.PrimFunc) -> list[list[int]]:
    return [[int(extent) for extent in parameter.shape] for parameter in func.params]


def run_kernel(func: tirx.PrimFunc, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Compile one kernel by itself and run it on all its parameters but the output."""
    library = tvm.compile(tvm.IRModule({"main": func.with_attr("global_symbol", "main")}), LLVM)
    output = np.full(parameter_shapes(func)[-1], np.nan, "float32")
    tensors = [tvm.runtime.tensor(array) for array in [*inputs, output]]
    library["main"](*tensors)
    return tensors[-1].numpy()
