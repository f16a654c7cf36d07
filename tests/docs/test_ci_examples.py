"""The examples for CI services: they are read as YAML, and so are the commands in them."""

import re
import shlex
import tomllib

import pytest
import yaml
from pages import ROOT

from pytest_mutatenn.commands import make_parser
from pytest_mutatenn.report.writers import parse_destination
from pytest_mutatenn.settings import read_settings

FILES = sorted((ROOT / "examples" / "ci").glob("*.yml"))
GIVEN = {  # what the services put in
    "matrix.name": "cpu",
    "matrix.devices": "llvm,c",
    "matrix.extras": "xdist",
    "DEVICES": "llvm,c",
    "EXTRAS": "xdist",
    "CI_JOB_NAME_SLUG": "cpu",
    "GITHUB_STEP_SUMMARY": "summary.md",
}
VARIABLE = re.compile(r"\$\{\{ *([\w.]+) *\}\}|\$(\w+)")


def scripts(value):
    """Every text under a key that holds shell commands."""
    if isinstance(value, list):
        for one in value:
            yield from scripts(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key in ("run", "script", "before_script"):
                yield from [one] if isinstance(one, str) else one
            else:
                yield from scripts(one)


def commands(path, program):
    """Arguments of every command of a program in a file."""
    found = []
    for script in scripts(yaml.safe_load(path.read_text("utf-8"))):
        for line in script.splitlines():
            text = VARIABLE.sub(lambda match: GIVEN[match[1] or match[2]], line)
            words = shlex.split(text.partition(">>")[0])
            if words and words[0] == program:
                found.append(words[1:])
    return found


def test_there_is_one_for_each_service():
    assert [path.name for path in FILES] == ["github-actions.yml", "gitlab-ci.yml"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_pytest_takes_its_options(path, pytester):
    found = commands(path, "pytest")
    assert found
    for arguments in found:
        settings = read_settings(pytester.parseconfig(*arguments))
        assert settings.active
        assert {cell.device for cell in settings.cells} == {"llvm", "c"}
        assert [one.kind for one in settings.reports] == ["json"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_command_takes_its_options(path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    found = [make_parser().parse_args(words) for words in commands(path, "pytest-mutatenn")]
    assert found
    reports = [text for one in found for text in getattr(one, "report", ())]
    assert reports
    for text in reports:
        parse_destination(text)


def test_every_device_of_the_matrix_is_in_the_gate():
    path = next(path for path in FILES if path.name == "github-actions.yml")
    jobs = yaml.safe_load(path.read_text("utf-8"))["jobs"]
    names = [one["name"] for one in jobs["mutants"]["strategy"]["matrix"]["include"]]
    (combine,) = (words for words in commands(path, "pytest-mutatenn") if words[0] == "combine")
    assert [word for word in combine if word.startswith("reports/")] == [
        f"reports/{name}.json" for name in names
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_they_install_is_there(path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = path.read_text("utf-8")
    values = [*re.findall(r"(?:extras|EXTRAS): (.+)", text)]
    values += re.findall(r"pytest-mutatenn\[([\w,]+)\]", text)
    extras = {name for value in values for name in value.split(",")}
    assert "xdist" in extras
    assert extras <= project["optional-dependencies"].keys()
