"""Kinds of report, and where they go."""

import importlib

import pytest

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.report.writers import (
    Destination,
    kinds,
    parse_destination,
    render_report,
    write_report,
)

TEXTS = ("sarif", "github", "markdown", "gitlab", "csv", "badge", "junit", "json")


@pytest.mark.parametrize("kind", TEXTS)
def test_what_is_printed_is_what_is_written(kind, record, tmp_path):
    path = write_report(record, Destination(kind, "deep/file"), tmp_path)
    assert render_report(record, Destination(kind, "-")).encode() == path.read_bytes()


def test_every_kind_has_a_place_of_its_own(monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "s.md")
    places = [parse_destination(kind).target for kind in kinds()]
    assert len(set(places)) == len(places)
    assert parse_destination("github").printed
    for kind, module in kinds().items():
        assert callable(importlib.import_module(module).write), kind


def test_variables_of_the_environment_are_put_in(monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "/tmp/s.md")
    for text in ("markdown-append", "markdown-append:$GITHUB_STEP_SUMMARY"):
        assert parse_destination(text) == Destination("markdown-append", "/tmp/s.md")
    assert parse_destination("csv:${GITHUB_STEP_SUMMARY}.csv").target == "/tmp/s.md.csv"


@pytest.mark.parametrize("text", ["markdown-append", "markdown-append:$GITHUB_STEP_SUMMARY"])
def test_a_variable_that_is_not_set_is_an_error_that_says_so(text, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    with pytest.raises(MutatennError, match="environment variable GITHUB_STEP_SUMMARY is not set"):
        parse_destination(text)


def test_what_is_no_text_is_not_printed():
    with pytest.raises(MutatennError, match="--report=mutatenn:-: mutatenn cannot be printed"):
        parse_destination("mutatenn:-", "--report")
