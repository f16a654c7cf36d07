"""What the tests of semantics share: kernels of a few numbers, mutated and run."""

import numpy as np
import pytest
import tvm
from tvm import te, tirx
from tvm.s_tir import Schedule
from tvm_ffi.structural import structural_map

from pytest_mutatenn.compiler import sites
from pytest_mutatenn.compiler.kernel import generate, to_device_stage
from pytest_mutatenn.devices.base import open_device
from pytest_mutatenn.operators import catalogue

OPERATORS = catalogue.load()
DEVICE = open_device("llvm")
STRICT = DEVICE.target(fast_math=False)
# LLVM's optimiser makes of undefined behaviour what it likes, and other things at other levels
TARGETS = [STRICT, tvm.target.Target({"kind": "llvm", "opt-level": 0}).with_host("llvm")]

STRANGE = np.array(
    [np.nan, -np.nan, np.inf, -np.inf, 3e9, -3e9, 3.4e38, -3.4e38, 2147483648.0, -2147483648.0],
    np.float32,
)


def elementwise(compute, *dtypes, result="float32"):
    """A kernel that computes one element from one of each input, exactly as it is written.

    TE would simplify it: `x > y` becomes `y < x`.
    """
    inputs = [te.placeholder((32,), dtype, name=f"in{n}") for n, dtype in enumerate(dtypes)]
    output = te.compute((32,), lambda i: sum(x[i].astype(result) for x in inputs), name="out")
    func = te.create_prim_func([*inputs, output])
    *buffers, _ = func.params

    def written(store):
        value = compute(*(tirx.BufferLoad(buffer, store.indices) for buffer in buffers))
        return tirx.BufferStore(store.buffer, value, store.indices)

    return func.with_body(structural_map(func.body, [(tirx.BufferStore, written)]))


def vectorised(func, lanes=8):
    """The kernel with its last loop in vectors."""
    schedule = Schedule(func)
    (block,) = schedule.get_child_blocks(schedule.get_sblock("root"))
    *_, last = schedule.get_loops(block)
    schedule.vectorize(schedule.split(last, [None, lanes])[1])
    return schedule.mod["main"]


def sites_of(func, name, stage="kernel"):
    """What an operator offers in a kernel at one stage."""
    func = to_device_stage(func, STRICT) if stage == "device" else func
    return list(sites.changes(OPERATORS[name], func.body))


def mutated(func, name, stage="kernel", number=0):
    """The kernel at the device stage, changed at one site of one stage."""
    op = OPERATORS[name]
    if stage == "device":
        func = to_device_stage(func, STRICT)
    func = sites.apply(func, [list(sites.changes(op, func.body))[number]])
    return func if stage == "device" else to_device_stage(func, STRICT)


def run(func, *arrays, target=STRICT, dtype="float32", shape=None):
    """Run a kernel of the device stage; its result is full of 77 before."""
    module = generate(func.with_attr("target", target), target)
    result = np.full(arrays[0].shape if shape is None else shape, 77, dtype)
    tensors = [tvm.runtime.tensor(array) for array in (*arrays, result)]
    module["main"](*tensors)
    return tensors[-1].numpy()


def copy():
    return elementwise(lambda x: x, "float32")


def vector(values):
    """32 values: the given ones, repeated."""
    return np.resize(np.asarray(values, np.float32), 32)


stages = pytest.mark.parametrize("stage", ["kernel", "device"])
