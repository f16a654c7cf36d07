"""Which comparison speaks for a test, and which mutants are near a bound."""

import json

from told import CELL, build, plan, row

from pytest_mutatenn.report import margins
from pytest_mutatenn.report.margins import FEW_INPUTS, NO_METRIC, margins_of, write_margins


def compared(value, bound=0.9, metric="top1", op=">=", exact=True):
    met = eval(f"value {op} bound", {"value": value, "bound": bound})
    return {"metric": metric, "op": op, "bound": bound, "value": value, "met": met, "exact": exact}


def report(baseline, mutant, result="passed", **more):
    """A report of one test: what it compares on the unmutated network, and on a mutant."""
    rows = [
        row(None, "a", "passed", margins=baseline),
        row("x@k#1", "a", result, margins=mutant, **more),
    ]
    return build(rows, {CELL: plan("x@k#1")})


def of_mutant(record):
    return record["mutants"][0]["cells"][CELL]["margins"]


def test_a_margin_stands_with_its_mutant_and_with_the_unmutated_network():
    record = report([compared(1.0)], [compared(0.925)])

    common = {"metric": "top1", "op": ">=", "bound": 0.9, "exact": True}
    assert of_mutant(record) == [
        {"test": "a", **common, "value": 0.925, "margin": 0.025, "relative": 0.25}
    ]
    assert record["baseline"][0]["margins"] == [{**common, "value": 1.0, "margin": 0.1}]


def test_of_a_test_that_passes_the_comparison_with_least_room_left_speaks():
    baseline = [compared(1.0), compared(0.0, 1e-4, "diff", "<=")]

    (found,) = of_mutant(report(baseline, [compared(0.91), compared(2e-5, 1e-4, "diff", "<=")]))
    assert (found["metric"], found["relative"]) == ("top1", 0.1)
    (found,) = of_mutant(report(baseline, [compared(0.91), compared(9.5e-5, 1e-4, "diff", "<=")]))
    assert (found["metric"], found["relative"]) == ("diff", 0.05)


def test_of_a_test_that_fails_the_comparison_that_it_fails_by_speaks():
    baseline = [compared(1.0), compared(0.0, 1e-4, "diff", "<=")]
    mutant = [compared(0.95), compared(4e-4, 1e-4, "diff", "<=")]

    (found,) = of_mutant(report(baseline, mutant, "failed"))

    assert (found["metric"], found["margin"], found["relative"]) == ("diff", -3e-4, -3.0)


def test_the_unmutated_network_says_which_side_of_a_bound_is_right():
    # assert not top1 < 0.9
    record = report([compared(1.0, op="<")], [compared(0.8, op="<")], "failed")

    (found,) = of_mutant(record)
    assert (found["op"], found["margin"]) == (">=", -0.1)
    assert record["baseline"][0]["margins"][0]["op"] == ">="


def test_what_comes_out_otherwise_and_fails_nothing_was_not_asserted():
    baseline = [compared(1.0, 0.99, "asked"), compared(1.0)]

    (found,) = of_mutant(report(baseline, [compared(0.5, 0.99, "asked"), compared(0.95)]))

    assert found["metric"] == "top1"


def test_a_comparison_that_goes_both_ways_on_the_unmutated_network_is_no_bound():
    both = [compared(1.0, 0.5), compared(0.1, 0.5)]

    record = report([*both, compared(1.0)], [compared(0.51, 0.5), compared(0.95)])

    assert [entry["bound"] for entry in of_mutant(record)] == [0.9]
    assert [entry["bound"] for entry in record["baseline"][0]["margins"]] == [0.9]


def test_a_test_without_comparisons_has_no_margin():
    assert of_mutant(report([], [], "failed")) == []
    assert report([], [], "failed")["margins"]["not_known"] == {NO_METRIC: 1}


def test_a_bound_that_the_unmutated_network_just_reaches_is_measured_by_itself():
    exact = [compared(1.0, 1.0)]

    (found,) = of_mutant(report(exact, [compared(0.9, 1.0)], "failed"))
    assert found["relative"] == -0.1
    (found,) = of_mutant(report(exact, [compared(1.0, 1.0)]))
    assert (found["margin"], found["relative"]) == (0, None)
    (found,) = of_mutant(report([compared(0, 0, "n", "==")], [compared(3, 0, "n", "==")], "failed"))
    assert found["relative"] == -3


def test_a_margin_that_is_not_finite_is_null():
    record = report([compared(0.0, 1, "diff", "<=")], [compared(float("inf"), 1, "diff", "<=")],
                    "failed")  # fmt: skip

    (found,) = of_mutant(record)
    assert found["value"] is found["margin"] is found["relative"] is None
    assert record["margins"]["barely_killed"] == []
    json.dumps(record, allow_nan=False)


