"""Reports of a run that is over."""

import csv
import io

import pytest
from hostile_record import hostile

from pytest_mutatenn.commands import main
from pytest_mutatenn.report.formats import json as writer


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    writer.write(hostile(), tmp_path / "run.json")
    return "run.json"


def test_it_writes_what_is_asked_for_and_says_where(file, tmp_path, capsys):
    assert main(["report", file, "sarif:out/x.sarif", "badge", "json:again.json"]) == 0
    told = capsys.readouterr().out
    for kind, name in (("sarif", "out/x.sarif"), ("badge", "mutatenn-badge.json")):
        assert f"{kind} report: {tmp_path / name}\n" in told
        assert (tmp_path / name).stat().st_size
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / file).read_bytes()


def test_what_is_printed_stands_alone(file, tmp_path, capsys):
    assert main(["report", file, "csv:-", "badge:b.json"]) == 0
    told = capsys.readouterr()
    assert len(list(csv.reader(io.StringIO(told.out)))) == 11
    assert "badge report:" in told.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run.json", "saref"], "report: unknown type 'saref'. Did you mean 'sarif'?"),
        (["gone.json", "csv"], "gone.json could not be read: No such file or directory."),
        (["run.json", "csv:$NO_SUCH_NAME"], "environment variable NO_SUCH_NAME is not set"),
        (["run.json", "csv:run.json/x.csv"], "report=csv:run.json/x.csv could not be written"),
    ],
)
def test_what_is_wrong_is_code_2(arguments, said, file, capsys):
    assert main(["report", *arguments]) == 2
    assert said in capsys.readouterr().err
