"""The register tiles: they cover the output and stay within the target's registers."""

import pytest
from tvm.target import Target

from pytest_mutatenn.compiler.tiling import (
    ConvolutionTile,
    Fit,
    VectorUnit,
    convolution_tile,
    dense_tile,
    divisors,
    power_of_two_part,
    throughput,
    vector_unit,
)


def test_divisors_are_ascending_and_limited():
    assert divisors(12, 6) == [1, 2, 3, 4, 6]
    assert divisors(7, 100) == [1, 7]


def test_power_of_two_part():
    assert [power_of_two_part(n) for n in (1, 10, 24, 64, 1001)] == [1, 2, 8, 64, 1]


LEVELS = {"x86-64-v4": VectorUnit(16, 32), "x86-64-v3": VectorUnit(8, 16)}


@pytest.fixture(params=[*LEVELS, "x86-64"])
def level(request):
    with Target({"kind": "llvm", "mcpu": request.param}):
        yield request.param


@pytest.fixture
def avx512():
    with Target({"kind": "llvm", "mcpu": "x86-64-v4"}):
        yield


def test_the_unit_is_the_targets(level):
    assert vector_unit() == LEVELS.get(level, VectorUnit(4, 16))


def test_without_a_target_a_tile_fits_every_cpu():
    assert Target.current(allow_none=True) is None
    assert vector_unit() == VectorUnit(4, 16)


@pytest.mark.usefixtures("avx512")
def test_a_tile_that_spills_is_worth_nothing():
    assert throughput(64, 8) == 0
    assert throughput(32, 7) > throughput(32, 4)


@pytest.mark.usefixtures("avx512")
def test_more_accumulators_than_hide_the_latency_are_worth_no_more():
    assert throughput(32, 14) == throughput(32, 7) > throughput(16, 7)


@pytest.mark.parametrize("width", [1, 7, 13, 28, 112])
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("channels", [1, 3, 10, 16, 24, 96, 1001])
def test_convolution_tiles_cover_the_output(channels, groups, width, level):
    tile = convolution_tile(channels, groups, width)
    unit = vector_unit()
    assert tile.lanes * tile.columns <= (unit.registers - 2) * unit.floats
    assert tile.columns <= width
    if tile.fit is Fit.EXACT:
        assert channels % tile.lanes == 0
    if tile.fit is Fit.SLICE:
        assert groups == 1
        assert tile.lanes >= channels
    if tile.fit is not Fit.PAD:
        assert width % tile.columns == 0


@pytest.mark.usefixtures("avx512")
def test_common_tiles():
    assert convolution_tile(32, 1, 14) == ConvolutionTile(Fit.EXACT, 32, 7)
    assert convolution_tile(34, 4, 28) == ConvolutionTile(Fit.PAD, 48, 4)
    assert dense_tile(64, 1) == ConvolutionTile(Fit.EXACT, 32, 1)
    assert dense_tile(10, 1).fit is Fit.PAD


def test_a_narrow_machine_takes_a_smaller_tile():
    with Target({"kind": "llvm", "mcpu": "x86-64-v3"}):
        assert convolution_tile(32, 1, 56) == ConvolutionTile(Fit.EXACT, 16, 4)
