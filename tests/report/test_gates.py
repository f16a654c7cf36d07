"""What turns the exit code."""

import pytest
from told import GREEN, build, plan, row

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.report.gates import CONDITIONS, check_conditions, gates

A, B = "llvm-O2", "llvm-O3"


@pytest.fixture
def record():
    """One mutant, which one cell detects and the other does not."""
    rows = [*GREEN, *({**green, "cell": B} for green in GREEN)]
    rows += [row("x@k#1", "a", "failed"), row("x@k#1", "a", "passed", cell=B)]
    return build(rows, {A: plan("x@k#1"), B: plan("x@k#1")})


def test_all_is_well(record):
    assert gates(record, None, ()) == []
    assert gates(record, 50, ()) == []


def test_several_gates_say_what_each_minds(record):
    assert gates(record, 60, ("divergent",), "mutatenn-") == [
        "--mutatenn-fail-under: required 60 %, reached 50.00 %",
        "--mutatenn-fail-on=divergent: cells disagree on 1 mutant: x@k#1",
    ]


def test_a_condition_that_does_not_hold_is_silent(record):
    record["divergent"] = []
    assert all(condition(record) is None for condition in CONDITIONS.values())


def test_nothing_tested_is_not_green():
    record = build(GREEN, {A: plan("x@k#1")})
    assert gates(record, None, ())[0].startswith("No mutant was tested: 1 x not run")


def test_a_red_baseline_is_what_is_said_where_nothing_was_tested():
    record = build([row(None, "a", "failed")], {A: plan("x@k#1")})
    assert gates(record, 10, ("divergent",))[0].startswith("1 test fails on the unmutated model")


def test_unknown_conditions_are_refused():
    with pytest.raises(MutatennError, match=r"--fail-on: unknown condition 'divergant'.* Did you"):
        check_conditions(["divergant"], "--fail-on")
    assert check_conditions(["divergent", "divergent"], "--fail-on") == ("divergent",)
