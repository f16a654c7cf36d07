"""Every report of a run, and the same from its JSON."""

import json
from xml.etree import ElementTree as ET

import pytest

from pytest_mutatenn.commands import main
from pytest_mutatenn.report.writers import kinds

# every type there is, each to a place of its own
FILES = {kind: {"html": "page.html"}.get(kind, kind) for kind in kinds() if kind != "json"}
SOME = ("--mutatenn-opt-levels=0,2", "--mutatenn-sample=12")


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_run_and_its_json_give_the_same_files(workers, suite, monkeypatch):
    during, later = suite.path / "during", suite.path / "later"
    result = suite.run(
        *(workers, *SOME, "--junitxml=pytest.xml"),
        *(f"--mutatenn-report={kind}:{during / name}" for kind, name in FILES.items()),
        "--mutatenn-report=github",
    )
    assert result.ret == 0
    result.stdout.fnmatch_lines(["::notice title=mutation score * %25*::* survived; *"])
    wanted = [f"{kind}:{later / name}" for kind, name in FILES.items()]
    assert main(["report", str(suite.path / "report.json"), *wanted]) == 0

    assert contents(later) == contents(during)
    assert all((during / name).exists() for name in FILES.values())
    _check_places(result.report)
    _check_junit(suite.path / "pytest.xml", result.report)


def _check_places(report):
    tests = {one.pop("test"): one for one in report["tests"]}
    assert tests.keys() == {entry["test"] for entry in report["baseline"]}
    assert tests["test_tiny.py::test_finite"] == {"file": "test_tiny.py", "line": 6, "marker": 4}
    used = {mutant["operator"] for mutant in report["mutants"]}
    assert {one["id"] for one in report["operators"]} == used
    assert all(one["summary"].endswith(".") for one in report["operators"])


def _check_junit(path, report):
    (written,) = ET.parse(path).getroot()

    def of(element):
        return {p.get("name"): p.get("value") for p in element.find("properties")}

    overall = report["score"]["overall"]
    told = of(written)
    assert float(told["mutatenn_score"]) == overall["score"]
    assert float(told["mutatenn_low"]) == overall["low"]
    assert told["mutatenn_survived"] == str(overall["survived"])
    assert told["mutatenn_verdict"] == "passed"
    cases = list(written.iter("testcase"))
    assert int(written.get("tests")) == len(cases) > 50
    killed = set()
    for case in cases:
        found = of(case)
        assert found.keys() == {f"mutatenn_{n}" for n in ("model", "cell", "mutant", "verdict")}
        mutant = found["mutatenn_mutant"].partition("@llvm-")[0]
        assert f"[{found['mutatenn_cell']}-{mutant}]" in case.get("name")
        if found["mutatenn_verdict"] == "KILLED" and mutant != "canary":
            killed.add((found["mutatenn_mutant"], found["mutatenn_cell"]))
    assert killed == {
        (mutant["id"].partition("@llvm-")[0], cell)
        for mutant in report["mutants"]
        for cell, there in mutant["cells"].items()
        if there["verdict"] == "KILLED"
    }


def test_a_gate_that_is_not_passed_is_in_pytests_file(suite):
    result = suite.run("--mutatenn-sample=4", "--mutatenn-fail-under=100", "--junitxml=pytest.xml")
    assert result.ret == 1
    (written,) = ET.parse(suite.path / "pytest.xml").getroot()
    found = [(p.get("name"), p.get("value")) for p in written.find("properties")]
    assert ("mutatenn_verdict", "failed") in found
    assert any(name == "mutatenn_error" and "required 100 %" in text for name, text in found)


def test_without_mutants_a_case_says_what_it_ran_on(suite):
    suite.plain("--junitxml=pytest.xml")
    (written,) = ET.parse(suite.path / "pytest.xml").getroot()
    assert written.find("properties") is None
    for case in written.iter("testcase"):
        told = [p.get("value") for p in case.find("properties")]
        assert told == ["tiny", "llvm-O2", "baseline", "passed"]


def test_it_is_printed_also_where_pytest_prints_nothing(suite):
    result = suite.run("--mutatenn-sample=2", "--mutatenn-report=badge:-", "-p", "no:terminal")
    assert json.loads(result.outlines[-1])["label"] == "mutation score"


def test_a_variable_that_is_not_set_stops_the_run_before_it_begins(suite, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    result = suite.run("--mutatenn-report=markdown-append")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*the environment variable GITHUB_STEP_SUMMARY is not set*"])
