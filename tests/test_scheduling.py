"""Rows over pytest-xdist's workers: all tests of one mutant go to one."""

import pytest

scheduling = pytest.importorskip("pytest_mutatenn.scheduling", reason="needs pytest-xdist")

ROWS = [
    "baseline",
    "identity",
    "canary",
    "graph.relu_to_sigmoid@clip#1",
    "kernel.boundary@conv2d_1#12",
    "kernel.boundary@conv2d_1#1",
    "kernel.boundary@conv2d#1+conv2d_1#2",
    "kernel.boundary@conv2d#1+conv2d_1#3",
    "kernel.boundary@conv2d#1+device.boundary@conv2d#1",
    "kernel.boundary@conv2d#1+weights.bit_flip_sign@w#3b31",
    "kernel.boundary@sweep",
    "kernel.boundary@sweep:1:3",
    "kernel.boundary@sweep:1:",
    "weights.bit_flip_sign@sweep~5",
    "weights.bit_flip_sign@w#3b31",
    "weights.bit_flip_sign@w#3b3",
    "weights.stuck_at_one@w#b3",
    "weights.stuck_at_one@w#b31",
    "weights.zero_channel@w#0",
]


def scope(test, row):
    return scheduling.RowScheduling._split_scope(None, f"tests/test_it.py::{test}[{row}]")


@pytest.mark.parametrize("cell", ["llvm-O2", "cuda:0-O3"])
def test_every_row_has_a_scope_of_its_own(cell):
    assert len({scope("test_a", f"{cell}-{row}") for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_all_tests_of_a_row_have_one(row):
    named = {
        scope("test_a", f"llvm-O2-{row}"),
        scope("test_b", f"llvm-O2-{row}"),
        # parameters of the user's before and behind
        scope("test_c", f"0.5-llvm-O2-{row}"),
        scope("test_c", f"llvm-O2-{row}-0.5"),
        scope("test_c", f"llvm-O2-{row}-a-b"),
    }
    assert len(named) == 1
    assert scope("test_a", f"llvm-O3-{row}") not in named


def test_other_tests_are_scopes_of_their_own():
    one = scheduling.RowScheduling._split_scope(None, "test_it.py::test_a")
    assert one == "test_it.py::test_a"
    assert scope("test_a", "x") != scope("test_a", "y")
