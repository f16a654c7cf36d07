from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mutatenn.engine.activations import choose_steps, layout, padded


@st.composite
def programs(draw):
    steps = []
    for index in range(draw(st.integers(1, 12))):
        args = draw(st.lists(st.integers(0, max(0, index - 1)), max_size=2)) if index else []
        steps.append(
            {
                "sizes": draw(st.lists(st.integers(1, 500), min_size=1, max_size=2)),
                "args": [[source, 0] for source in args],
                "constant": draw(st.booleans()),
            }
        )
    seconds = [draw(st.floats(0, 1)) for _ in steps]
    return steps, seconds


@given(program=programs(), count=st.integers(1, 5), budget=st.integers(0, 6000))
@settings(deadline=None)
def test_the_choice_is_within_the_budget_and_lays_out_apart(program, count, budget):
    steps, seconds = program

    chosen = choose_steps(steps, seconds, count, budget)
    offsets, size = layout(steps, chosen, count)

    assert size <= max(1, budget)
    assert not any(steps[index]["constant"] for index in chosen)
    ends = [
        (start, start + padded(steps[step]["sizes"][output]) * count)
        for step, output, start in offsets
    ]
    for (_, end), (start, _) in pairwise(ends):
        assert end == start
    assert all(start % 64 == 0 for start, _ in ends)


def chain(sizes):
    return [
        {"sizes": [size], "args": [[i - 1, 0]] if i else [], "constant": False}
        for i, size in enumerate(sizes)
    ]


def test_with_room_for_all_everything_is_kept():
    assert choose_steps(chain([100] * 4), [1.0] * 4, 3, 4 * 128 * 3) == [0, 1, 2, 3]


def test_with_room_for_one_the_middle_of_a_chain_is_kept():
    # every later step is spared the work before it: 4 of 9 saves the most
    (kept,) = choose_steps(chain([64] * 9), [1.0] * 9, 1, 64)
    assert kept in (3, 4)


def test_a_tensor_that_is_larger_than_the_budget_is_left_out():
    assert choose_steps(chain([64, 10_000, 64]), [1.0, 9.0, 1.0], 1, 128) == [0]


def test_no_budget_keeps_nothing():
    assert choose_steps(chain([64] * 3), [1.0] * 3, 1, 0) == []
    assert layout(chain([64] * 3), [], 1) == ([], 1)


@pytest.mark.parametrize(("size", "whole"), [(0, 0), (1, 64), (64, 64), (65, 128)])
def test_sizes_are_padded_to_the_alignment_of_kernels(size, whole):
    assert padded(size) == whole
