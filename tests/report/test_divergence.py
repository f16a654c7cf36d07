"""Divergent mutants, explained by two codes or by two outputs."""

from told import GREEN, plan, row

from pytest_mutatenn.report.divergence import divergent_of, explanation, write_divergent
from pytest_mutatenn.report.record import Gathered, build_record

A, B, C = "llvm-O0", "llvm-O2", "llvm-O3"
RETURNED = {"outcome": "returned", "infected": 4, "tau_mean": 0.5, "inputs_run": 4}


def entry(cells, **lines):
    """The explanation of a mutant with these results of its one test, by cell."""
    rows = [{**green, "cell": cell} for green in GREEN for cell in cells]
    for cell, (result, stats) in cells.items():
        before, after = lines.get(cell[-2:], ("a", "b"))
        stats = {**stats, "before": before, "after": after}
        verdict = "CRASHED" if result == "verdict" else ""
        rows.append(
            row("x@k#1", "a", result, cell=cell, stats=stats, verdict=verdict, reason="why")
        )
    plans = {("m", cell): plan("x@k#1") for cell in cells}
    record = build_record(Gathered(rows=rows, plans=plans), {}, full_matrix=False, sampled=False)
    found = divergent_of(record, None)
    assert found == record["divergent"]
    return record, found


def test_one_that_sees_it_is_set_against_one_that_does_not():
    passed = {**RETURNED, "propagated": 4, "top1_changed": 0}
    failed = {**RETURNED, "propagated": 4, "top1_changed": 3}
    _, (found,) = entry({A: ("passed", passed), B: ("failed", failed), C: ("failed", failed)})

    assert found["verdicts"] == {A: "SURVIVED", B: "KILLED", C: "KILLED"}
    assert found["cells"] == [B, A]
    assert found["same_change"]
    assert found["figures"][B]["top1_changed"] == 3
    assert explanation(found) == [
        "- a",
        "+ b",
        f"{B}: the output differs from the unmutated network's for 4 inputs, the top-1 for 3; why",
        f"{A}: the output differs from the unmutated network's for 4 inputs, the top-1 for 0",
    ]


def test_another_change_is_shown_of_each_cell():
    stats = {**RETURNED, "propagated": 0, "top1_changed": 0}
    _, (found,) = entry(
        {A: ("passed", stats), B: ("failed", {"outcome": "returned"})}, O2=("c", "d")
    )

    assert not found["same_change"]
    assert explanation(found)[:5] == [
        "another change in each cell's code:",
        f"{B} - c",
        f"{B} + d",
        f"{A} - a",
        f"{A} + b",
    ]
    assert explanation(found)[5] == f"{B}: why"


def test_where_all_detect_it_in_other_ways_two_of_them_are_shown():
    _, (found,) = entry({A: ("failed", {}), B: ("verdict", {}), C: ("failed", {})})
    assert found["verdicts"] == {A: "KILLED", B: "CRASHED", C: "KILLED"}
    assert found["cells"] == [A, B]


def test_where_cells_agree_there_is_nothing():
    assert entry({A: ("failed", {}), B: ("failed", {})})[1] == []


def test_the_same_change_with_other_effects_comes_first():
    record, (same,) = entry({A: ("passed", {}), B: ("failed", {})})
    record["divergent"] = [
        {**same, "same_change": False},
        {**same, "between": {"inputs": 4, "differing": 2, "top1_dissimilar": ["cat", "dog"],
                             "max_abs_diff": None}},
    ]  # fmt: skip
    lines = []
    write_divergent(record, lambda text, **_: lines.append(text), verbose=False)
    first = "2 mutants on which cells disagree (1 of them another change in each cell's code):"
    assert lines[1] == first
    distance = "between the two: top-1 differs for 2 of 4 inputs (cat, dog), largest difference "
    assert lines.index(f"    {distance}infinite") < lines.index(
        "    another change in each cell's code:"
    )
