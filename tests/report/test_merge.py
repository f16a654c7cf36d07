"""Several runs' reports as one."""

import copy
import itertools
import json

import pytest
from two_machines import A, B, report, two_reports

from pytest_mutatenn.report.matching import mismatches
from pytest_mutatenn.report.merge import merge
from pytest_mutatenn.report.record import FIELDS


@pytest.fixture
def two():
    return two_reports()


def test_a_report_of_several_has_the_parts_of_one(two):
    record, different = merge(two)

    assert different == []
    assert tuple(record) == FIELDS
    assert [cell["id"] for cell in record["cells"]] == [B, A]
    assert [(e["cell"], e["outcome"]) for e in record["baseline"]] == [(B, "passed"), (A, "passed")]
    assert record["score"]["overall"]["detected"] == 3
    assert record["score"]["overall"]["survived"] == 1
    assert record["run"]["counters"] == {"evaluations_run": 4}
    assert record["run"]["seconds"] == 4
    assert record["run"]["host"] is None
    assert record["run"]["started"] == "2030-01-01"
    assert len(record["run"]["runs"]) == 2


def test_mutants_on_which_machines_disagree_are_divergent(two):
    record, _ = merge(two)
    (found,) = record["divergent"]
    assert (found["mutant"], found["cells"]) == ("y@k#1", [B, A])
    assert found["between"] is None
    assert record["differential"]["not_compared"] == {
        "cells of different runs: reports have no scores of mutants": 2
    }


def test_best_classes_are_compared_across_machines(two):
    (found,) = merge(two)[0]["differential"]["baseline"]
    assert (found["a"], found["b"], found["top1_dissimilar"]) == (B, A, ["dog"])


def test_the_order_of_the_files_changes_nothing(two):
    three = [*two, ("c.json", report("c-O2", {"x@k#1": "failed", "y@k#1": "passed"}))]
    found = [json.dumps(merge(order)) for order in itertools.permutations(three)]
    assert len(set(found)) == 1


def test_what_was_combined_can_be_combined_again(two):
    third = ("c.json", report("c-O2", {"x@k#1": "failed", "y@k#1": "passed"}))
    at_once, _ = merge([*two, third])
    in_turn, different = merge([("ab.json", merge(two)[0]), third])
    assert different == []
    assert in_turn == at_once


def test_runs_of_chosen_mutants_can_be_combined_again():
    parts = []
    for cell, chosen in ((A, ["x@*"]), (B, ["*@k#1"]), ("c-O2", [])):
        part = report(cell, {"x@k#1": "failed"})
        part["run"]["options"]["mutants"] = chosen
        parts.append((cell, part))
    first, _ = merge(parts[:2])
    assert first["run"]["options"]["mutants"] == ["*@k#1", "x@*"]
    in_turn, different = merge([("ab", first), parts[2]])
    assert different == []
    assert in_turn["run"]["options"]["mutants"] == []
    assert in_turn == merge(parts)[0]


def test_runs_that_shared_out_the_mutants_of_a_cell_make_one(two):
    whole = report(A, {"x@k#1": "failed", "y@k#1": "passed"})
    whole["plans"][0]["sampled_out"] = whole["excluded"]["sampled_out"] = 5
    parts = []
    for name, started in (("x@k#1", "1"), ("y@k#1", "2")):
        part = report(A, {name: "failed" if name[0] == "x" else "passed"}, started, mutants=[])
        part["plans"][0].update(sampled_out=5, not_selected=1)
        part["mutants"][0]["cells"][A]["index"] = len(parts)
        parts.append((f"{name}.json", part))
    record, different = merge(parts)
    assert different == []
    for name in ("mutants", "plans", "score", "excluded", "baseline"):
        assert record[name] == whole[name], name


def test_a_mutant_that_one_machines_cells_lack_says_so(two):
    two[0] = ("a.json", report(A, {"x@k#1": "failed"}))
    record, different = merge(two)
    assert different == []
    there = record["mutants"][1]["cells"][A]
    assert (there["verdict"], there["planned"]) == ("SKIPPED", False)
    assert there["reason"] == "this cell's lowering has no such site"


def test_a_device_that_is_on_the_other_machine_is_there(two):
    away = copy.deepcopy(two[0][1])
    away["cells"].append({**away["cells"][0], "id": B, "available": False, "reason": "no GPU"})
    away["baseline"].append({**away["baseline"][0], "cell": B, "outcome": "skipped"})
    for mutant in away["mutants"]:
        mutant["cells"][B] = {**mutant["cells"][A], "verdict": "SKIPPED", "alone": "SKIPPED"}
    record, different = merge([("a.json", away), two[1]])
    assert different == []
    expected, _ = merge(two)
    for name in ("cells", "baseline", "mutants", "score", "plans"):
        assert record[name] == expected[name], name


# -- whether they match -------------------------------------------------------------------------


def changed(record, change):
    record = copy.deepcopy(record)
    change(record)
    return record


def _mutant(record):
    record["mutants"][0]["operator"] = "other"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["run"].update(tvm="3"), "the version of apache-tvm differs: 2 in a, 3 in b."),
        (
            lambda r: r["run"]["options"].update(reference="c-O0"),
            "--mutatenn-reference differs: llvm-O0 in a, c-O0 in b.",
        ),
        (
            lambda r: r["models"][0].update(digest="9"),
            "digest of the network m differs: 1 in a, 9 in b.",
        ),
        (
            lambda r: r["models"][0]["dataset"].update(count=9),
            "count of the inputs of m differs: 2 in a, 9 in b.",
        ),
        (lambda r: r["models"].clear(), "the network m: in a and not in b."),
        (
            lambda r: r["baseline"][0].update(test="u"),
            "the test t: in a and not in b.",
        ),
        (_mutant, "operator of the mutant x@k#1 differs: x in a, other in b."),
    ],
    ids=["tvm", "option", "network", "inputs", "networks", "tests", "mutant"],
)
def test_what_does_not_match_is_said(change, said, two):
    other = changed(two[1][1], change)
    assert said in mismatches([("a", two[0][1]), ("b", other)])


def test_mutants_before_any_lowering_are_everywhere(two):
    def graph(record):
        for mutant in record["mutants"]:
            mutant["stage"] = "graph"

    ours, theirs = (changed(record, graph) for _, record in two)
    assert mismatches([("a", ours), ("b", theirs)]) == []
    del theirs["mutants"][0]
    assert mismatches([("a", ours), ("b", theirs)]) == ["the mutant x@k#1: in a and not in b."]


def test_the_same_cell_of_two_machines_must_be_the_same(two):
    again = changed(two[0][1], lambda r: r["run"].update(started="later"))
    assert mismatches([two[0], ("b", again)]) == []
    again["cells"][0]["fingerprint"] = "another"
    again["mutants"][0]["cells"][A]["verdict"] = "SURVIVED"
    found = mismatches([two[0], ("b", again)])
    assert found[0].startswith(f"{A} is on different processors in a.json and b")
    assert found[1].startswith(f"the result of x@k#1 of m in {A} differs: KILLED in a.json")


def test_the_same_run_twice_is_no_second_run(two):
    assert "reports of the same run" in mismatches([two[0], ("b", two[0][1])])[0]