def test_only_tests_that_count_have_margins():
    rows = [
        row(None, "a", "passed", margins=[compared(1.0)]),
        row(None, "b", "passed", 1, margins=[compared(1.0)]),
        row(None, "c", "failed", 2, margins=[compared(0.1)]),
        *[
            row("x@k#1", test, "failed", i, margins=[compared(0.85)])
            for i, test in enumerate("abc")
        ],
    ]

    def tests(full_matrix):
        record = build(rows, {CELL: plan("x@k#1")}, full_matrix=full_matrix)
        return [entry["test"] for entry in of_mutant(record)]

    assert tests(full_matrix=False) == ["a"]
    assert tests(full_matrix=True) == ["a", "b"]


def test_what_did_not_run_has_none():
    stats = {"code_digest": "same"}
    rows = [
        row(None, "a", "passed", margins=[compared(1.0)]),
        row("x@k#1", "a", "passed", stats=stats, margins=[compared(0.95)]),
        row("y@k#1", "a", "verdict", verdict="DUPLICATE", stats=stats),
        row("z@k#1", "a", "verdict", verdict="EQUIVALENT"),
    ]

    record = build(rows, {CELL: plan("x@k#1", "y@k#1", "z@k#1")})

    found = {m["id"]: len(m["cells"][CELL]["margins"]) for m in record["mutants"]}
    assert found == {"x@k#1": 1, "y@k#1": 0, "z@k#1": 0}


def several(values, result, **more):
    """A report of a mutant for each value."""
    names = [f"m{i}@k#1" for i in range(len(values))]
    rows = [row(None, "a", "passed", margins=[compared(1.0)])]
    for name, value in zip(names, values, strict=True):
        rows.append(row(name, "a", result, margins=[compared(value, **more)]))
    return build(rows, {CELL: plan(*names)})


def test_survivors_nearer_to_a_bound_than_the_unmutated_network_are_nearly_killed():
    found = several([0.95, 1.0, 0.9, 0.99], "passed")["margins"]

    assert [entry["mutant"] for entry in found["nearly_killed"]] == ["m2@k#1", "m0@k#1", "m3@k#1"]
    assert found["nearly_killed"][0] == {
        "model": "m",
        "mutant": "m2@k#1",
        "cell": CELL,
        "test": "a",
        "metric": "top1",
        "op": ">=",
        "bound": 0.9,
        "value": 0.9,
        "margin": 0.0,
        "relative": 0.0,
    }
    assert found["barely_killed"] == []


def test_killed_mutants_no_farther_beyond_than_the_unmutated_network_has_room_are_barely_killed():
    found = several([0.85, 0.5, 0.89], "failed")["margins"]

    assert [entry["mutant"] for entry in found["barely_killed"]] == ["m2@k#1", "m0@k#1"]
    assert found["nearly_killed"] == []
    assert found["not_known"] == {}


def test_what_few_inputs_have_decided_is_not_known():
    found = several([0.89, 0.89], "failed", exact=False)["margins"]

    assert found["barely_killed"] == []
    assert found["not_known"] == {FEW_INPUTS: 2}


def test_of_several_tests_that_kill_the_clearest_says_how_barely():
    rows = [row(None, test, "passed", i, margins=[compared(1.0)]) for i, test in enumerate("ab")]
    rows.append(row("x@k#1", "a", "failed", margins=[compared(0.89)]))
    clear = row("x@k#1", "b", "failed", 1, margins=[compared(0.2)])
    barely = row("x@k#1", "b", "failed", 1, margins=[compared(0.85)])

    def found(last):
        record = build([*rows, last], {CELL: plan("x@k#1")}, full_matrix=True)
        return [(e["test"], e["value"]) for e in record["margins"]["barely_killed"]]

    assert found(clear) == []
    assert found(barely) == [("b", 0.85)]


def test_lists_say_how_many_they_leave_out(monkeypatch):
    record = several([0.95, 0.96, 0.97], "passed")
    monkeypatch.setattr(margins, "KEPT", 2)

    found = margins_of(record["mutants"])

    assert [entry["value"] for entry in found["nearly_killed"]] == [0.95, 0.96]
    assert found["left_out"] == {"nearly_killed": 1, "barely_killed": 0}


def test_the_summary_shows_the_nearest():
    record = several([0.95, 0.96, 0.97, 0.91], "passed")

    def lines(verbose):
        found = []
        write_margins(record, lambda text, **_: found.append(text), verbose=verbose)
        return found

    short = lines(verbose=False)
    assert short[1].endswith("(4):")
    assert short[2:4] == [
        "m3@k#1  llvm-O2",
        "    a: top1 is 0.91, wanted >= 0.9; 10 % of the unmutated network's room left",
    ]
    assert short[-1].startswith("  ... and 1 more")
    assert len(lines(verbose=True)) == 2 + 2 * 4
