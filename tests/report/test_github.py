"""Findings as lines that a workflow's runner reads."""

import copy
import re

import pytest
from hostile_record import LINES, B

from pytest_mutatenn.report.formats import github
from pytest_mutatenn.report.safe_text import visible


def unescape(text, more=""):
    """As the runner does it: the percent sign last."""
    for character in "\r\n" + more + "%":
        text = text.replace(f"%{ord(character):02X}", character)
    return text


def commands(text):
    """(kind, properties, message) of each line, all of which must be commands."""
    assert text.endswith("\n")
    found = []
    for line in text[:-1].split("\n"):
        match = re.fullmatch(r"::(error|warning|notice) ((?:(?!::).)*)::(.*)", line)
        assert match, line
        pairs = (pair.partition("=") for pair in match[2].split(","))
        properties = {name: unescape(value, ":,") for name, _, value in pairs}
        found.append((match[1], properties, unescape(match[3])))
    return found


def test_nothing_in_a_text_is_a_command(record):
    found = commands(github.render(record))
    assert [kind for kind, *_ in found] == ["warning", "warning", "warning", "notice", "notice"]
    _, properties, message = found[0]
    assert properties.keys() == {"file", "line", "title"}
    assert properties["line"] == "3"
    assert properties["file"].startswith("sub/tests/test_<script>")
    assert "%0A ::error::" in message
    assert "\x1b" not in message


def test_a_score_and_the_counts_stand_last(record):
    _, properties, message = commands(github.render(record))[-1]
    assert properties == {"title": "mutation score 37.5 %"}
    assert message == "3 mutants survived; cells disagree on 1."


@pytest.fixture
def many(record):
    """Thirty survivors that show, thirty that do not, twelve gates."""
    showing, quiet = record["mutants"][0], record["mutants"][2]
    record["divergent"] = []
    record["mutants"] = [
        {**copy.deepcopy(one), "id": f"{name}@k#{i}"}
        for name, one in (("showing", showing), ("quiet", quiet))
        for i in range(30)
    ]
    for i in range(30):
        record["mutants"][i]["cells"]["llvm-O2"]["top1_changed"] = i
    record["gates"] = [{"passed": False, "text": f"gate {i}"} for i in range(12)]
    record["gates"].append({"passed": True, "text": "a gate that is passed"})
    return record


def test_no_more_than_github_shows_and_it_says_what_is_left_out(many):
    found = commands(github.render(many))
    kinds = [kind for kind, *_ in found]
    assert {kind: kinds.count(kind) for kind in kinds} == {"error": 10, "warning": 10, "notice": 10}
    assert "2 errors, 20 warnings, 21 notices" in found[-1][2]


def test_the_most_important_come_first(many):
    found = commands(github.render(many))
    assert found[0][2] == "gate 0"
    titles = [properties["title"].partition("@k")[2] for kind, properties, _ in found
              if kind == "warning"]  # fmt: skip
    assert [title.partition(" ")[0] for title in titles] == [f"#{i}" for i in range(29, 19, -1)]


def test_a_test_that_fails_on_the_unmutated_network_is_an_error_where_it_stands(record):
    record["baseline"][1].update(outcome="failed", message=LINES)
    kind, properties, message = commands(github.render(record))[0]
    assert (kind, properties["line"]) == ("error", "7")
    assert properties["file"].startswith("sub/tests/test_")
    assert properties["title"].startswith(f"fails on the unmutated network in {B}: test_<script>")
    assert message.replace("\r\n", "\n") == visible(LINES)


def test_nothing_tested_is_an_error(record):
    record["score"]["overall"].update(score=None)
    kind, properties, _ = commands(github.render(record))[-1]
    assert (kind, properties["title"]) == ("error", "mutation score: no mutant was tested")


def test_what_no_test_is_known_for_has_no_place(record):
    record["tests"] = []
    assert {tuple(p) for _, p, _ in commands(github.render(record))} == {("title",)}
