"""A mutant's inputs are run as far as its tests look, and the verdicts are those of all inputs."""

import json
import shutil
from pathlib import Path

import pytest
from records import stable

HOSTILE = Path(__file__).with_name("hostile.py")
OPERATORS = ("--mutatenn-operators=store_float32_to_int8,relu_to_sigmoid",
             "--mutatenn-stages=kernel,graph")  # fmt: skip

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


def fresh(project, store_folder, folder):
    """Give the project a store without results, in which kernels are compiled."""
    project.cache = folder
    shutil.copytree(
        store_folder,
        folder,
        ignore=shutil.ignore_patterns("evaluations", "history", "tmp", "locks"),
    )


def test_fewer_inputs_give_the_same_verdicts_and_are_not_run_again(project, store_folder, tmp_path):
    whole = project.write(test_it=plain(0.8)).run(*OPERATORS, ONE_TEST).report
    fresh(project, store_folder, tmp_path / "cache")

    first = project.write(test_it=few(0.8)).run(*OPERATORS, ONE_TEST).report
    again = project.run(*OPERATORS, ONE_TEST).report

    assert judged(first) == judged(whole)
    assert whole["run"]["counters"]["inputs_spared"] == 0
    assert first["run"]["counters"]["inputs_spared"] > 0
    ran = sum(m["cells"]["llvm-O2"]["inputs_run"] or 0 for m in first["mutants"])
    assert first["run"]["counters"]["inputs_run"] >= ran
    assert again["run"]["counters"]["inputs_run"] == 0
    assert again["run"]["counters"]["evaluations_run"] == 0
    assert stable(again) == stable(first)
    early = 0
    for mutant in first["mutants"]:
        there = mutant["cells"]["llvm-O2"]
        if there["verdict"] == "SURVIVED":
            assert there["inputs_run"] == 12
            assert there["infected"] is not None
        elif there["verdict"] == "KILLED" and there["inputs_run"] < 12:
            early += 1
            assert there["propagated"] is None
            assert "looked at of 12" in there["reason"]
    assert early > 5

    # what decided came from the inputs that are kept as those that kill
    (entry,) = [path for path in (tmp_path / "cache" / "history").rglob("*") if path.is_file()]
    assert sum(json.loads(entry.read_bytes().partition(b"\n")[2])) >= early

    # weaker: some of the killed need more inputs than there are results of, and nothing else
    weaker = project.write(test_it=few(0.3)).run(*OPERATORS, ONE_TEST).report
    project.cache = store_folder
    whole = project.write(test_it=plain(0.3)).run(*OPERATORS, ONE_TEST).report
    assert judged(weaker) == judged(whole)
    assert 0 < weaker["run"]["counters"]["inputs_run"] < first["run"]["counters"]["inputs_run"]


LAZY = """
import pytest

pytestmark = pytest.mark.mutatenn(model="tiny.onnx", inputs="tiny.npz")

def test_looks_at_nothing(predictions):
    {body}
"""


@pytest.mark.parametrize("body", ["len(predictions)", "assert False"])
def test_a_mutant_that_dies_is_noticed_though_nobody_looks(body, project):
    project.pytester.makeconftest(HOSTILE.read_text())
    project.write(test_it=LAZY.format(body=body))
    report = project.run("--mutatenn-mutants=device.aborts@softmax#1", apart=True).report

    (mutant,) = report["mutants"]
    there = mutant["cells"]["llvm-O2"]
    expected = "SKIPPED" if body == "assert False" else "CRASHED"
    assert there["verdict"] == expected
