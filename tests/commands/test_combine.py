"""Several runs' reports as one."""

import copy
import itertools
import json
from pathlib import Path

import pytest
from told import plan, row

from pytest_mutatenn.commands import main
from pytest_mutatenn.report.differences import without_keys
from pytest_mutatenn.report.formats import json as writer
from pytest_mutatenn.report.matching import mismatches
from pytest_mutatenn.report.merge import merge
from pytest_mutatenn.report.record import FIELDS, Gathered, build_record

A, B = "llvm-O2", "cuda-O2"
OPTIONS = {"sample": None, "mutants": [], "reference": "llvm-O0", "operators": "default"}
MODEL = {
    "id": "m", "source": "m.onnx", "digest": "1", "inputs": [{"name": "x", "shape": [1, 3]}],
    "output": {"name": "y", "shape": [1, 2]}, "layers": {},
    "dataset": {"source": "m.npz", "digest": "2", "count": 2, "labelled": False,
                "names": ["cat", "dog"]},
}  # fmt: skip


def report(cell, results, started="2030-01-01", mutants=(), **options):
    """A run in a cell: mutant -> what the only test did."""
    rows = [row(None, "t", "passed", cell=cell)]
    rows += [row(name, "t", result, cell=cell) for name, result in results.items()]
    told = {"id": cell, "fingerprint": f"processor of {cell}", "available": True, "reason": ""}
    gathered = Gathered(
        rows=rows,
        models={"m": copy.deepcopy(MODEL)},
        plans={("m", cell): plan(*results, *mutants)},
        cells={cell: told},
        counters={"evaluations_run": len(results)},
    )
    run = {
        "version": "1", "tvm": "2", "python": "3", "host": {"cpu": cell}, "started": started,
        "seconds": 2.0, "argv": [], "root": "", "seed": 0, "workers": 0,
        "options": {**OPTIONS, **options}, "shard": None,
    }  # fmt: skip
    record = build_record(gathered, run, full_matrix=False, sampled=False)
    best = [[0], [1]] if cell == A else [[0], [0]]
    record["differential"] = {
        **record["differential"],
        "reference": "llvm-O0",
        "cells": [{"model": "m", "cell": cell, "topk": best}],
    }
    return without_keys(record)


@pytest.fixture
def two():
    """The same two mutants on two machines, which disagree on one."""
    ours = report(A, {"x@k#1": "failed", "y@k#1": "passed"})
    theirs = report(B, {"x@k#1": "failed", "y@k#1": "failed"}, started="2030-01-02")
    return [("a.json", ours), ("b.json", theirs)]


# -- what is made of them -----------------------------------------------------------------------


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


# -- the command --------------------------------------------------------------------------------


@pytest.fixture
def files(two, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, record in two:
        writer.write(record, tmp_path / name)
    return [name for name, _ in two]


def test_it_prints_and_writes_what_it_made(files, tmp_path, capsys):
    code = main(["combine", *files, "-o", "out.json", "--report=mutatenn:x", "--fail-under=75"])

    assert code == 0
    assert json.loads((tmp_path / "out.json").read_text())["score"]["overall"]["detected"] == 3
    assert (tmp_path / "x" / "device_evaluation.json").exists()
    told = capsys.readouterr().out
    assert "1 mutant on which cells disagree:" in told
    assert f"json report: {tmp_path / 'out.json'}" in told


def test_a_report_can_be_printed(files, capsys):
    assert main(["combine", *files, "--report=github"]) == 0
    assert "\n::notice title=mutation score 75.0 %25::" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fail-under=76"], "ERROR: --fail-under: required 76 %, reached 75.00 %"),
        (["--fail-on=divergent"], "ERROR: --fail-on=divergent: cells disagree on 1 mutant: y@k#1"),
    ],
)
def test_a_gate_that_is_not_passed_is_code_1(arguments, said, files, capsys):
    assert main(["combine", *files, *arguments]) == 1
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--fail-under=75,cell:llvm-O2=50"],
            "--fail-under, cell:llvm-O2: required 50 %, reached ",
        ),
        (["--max-survivors=1"], "--max-survivors: required at most 1, reached 1 by count"),
        (["--fail-on=timeout,canary"], "--fail-on=canary: passed"),
        (["--baseline=all.toml"], "--baseline=all.toml: no new survivor and no newly divergent"),
    ],
)
def test_a_gate_that_is_passed_is_said_and_code_0(arguments, said, files, capsys):
    assert main(["combine", *files, "--baseline=all.toml", "--update-baseline"]) == 0
    capsys.readouterr()
    assert main(["combine", *files, "-o", "out.json", *arguments]) == 0
    assert said in capsys.readouterr().out
    gates = json.loads(Path("out.json").read_text())["gates"]
    assert gates
    assert all(gate["passed"] for gate in gates)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--fail-under=cell:llvm-O2=51"],
            "--fail-under, cell:llvm-O2: required 51 %, reached 50.",
        ),
        (
            ["--fail-under=cell:llvm-O3=1"],
            "there is no cell 'llvm-O3' in this report. Did you mean",
        ),
        (["--max-survivors=0"], "--max-survivors: required at most 0, reached 1 by count"),
        (["--baseline=first.toml"], "reached 1 new survivor: y@k#1 in llvm-O2; 1 newly divergent"),
    ],
)
def test_other_gates_that_are_not_passed_are_code_1(arguments, said, two, files, capsys):
    # what the second of the two machines knows alone
    assert main(["combine", files[1], "--baseline=first.toml", "--update-baseline"]) == 0
    capsys.readouterr()
    assert main(["combine", *files, *arguments]) == 1
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--update-baseline"], "--update-baseline needs --baseline=FILE."),
        (["--baseline=none.toml"], "none.toml is not there. Add --update-baseline once, to write"),
        (["--fail-under=120"], "--fail-under must be a percentage between 0 and 100, got '120'."),
        (["--fail-under="], "--fail-under is empty; leave it out, or give it a value."),
        (["--max-survivors=x"], "--max-survivors must be a number of mutants of at least 0"),
        (["--fail-under=categori:x=1"], "Did you mean 'category'?"),
    ],
)
def test_a_wrong_gate_is_code_2(arguments, said, files, capsys):
    assert main(["combine", *files, *arguments]) == 2
    assert said in capsys.readouterr().err


