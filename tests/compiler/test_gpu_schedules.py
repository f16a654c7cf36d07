"""Kernels for GPUs: bound to threads at every level, and the same numbers as unscheduled."""

import numpy as np
import pytest
import tvm
from lowering import LEVELS, OptLevel, arrays, kernels, lower, network, parameter_shapes, run_kernel
from opencl_here import run_on_opencl
from test_schedules import CONVOLUTIONS, DEPTHWISE, convolution
from tvm import tirx
from tvm.ir import prim
from tvm.relax import op
from tvm.script import tirx as T
from tvm.target import Target
from tvm.tirx import AttrStmt, BufferStore
from tvm_ffi.structural import structural_map, structural_walk

from pytest_mutatenn.compiler import schedules
from pytest_mutatenn.compiler.kernel import generate, split, to_device_stage
from pytest_mutatenn.compiler.schedules import schedule
from pytest_mutatenn.compiler.schedules.gpu_bound import bind_nests

OPENCL = Target({"kind": "opencl", "max_num_threads": 256}).with_host(Target("llvm"))
CUDA = Target({"kind": "cuda", "arch": "sm_80"}).with_host(Target("llvm"))
O0, O2 = OptLevel(0), OptLevel(2)


def softmax():
    return network(lambda emit, x: op.nn.softmax(x, 1), [(3, 40)])


def dense():
    def build(emit, x, weight, bias):
        return op.nn.relu(emit(op.add(emit(op.matmul(x, weight), "dense"), bias), "add"))

    return network(build, [(2, 70)], [(70, 33), (33,)])


def pooled():
    def build(emit, x):
        value = emit(op.nn.max_pool2d(x, (3, 3), (2, 2), (1, 1)), "pool")
        return op.mean(value, [2, 3])

    return network(build, [(2, 5, 13, 11)])


def joined():
    def build(emit, x, y):
        return op.permute_dims(emit(op.concat([x, y], 1), "join"), [0, 2, 1])

    return network(build, [(2, 3, 9), (2, 4, 9)])


OTHERS = [pytest.param(make(), id=make.__name__) for make in (softmax, dense, pooled, joined)]


def rule_of(func, target=OPENCL):
    with target:
        for rule in schedules.GPU_RULES:
            if rule(func) is not None:
                return rule.__name__
    return None


def gpu_kernels(module, opt):
    return kernels(lower(module, opt, OPENCL, scheduled=False)).values()


def assert_same(before, opt):
    """Run a kernel as it is on the CPU, and scheduled through OpenCL."""
    inputs = arrays(parameter_shapes(before)[:-1])
    expected = run_kernel(before, inputs)
    assert np.isfinite(expected).all()
    found = run_on_opencl(schedule(before, opt, OPENCL), inputs)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def threads_of(func, target=OPENCL):
    """Extents of what a kernel is bound to, a launch after the other."""
    found = []

    def collect(node):
        if node.attr_key == "thread_extent":
            found.append((node.node.thread_tag, int(node.value)))

    structural_walk(to_device_stage(func, target).body, [((AttrStmt,), collect)])
    return found


def only(module, opt, word):
    (found,) = (
        func
        for name, func in kernels(lower(module, opt, OPENCL, scheduled=False)).items()
        if word in name
    )
    return found


@pytest.mark.parametrize("module", [*CONVOLUTIONS, *DEPTHWISE, *OTHERS])
def test_scheduled_as_unscheduled(module):
    for kernel in gpu_kernels(module, O2):
        assert_same(kernel, O2)


@pytest.mark.parametrize("module", [CONVOLUTIONS[1], *OTHERS])
def test_bound_as_unscheduled(module):
    for kernel in gpu_kernels(module, O0):
        assert_same(kernel, O0)


@pytest.mark.parametrize("opt", LEVELS, ids=str)
@pytest.mark.parametrize("target", [OPENCL, CUDA], ids=["opencl", "cuda"])
def test_every_kernel_is_bound_at_every_level(opt, target):
    for module in (convolution(8, 16, (8, 8), 3, padding=1), softmax(), dense(), pooled()):
        for kernel in kernels(lower(module, opt, target, scheduled=False)).values():
            bound = schedule(kernel, opt, target)
            assert {tag for tag, _ in threads_of(bound, target)} >= {"threadIdx.x", "blockIdx.x"}
            # a loop that is left to the host has no code there, and the build would say so
            lowered = to_device_stage(bound, target)
            assert generate(lowered, target) if target is CUDA else split(lowered, target)[1]


