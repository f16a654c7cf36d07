"""An old report and a new one."""

import copy
import json
import re

import pytest
from told import plan, row

from pytest_mutatenn.commands import main
from pytest_mutatenn.report.comparing import compare
from pytest_mutatenn.report.formats import json as writer
from pytest_mutatenn.report.record import Gathered, build_record

A, B = "llvm-O0", "llvm-O2"


def report(results, seconds=2.0, **run):
    """A run: mutant -> what the only test did in each of two cells."""
    rows = [row(None, "t", "passed", cell=cell) for cell in (A, B)]
    for name, found in results.items():
        rows += [row(name, "t", each, cell=cell) for cell, each in zip((A, B), found, strict=True)]
    network = {"id": "m", "source": "m.onnx", "digest": "1", "inputs": [], "output": None}
    gathered = Gathered(
        rows=rows,
        models={"m": {**network, "layers": {}, "dataset": None}},
        plans={("m", cell): plan(*results) for cell in (A, B)},
        cells={c: {"id": c, "fingerprint": "f", "available": True, "reason": ""} for c in (A, B)},
        counters={"evaluations_run": len(results)},
    )
    told = {"version": "1", "tvm": "2", "started": "2030-01-01", "seconds": seconds, "options": {}}
    return build_record(gathered, {**told, **run}, full_matrix=False, sampled=False)


OLD = report({"a@k#1": ("failed", "failed"), "b@k#1": ("passed", "passed"),
              "c@k#1": ("passed", "failed"), "gone@k#1": ("passed", "passed")})  # fmt: skip
NEW = report({"a@k#1": ("failed", "passed"), "b@k#1": ("failed", "failed"),
              "c@k#1": ("failed", "failed"), "come@k#1": ("passed", "passed")}, 3.0)  # fmt: skip


@pytest.fixture
def found():
    return compare(("old.json", OLD), ("new.json", NEW))


def told(entries):
    return [(one["mutant"], one["cell"], one["old"], one["new"]) for one in entries]


def test_survivors_come_and_go(found):
    assert told(found["new_survivors"]) == [
        ("a@k#1", B, "KILLED", "SURVIVED"),
        ("come@k#1", A, None, "SURVIVED"),
        ("come@k#1", B, None, "SURVIVED"),
    ]
    assert told(found["gone_survivors"]) == [
        ("b@k#1", A, "SURVIVED", "KILLED"),
        ("b@k#1", B, "SURVIVED", "KILLED"),
        ("c@k#1", A, "SURVIVED", "KILLED"),
        ("gone@k#1", A, "SURVIVED", None),
        ("gone@k#1", B, "SURVIVED", None),
    ]
    assert found["mutants"] == {"both": 3, "only_old": 1, "only_new": 1}


def test_divergent_mutants_come_and_go(found):
    assert [one["mutant"] for one in found["newly_divergent"]] == ["a@k#1"]
    assert found["newly_divergent"][0]["verdicts"] == {A: "KILLED", B: "SURVIVED"}
    assert [one["mutant"] for one in found["no_longer_divergent"]] == ["c@k#1"]


def test_scores_and_times_stand_side_by_side(found):
    assert found["score"]["overall"]["change"] == 25
    assert found["score"]["by_cell"][A]["change"] == 50
    assert found["score"]["by_cell"][B]["change"] == 0
    assert found["score"]["by_operator"]["gone"] == {
        "old": OLD["score"]["by_operator"]["gone"], "new": None, "change": None,
    }  # fmt: skip
    assert [found["runs"][side]["seconds"] for side in ("old", "new")] == [2, 3]


def test_a_report_is_the_same_as_itself():
    found = compare(("a", OLD), ("a", OLD))
    for name in ("new_survivors", "gone_survivors", "newly_divergent", "no_longer_divergent"):
        assert found[name] == []
    assert found["warnings"] == []
    assert found["score"]["overall"]["change"] == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["models"][0].update(digest="9"), "digest of the network m differs: 1 in a"),
        (lambda r: r["run"].update(tvm="9"), "the version of apache-tvm differs: 2 in a, 9 in b."),
        (lambda r: r["run"]["options"].update(seed=1), "--mutatenn-seed differs: not given in a"),
        (lambda r: r["run"]["options"].update(mutants=["x"]), "--mutatenn-mutants differs"),
        (lambda r: r["plans"].pop(), f"the cell {B}: in a and not in b."),
        (lambda r: r["baseline"][0].update(test="u"), "the test u: in b and not in a."),
        (lambda r: r["cells"][0].update(fingerprint="x"), f"{A} is on different processors"),
    ],
    ids=["network", "version", "option", "chosen", "cell", "test", "processor"],
)
def test_reports_of_different_things_are_warned_of(change, said):
    other = copy.deepcopy(OLD)
    change(other)
    (text,) = compare(("a", OLD), ("b", other))["warnings"]
    assert text.startswith(said)


