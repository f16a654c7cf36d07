"""Tests that compare cells: what they say of each cell, and of the cells together."""

import pytest
from told import plan, row

from pytest_mutatenn.report.record import Gathered, build_record

A, B = "llvm-O0", "llvm-O2"
PAIR = f"{A}~{B}"
OVER = f"p ({PAIR})"


def over(mutant, result, parts=None, order=1, **more):
    """A row of a test that compares two cells."""
    stats = {"parts": parts or {}, "code_digest": (parts or {}).get("digest")}
    found = row(mutant, "p", result, order, PAIR, stats=stats, **more)
    return {**found, "cells": [A, B]}


def alone(mutant, result, cell, **more):
    return row(mutant, "a", result, cell=cell, **more)


GREEN = [alone(None, "passed", A), alone(None, "passed", B), over(None, "passed")]


def build(rows, *names, full_matrix=False, plans=None):
    plans = plans or {A: plan(*names), B: plan(*names)}
    gathered = Gathered(rows=rows, plans={("m", cell): p for cell, p in plans.items()})
    return build_record(gathered, {}, full_matrix=full_matrix, sampled=False)


def cells(record, index=0):
    return {cell: t["verdict"] for cell, t in record["mutants"][index]["cells"].items()}


def test_a_mutant_that_only_the_comparison_kills_is_killed_once_in_each_cell():
    rows = [
        *GREEN,
        alone("x@k#1", "passed", A),
        alone("x@k#1", "passed", B),
        over("x@k#1", "failed", reason="why"),
    ]

    record = build(rows, "x@k#1")

    assert cells(record) == {A: "KILLED", B: "KILLED"}
    there = record["mutants"][0]["cells"][A]
    assert (there["alone"], there["killed_by"], there["survived"]) == ("SURVIVED", [OVER], ["a"])
    column = record["mutants"][0]["groups"][PAIR]
    assert (column["verdict"], column["killed_by"], column["reason"]) == ("KILLED", ["p"], "why")
    assert record["score"]["overall"]["detected"] == 2
    assert record["score"]["by_group"][PAIR]["detected"] == 1
    assert list(record["score"]["by_cell"]) == [A, B]


def test_a_comparison_that_passes_takes_nothing_from_the_score():
    without = [*GREEN[:2], alone("x@k#1", "failed", A), alone("x@k#1", "passed", B)]
    record = build([*without, GREEN[2], over("x@k#1", "passed")], "x@k#1")

    assert record["score"]["overall"] == build(without, "x@k#1")["score"]["overall"]
    assert record["mutants"][0]["cells"][B]["survived"] == ["a", OVER]
    assert record["score"]["by_group"][PAIR]["survived"] == 1


def test_what_it_kills_beside_them_does_not_hide_that_cells_disagree():
    rows = [
        *GREEN,
        alone("x@k#1", "failed", A),
        alone("x@k#1", "passed", B),
        over("x@k#1", "failed"),
    ]

    record = build(rows, "x@k#1")

    assert cells(record) == {A: "KILLED", B: "KILLED"}
    assert record["mutants"][0]["divergent"]
    assert record["divergent"][0]["verdicts"] == {A: "KILLED", B: "SURVIVED"}


@pytest.mark.parametrize("ran", [True, False], ids=["ran", "spared"])
def test_what_each_cell_detects_is_not_in_the_column_whether_it_ran_or_not(ran):
    rows = [*GREEN, alone("x@k#1", "failed", A), alone("x@k#1", "failed", B)]
    rows += [over("x@k#1", "failed") if ran else over("x@k#1", "spared", reason="known")]

    column = build(rows, "x@k#1")["mutants"][0]["groups"][PAIR]

    assert (column["verdict"], column["reason"]) == ("SKIPPED", "detected in each of its cells")


def test_with_the_full_matrix_it_is():
    rows = [*GREEN, alone("x@k#1", "failed", A), alone("x@k#1", "failed", B)]
    record = build([*rows, over("x@k#1", "failed")], "x@k#1", full_matrix=True)

    assert record["mutants"][0]["groups"][PAIR]["verdict"] == "KILLED"
    assert record["mutants"][0]["cells"][A]["killed_by"] == ["a", OVER]


