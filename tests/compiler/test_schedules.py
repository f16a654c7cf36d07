"""Each rule: a scheduled kernel computes what its unscheduled self does, and is scheduled."""

from collections import Counter

import numpy as np
import pytest
import tvm
from lowering import LLVM, OptLevel, arrays, kernels, lower, network, parameter_shapes, run_kernel
from tvm import te, tirx
from tvm.ir import assert_structural_equal, prim
from tvm.relax import op
from tvm.script import tirx as T
from tvm.target import Target
from tvm.tirx import ForKind
from tvm_ffi.structural import structural_equal, structural_map, structural_walk

from pytest_mutatenn.compiler import schedules
from pytest_mutatenn.compiler.schedules import schedule
from pytest_mutatenn.compiler.schedules.structure import is_regular

O2, O3 = OptLevel(2), OptLevel(3)
SBLOCK_PARTS = [
    "iter_vars",
    "reads",
    "writes",
    "name_hint",
    "body",
    "alloc_buffers",
    "match_buffers",
    "annotations",
]


def loop_kinds(func):
    kinds = Counter()
    structural_walk(func.body, [((tirx.For,), lambda loop: kinds.update([ForKind(loop.kind)]))])
    return kinds


def rule_of(func):
    for rule in schedules.CPU_RULES:
        if rule(func) is not None:
            return rule.__name__
    return None


def assert_same(before, opt, target=LLVM):
    after = schedule(before, opt, target)
    inputs = arrays(parameter_shapes(before)[:-1])
    expected = run_kernel(before, inputs)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(run_kernel(after, inputs), expected, rtol=1e-4, atol=1e-4)
    return after


def main_kernels(module, opt, *words, target=LLVM):
    lowered = lower(module, opt, target, scheduled=False)
    return [
        func
        for name, func in kernels(lowered).items()
        if any(word in name for word in words) and not name.startswith("pack")
    ]