def test_channels_come_last_only_for_a_cpu():
    assert OptLevel(3).on(Target("llvm")).includes("ChannelsLast")
    assert not OptLevel(3).on(OPENCL).includes("ChannelsLast")
    assert OptLevel(3, required=frozenset({"ChannelsLast"})).on(CUDA).includes("ChannelsLast")


class TestTiled:
    """An image: pixels are threads, four channels are a thread's."""

    def test_pixels_are_threads_and_channels_groups(self):
        kernel = only(convolution(16, 32, (8, 8), 3, padding=1), O2, "conv2d")
        assert rule_of(kernel) == "tiled"
        found = threads_of(schedule(kernel, O2, OPENCL))
        assert sorted(found) == [("blockIdx.x", 1), ("blockIdx.y", 8), ("threadIdx.x", 64)]

    def test_sums_are_in_registers(self):
        kernel = only(convolution(16, 32, (8, 8), 3, padding=1), O2, "conv2d")
        target = OPENCL
        _, after = split(to_device_stage(schedule(kernel, O2, target), target), target)
        # the padding, the convolution, and each step of the epilogue were launches of their own
        assert len(threads_of(bind_nests(kernel, OPENCL))) == 2 * 5
        assert len(threads_of(schedule(kernel, O2, OPENCL))) == 3
        assert "[4];" in after
        assert "barrier" not in after
        assert "__local" not in after

    def test_a_depthwise_convolution_has_one_channel_a_thread(self):
        module = convolution(32, 32, (8, 8), 3, padding=1, groups=32)
        found = dict(threads_of(schedule(only(module, O2, "conv2d"), O2, OPENCL)))
        assert found["blockIdx.y"] == 32

    def test_an_image_of_few_pixels_is_left_to_the_general_rule(self):
        kernel = only(convolution(32, 1001, (1, 1), 1), O2, "conv2d")
        assert rule_of(kernel) == "one_thread_an_element"

    def test_threads_are_no_more_than_the_target_allows(self):
        small = Target({"kind": "opencl", "max_num_threads": 32}).with_host(Target("llvm"))
        kernel = only(convolution(16, 32, (8, 8), 3, padding=1), O2, "conv2d")
        assert dict(threads_of(schedule(kernel, O2, small), small))["threadIdx.x"] == 32


class TestOneThreadAnElement:
    def test_a_dense_layer_and_its_epilogue_are_one_launch(self):
        kernel = only(dense(), O2, "matmul")
        assert threads_of(schedule(kernel, O2, OPENCL)) == [("threadIdx.x", 66), ("blockIdx.x", 1)]
        # the product, the bias and the activation, each in its own
        assert len(threads_of(schedule(kernel, O0, OPENCL))) == 6

    def test_a_softmax_is_three_launches(self):
        assert len(threads_of(schedule(only(softmax(), O2, "softmax"), O2, OPENCL))) == 6


@T.prim_func(s_tir=True)
def running_sum(x: T.Buffer((4, 8), "float32"), y: T.Buffer((4, 8), "float32")):
    for i, j in T.grid(4, 8):
        with T.sblock("running"):
            vi, vj = T.axis.remap("SS", [i, j])
            T.reads(x[vi, vj], y[vi, vj - 1])
            T.writes(y[vi, vj])
            y[vi, vj] = x[vi, vj] + T.if_then_else(vj > 0, y[vi, vj - 1], T.float32(0))


