"""The command that makes one report of several."""

import json
from pathlib import Path

import pytest
from two_machines import A, two_reports

from pytest_mutatenn.commands import main
from pytest_mutatenn.report.formats import json as writer


@pytest.fixture
def two():
    return two_reports()


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


@pytest.mark.parametrize(
    "damage",
    [
        lambda report: report.update(run=None),
        lambda report: report.update(mutants="abc"),
        lambda report: report["run"].pop("shard"),
        lambda report: next(iter(report["mutants"][0]["cells"].values())).update(verdict="FOO"),
    ],
    ids=["no run", "no list", "no shard", "no verdict"],
)
def test_a_report_that_is_damaged_inside_is_named(damage, files, capsys):
    report = json.loads(Path(files[1]).read_text())
    damage(report)
    Path(files[1]).write_text(json.dumps(report))
    assert main(["combine", *map(str, files)]) == 2
    assert f"{files[1]} is damaged, or of another version" in capsys.readouterr().err