def test_the_gates_of_shards_are_judged_on_the_whole(files, two, tmp_path, capsys):
    asked = {"fail_under": [["", 76]], "max_survivors": [], "fail_on": ["canary"], "baseline": ""}
    for number, (name, record) in enumerate(two, 1):
        # the second alone would pass
        record["run"]["shard"] = {
            "number": number, "count": 2, "digest": "d", "gates": asked, "between": [],
        }  # fmt: skip
        writer.write(record, tmp_path / name)

    assert main(["combine", *files, "-o", "out.json"]) == 1
    told = capsys.readouterr().out
    assert "ERROR: --mutatenn-fail-under: required 76 %, reached 75.00 %" in told
    assert "--mutatenn-fail-on=canary: passed" in told
    gates = json.loads((tmp_path / "out.json").read_text())["gates"]
    assert [(gate["gate"], gate["passed"]) for gate in gates] == [
        ("fail-under", False),
        ("fail-on", True),
    ]
    # one of the command line takes its place
    assert main(["combine", *files, "--fail-under=75"]) == 0
    assert "76" not in capsys.readouterr().out


def test_a_red_baseline_is_code_1(files, two, tmp_path, capsys):
    two[0][1]["baseline"][0]["outcome"] = "failed"
    writer.write(two[0][1], tmp_path / "a.json")
    assert main(["combine", *files]) == 1
    assert f"ERROR: t fails on the unmutated network in {A}." in capsys.readouterr().out


def test_reports_that_do_not_match_are_code_3_and_nothing_is_written(files, two, tmp_path, capsys):
    two[1][1]["run"]["tvm"] = "3"
    writer.write(two[1][1], tmp_path / "b.json")

    assert main(["combine", *files, "-o", "out.json"]) == 3
    told = capsys.readouterr()
    assert "the version of apache-tvm differs: 2 in a.json, 3 in b.json." in told.err
    assert not (tmp_path / "out.json").exists()

    assert main(["combine", *files, "-o", "out.json", "--allow-mismatch"]) == 0
    assert "WARNING: the version of apache-tvm differs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "bad.json could not be read: No such file or directory."),
        ("{", "bad.json is no JSON"),
        ('{"schema": "mutatenn/0"}', "bad.json is no report of this version"),
        ('{"schema": "mutatenn/1"}', "bad.json is no whole report: it has no run, models"),
        ("[]", "bad.json is no report of this version"),
    ],
)
def test_what_is_no_report_is_code_2(text, said, files, tmp_path, capsys):
    if text is not None:
        (tmp_path / "bad.json").write_text(text)
    assert main(["combine", files[0], "bad.json"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["combine"], [], ["combine", "a.json", "--verbos=2"], ["compine", "a.json"]],
)
def test_wrong_arguments_are_code_2(arguments, files):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2


@pytest.mark.parametrize("option", ["--fail-on=divergnt", "--report=jason"])
def test_unknown_names_are_code_2_and_name_the_nearest(option, files, capsys):
    assert main(["combine", *files, option]) == 2
    assert "Did you mean" in capsys.readouterr().err
