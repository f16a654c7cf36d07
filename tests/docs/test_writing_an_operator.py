import json
import shlex
import shutil

import pytest
from pages import ROOT, marked, run_pytest

TEXT = (ROOT / "docs" / "writing-an-operator.md").read_text("utf-8")


@pytest.fixture
def project(tmp_path):
    """A user's project, with the files of the page in it."""
    for name in ("conftest.py", "test_operators.py"):
        (tmp_path / name).write_text(marked(TEXT, f"file: {name}", "python"))
    return tmp_path


def test_its_own_test_passes(project):
    done = run_pytest(project)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_its_command_finds_mutants_and_runs_them(project, store):
    shutil.copytree(ROOT / "examples", project / "examples")
    program, *arguments = shlex.split(marked(TEXT, "command", "sh"))
    assert program == "pytest"
    done = run_pytest(
        project,
        *arguments,
        "examples/tests/test_01_digits.py",
        store,
        "--mutatenn-report=json:report.json",
    )
    assert done.returncode == 0, done.stdout
    report = json.loads((project / "report.json").read_text())
    assert {mutant["operator"] for mutant in report["mutants"]} == {"drop_minimum"}
    assert report["score"]["overall"]["detected"] + report["score"]["overall"]["survived"] > 0
