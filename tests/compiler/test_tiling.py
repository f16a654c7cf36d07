"""The register tiles: fixed on every machine, and within its registers."""

import pytest

from pytest_mutatenn.compiler.tiling import (
    LANES,
    ConvolutionTile,
    Fit,
    convolution_tile,
    dense_tile,
    divisors,
    power_of_two_part,
    throughput,
)


def test_divisors_are_ascending_and_limited():
    assert divisors(12, 6) == [1, 2, 3, 4, 6]
    assert divisors(7, 100) == [1, 7]


def test_power_of_two_part():
    assert [power_of_two_part(n) for n in (1, 10, 24, 64, 1001)] == [1, 2, 8, 64, 1]


def test_a_tile_that_spills_is_worth_nothing():
    assert throughput(64, 8) == 0
    assert throughput(32, 14) > throughput(32, 4)


@pytest.mark.parametrize("width", [1, 7, 13, 28, 112])
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("channels", [1, 3, 10, 16, 24, 96, 1001])
def test_convolution_tiles_cover_the_output(channels, groups, width):
    tile = convolution_tile(channels, groups, width)
    assert tile.lanes * tile.columns <= 30 * LANES
    if tile.fit is Fit.EXACT:
        assert channels % tile.lanes == 0
    if tile.fit is Fit.SLICE:
        assert groups == 1
        assert tile.lanes >= channels
    if tile.fit is not Fit.PAD:
        assert width % tile.columns == 0


def test_common_tiles():
    assert convolution_tile(32, 1, 14) == ConvolutionTile(Fit.EXACT, 32, 14)
    assert dense_tile(64, 1) == ConvolutionTile(Fit.EXACT, 32, 1)
    assert dense_tile(10, 1).fit is Fit.PAD
