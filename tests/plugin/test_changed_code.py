"""What the report has of the code that mutants change."""

import shutil

from records import stable

from pytest_mutatenn.compiler.edits import apply_edits

OPERATORS = "--mutatenn-operators=boundary,relu_to_sigmoid,constant_to_zero,drop_bias"


def changes(report):
    """Source, edits and what else is known, of every mutant in every cell."""
    sources = {source["id"]: source for source in report["sources"]}
    for mutant in report["mutants"]:
        for cell, there in mutant["cells"].items():
            change = there["change"]
            for part in [] if change is None else [change, *change["others"]]:
                yield mutant, cell, there, sources[part["source"]], part["edits"]


def test_every_mutant_has_its_change_in_every_cell(suite):
    report = suite.run(OPERATORS, "--mutatenn-devices=llvm,c", "--mutatenn-full-matrix").report
    assert {m["stage"] for m in report["mutants"]} == {"graph", "kernel", "device", "weights"}
    each_has_its_change(report)
    sources_are_there_once(report)
    inputs_are_those_that_were_counted(report)
    pictures = report["models"][0]["dataset"]["thumbnails"]
    assert list(pictures["images"]) == [str(i) for i in range(12)]
    assert pictures["left_out"] == 0


def each_has_its_change(report):
    cells = [there for mutant in report["mutants"] for there in mutant["cells"].values()]
    made = [there for there in cells if there["verdict"] != "SKIPPED"]
    assert made
    assert all(there["change"] is not None for there in made)
    for mutant, cell, there, source, edits in changes(report):
        assert source["stage"] == mutant["stage"]
        assert source["model"] == mutant["model"]
        assert cell in source["cells"]
        after = apply_edits(source["text"], edits)
        assert after != source["text"]
        # the line beside it is of the same code
        if mutant["stage"] == "kernel" and "for " not in there["before"]:
            assert there["before"] in source["text"]
            assert there["after"] in after


def sources_are_there_once(report):
    ids = [source["id"] for source in report["sources"]]
    assert ids == sorted(set(ids))
    assert {source["id"] for _, _, _, source, _ in changes(report)} == set(ids)
    assert {s["language"] for s in report["sources"]} == {"tvmscript", "text"}
    graphs = [s for s in report["sources"] if s["stage"] == "graph"]
    assert [s["cells"] for s in graphs] == [["c-O2", "llvm-O2"]]


def inputs_are_those_that_were_counted(report):
    ran = [t for m in report["mutants"] for t in m["cells"].values() if t["inputs_run"]]
    assert {there["inputs"]["run"] for there in ran} == {"0-11"}
    for there in ran:
        for name in ("infected", "propagated", "top1_changed"):
            assert count(there["inputs"][name]) == there[name]
    assert any(0 < there["top1_changed"] < 12 for there in ran)


def count(ranges):
    ends = [part.split("-") for part in ranges.split(",") if part]
    return sum(int(end[-1]) - int(end[0]) + 1 for end in ends)


def test_a_sweep_has_all_its_sites(suite):
    found = suite.run("--mutatenn-operators=boundary,drop_bias", "--mutatenn-order=sweep").report
    parts = {}
    for mutant, _, _, source, edits in changes(found):
        parts.setdefault(mutant["id"], []).append((source["name"], len(edits)))
    assert parts["kernel.boundary@sweep"] == [("conv2d", 4)]
    assert [name for name, _ in parts["weights.drop_bias@sweep"]] == ["bias", "offset"]


FEW = """
import pytest
from pytest_mutatenn import assert_top1_agreement

@pytest.mark.mutatenn(model="tiny.onnx", inputs="tiny.npz")
def test_labels(predictions, reference):
    assert_top1_agreement(predictions, reference, at_least=0.9)
"""


def test_an_empty_store_and_one_that_has_lost_its_texts_give_the_same(
    project, store_folder, tmp_path
):
    project.write(test_tiny=FEW)
    project.cache = tmp_path / "store"
    results = shutil.ignore_patterns("evaluations", "recipes", "texts", "history", "tmp", "locks")
    shutil.copytree(store_folder, project.cache, ignore=results)
    run = "--mutatenn-mutants=graph.relu_to_sigmoid@*"
    first = project.run(run).report
    (there,) = [there for m in first["mutants"] for there in m["cells"].values()]
    # killed by the first inputs: of the others nothing is said
    assert 0 < there["inputs_run"] < 12
    assert count(there["inputs"]["run"]) == there["inputs_run"]
    assert there["inputs"]["top1_changed"] is None
    assert there["change"] is not None
    shutil.rmtree(project.cache / "texts")
    assert stable(project.run(run).report) == stable(first)
