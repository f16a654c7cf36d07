import inspect
import shlex
import shutil
from datetime import date

import pytest
from pages import README, ROOT, blocks, command, run_pytest, section, table, words

import pytest_mutatenn
from pytest_mutatenn import plugin
from pytest_mutatenn.analysis.verdict import Verdict
from pytest_mutatenn.subject import MARKER_ARGUMENTS

TEXT = README.read_text("utf-8")


def test_ci_runs_the_second_command_as_the_readme_has_it():
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    # it reads the line out of the README: between the same marks, and by the same beginning
    assert "/<!-- begin tests -->/,/<!-- end tests -->/{/^python3 /p}" in script
    assert command(TEXT, "tests").startswith("python3 -m venv ")
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


@pytest.mark.parametrize("name", ["demo", "tests"])
def test_commands_set_up_their_own_environment(name):
    setup, install, run = command(TEXT, name).split(" && ")
    assert setup == "python3 -m venv .venv"
    assert shlex.split(install)[:2] == [".venv/bin/pip", "install"]
    assert shlex.split(run)[:3] == [".venv/bin/python", "-m", "pytest"]


def test_the_demo_is_what_the_output_shows():
    asked = command(TEXT, "demo")
    shown = blocks(TEXT.partition("<!-- begin output -->")[2], "text")[0]
    assert "--mutatenn-opt-levels=0,2,3" in asked
    assert "mutatenn: llvm-O0, llvm-O2, llvm-O3;" in shown
    assert "mutation score" in shown


def test_the_demo_command_is_accepted(tmp_path, store):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    arguments = shlex.split(command(TEXT, "demo").split(" && ")[2])[3:]
    assert arguments[:2] == ["-n", "2"]
    # the last option of a kind counts: one mutant of one cell is enough to see that it runs
    small = ["--mutatenn-opt-levels=2", "--mutatenn-sample=1", "-p", "no:xdist"]
    done = run_pytest(tmp_path, *arguments[2:], *small, store)
    assert done.returncode == 0, done.stdout
    assert "mutation score" in done.stdout


def test_the_first_test_runs(tmp_path, store):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "examples" / "tests" / "test_readme_block.py").write_text(blocks(TEXT, "python")[0])
    done = run_pytest(tmp_path, "examples/tests/test_readme_block.py", store)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_verdicts():
    rows = table(section(TEXT, "Reading the output"))
    documented = {
        (row[0].strip("`"), row[1], row[3] == "yes", row[4] == "yes")
        for row in rows
        if row[1] in Verdict.__members__
    }
    assert documented == {(v.letter, v.name, v.detected, v.scored) for v in Verdict}


def test_ids():
    from pytest_mutatenn.compiler.mutant import Mutant

    names = [name for row in table(section(TEXT, "Choosing mutants")) for name in words(row[0])]
    assert len(names) >= 12
    for name in names:
        text = name.removesuffix("@llvm-O2")
        assert Mutant.parse(text).id == text
        assert (text != name) == name.startswith("device.")


def test_the_file_of_accepted_survivors(tmp_path):
    from pytest_mutatenn.accepted import Accepted, read_accepted

    file = tmp_path / "accepted.toml"
    file.write_text(blocks(section(TEXT, "Choosing mutants"), "toml")[0])
    (one,) = read_accepted(file, "--mutatenn-accept", date(2026, 1, 1))
    assert one == Accepted(
        "kernel.boundary@conv2d_1#4",
        "the guard is never reached: what it guards is padding",
        date(2027, 6, 30),
        "digits",
        "llvm-O3",
    )


def test_fixtures():
    documented = {next(iter(words(row[0]))) for row in table(section(TEXT, "Fixtures"))}
    defined = set()
    for name in plugin.pytest_plugins:
        module = __import__(name, fromlist=["_"])
        for attribute, value in vars(module).items():
            if type(value).__name__ == "FixtureFunctionDefinition" and attribute[0] != "_":
                defined.add(attribute)
    assert documented == defined


def test_marker_arguments():
    documented = set().union(*(words(row[0]) for row in table(section(TEXT, "Marker"))))
    assert documented == set(MARKER_ARGUMENTS)


def test_metrics():
    from pytest_mutatenn.analysis import metrics

    documented = {}
    for row in table(section(TEXT, "Metrics")):
        name, _, arguments = row[0].strip("`").removesuffix(")").partition("(")
        documented[name] = arguments
    assert set(documented) == set(metrics.__all__)
    for name, arguments in documented.items():
        known = inspect.signature(getattr(pytest_mutatenn, name)).parameters
        for argument in arguments.split(", "):
            parameter, _, default = argument.partition("=")
            assert parameter in known
            assert not default or str(known[parameter].default) == default
