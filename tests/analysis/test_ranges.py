import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import numbers_of

from pytest_mutatenn.analysis.ranges import ranges_of


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([0], "0"), (range(15), "0-14"), ([0, 1, 2, 3, 7], "0-3,7"), ([1, 3], "1,3")],
)
def test_ranges(numbers, text):
    assert ranges_of(numbers) == text


def test_a_number_may_stand_for_several():
    assert ranges_of([0, 2, 3], each=4) == "0-3,8-15"


@given(st.sets(st.integers(0, 300)))
def test_they_are_read_as_they_were_written(numbers):
    assert numbers_of(ranges_of(sorted(numbers))) == sorted(numbers)
