"""A mutant's inputs are run as far as its tests look, and the verdicts are those of all inputs."""

import json
from pathlib import Path

import pytest
from records import stable

HOSTILE = Path(__file__).with_name("hostile.py")
OPERATORS = "--mutatenn-operators=store_float32_to_int8,relu_to_sigmoid,negate_condition"

LOOKING = """
import pytest
from pytest_mutatenn import {imports}

pytestmark = pytest.mark.mutatenn(model="tiny.onnx", inputs="tiny.npz")

def test_finite(predictions):
    {finite}

def test_labels(predictions, reference):
    {labels}
"""


def few(at_least):
    return LOOKING.format(
        imports="assert_all_finite, assert_top1_agreement",
        finite="assert_all_finite(predictions)",
        labels=f"assert_top1_agreement(predictions, reference, at_least={at_least})",
    )


def plain(at_least):
    return LOOKING.format(
        imports="all_finite, top1_agreement",
        finite="assert all_finite(predictions)",
        labels=f"assert top1_agreement(predictions, reference) >= {at_least}",
    )


def judged(report):
    return {
        mutant["id"]: (there["verdict"], there["killed_by"], there["survived"])
        for mutant in report["mutants"]
        for there in mutant["cells"].values()
    }


ONE_TEST = "-k=labels"  # so that no earlier test, passed, has run all inputs


def test_fewer_inputs_give_the_same_verdicts_and_are_not_run_again(project, tmp_path):
    project.cache = tmp_path / "cache"
    whole = project.write(test_it=plain(0.8)).run(OPERATORS, ONE_TEST).report
    project.cache = tmp_path / "other"

    first = project.write(test_it=few(0.8)).run(OPERATORS, ONE_TEST).report
    again = project.run(OPERATORS, ONE_TEST).report

    assert judged(first) == judged(whole)
    assert whole["counters"]["inputs_spared"] == 0
    assert first["counters"]["inputs_spared"] > 0
    assert first["counters"]["inputs_run"] < whole["counters"]["inputs_run"]
    assert again["counters"]["inputs_run"] == 0
    assert again["counters"]["evaluations_run"] == 0
    assert stable(again) == stable(first)
    for mutant in first["mutants"]:
        there = mutant["cells"]["llvm-O2"]
        if there["verdict"] == "SURVIVED":
            assert there["inputs_run"] == 12
            assert there["infected"] is not None
        elif there["verdict"] == "KILLED" and there["inputs_run"] < 12:
            assert there["propagated"] is None
            assert "looked at of 12" in there["reason"]

    # stricter: what is there is not run again, what is missing is
    tighter = project.write(test_it=few(1.0)).run(OPERATORS, ONE_TEST).report
    project.cache = tmp_path / "third"
    fresh = project.run(OPERATORS, ONE_TEST).report
    assert judged(tighter) == judged(fresh)
    assert tighter["counters"]["inputs_run"] < fresh["counters"]["inputs_run"]

    # weaker: killed mutants need more inputs than there are yet, and no other
    project.cache = tmp_path / "other"
    weaker = project.write(test_it=few(0.3)).run(OPERATORS, ONE_TEST).report
    project.cache = tmp_path / "fourth"
    fresh = project.run(OPERATORS, ONE_TEST).report
    assert judged(weaker) == judged(fresh)
    assert 0 < weaker["counters"]["inputs_run"] < fresh["counters"]["inputs_run"]


def test_what_killed_before_is_looked_at_first(project, tmp_path):
    project.cache = tmp_path / "cache"
    project.write(test_it=few(1.0)).run("--mutatenn-operators=store_float32_to_int8", ONE_TEST)

    (entry,) = [path for path in (tmp_path / "cache" / "history").rglob("*") if path.is_file()]
    counts = json.loads(entry.read_bytes().partition(b"\n")[2])
    assert sum(counts) > 0


LAZY = """
import pytest

pytestmark = pytest.mark.mutatenn(model="tiny.onnx", inputs="tiny.npz")

def test_looks_at_nothing(predictions):
    {body}
"""


@pytest.mark.parametrize("body", ["pass", "assert False", "len(predictions)"])
def test_a_mutant_that_dies_is_noticed_though_nobody_looks(body, project):
    project.pytester.makeconftest(HOSTILE.read_text())
    project.write(test_it=LAZY.format(body=body))
    report = project.run("--mutatenn-mutants=device.aborts@softmax#1", apart=True).report

    (mutant,) = report["mutants"]
    there = mutant["cells"]["llvm-O2"]
    expected = "SKIPPED" if body == "assert False" else "CRASHED"
    assert there["verdict"] == expected


def test_an_error_that_the_test_swallows_is_still_the_mutants_death(project):
    project.pytester.makeconftest(HOSTILE.read_text())
    body = "try:\n        predictions.top1\n    except Exception:\n        pass"
    project.write(test_it=LAZY.format(body=body))
    report = project.run("--mutatenn-mutants=device.aborts@softmax#1", apart=True).report
    (mutant,) = report["mutants"]
    assert mutant["cells"]["llvm-O2"]["verdict"] == "CRASHED"
