"""The part of the report with the texts that mutants change."""

from pytest_mutatenn.report.sources import merged_sources, parts_of, sources_of

TEXT = {"model": "m", "stage": "kernel", "name": "k", "language": "tvmscript", "text": "a\n"}


def change(source, *others):
    edits = [[1, 1, 1, 2, "b"]]
    beside = [{"source": other, "edits": edits} for other in others]
    return {"source": source, "edits": edits, "others": beside}


def mutant(**cells):
    return {"cells": {cell: {"change": there} for cell, there in cells.items()}}


def test_what_a_mutant_changes_is_there_once_with_its_cells():
    mutants = [mutant(x=change("1", "2"), y=change("1")), mutant(x=change("1"), y=None)]
    found = sources_of(mutants, {"1": TEXT, "2": TEXT, "3": TEXT})
    assert [(source["id"], source["cells"]) for source in found] == [
        ("1", ["x", "y"]),
        ("2", ["x"]),
    ]
    assert found[0] == {"id": "1", "cells": ["x", "y"], **TEXT}


def test_a_change_of_what_nobody_knows_is_none():
    mutants = [mutant(x=change("1", "lost"), y=change("1"))]
    found = sources_of(mutants, {"1": TEXT})
    assert mutants[0]["cells"]["x"]["change"] is None
    assert [source["cells"] for source in found] == [["y"]]


def test_texts_of_several_reports_are_merged_with_their_cells():
    one = {"sources": sources_of([mutant(x=change("1"))], {"1": TEXT})}
    other = {"sources": sources_of([mutant(a=change("1", "2"))], {"1": TEXT, "2": TEXT})}
    merged = merged_sources([one, other])
    assert merged == merged_sources([other, one])
    assert [(s["id"], s["cells"]) for s in merged] == [("1", ["a", "x"]), ("2", ["a"])]


def test_parts():
    assert parts_of(None) == []
    assert [part["source"] for part in parts_of(change("1", "2", "3"))] == ["1", "2", "3"]