# -- the command --------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, record in (("old.json", OLD), ("new.json", NEW)):
        writer.write(record, tmp_path / name)
    return ["compare", "old.json", "new.json"]


def test_it_prints_what_has_changed(files, capsys):
    assert main(files) == 0
    text = capsys.readouterr().out
    assert re.search(r"^mutation score +37\.50 % +62\.50 % +\+25\.00$", text, re.M)
    assert re.search(r"^time +2\.0 s +3\.0 s +x 1\.50$", text, re.M)
    assert "3 new survivors:\n  a@k#1 of m in llvm-O2: was KILLED, is SURVIVED\n" in text
    assert "5 survivors gone:" in text
    assert "1 newly divergent mutant:" in text
    assert "1 mutant no longer divergent:" in text
    assert "3 mutants in both, 1 only in the old, 1 only in the new" in text
    # what has not changed is left out
    assert not re.search(rf"^{B}", text, re.M)


def test_json_is_what_was_compared(files, found, capsys):
    assert main([*files, "--format=json"]) == 0
    assert json.loads(capsys.readouterr().out) == {**found, "errors": []}


def test_markdown_has_the_same(files, capsys):
    assert main([*files, "--format=markdown", "--fail-on=new-survivor"]) == 1
    text = capsys.readouterr().out
    assert "| mutation score | 37.50 % | 62.50 % | &#43;25.00 |" in text
    assert "### 3 new survivors" in text
    assert text.count("<details>") == text.count("</details>") == 8
    assert "- ❌ " in text


@pytest.mark.parametrize(
    ("condition", "swapped", "said"),
    [
        ("new-survivor", False, "2 mutants survive that did not"),
        ("newly-divergent", False, "cells disagree on 1 more mutant"),
        ("lower-score", True, "62.50 % has become 37.50 %"),
    ],
)
def test_a_condition_that_holds_is_code_1(condition, swapped, said, files, capsys):
    if swapped:
        files[1:] = files[:0:-1]
    assert main([*files, f"--fail-on={condition}"]) == 1
    assert f"ERROR: --fail-on={condition}: {said}" in capsys.readouterr().out
    assert main(["compare", files[1], files[1], f"--fail-on={condition}"]) == 0


def test_reports_that_do_not_match_can_fail(files, tmp_path, capsys):
    other = copy.deepcopy(NEW)
    other["models"][0]["digest"] = "9"
    writer.write(other, tmp_path / "new.json")
    assert main(files) == 0
    assert main([*files, "--fail-on=lower-score,mismatch"]) == 1
    text = capsys.readouterr().out
    assert "WARNING: digest of the network m differs" in text
    assert "ERROR: --fail-on=mismatch: the reports differ in 1 way" in text


def test_a_summary_is_no_longer_than_github_takes(files, tmp_path, capsys):
    many = report({f"s{'x' * 300}@k#{i}": ("passed", "passed") for i in range(2000)})
    writer.write(many, tmp_path / "x.json")
    assert main(["compare", "old.json", "x.json", "--format=markdown"]) == 0
    text = capsys.readouterr().out
    assert 2**20 - 2000 < len(text.encode()) <= 2**20 + 1
    assert "> Left out, for GitHub takes no more than 1 MiB of a step: new survivors (" in text


def test_many_are_cut_and_counted(files, tmp_path, capsys):
    writer.write(report({f"s@k#{i}": ("passed", "passed") for i in range(30)}), tmp_path / "x.json")
    assert main(["compare", "old.json", "x.json"]) == 0
    assert "  ... and 50 more; -v shows all" in capsys.readouterr().out
    assert main(["compare", "old.json", "x.json", "-v"]) == 0
    assert "more; -v" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["old.json", "gone.json"], "gone.json could not be read"),
        (["old.json", "new.json", "--fail-on=new-survivors"], "Did you mean 'new-survivor'?"),
    ],
)
def test_what_is_wrong_is_code_2(arguments, said, files, capsys):
    assert main(["compare", *arguments]) == 2
    assert said in capsys.readouterr().err