def convolution(channels, outputs, size, kernel, *, stride=1, padding=0, groups=1, dilation=1):
    """Convolution, bias, residual and ReLU, so that there is an epilogue with a second input."""
    height, width = size
    reach = (kernel - 1) * dilation + 1
    rows, columns = ((extent + 2 * padding - reach) // stride + 1 for extent in (height, width))

    def build(emit, x, other, weight, bias):
        attributes = {
            "strides": stride,
            "padding": padding,
            "groups": groups,
            "dilation": dilation,
        }
        value = emit(op.nn.conv2d(x, weight, **attributes), "conv2d_0")
        value = emit(op.add(value, bias), "add_0")
        return op.nn.relu(emit(op.add(value, other), "add_1"))

    return network(
        build,
        [(1, channels, height, width), (1, outputs, rows, columns)],
        [(outputs, channels // groups, kernel, kernel), (1, outputs, 1, 1)],
    )


CONVOLUTIONS = [
    pytest.param(convolution(16, 32, (8, 8), 3, padding=1), id="exact"),
    pytest.param(convolution(3, 16, (17, 13), 3, padding=1, stride=2), id="stem"),
    pytest.param(convolution(8, 10, (6, 7), 1), id="ten-channels"),
    pytest.param(convolution(24, 24, (7, 7), 1), id="24-channels"),
    pytest.param(convolution(5, 3, (9, 9), 5, padding=2), id="three-channels"),
    pytest.param(convolution(32, 1001, (1, 1), 1), id="1001-channels"),
    pytest.param(convolution(12, 72, (5, 11), 3, padding=1), id="odd-columns"),
    pytest.param(convolution(32, 64, (14, 14), 1, stride=2), id="projection"),
    pytest.param(convolution(8, 32, (8, 8), 3, padding=1, groups=2), id="two-groups"),
    pytest.param(convolution(20, 60, (6, 6), 1, groups=4), id="groups-of-15"),
    pytest.param(convolution(6, 16, (9, 9), 3, padding=2, dilation=2), id="dilated"),
    pytest.param(convolution(4, 8, (10, 10), 7, padding=3, stride=2), id="seven-by-seven"),
]
DEPTHWISE = [
    pytest.param(convolution(channels, channels, size, 3, groups=channels, **more), id=name)
    for name, channels, size, more in [
        ("aligned", 32, (8, 8), {"padding": 1}),
        ("strided", 24, (15, 15), {"padding": 1, "stride": 2}),
        ("ten-channels", 10, (7, 9), {"padding": 1}),
        ("tall", 16, (40, 12), {"padding": 1}),
        ("unpadded", 48, (9, 9), {}),
    ]
]


@pytest.mark.parametrize("module", CONVOLUTIONS)
def test_packed_convolution(module):
    (kernel,) = main_kernels(module, O3, "conv2d")
    assert rule_of(kernel) == "convolution"
    after = assert_same(kernel, O3)
    assert loop_kinds(after)[ForKind.UNROLLED]


def drawn_convolutions(count):
    """Convolutions of any shape, the same ones every time."""
    random = np.random.default_rng(7)
    for _ in range(count):
        groups = int(random.choice([1, 1, 2, 4]))
        inputs, outputs = (int(n) * groups for n in random.integers(1, 40, 2))
        kernel, stride = int(random.choice([1, 1, 3, 5])), int(random.choice([1, 1, 2]))
        size = tuple(int(extent) for extent in random.integers(kernel, 16, 2))
        padding = int(random.integers(0, kernel // 2 + 1))
        name = f"{inputs}-{outputs}-{size[0]}x{size[1]}-k{kernel}s{stride}p{padding}g{groups}"
        more = {"stride": stride, "padding": padding, "groups": groups}
        yield pytest.param(convolution(inputs, outputs, size, kernel, **more), id=name)


BY_ROW = [
    pytest.param(convolution(8, 136, (9, 14), 1, groups=4), id="groups-of-34"),
    pytest.param(convolution(4, 200, (8, 7), 1, groups=2), id="groups-of-100"),
    pytest.param(convolution(6, 1000, (8, 13), 1), id="1000-channels"),
    pytest.param(convolution(4, 96, (9, 23), 3, padding=1), id="23-columns"),
]


@pytest.mark.parametrize("level", ["x86-64-v3", "x86-64-v4"])
@pytest.mark.parametrize("module", [*BY_ROW, *drawn_convolutions(10)])
def test_tiles_of_every_level(module, level):
    """The tile is of the level; the code is for any CPU, so that it runs here."""
    target = Target({"kind": "llvm", "mcpu": level})
    (kernel,) = main_kernels(module, O3, "conv2d", target=target)
    assert rule_of(kernel) in ("convolution", "depthwise")
    assert_same(kernel, O3, target)


@pytest.mark.parametrize("module", DEPTHWISE)
def test_depthwise_convolution(module):
    (kernel,) = main_kernels(module, O3, "conv2d")
    assert rule_of(kernel) == "depthwise"
    after = assert_same(kernel, O3)
    assert loop_kinds(after)[ForKind.VECTORIZED]


DIRECT = {"exact", "stem", "24-channels", "projection", "odd-columns", "dilated", "seven-by-seven"}


@pytest.mark.parametrize("opt", [O2, O3])
@pytest.mark.parametrize("groups", [1, 16])
@pytest.mark.parametrize("axes", [[1, 1], [1, 0], [0, 1]])
@pytest.mark.parametrize("change", ["cropped", "padded"])
def test_what_crops_or_pads_a_convolution(change, axes, groups, opt):
    def build(emit, x, weight):
        value = emit(op.nn.conv2d(x, weight, padding=1, groups=groups), "conv2d_0")
        if change == "padded":
            return op.nn.pad(value, [0, 0, 0, 0, 0, axes[0], 0, axes[1]])
        ends = [8 - axis for axis in axes]
        return op.strided_slice(value, [2, 3], [0, 0], ends)

    module = network(build, [(1, 16, 8, 8)], [(16, 16 // groups, 3, 3)])
    for kernel in main_kernels(module, opt, "conv2d"):
        assert_same(kernel, opt)


@pytest.mark.parametrize("module", [*CONVOLUTIONS, *DEPTHWISE])
def test_convolution_without_packed_weights(module, request):
    (kernel,) = main_kernels(module, O2, "conv2d")
    direct = request.node.callspec.id in DIRECT
    assert rule_of(kernel) == ("direct_convolution" if direct else "reduction")
    assert not structural_equal(assert_same(kernel, O2), kernel)


@pytest.mark.parametrize("opt", [O2, O3], ids=["O2", "O3"])
@pytest.mark.parametrize("rows", [1, 6])
@pytest.mark.parametrize("outputs", [64, 40, 10, 1001])
def test_dense(opt, rows, outputs):
    def build(emit, x, weight, bias):
        return op.add(emit(op.matmul(x, weight), "matmul_0"), bias)

    module = network(build, [(rows, 24)], [(24, outputs), (outputs,)])
    (kernel,) = main_kernels(module, opt, "dense", "matmul")
    assert rule_of(kernel) == ("convolution" if opt is O3 else "reduction")
    assert_same(kernel, opt)


POOLS = {
    "max": lambda x: op.nn.max_pool2d(x, (3, 3), (2, 2), (1, 1, 1, 1)),
    "average": lambda x: op.nn.avg_pool2d(x, (3, 3), (2, 2), (1, 1, 1, 1)),
    "global": lambda x: op.mean(x, [2, 3], keepdims=True),
}


@pytest.mark.parametrize("opt", [O2, O3], ids=["O2", "O3"])
@pytest.mark.parametrize("channels", [16, 24, 3])
@pytest.mark.parametrize("pool", POOLS)
def test_pooling(pool, channels, opt):
    def build(emit, x, weight):
        value = emit(op.nn.conv2d(x, weight), "conv2d_0")
        return POOLS[pool](value)

    module = network(build, [(1, 4, 12, 12)], [(channels, 4, 1, 1)])
    (kernel,) = main_kernels(module, opt, "pool", "mean")
    assert rule_of(kernel) == "reduction"
    assert_same(kernel, opt)


def test_large_kernels_run_in_parallel_and_small_ones_do_not():
    (small,) = main_kernels(convolution(16, 16, (8, 8), 1), O3, "conv2d")
    (large,) = main_kernels(convolution(32, 64, (32, 32), 1), O3, "conv2d")
    assert not loop_kinds(schedule(small, O3, LLVM))[ForKind.PARALLEL]
    assert loop_kinds(schedule(large, O3, LLVM))[ForKind.PARALLEL]


@pytest.mark.parametrize("shape", [(1, 16, 5, 7), (1, 4, 64, 160), (3, 1001), (8,)], ids=str)
def test_elementwise(shape):
    x = te.placeholder(shape, name="x")
    doubled = te.compute(shape, lambda *i: x(*i) * 2.0, name="doubled")
    result = te.compute(shape, lambda *i: te.max(doubled(*i), 0.0), name="result")
    kernel = te.create_prim_func([x, result])
    assert rule_of(kernel) == "elementwise"
    assert_same(kernel, O2)


# fmt: off
@T.prim_func(s_tir=True)
def before(x: T.Buffer((4, 24), "float32"), result: T.Buffer((4, 24), "float32")):
    T.func_attr({"global_symbol": "main"})
    doubled = T.sblock_alloc_buffer((4, 24))
    for i, j in T.grid(4, 24):
        with T.sblock("doubled"):
            v_i, v_j = T.axis.remap("SS", [i, j])
            doubled[v_i, v_j] = x[v_i, v_j] * T.float32(2)
    for i, j in T.grid(4, 24):
        with T.sblock("result"):
            v_i, v_j = T.axis.remap("SS", [i, j])
            result[v_i, v_j] = doubled[v_i, v_j] + T.float32(1)


@T.prim_func(s_tir=True)
def expected(x: T.Buffer((4, 24), "float32"), result: T.Buffer((4, 24), "float32")):
    T.func_attr({"global_symbol": "main"})
    for i, j_0 in T.grid(4, 3):
        for j_1 in T.vectorized(8):
            with T.sblock("result"):
                v_i = T.axis.spatial(4, i)
                v_j = T.axis.spatial(24, j_0 * 8 + j_1)
                result[v_i, v_j] = x[v_i, v_j] * T.float32(2) + T.float32(1)
# fmt: on


def test_elementwise_is_inlined_and_vectorised_inside_its_last_axis():
    assert_structural_equal(schedule(before, O2, LLVM), expected)


@pytest.mark.parametrize("level", [0, 2, 3])
@pytest.mark.parametrize("kind", ["opencl", "cuda"])
def test_gpu_kernels_are_bound_to_threads_at_every_level(kind, level):
    target = Target({"kind": kind} | ({"arch": "sm_90"} if kind == "cuda" else {}), host="llvm")
    opt = OptLevel(level)
    lowered = lower(convolution(4, 8, (6, 6), 3, padding=1), opt, target)
    for name, kernel in kernels(lowered).items():
        assert loop_kinds(kernel)[ForKind.THREAD_BINDING], name
        assert "pack" not in name


@pytest.mark.parametrize("level", [0, 1])
def test_nothing_is_scheduled_below_o2(level):
    assert schedule(before, OptLevel(level), LLVM).same_as(before)


def test_the_pass_can_be_taken_out_and_in():
    assert schedule(before, OptLevel(3, disabled=frozenset({"Schedule"})), LLVM).same_as(before)
    required = schedule(before, OptLevel(0, required=frozenset({"Schedule"})), LLVM)
    assert_structural_equal(required, expected)


def changed(func, kinds, change, number):
    """`func` with the `number`-th node of `kinds` changed."""
    seen = 0

    def visit(node):
        nonlocal seen
        seen += 1
        return change(node) if seen == number + 1 else node

    return func.with_body(structural_map(func.body, [(kinds, visit)]))


def shorter(loop):
    return tirx.For(loop.loop_var, loop.min, loop.extent - 1, loop.kind, loop.body)


def elsewhere(store):
    indices = [*store.indices[:-1], store.indices[-1] + 1]
    return tirx.BufferStore(store.buffer, store.value, indices)


class TestMutants:
    """A kernel that a fault has made irregular is left alone, never scheduled wrong."""

    @pytest.fixture
    def kernel(self):
        (kernel,) = main_kernels(convolution(4, 16, (6, 6), 3, padding=1), O3, "conv2d")
        assert is_regular(kernel)
        return kernel

    @pytest.mark.parametrize("number", range(4))
    def test_shorter_loop(self, kernel, number):
        mutant = changed(kernel, tirx.For, shorter, number)
        assert schedule(mutant, O3, LLVM).same_as(mutant)

    @pytest.mark.parametrize("number", range(3))
    def test_store_elsewhere(self, kernel, number):
        mutant = changed(kernel, tirx.BufferStore, elsewhere, number)
        assert schedule(mutant, O3, LLVM).same_as(mutant)

    def test_no_initial_value(self, kernel):
        def without_init(block):
            parts = {name: getattr(block, name) for name in SBLOCK_PARTS}
            return tvm.s_tir.SBlock(**parts, init=None)

        mutant = changed(kernel, tvm.s_tir.SBlock, without_init, 1)
        assert schedule(mutant, O3, LLVM).same_as(mutant)

    @pytest.mark.parametrize(
        ("kind", "change"),
        [
            (prim.Mul, lambda node: node.a + node.b),
            (prim.Max, lambda node: prim.Min(node.a, node.b)),
            (prim.LT, lambda node: node.a <= node.b - 1),
            (prim.FloatImm, lambda node: prim.FloatImm("float32", node.value + 1.0)),
        ],
        ids=["product", "maximum", "guard", "constant"],
    )
    def test_what_stays_regular_is_scheduled_and_means_the_same(self, kernel, kind, change):
        mutant = changed(kernel, kind, change, 0)
        assert not structural_equal(mutant, kernel)
        assert rule_of(mutant) == "convolution"
        assert_same(mutant, O3)

    def test_unpacked_kernels_of_mutants(self):
        (kernel,) = main_kernels(convolution(4, 16, (6, 6), 3, padding=1), O2, "conv2d")
        for kind, change in [(tirx.For, shorter), (tirx.BufferStore, elsewhere)]:
            mutant = changed(kernel, kind, change, 1)
            assert schedule(mutant, O2, LLVM).same_as(mutant)
        mutant = changed(kernel, prim.Mul, lambda node: node.a - node.b, 0)
        assert rule_of(mutant) == "direct_convolution"
        assert_same(mutant, O2)

    def test_a_rule_that_raises_makes_room_for_the_next(self, monkeypatch):
        def broken(func):
            raise RuntimeError("no such loop")

        monkeypatch.setattr(schedules, "CPU_RULES", (broken, schedules.elementwise))
        assert_structural_equal(schedule(before, O2, LLVM), expected)
        monkeypatch.setattr(schedules, "CPU_RULES", (broken,))
        assert schedule(before, O2, LLVM).same_as(before)
