"""The summary in Markdown, and at the end of a file."""

import copy
import re

import pytest
from hostile_record import TEST

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.report.formats import markdown, markdown_append
from pytest_mutatenn.report.formats.markdown import code, fenced, plain


def outside_of_code(text):
    return re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.M | re.S)


def test_nothing_in_a_text_is_markup(record):
    for entry in record["baseline"]:
        entry["outcome"] = "failed"
    record["warnings"] = ["| <b>bold</b> | @me *x* _y_ `z` https://example.org #1"]
    text = outside_of_code(markdown.render(record))

    tags = set(re.findall(r"</?\w+[^>]*>", text))
    assert tags == {"<details>", "</details>", "<summary>", "</summary>", "<code>", "</code>"}
    for character in "*`@[]\\":
        assert character not in text
    assert "https:" not in text
    assert "&#64;me" in text


def test_a_block_ends_where_it_should():
    lines = ["- a ``` b ````", "+ </details>"]
    assert fenced(lines).splitlines() == ["`````diff", *lines, "`````"]


def test_names_stay_readable():
    assert plain("Kernel variables and stores, 91.2 % (of conv_1)") == (
        "Kernel variables and stores, 91.2 % (of conv_1)"
    )
    assert code("a\n_b_ <c>") == "<code>a &#95;b&#95; &#60;c&#62;</code>"


def test_it_says_what_matters(record):
    record["gates"] = [{"passed": False, "text": "--mutatenn-fail-under: required 80 %"}]
    text = markdown.render(record)
    assert text.startswith("## Mutation score: 37.5 %\n")
    assert "- ❌ --mutatenn-fail-under&#58; required 80 %" in text.replace("&#45;", "-")
    assert "- 3 detected, 5 survived, over 2 cells; cells disagree on 1 mutant" in text
    assert "| Kernel variables and stores | 3 | 5 | 37.5 % |" in text
    assert "### Survivors: 3" in text
    assert "### Cells disagree: 1" in text
    assert "2 INVALID" in text


@pytest.fixture
def huge(record):
    """More than fits: 3000 survivors."""
    one = record["mutants"][0]
    record["mutants"] = [{**copy.deepcopy(one), "id": f"conv@k#{i}"} for i in range(3000)]
    record["divergent"] = []
    record["tests"] = [{"test": TEST, "file": "x" * 300 + ".py", "line": 1, "marker": None}]
    return record


def test_what_github_would_refuse_is_left_out_by_whole_sections_and_said(huge):
    text = markdown.render(huge)

    assert markdown.LIMIT - 2000 < len(text.encode()) <= markdown.LIMIT
    assert text.count("<details>") == text.count("</details>")
    there = text.count("<details>")
    assert f"survivors ({3000 - there})" in text.splitlines()[-1]
    assert text.splitlines()[-1].startswith("> Left out, ")


def test_a_summary_is_appended(record, tmp_path):
    path = tmp_path / "summary.md"
    path.write_bytes(b"# of another tool")
    markdown_append.write(record, path)
    markdown_append.write(record, path)

    text = markdown.render(record).encode("utf-8", "backslashreplace")
    assert path.read_bytes() == b"# of another tool\n" + text + b"\n" + text


def test_only_what_is_free_of_the_file_is_used(huge, tmp_path):
    path = tmp_path / "summary.md"
    path.write_bytes(b"x" * (markdown.LIMIT - 3000))
    markdown_append.write(huge, path)
    assert path.stat().st_size <= markdown.LIMIT
    assert "Left out" in path.read_text()


def test_a_full_file_is_an_error(record, tmp_path):
    path = tmp_path / "summary.md"
    path.write_bytes(b"x" * markdown.LIMIT)
    with pytest.raises(MutatennError, match="has 1048576 bytes, and GitHub takes no more"):
        markdown_append.write(record, path)
    assert path.stat().st_size == markdown.LIMIT
