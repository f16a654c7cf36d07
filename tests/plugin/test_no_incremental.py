"""With no work spared the verdicts are the same, and what sparing builds on is held against it."""

from dataclasses import replace

import pytest
from suites import SUITE

from pytest_mutatenn.engine.evaluate import Engine

# with equivalent ones, with duplicates, and with some that the first changed step masks
OPERATORS = ("--mutatenn-operators=relu_to_sigmoid,max_to_min,store_float32_to_int8,"
             "store_times_1_00000001", "--mutatenn-stages=kernel,graph,device",
             "--mutatenn-sample=24")  # fmt: skip
FEW = SUITE.replace("assert top1_agreement(predictions, reference) >= 0.9",
                    "assert_top1_agreement(predictions, reference, at_least=0.9)").replace(
    "top1_agreement\n", "top1_agreement, assert_top1_agreement\n", 1)  # fmt: skip


def cells(report):
    found = {}
    for mutant in report["mutants"]:
        for cell, there in mutant["cells"].items():
            found[mutant["id"], cell] = [there[n] for n in ("verdict", "killed_by", "survived")]
    return found


def test_verdicts_and_killers_are_the_same(project):
    project.write(test_it=FEW)
    spared = project.run(*OPERATORS).report
    whole = project.run(*OPERATORS, "--mutatenn-no-incremental").report

    assert cells(whole) == cells(spared)
    verdicts = {there[0] for there in cells(whole).values()}
    assert {"KILLED", "SURVIVED", "EQUIVALENT", "DUPLICATE"} <= verdicts
    counters = whole["run"]["counters"]
    assert counters["steps_reused"] == 0
    assert counters["evaluations_reused"] == 0
    assert counters["inputs_spared"] == 0
    assert counters["evaluations_run"] > len(cells(whole))  # those with another's code, too


def test_a_mutant_that_has_the_baselines_code_and_not_its_outputs_is_an_error(project, monkeypatch):
    project.write(test_it=SUITE)
    mutant = "device.store_times_1_00000001@softmax#1"
    run = Engine.run

    def other(self, job, *args):
        result = run(self, job, *args)
        if job.mutant != mutant:
            return result
        return replace(result, outputs={name: -array for name, array in result.outputs.items()})

    monkeypatch.setattr(Engine, "run", other)
    result = project.run(f"--mutatenn-mutants={mutant}", "--mutatenn-no-incremental", "-k=finite")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*has the code of the baseline*does not compute the same*"])
    plain = project.run(f"--mutatenn-mutants={mutant}", "-k=finite")
    (there,) = plain.report["mutants"][0]["cells"].values()
    assert there["verdict"] == "EQUIVALENT"
