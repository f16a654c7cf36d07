"""The table, the badge, GitLab's list, JUnit's file, and text that may hold anything."""

import csv as reader
import json
import re
from xml.etree import ElementTree as ET

import pytest
from hostile_record import LINES, TEST, A

from pytest_mutatenn.report.formats import badge, csv, gitlab, junit
from pytest_mutatenn.report.formats import json as record_writer
from pytest_mutatenn.report.safe_text import visible


@pytest.fixture
def table(record, tmp_path):
    csv.write(record, tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="", encoding="utf-8") as file:
        return list(reader.DictReader(file, strict=True))


def test_a_table_has_a_line_for_each_mutant_and_cell(record, table):
    assert [(row["id"], row["cell"], row["verdict"]) for row in table] == [
        (mutant["id"], cell, there["verdict"])
        for mutant in record["mutants"]
        for cell, there in mutant["cells"].items()
    ]
    assert tuple(table[0]) == csv.COLUMNS
    assert (table[0]["top1_changed"], table[0]["divergent"]) == ("1", "false")
    assert table[0]["survived"] == visible(TEST)


def test_its_lines_end_as_the_standard_says(record):
    first = csv.render(record).partition("\n")[0]
    assert first == ",".join(csv.COLUMNS) + "\r"


def test_no_text_is_a_formula(record, table):
    record["mutants"][0]["cells"][A].update(reason="=cmd|' /C calc'!A0", tau_mean=-0.5)
    row = next(reader.DictReader(csv.render(record).splitlines(keepends=True)))
    assert row["reason"] == "'=cmd|' /C calc'!A0"
    assert row["tau_mean"] == "-0.5"
    for row in table:
        assert not any(text.startswith(("=", "+", "-", "@", "\t")) for text in row.values())


@pytest.mark.parametrize(
    ("score", "low", "message", "colour"),
    [
        (91.25, None, "91.2 %", "brightgreen"),
        (89.99, 80.0, "90.0 % (80.0 to 99.0)", "green"),
        (0.0, None, "0.0 %", "red"),
        (None, None, "not tested", "lightgrey"),
    ],
)
def test_a_badge_shows_the_score(score, low, message, colour, record, tmp_path):
    high = None if low is None else 99.0
    record["score"]["overall"].update(score=score, low=low, high=high)
    badge.write(record, tmp_path / "b.json")
    assert json.loads((tmp_path / "b.json").read_text()) == {
        "schemaVersion": 1, "label": "mutation score", "message": message, "color": colour,
    }  # fmt: skip


def test_gitlab_has_what_it_asks_for(record, tmp_path):
    gitlab.write(record, tmp_path / "gl.json")
    found = json.loads((tmp_path / "gl.json").read_text(encoding="utf-8"))
    assert [one["severity"] for one in found] == ["major", "major", "major", "info"]
    assert len({one["fingerprint"] for one in found}) == len(found)
    for one in found:
        assert one["check_name"].startswith("mutatenn.")
        assert re.fullmatch(r"[0-9a-f]{32}", one["fingerprint"])
        assert one["location"]["path"].startswith("sub/tests/test_")
        assert one["location"]["lines"] == {"begin": 3}
        assert "\x00" not in one["description"]


def test_gitlab_wants_a_file_of_everything(record):
    record["tests"] = []
    (path,) = {one["location"]["path"] for one in json.loads(gitlab.render(record))}
    assert path.startswith("nets/")


def test_junit_has_a_case_for_each_mutant_and_cell(record, tmp_path):
    junit.write(record, tmp_path / "j.xml")
    root = ET.parse(tmp_path / "j.xml").getroot()

    assert [suite.get("name") for suite in root] == ["m.llvm-O0", "m.llvm-O2"]
    for suite in (root, *root):
        cases = list(suite.iter("testcase"))
        assert int(suite.get("tests")) == len(cases)
        assert int(suite.get("failures")) == sum(c.find("failure") is not None for c in cases)
        assert int(suite.get("skipped")) == sum(c.find("skipped") is not None for c in cases)
    failed = [c.get("name") for c in root[0].iter("testcase") if c.find("failure") is not None]
    assert failed == ["conv@k#1", "conv@k#2", "pool@k#1"]
    (skipped,) = root[0].iter("skipped")
    assert skipped.get("type") == "INVALID"
    assert skipped.get("message") == visible(LINES)


def test_junit_keeps_text_as_text(record):
    root = ET.fromstring(junit.render(record))
    (failure, *_) = root.iter("failure")
    assert "<script>alert(1)</script> ]]>" in failure.text
    assert r"\x1b[1m\x00\udcff\u202e" in failure.text
    layers = [p.get("value") for p in root.iter("property") if p.get("name") == "layer"]
    assert layers[0] == visible(record["mutants"][0]["layer"])


def test_what_no_encoding_has_can_be_written(record, tmp_path):
    record_writer.write(record, tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8")) == record


def test_unseen_characters_are_written_out():
    assert visible("a\x1b[0m\u202e\ud800\r\nb\rc\td") == "a\\x1b[0m\\u202e\\ud800\nb\\rc\td"
    assert visible("a\n\tb", lines=False) == "a b"
    assert visible("Ünïcode 漢 🦊") == "Ünïcode 漢 🦊"


def test_every_character_that_is_written_out_is_one_that_is_not_seen():
    every = [chr(code) for code in range(0x110000)]
    assert [one for one in every if visible(one) != one and one.isprintable()] == []
    assert visible("\n\t") == "\n\t"
