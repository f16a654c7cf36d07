"""What differs from run to run in the report, and which assertions it makes doubtful."""

import json

import pytest
from told import CELL, build, plan, row

from pytest_mutatenn.report.noise import (
    NOT_ASKED,
    RECORDED,
    floor_in,
    merge_noise,
    noise_of,
    write_noise,
)

METRICS = {"max_abs_diff": 2e-6, "top1_agreement": 0.0, "kendall_tau": 0.25, "topk_agreement": 0.1}
NOISE = {"repeats": 3, "output": 2e-6, "metrics": METRICS}


def baseline(noise=NOISE, **more):
    return row(None, "a", "passed", stats={"noise": noise}, **more)


def test_nothing_is_measured_where_nobody_asks():
    record = build([row(None, "a", "passed")], {CELL: plan()})

    assert record["noise"] == {"repeats": 0, "off": NOT_ASKED, "cells": [], "pairs": []}


def test_of_several_measurements_of_a_cell_the_largest_counts():
    other = {**NOISE, "output": 1e-6, "metrics": {**METRICS, "kendall_tau": 0.5, "accuracy": 0.1}}

    (cell,) = noise_of([baseline(), {**baseline(other), "test": "b"}], 3)["cells"]

    assert (cell["model"], cell["cell"], cell["repeats"], cell["off"]) == ("m", CELL, 3, "")
    assert cell["output"] == 2e-6
    assert cell["metrics"] == {**METRICS, "kendall_tau": 0.5, "accuracy": 0.1}


def test_tests_that_compare_cells_measure_them_too():
    parts = {"llvm-O0": {"noise": NOISE}, "llvm-O2": {"noise": {**NOISE, "output": 0.0}}}
    group = row(None, "a", "passed", cell="llvm-O0~llvm-O2", stats={"parts": parts})

    found = noise_of([group], 3)["cells"]

    assert [(e["cell"], e["output"]) for e in found] == [("llvm-O0", 2e-6), ("llvm-O2", 0.0)]


def test_a_recording_is_not_repeated_and_says_so():
    (cell,) = noise_of([baseline({"repeats": 0})], 3)["cells"]

    assert cell == {
        "model": "m",
        "cell": CELL,
        "repeats": 0,
        "off": RECORDED,
        "output": None,
        "metrics": {},
    }


def test_a_floor_without_limit_is_null_in_json():
    endless = {**NOISE, "output": float("inf"), "metrics": {"max_abs_diff": float("inf")}}

    (cell,) = noise_of([baseline(endless)], 3)["cells"]

    assert cell["output"] is None
    json.dumps(cell, allow_nan=False)
    assert floor_in(cell["metrics"], "max_abs_diff") == float("inf")


@pytest.mark.parametrize(
    ("metric", "floor"),
    [
        ("kendall_tau", 0.25),
        ("kendall_tau.min()", 0.25),
        ("kendall_tau.max()", 0.25),
        ("kendall_tau.mean()", None),
        ("topk_agreement(k=3)", 0.1),
        ("top1_agreement", 0.0),
        ("mine", None),
    ],
)
def test_the_floor_of_what_a_test_compares(metric, floor):
    assert floor_in(METRICS, metric) == floor


def compared(metric, op, bound, value):
    return {
        "metric": metric,
        "op": op,
        "bound": bound,
        "value": value,
        "met": True,
        "exact": True,
    }


@pytest.mark.parametrize(
    ("margin", "doubtful"),
    [
        (compared("max_abs_diff", "<=", 1e-5, 9e-6), True),
        (compared("max_abs_diff", "<=", 1e-5, 7e-6), False),
        (compared("kendall_tau", ">=", 0.8, 1.0), True),
        (compared("top1_agreement", ">=", 1.0, 1.0), False),  # it never changes
        (compared("mine", ">=", 1.0, 1.0), False),
    ],
)
def test_a_test_nearer_to_its_bound_than_repeats_are_apart_is_warned_about(margin, doubtful):
    record = build([baseline(margins=[margin])], {CELL: plan()})

    assert len(record["warnings"]) == doubtful
    if doubtful:
        (text,) = record["warnings"]
        assert text.startswith(f"a may fail by chance in {CELL}: {margin['metric']}")
        assert text.endswith("from run to run. Give it more room.")


def part(cells, pairs=(), repeats=3):
    return {"repeats": repeats, "off": "", "cells": list(cells), "pairs": list(pairs)}


def test_reports_of_several_runs_are_one():
    one = noise_of([baseline()], 3)
    endless = {**NOISE, "metrics": {"kendall_tau": float("inf")}}
    other = noise_of([baseline(endless), baseline({"repeats": 0}, cell="recorded-O2")], 5)
    pair = {"model": "m", "a": "x", "b": "y", "output": 0.5, "metrics": {}}
    one["pairs"] = other["pairs"] = [pair]
    off = noise_of([], 0)

    found = merge_noise([one, other, off])

    assert found == merge_noise([off, other, one])
    assert (found["repeats"], found["off"], found["pairs"]) == (5, "", [pair])
    here, recorded = found["cells"]
    assert (here["output"], here["metrics"]["kendall_tau"]) == (2e-6, None)
    assert recorded["off"] == RECORDED
    assert merge_noise([off, off]) == off


def summary(record):
    lines = []
    write_noise(record, lambda text, **_: lines.append(text), verbose=False)
    return lines


def test_the_summary_says_what_differs():
    quiet = {**NOISE, "output": 0.0, "metrics": dict.fromkeys(METRICS, 0.0)}
    rows = [baseline(), baseline(quiet, cell="llvm-O0"), baseline({"repeats": 0}, cell="old-O0")]
    gathered = build(rows, {CELL: plan()})
    assert summary(gathered) == []

    lines = summary({**gathered, "noise": noise_of(rows, 3)})

    assert lines[1:] == [
        "the unmutated network, run 3 more times in each cell:",
        "the same bits every time in 1 cell",
        "llvm-O2  differs from run to run by up to 2e-06; kendall_tau by 0.25, "
        "topk_agreement by 0.1",
        "old-O0  not repeated: a recording: nothing runs",
    ]


def test_the_summary_counts_what_is_indistinguishable():
    rows = [baseline()]
    for name, result in (("x@k#1", "passed"), ("y@k#1", "failed"), ("z@k#1", "failed")):
        rows.append(row(name, "a", result))
    record = build(rows, {CELL: plan("x@k#1", "y@k#1", "z@k#1")})
    record["noise"] = noise_of(rows, 3)
    for mutant, found in zip(record["mutants"], (True, True, None), strict=True):
        mutant["cells"][CELL]["indistinguishable"] = found

    lines = summary(record)

    assert any("2 verdicts on mutants INDISTINGUISHABLE" in text for text in lines)
    assert any("(1 survived, 1 detected)" in text for text in lines)
    assert any(text.startswith("not known of 1,") for text in lines)


def test_the_summary_says_that_nothing_could_be_repeated():
    record = build([row(None, "a", "passed")], {CELL: plan()})

    lines = summary({**record, "noise": noise_of([], 3)})

    assert lines == ["", "nothing was repeated: no test looks at predictions"]