@T.prim_func(s_tir=True)
def onto_one(x: T.Buffer((4, 8), "float32"), y: T.Buffer((4, 8), "float32")):
    for i, j in T.grid(4, 8):
        with T.sblock("onto"):
            vi, vj = T.axis.remap("SS", [i, j])
            T.reads(x[vi, vj])
            T.writes(y[vi // 2, vj])
            y[vi // 2, vj] = x[vi, vj]


def doubled_over(rows, columns):
    """A kernel for 4 x 8 numbers that goes through so many rows and columns."""

    @T.prim_func(s_tir=True)
    def kernel(x: T.Buffer((4, 8), "float32"), y: T.Buffer((4, 8), "float32")):
        for i, j in T.grid(rows, columns):
            with T.sblock("double"):
                vi, vj = T.axis.remap("SS", [i, j])
                T.reads(x[vi, vj])
                T.writes(y[vi, vj])
                y[vi, vj] = x[vi, vj] * T.float32(2)

    return kernel


too_far, fewer_rows = doubled_over(3, 9), doubled_over(3, 8)


class TestMutantsThatAreNotRegular:
    """Iterations that see each other's results stay in their order."""

    @pytest.mark.parametrize(
        ("func", "threads"),
        [(running_sum, 1), (onto_one, 1), (too_far, 1), (fewer_rows, 24)],
        ids=["running-sum", "onto-one", "too-far", "fewer-rows"],
    )
    def test_only_what_may_be_apart_is(self, func, threads):
        func = func.without_attr("global_symbol")
        assert dict(threads_of(schedule(func, O2, OPENCL)))["threadIdx.x"] == threads

    @pytest.mark.parametrize(
        "func", [running_sum, onto_one, fewer_rows], ids=["running-sum", "onto-one", "fewer-rows"]
    )
    def test_they_compute_what_they_say(self, func):
        func = func.without_attr("global_symbol")
        (x,) = arrays([(4, 8)])
        expected = run_kernel(func, [x])
        found = run_on_opencl(schedule(func, O2, OPENCL), [x])
        assert np.array_equal(found, expected, equal_nan=True)

    def test_a_nest_beside_it_keeps_its_threads(self):
        @T.prim_func(s_tir=True)
        def two(x: T.Buffer((4, 8), "float32"), y: T.Buffer((4, 8), "float32")):
            h = T.sblock_alloc_buffer((4, 8))
            for i, j in T.grid(4, 8):
                with T.sblock("double"):
                    vi, vj = T.axis.remap("SS", [i, j])
                    T.reads(x[vi, vj])
                    T.writes(h[vi, vj])
                    h[vi, vj] = x[vi, vj] * T.float32(2)
            for i, j in T.grid(4, 8):
                with T.sblock("onto"):
                    vi, vj = T.axis.remap("SS", [i, j])
                    T.reads(h[vi, vj])
                    T.writes(y[vi // 2, vj])
                    y[vi // 2, vj] = h[vi, vj]

        func = two.without_attr("global_symbol")
        found = [extent for tag, extent in threads_of(bind_nests(func, OPENCL)) if "thread" in tag]
        assert found == [32, 1]
        (x,) = arrays([(4, 8)])
        expected = run_kernel(func, [x])
        assert np.array_equal(run_on_opencl(bind_nests(func, OPENCL), [x]), expected, True)

    def test_a_statement_beside_the_nests_is_no_harm(self):
        kernel = only(dense(), O2, "matmul")
        body = kernel.body.block.body
        parts = [*body.seq, tirx.Evaluate(tvm.tirx.const(0, "int32"))]
        root = kernel.body
        block = tvm.s_tir.SBlock(
            root.block.iter_vars,
            root.block.reads,
            root.block.writes,
            root.block.name_hint,
            tirx.SeqStmt(parts),
            alloc_buffers=root.block.alloc_buffers,
        )
        odd = kernel.with_body(tvm.s_tir.SBlockRealize(root.iter_values, root.predicate, block))
        assert len(threads_of(schedule(odd, O2, OPENCL))) == 6  # nothing is left to do for it
        assert_same_numbers(odd, kernel)


@pytest.mark.parametrize("opt", [O0, O2], ids=str)
def test_what_nothing_reads_is_not_launched(opt):
    """A mutant whose sum has lost the product: `bias + bias`."""
    kernel = only(dense(), O2, "matmul")

    def doubled(store):
        if isinstance(store.value, prim.Add) and "add" in store.buffer.name:
            return BufferStore(store.buffer, store.value.b + store.value.b, store.indices)
        return store

    mutant = kernel.with_body(structural_map(kernel.body, [(BufferStore, doubled)]))
    assert len(threads_of(schedule(mutant, opt, OPENCL))) == (2 if opt is O2 else 4)
    assert_same(mutant, opt)


def assert_same_numbers(odd, kernel):
    inputs = arrays(parameter_shapes(kernel)[:-1])
    found = run_on_opencl(schedule(odd, O2, OPENCL), inputs)
    np.testing.assert_allclose(found, run_kernel(kernel, inputs), rtol=1e-5, atol=1e-5)
