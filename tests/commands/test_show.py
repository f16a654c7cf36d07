"""One mutant of a report in a terminal."""

import json
import subprocess
import sys

import pytest
from told import GREEN, build, plan, row

from pytest_mutatenn.commands import main
from pytest_mutatenn.report.formats import json as writer
from pytest_mutatenn.report.mutant_lines import lines_of

FIRST, SECOND, THIRD = "kernel.boundary@conv#1", "kernel.boundary@conv#12", "graph.drop@clip#1"


@pytest.fixture
def record():
    rows = [
        *GREEN,
        row(FIRST, "a", "failed", reason="assert 0.5 >= 0.9\nwhere 0.5 = agreement"),
        row(SECOND, "a", "passed"),
        row(SECOND, "b", "passed", 1),
        row(THIRD, "a", "passed"),
        row(THIRD, "b", "passed", 1),
    ]
    made = build(rows, {"llvm-O2": plan(FIRST, SECOND, THIRD)})
    made["run"]["argv"] = ["-n", "2", "test_a.py", "--mutatenn", "--mutatenn-sample=9"]
    made["models"] = [{"id": "m", "source": "net.onnx"}]
    made["sources"] = [
        {
            "id": "1" * 16, "model": "m", "stage": "kernel", "name": "conv", "cells": ["llvm-O2"],
            "language": "tvmscript", "text": "".join(f"line {i}\n" for i in range(1, 21)),
        }
    ]  # fmt: skip
    there = made["mutants"][1]["cells"]["llvm-O2"]
    there["change"] = {"source": "1" * 16, "edits": [[10, 6, 10, 8, "ten"]], "others": []}
    there["inputs"] = {"run": "0-9", "infected": "0-3,7", "propagated": "7", "top1_changed": ""}
    there |= {"inputs_run": 10, "infected": 5, "propagated": 1, "top1_changed": 0}
    there["stderr"] = "one\ntwo \033[2J"
    return made


@pytest.fixture
def file(record, tmp_path):
    path = tmp_path / "run.json"
    writer.write(record, path)
    return str(path)


def show(record, mutant, *, colour=False):
    entry = next(m for m in record["mutants"] if m["id"] == mutant)
    return list(lines_of(record, entry, colour=colour))


def test_a_mutant_is_shown_with_its_change_in_context(record):
    lines = show(record, FIRST)

    assert lines[0] == FIRST
    assert "  network   m (net.onnx)" in lines
    assert "conv, tvmscript" in lines
    start = lines.index("@@ -7,7 +7,7 @@")
    assert lines[start + 3 : start + 7] == [" line 9", "-line 10", "+line ten", " line 11"]


def test_a_cell_has_its_verdict_and_all_that_led_to_it(record):
    lines = show(record, FIRST)

    assert "llvm-O2  KILLED" in lines
    at = lines.index("  because   assert 0.5 >= 0.9")
    assert lines[at + 1] == "            where 0.5 = agreement"
    assert "  killed by a" in lines
    inputs = (
        "10 inputs run, 5 infected (0-3,7), 1 with another output (7), 0 with another best class"
    )
    assert f"  inputs    {inputs}" in lines
    alone = f"'--mutatenn-mutants={FIRST}' --mutatenn-devices=llvm --mutatenn-opt-levels=2"
    assert f"  alone     pytest test_a.py {alone}" in lines
    assert "  passed    a, b" in show(record, SECOND)


def test_where_no_text_is_known_the_lines_before_and_after_stand(record):
    lines = show(record, SECOND)

    assert "- a" in lines
    assert "+ b" in lines


def test_what_could_steer_a_terminal_is_shown_as_text(record):
    assert "            two \\x1b[2J" in show(record, FIRST)
    assert "\033" not in "".join(show(record, FIRST))


def test_colours_change_nothing_but_the_colour(record):
    import re

    plain = show(record, FIRST)
    coloured = show(record, FIRST, colour=True)

    assert "\033[31m-line 10\033[0m" in coloured
    assert [re.sub(r"\033\[[0-9;]*m", "", line) for line in coloured] == plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (FIRST, [FIRST]),
        (f"m:{FIRST}", [FIRST]),
        ("graph", [THIRD]),
        ("kernel.boundary@conv#12", [SECOND]),
        ("kernel.*", [FIRST, SECOND]),
        ("*clip*", [THIRD]),
    ],
)
def test_an_id_its_beginning_and_a_glob_find_mutants(file, capsys, text, shown):
    assert main(["show", text, file]) == 0

    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if "@" in line and " " not in line] == shown


def test_what_is_not_there_or_not_one_is_said(file, capsys):
    assert main(["show", "kernel.boundry@conv#1", file]) == 2
    assert f"Did you mean {FIRST!r}?" in capsys.readouterr().err
    assert main(["show", "kernel.", file]) == 2
    assert (
        f"2 mutants of the report begin with kernel.: {FIRST}, {SECOND}." in capsys.readouterr().err
    )
    assert main(["show", FIRST, "missing.json"]) == 2
    assert "missing.json could not be read" in capsys.readouterr().err


def test_no_colour_where_the_output_is_no_terminal(file, capsys):
    main(["show", FIRST, file])
    assert "\033" not in capsys.readouterr().out
    main(["show", FIRST, file, "--colour=yes"])
    assert "\033" in capsys.readouterr().out


def test_a_reader_that_has_read_enough_is_no_error(file):
    command = f"{sys.executable} -m pytest_mutatenn show '*' {file} | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )

    assert done.stderr == ""
    assert done.stdout.count("\n") == 1


def test_a_report_without_mutants_says_so(record, tmp_path, capsys):
    record["mutants"] = []
    path = tmp_path / "empty.json"
    path.write_text(json.dumps(record))

    assert main(["show", FIRST, str(path)]) == 2
    assert "The report has no mutant" in capsys.readouterr().err
