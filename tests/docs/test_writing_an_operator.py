import json
import shlex
import shutil

import pytest
from pages import ROOT, marked, run_pytest, section, table, words

TEXT = (ROOT / "docs" / "writing-an-operator.md").read_text("utf-8")

# operators of the page, each in a block of its own
MORE = {
    "more_conftest.py": "leak",
    "graph_conftest.py": "relu6_to_tanh",
    "weights_conftest.py": "average_channel",
    "arithmetic.py": "drop_sqrt",
}
# what stands above an operator in the package's own file, and what the page says to add
HEAD = """
from collections.abc import Iterator
from typing import Any

from tvm.ir import Call
from tvm.tirx import sqrt

from pytest_mutatenn import operator
"""


def run(project, store, *arguments):
    """Run the first lesson on mutants; give the report."""
    done = run_pytest(
        project,
        *arguments,
        "examples/tests/test_01_digits.py",
        store,
        "--mutatenn-report=json:report.json",
    )
    assert done.returncode == 0, done.stdout
    return json.loads((project / "report.json").read_text())


def command(name):
    program, *arguments = shlex.split(marked(TEXT, name, "sh"))
    assert program == "pytest"
    return arguments


@pytest.fixture
def project(tmp_path):
    """A user's project, with the files of the page in it."""
    for name in ("conftest.py", "test_operators.py"):
        (tmp_path / name).write_text(marked(TEXT, f"file: {name}", "python"))
    return tmp_path


@pytest.fixture
def more(project):
    """The project with the page's further operators."""
    blocks = [marked(TEXT, f"file: {name}", "python") for name in MORE]
    (project / "conftest.py").write_text("\n\n".join([*blocks[:3], HEAD, blocks[3]]))
    test = project / "test_operators.py"
    test.write_text(test.read_text().replace('["drop_minimum"]', repr([*MORE.values()])))
    return project


def test_its_own_test_passes(project):
    done = run_pytest(project)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_its_command_finds_mutants_and_runs_them(project, store):
    shutil.copytree(ROOT / "examples", project / "examples")
    report = run(project, store, *command("command"))
    assert {mutant["operator"] for mutant in report["mutants"]} == {"drop_minimum"}
    assert report["score"]["overall"]["detected"] + report["score"]["overall"]["survived"] > 0


def test_its_other_operators_do_what_their_examples_say(more):
    done = run_pytest(more)
    assert done.returncode == 0, done.stdout
    assert f"{len(MORE)} passed" in done.stdout


def test_its_other_operators_find_mutants(more, store):
    shutil.copytree(ROOT / "examples", more / "examples")
    arguments = ["--mutatenn-operators=" + ",".join(MORE.values()), "--mutatenn-opt-levels=0"]
    done = run_pytest(more, *arguments, "--mutatenn-list", "examples/tests/test_02_weak.py", store)
    assert done.returncode == 0, done.stdout
    for name in MORE.values():
        assert f".{name}@" in done.stdout


def test_its_parameter_is_set_by_its_command(more, store):
    shutil.copytree(ROOT / "examples", more / "examples")
    report = run(more, store, *command("command: more"), "--mutatenn-sample=4")
    assert {mutant["parameters"]["amount"] for mutant in report["mutants"]} == {0.5}


def test_every_kind_of_node_is_in_the_table():
    from pytest_mutatenn.operators import parameter

    documented = {next(iter(words(row[0]))) for row in table(section(TEXT, "Other stages"))}
    defined = {
        name
        for name, value in vars(parameter).items()
        if isinstance(value, type) and issubclass(value, parameter.Parameter)
    }
    assert documented == defined