def test_a_comparison_that_is_red_on_the_baseline_kills_nothing():
    rows = [*GREEN[:2], over(None, "failed"), alone("x@k#1", "passed", A)]
    record = build([*rows, alone("x@k#1", "passed", B), over("x@k#1", "failed")], "x@k#1")

    assert cells(record) == {A: "SURVIVED", B: "SURVIVED"}
    assert record["mutants"][0]["groups"][PAIR]["verdict"] == "SKIPPED"


def test_a_suite_of_comparisons_alone_has_a_score():
    parts = {A: {"equivalent": True, "code_digest": "0"}, B: {"code_digest": "1"}}
    record = build([GREEN[2], over("x@k#1", "failed", parts)], "x@k#1")

    assert cells(record) == {A: "EQUIVALENT", B: "KILLED"}
    assert record["score"]["overall"]["detected"] == 1


def test_a_death_in_one_cell_says_nothing_of_the_other():
    parts = {A: {}, B: {"verdict": "CRASHED", "reason": "died"}}
    dead = over("x@k#1", "verdict", parts, verdict="CRASHED", reason=f"{B}: died")
    record = build([GREEN[2], dead], "x@k#1")

    assert cells(record) == {A: "SKIPPED", B: "CRASHED"}
    assert record["mutants"][0]["groups"][PAIR]["verdict"] == "CRASHED"
    assert (
        build([*GREEN, alone("x@k#1", "passed", A), dead], "x@k#1")["mutants"][0]["cells"][A][
            "verdict"
        ]
        == "SURVIVED"
    )


def test_a_mutant_that_a_cell_lacks_says_so_and_one_of_a_cell_has_no_column():
    lonely = {A: plan("x@k#1", "y@k#1"), B: plan("y@k#1")}
    lonely[A]["mutants"][1]["stage"] = lonely[B]["mutants"][0]["stage"] = "device"
    lonely[A]["mutants"][1]["name"], lonely[B]["mutants"][0]["name"] = "y@A", "y@B"

    record = build(GREEN, plans=lonely)

    assert [mutant["id"] for mutant in record["mutants"]] == ["x@k#1", "y@A", "y@B"]
    column = record["mutants"][0]["groups"][PAIR]
    assert (column["verdict"], column["reason"]) == ("SKIPPED", f"not among the mutants of {B}")
    assert record["mutants"][1]["groups"] == {}


def test_of_mutants_with_the_same_code_everywhere_the_first_stands_for_all():
    def ran(mutant, result, **more):
        found = over(mutant, result, {cell: {"code_digest": cell} for cell in (A, B)}, **more)
        found["stats"]["code_digest"] = "both"
        return found

    rows = [GREEN[2], ran("x@k#1", "verdict", verdict="DUPLICATE"), ran("y@k#1", "failed")]
    record = build(rows, "x@k#1", "y@k#1")

    columns = [mutant["groups"][PAIR]["verdict"] for mutant in record["mutants"]]
    assert columns == ["KILLED", "DUPLICATE"]
    assert [cells(record, i)[A] for i in (0, 1)] == ["KILLED", "DUPLICATE"]


def test_the_margin_of_a_comparison_of_cells_stands_with_each_of_them():
    def compared(value):
        return [
            {
                "metric": "max_abs_diff",
                "op": "<=",
                "bound": 0.1,
                "value": value,
                "met": value <= 0.1,
                "exact": True,
            }
        ]

    rows = [
        *GREEN[:2],
        over(None, "passed", margins=compared(0.0)),
        alone("x@k#1", "passed", A),
        alone("x@k#1", "passed", B),
        over("x@k#1", "failed", margins=compared(0.15)),
    ]

    record = build(rows, "x@k#1")

    for cell in (A, B):
        (found,) = record["mutants"][0]["cells"][cell]["margins"]
        assert (found["test"], found["margin"], found["relative"]) == (OVER, -0.05, -0.5)
    assert [entry["cell"] for entry in record["margins"]["barely_killed"]] == [A, B]
