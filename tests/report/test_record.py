"""The report as data, from rows as processes tell them."""

import json
from pathlib import Path

import pytest
from told import CELL, GREEN, build, plan, row

from pytest_mutatenn.report.formats import json as writer
from pytest_mutatenn.report.record import Gathered, build_record
from pytest_mutatenn.tally import Tally


def there(record, index=0, cell=CELL):
    return record["mutants"][index]["cells"][cell]


def test_the_first_test_in_order_that_fails_has_killed_it():
    rows = [*GREEN, row("x@k#1", "b", "failed", 1, reason="why"), row("x@k#1", "a", "passed")]

    found = there(build(rows, {CELL: plan("x@k#1")}))

    assert (found["verdict"], found["reason"]) == ("KILLED", "why")
    assert (found["killed_by"], found["survived"]) == (["b"], ["a"])


def test_what_ran_after_the_kill_counts_only_in_the_full_matrix():
    stats = {"infected": 3, "code_digest": "c"}
    rows = [
        *GREEN,
        row("x@k#1", "a", "failed", 0, stats={"code_digest": "c"}),
        row("x@k#1", "b", "failed", 1, stats=stats),
    ]

    once = there(build(rows, {CELL: plan("x@k#1")}))
    full = there(build(rows, {CELL: plan("x@k#1")}, full_matrix=True))

    assert (once["killed_by"], once["infected"], once["code_digest"]) == (["a"], None, "c")
    assert (full["killed_by"], full["infected"]) == (["a", "b"], 3)


@pytest.mark.parametrize(
    "result", [{"result": "failed"}, {"result": "verdict", "verdict": "CRASHED"}]
)
def test_a_test_that_is_red_on_the_baseline_decides_nothing(result):
    red = [row(None, "a", "failed"), row(None, "b", "passed", 1)]
    rows = [*red, row("x@k#1", "a", **result), row("x@k#1", "b", "passed", 1)]

    found = there(build(rows, {CELL: plan("x@k#1")}))

    assert (found["verdict"], found["survived"]) == ("SURVIVED", ["b"])


def test_with_only_red_tests_nothing_is_known():
    rows = [row(None, "a", "failed"), row("x@k#1", "a", "failed")]

    record = build(rows, {CELL: plan("x@k#1")})

    assert there(record)["verdict"] == "SKIPPED"
    assert there(record)["reason"] == "a fails on the baseline"
    assert record["score"]["overall"]["score"] is None
    assert record["baseline"][0]["outcome"] == "failed"


def test_of_the_same_code_the_first_in_the_plan_stands_for_all():
    same = {"stats": {"code_digest": "c", "infected": 1}}
    # the second was met first, by another worker
    rows = [*GREEN, row("y@k#1", "a", "passed", **same), row("x@k#1", "a", "failed", **same)]

    record = build(rows, {CELL: plan("x@k#1", "y@k#1")})

    assert there(record, 0)["verdict"] == "KILLED"
    assert there(record, 1)["verdict"] == "DUPLICATE"
    assert there(record, 1)["reason"] == "the same code as x@k#1"
    assert there(record, 1)["infected"] is None
    assert record["excluded"]["DUPLICATE"] == 1
    assert record["score"]["overall"] == {
        "detected": 1,
        "survived": 0,
        "score": 100.0,
        "low": None,
        "high": None,
    }


def test_cells_that_disagree_are_divergent_and_cells_without_the_site_say_so():
    other = "llvm-O3"
    rows = [
        *GREEN,
        row(None, "a", "passed", cell=other),
        row("x@k#1", "a", "failed"),
        row("x@k#1", "a", "passed", cell=other),
        row("y@k#1", "a", "failed"),
    ]

    record = build(rows, {CELL: plan("x@k#1", "y@k#1"), other: plan("x@k#1")})

    assert [mutant["divergent"] for mutant in record["mutants"]] == [True, False]
    assert there(record, 1, other)["verdict"] == "SKIPPED"
    assert there(record, 1, other)["reason"] == "this cell's lowering has no such site"
    assert record["score"]["by_cell"][other]["survived"] == 1


def test_an_error_is_no_verdict():
    rows = [*GREEN[:1], row("x@k#1", "a", "error", reason="fixture broke")]
    found = there(build(rows, {CELL: plan("x@k#1")}))
    assert (found["verdict"], found["reason"]) == ("SKIPPED", "a: fixture broke")


def test_it_does_not_depend_on_the_order_of_the_rows(tmp_path):
    rows = [
        *GREEN,
        row("x@k#1", "a", "failed"),
        row("x@k#1", "b", "failed", 1),
        row("y@k#1", "a", "passed"),
        row("y@k#1", "b", "passed", 1),
        row("canary", "a", "failed"),
        row("identity", "a", "passed"),
    ]
    plans = {CELL: plan("x@k#1", "y@k#1", absent=[{"operator": "z", "stage": "graph"}])}

    one, other = build(rows, plans), build(rows[::-1], plans)
    writer.write(one, tmp_path / "one.json")
    writer.write(other, tmp_path / "other.json")

    assert (tmp_path / "one.json").read_text() == (tmp_path / "other.json").read_text()
    assert json.loads((tmp_path / "one.json").read_text())["schema"] == "mutatenn/1"
    assert [(c["id"], c["verdict"]) for c in one["checks"]] == [
        ("canary", "KILLED"),
        ("identity", "SURVIVED"),
    ]


