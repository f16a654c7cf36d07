"""What each rule makes of a kernel: the loops around each block, from the outermost in.

A loop is written as its extent, with `p` for parallel, `u` for unrolled and `v` for vectorised. The
target is AVX-512's, whatever the machine: nothing is run.
"""

import pytest
from lowering import OptLevel, lower, network
from lowering import kernels as kernels_of
from tvm import s_tir, tirx
from tvm.relax import op
from tvm.target import Target

from pytest_mutatenn.compiler.schedules import schedule

O2, O3 = OptLevel(2), OptLevel(3)
AVX512 = Target({"kind": "llvm", "mcpu": "x86-64-v4"})
MARKS = {
    tirx.ForKind.SERIAL: "",
    tirx.ForKind.PARALLEL: "p",
    tirx.ForKind.UNROLLED: "u",
    tirx.ForKind.VECTORIZED: "v",
}


def nests(statement, around=()):
    """Yield each block below the root with the loops around it; loops of one round left out."""
    if isinstance(statement, tirx.SeqStmt):
        for part in statement.seq:
            yield from nests(part, around)
    elif isinstance(statement, tirx.For):
        extent = int(statement.extent)
        loop = () if extent == 1 else (f"{extent}{MARKS[tirx.ForKind(statement.kind)]}",)
        yield from nests(statement.body, (*around, *loop))
    elif isinstance(statement, s_tir.SBlockRealize):
        yield statement.block.name_hint, " ".join(around)


def structure(module, opt, *words):
    module = lower(module, opt, AVX512, scheduled=False)
    (kernel,) = (
        func
        for name, func in kernels_of(module).items()
        if any(word in name for word in words) and not name.startswith("pack")
    )
    scheduled = schedule(kernel, opt, AVX512)
    return list(nests(scheduled.body.block.body))


def convolution(channels, outputs, size, kernel, **attributes):
    groups = attributes.get("groups", 1)

    def build(emit, x, weight, bias):
        value = emit(op.nn.conv2d(x, weight, **attributes), "conv2d_0")
        return op.nn.relu(emit(op.add(value, bias), "add_0"))

    weights = [(outputs, channels // groups, kernel, kernel), (1, outputs, 1, 1)]
    return network(build, [(1, channels, size, size)], weights)


def test_a_packed_convolution_keeps_its_sums_in_registers():
    assert structure(convolution(16, 32, 28, 3, padding=1), O3, "conv2d") == [
        ("data_pad", "28p 3 30 16v"),
        ("conv_init", "28p 4 7u 32v"),
        ("conv_update", "28p 4 3 3 16 7u 32v"),
        ("compute", "28p 4 7u 32v"),
    ]


def test_what_is_wider_than_the_output_is_cut_when_it_is_stored():
    assert structure(convolution(8, 24, 14, 1), O3, "conv2d") == [
        ("conv_init", "14 2 7u 32v"),
        ("conv_update", "14 2 8 7u 32v"),
        ("compute", "14 2 7u 3u 8v"),
    ]


def test_padded_groups_are_cut_row_by_row():
    """Four groups of 34 outputs, 48 computed: each row is cut while it is warm."""
    assert structure(convolution(136, 136, 28, 1, groups=4), O3, "conv2d") == [
        ("conv_init", "28p 4 7 4u 3u 16v"),
        ("conv_update", "28p 4 7 34 4u 3u 16v"),
        ("conv_local", "28p 4 7 4u 3u 16v"),
        ("compute", "28p 28 4 17 2v"),
    ]


def test_padded_outputs_of_one_pixel_are_cut_afterwards():
    (_, conv), (update, inner), *_, (last, cut) = structure(
        convolution(32, 1001, 1, 1), O3, "conv2d"
    )
    assert (update, inner) == ("conv_update", "21 32 3u 16v")
    assert conv == "21 3u 16v"
    assert (last, cut) == ("compute", "1001")


def test_a_depthwise_convolution_unrolls_its_window():
    assert structure(convolution(32, 32, 16, 3, padding=1, groups=32), O3, "conv2d") == [
        ("data_pad", "2 18 18 16v"),
        ("dwconv_init", "2 16 2 8u 16v"),
        ("dwconv_update", "2 16 2 3u 3u 8u 16v"),
        ("compute", "2 16 2 8u 16v"),
    ]


def test_a_convolution_without_packed_weights_packs_a_block_a_task():
    found = structure(convolution(16, 32, 14, 3, padding=1), O2, "conv2d")
    assert [name for name, _ in found] == [
        "pad_temp",
        "w0_global",
        "conv2d_nchw_init",
        "conv2d_nchw_update",
        "compute",
    ]
    assert dict(found)["conv2d_nchw_update"] == "14 2 16 3 3 7u 32v"


def test_a_pool_has_its_window_outside_its_channels():
    def build(emit, x, weight):
        return op.nn.max_pool2d(emit(op.nn.conv2d(x, weight), "conv2d_0"), (3, 3), (2, 2))

    module = network(build, [(1, 4, 13, 13)], [(24, 4, 1, 1)])
    assert structure(module, O3, "pool") == [
        ("pool_max_init", "36 3u 8v"),
        ("pool_max_update", "36 3 3 3u 8v"),
        ("pool_max_local", "36 3u 8v"),
    ]


@pytest.mark.parametrize(("columns", "loops"), [(64, "8 2 32v"), (10, "8 10"), (24, "8 3 8v")])
def test_elementwise(columns, loops):
    module = network(lambda emit, x: op.nn.relu(x), [(8, columns)])
    assert structure(module, O2, "relu") == [("compute", loops)]
