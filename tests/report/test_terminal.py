"""The summary, as people read it."""

import pytest
from told import CELL, GREEN, build, plan, row

from pytest_mutatenn.report.differences import write_differences
from pytest_mutatenn.report.terminal import write_summary
from pytest_mutatenn.report.words import cut


def summary(record, **options):
    lines = []
    write_summary(
        record,
        lambda text, **_: lines.append(text),
        titles={"stores": "Stores"},
        **{"verbose": False, **options},
    )
    return lines


def survivor(name, **stats):
    return row(name, "a", "passed", stats={"infected": 0, "propagated": 0, **stats})


def test_the_table_has_a_line_a_category_and_the_score():
    rows = [*GREEN, row("x@k#1", "a", "failed"), row("y@k#1", "a", "passed")]

    lines = summary(build(rows, {CELL: plan("x@k#1", "y@k#1")}))

    assert "Stores                 1         1  50.0 %" in lines
    assert "mutation score         1         1  50.0 %" in lines
    assert not any(line.startswith("llvm-O2 ") for line in lines)


@pytest.mark.parametrize(
    ("stats", "text"),
    [
        ({}, "no input shows it: the changed kernel gives the same bits for all of them"),
        ({"infected": 1}, "the fault shows inside for 1 input, and the network masks it"),
        ({"infected": 4}, "the fault shows inside for 4 inputs, and the network masks it"),
        (
            {"infected": 4, "propagated": 3, "top1_changed": 2},
            "the output differs for 3 inputs, the top-1 for 2: the assertions allow it",
        ),
    ],
)
def test_a_survivor_says_what_to_mend(stats, text):
    lines = summary(build([*GREEN, survivor("x@k#1", **stats)], {CELL: plan("x@k#1")}))

    at = lines.index("x@k#1  llvm-O2")
    assert lines[at - 1] == "1 mutant survived:"
    assert lines[at + 1 : at + 5] == ["    layer k", "    - a", "    + b", f"    {text}"]


def test_a_survivor_is_shown_with_the_inputs_that_show_most():
    seen = {"infected": 4, "propagated": 3, "top1_changed": 2}
    unseen = {"infected": 0, "propagated": 0, "top1_changed": 0}
    rows = [
        row("x@k#1", "a", "passed", stats=seen),
        row("x@k#1", "b", "passed", 1, stats=unseen),
    ]
    lines = summary(build([*GREEN, *rows], {CELL: plan("x@k#1")}))

    assert "    the output differs for 3 inputs, the top-1 for 2: the assertions allow it" in lines


def test_many_survivors_are_cut_and_that_is_said():
    names = [f"{operator}@k#{i}" for operator in "xyz" for i in range(1, 6)]
    record = build([*GREEN, *map(survivor, names)], {CELL: plan(*names)})

    short, long = summary(record), summary(record, verbose=True)

    shown = [line.split()[0] for line in short if "@k#" in line]
    assert len(shown) == 10
    assert {name[0] for name in shown} == set("xyz")
    assert any("and 5 more" in line for line in short)
    assert sum("@k#" in line for line in long) == 15
    assert not any("more;" in line for line in long)


def test_a_long_line_is_cut_around_what_changed():
    record = build([*GREEN, survivor("x@k#1")], {CELL: plan("x@k#1")})
    cell = record["mutants"][0]["cells"][CELL]
    cell["before"], cell["after"] = f"{'a' * 200} < {'b' * 90}", f"{'a' * 200} <= {'b' * 90}"

    before, after = (line for line in summary(record) if line.startswith(("    - ", "    + ")))

    assert " < b" in before
    assert " <= b" in after
    assert max(len(before), len(after)) <= 112


def test_a_living_canary_comes_first_and_divergence_is_shown():
    other = "llvm-O3"
    rows = [
        *GREEN,
        row(None, "a", "passed", cell=other),
        row("canary", "a", "passed"),
        row("x@k#1", "a", "failed"),
        row("x@k#1", "a", "passed", cell=other),
    ]

    lines = summary(build(rows, {CELL: plan("x@k#1"), other: plan("x@k#1")}))

    assert lines[0].startswith("THE CANARY LIVES in llvm-O2")
    assert "1 mutant on which cells disagree:" in lines
    assert "  x@k#1: llvm-O2 KILLED, llvm-O3 SURVIVED" in lines


def test_what_is_not_in_the_score_is_counted():
    rows = [
        *GREEN,
        row("x@k#1", "a", "verdict", verdict="EQUIVALENT"),
        row("y@k#1", "a", "verdict", verdict="INVALID"),
        row("z@k#1", "a", "failed"),
    ]
    absent = {"operator": "w", "stage": "graph", "reason": "none"}

    lines = summary(build(rows, {CELL: plan("x@k#1", "y@k#1", "z@k#1", absent=[absent])}))

    assert "not in the score: 1 refused by the compiler, 1 equivalent" in lines
    assert "operators without a site here: w" in lines


def test_cells_of_combined_runs_agree_without_a_largest_difference():
    alike = {"inputs": 1, "k": 1, "top1_dissimilar": [], "topk_dissimilar": [], "model": "m"}
    unscored = {**alike, "a": "c-O2", "b": "llvm-O2", "tau_min": None, "max_abs_diff": None}
    scored = {**alike, "a": "c-O0", "b": "c-O2", "tau_min": 1.0, "max_abs_diff": 0.25}
    record = {"models": [{}]}

    def told(*pairs):
        record["differential"] = {"baseline": pairs, "mutants": [], "not_compared": {}}
        lines = []
        write_differences(record, lambda text, **_: lines.append(text), verbose=False)
        return lines[-1]

    agree = "give the same best class and best 1 for every input of the unmutated network"
    assert told(unscored) == f"c-O2 ~ llvm-O2 {agree}"
    assert told(unscored, scored) == (
        f"all 2 pairs of cells {agree}; the largest difference is 0.25 (c-O0 ~ c-O2)"
    )


def test_long_lines_before_and_after_begin_at_the_same_place():
    before = "".join(f"{number:04}" for number in range(50))
    after = f"{before} + 1"

    first, second = cut(before, after), cut(after, before)

    assert second == f"... {after[-96:]}"
    assert second.startswith(first)