def test_a_sample_has_an_interval():
    rows = [*GREEN, row("x@k#1", "a", "failed"), row("y@k#1", "a", "passed")]
    found = build(rows, {CELL: plan("x@k#1", "y@k#1")}, sampled=True)["score"]["overall"]
    # Wilson's interval of one in two
    assert (found["low"], found["high"]) == pytest.approx((9.4531, 90.5469), abs=1e-3)


def test_a_process_that_read_no_inputs_does_not_hide_that_another_did():
    tally = Tally(None, [], Path())
    read = {"id": "m", "digest": "d", "dataset": {"count": 3}}
    unread = {"id": "m", "digest": "d", "dataset": None}
    for models in ({"m": unread}, {"m": read}, {"m": dict(unread)}):
        told_by_it = {"models": models, "cells": {}, "plans": [], "counters": {"steps": 2}}
        tally.add_process({**told_by_it, "tests": {}, "notes": [], "sources": {}, "recorded": {}})

    assert tally.gathered.models["m"]["dataset"] == {"count": 3}
    assert tally.gathered.counters == {"steps": 6}


def test_mutants_that_left_each_other_out_as_duplicates_keep_one_verdict():
    # two workers: each met another of the two first, on another test
    code = {"stats": {"code_digest": "same"}}
    rows = [
        *GREEN,
        row("x@k#1", "a", "passed", **code),
        row("y@k#1", "a", "verdict", verdict="DUPLICATE", reason="the same code as x@k#1", **code),
        row("x@k#1", "b", "verdict", 1, verdict="DUPLICATE", reason="the same as y@k#1", **code),
        row("y@k#1", "b", "failed", 1, **code),
    ]

    record = build(rows, {CELL: plan("x@k#1", "y@k#1")})

    assert there(record, 0)["verdict"] == "KILLED"
    assert (there(record, 0)["survived"], there(record, 0)["killed_by"]) == (["a"], ["b"])
    assert there(record, 1)["verdict"] == "DUPLICATE"
    assert record["score"]["overall"]["detected"] == 1


def test_a_duplicate_keeps_the_lines_of_its_own():
    ran = {"stats": {"code_digest": "same", "before": "p", "after": "q"}}
    left_out = {"stats": {"code_digest": "same", "before": "r", "after": "s"}}
    rows = [
        *GREEN,
        row("x@k#1", "a", "passed", **ran),
        row("y@k#1", "a", "verdict", verdict="DUPLICATE", reason="the same as x@k#1", **left_out),
    ]

    record = build(rows, {CELL: plan("x@k#1", "y@k#1")})

    assert [(there(record, i)["before"], there(record, i)["after"]) for i in (0, 1)] == [
        ("p", "q"),
        ("r", "s"),
    ]


def test_a_row_that_several_workers_ran_counts_once():
    rows = [*GREEN, *GREEN, *2 * [row("x@k#1", "a", "failed")]]

    record = build(rows, {CELL: plan("x@k#1")})

    assert len(record["baseline"]) == 2
    assert there(record)["killed_by"] == ["a"]


def test_who_killed_the_canary_does_not_depend_on_what_was_spared():
    first = [row(None, "a", "passed"), row(None, "b", "passed", 1), row("canary", "a", "failed")]
    spared = build([*first, row("canary", "b", "spared", 1)], {})
    ran = build([*first, row("canary", "b", "failed", 1)], {})
    assert spared["checks"] == ran["checks"]
    assert spared["checks"][0]["killed_by"] == ["a"]


def told(fingerprint="x86-64-v3", digest="d"):
    return {
        "models": {"m": {"id": "m", "digest": digest, "dataset": None}},
        "cells": {CELL: {"id": CELL, "fingerprint": fingerprint}},
        "plans": [],
        "counters": {},
        "tests": {},
        "notes": [],
        "sources": {},
        "recorded": {},
    }


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (told(), []),
        (told("x86-64-v4"), ["llvm-O2: workers on different processors took part"]),
        (told(digest="e"), ["m: workers have different files of this network"]),
    ],
)
def test_processes_that_differ_are_a_warning(other, said):
    tally = Tally(None, [], Path())
    for process in (told(), other, other):
        tally.add_process(process)
    found = build_record(tally.gathered, {}, full_matrix=False, sampled=False)["warnings"]
    assert len(found) == len(said)
    for text, start in zip(found, said, strict=True):
        assert text.startswith(start)


def test_it_says_where_the_tests_stand_and_what_the_operators_do():
    place = {"file": "test_a.py", "line": 7, "marker": 3}
    gathered = Gathered(
        rows=[row(None, "a", "passed"), row("x@k#1", "a", "failed")],
        plans={("m", CELL): plan("x@k#1", "y@k#1", "y@k#2")},
        tests={"a": place, "not run": place},
    )
    found = build_record(gathered, {}, full_matrix=False, sampled=False)
    assert found["tests"] == [{"test": "a", **place}]
    assert found["operators"] == [
        {"id": name, "category": "stores", "summary": "Change it."} for name in ("x", "y")
    ]
