"""The folder of artefacts: names, whole entries, and what the report says of them."""

import json
from pathlib import Path

import pytest

from pytest_mutatenn.compiler.edits import apply_edits
from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.report.artefacts import (
    INDEX,
    folder_of,
    prepare_folder,
    read_index,
    safe_name,
    write_entry,
)
from pytest_mutatenn.report.kept_artefacts import common_artefacts, take_artefacts


def file(name, text="", before="", language="c"):
    return {"name": name, "kind": "source", "stage": "code", "place": "k", "language": language,
            "before": before}  # fmt: skip


def index(mutant, files, **missing):
    return {"model": "m", "cell": "c", "mutant": mutant, "files": files, "missing": missing,
            "reason": ""}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["kernel.boundary@conv2d_1#4", "kernel.boundary@a#1+weights.drop_bias@b#1", "llvm-O2", "x~3"],
)
def test_an_ordinary_id_is_a_name_already(text):
    assert safe_name(text) == text


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "../x", "a/b", "kernel.boundary@sweep:2:5", "<script>", "a\nb", "-rf",
     "x" * 300, "llvm:mcpu=a;b", "\udcff", ".hidden", "a\\b"],
)  # fmt: skip
def test_what_a_file_system_or_an_archive_refuses_is_not_in_a_name(text):
    name = safe_name(text)

    assert Path(name).name == name
    assert name not in (".", "..")
    assert len(name) <= 100
    assert not set(name) & set('/\\:*?"<>|\n\0;')
    assert name[0] not in ".-"
    name.encode()


def test_other_texts_have_other_names():
    assert safe_name("a:b") != safe_name("a/b")
    assert safe_name("x" * 300) != safe_name("x" * 301)
    assert safe_name("x" * 300 + ".device.py").endswith(".device.py")


def test_an_entry_is_there_whole_and_the_first_stays(tmp_path):
    place = folder_of("m", "c", "k@l#1")
    write_entry(tmp_path, place, {"a.c": b"one"}, index("k@l#1", [file("a.c")]))
    write_entry(tmp_path, place, {"a.c": b"two"}, index("k@l#1", [file("a.c")]))

    assert (tmp_path / place / "a.c").read_bytes() == b"one"
    assert read_index(tmp_path / place)["mutant"] == "k@l#1"
    assert [p.name for p in (tmp_path / place).parent.iterdir()] == ["k@l#1"]


def test_what_cannot_be_written_is_an_error_that_leaves_nothing(tmp_path):
    (tmp_path / "m").write_text("a file where the folder should be")

    with pytest.raises(MutatennError, match=r"could not be written.*Not a directory"):
        write_entry(tmp_path, folder_of("m", "c", "k@l#1"), {"a": b""}, index("k@l#1", []))

    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_folder_of_an_earlier_run_is_emptied_and_another_is_not(tmp_path):
    ours, other = tmp_path / "ours", tmp_path / "other"
    prepare_folder(ours, "--x")
    (ours / "old").mkdir()
    other.mkdir()
    (other / "thesis.tex").write_text("")

    prepare_folder(ours, "--x")

    assert sorted(p.name for p in ours.iterdir()) == [".gitignore", INDEX]
    with pytest.raises(MutatennError, match=r"^--x: .* is not empty"):
        prepare_folder(other, "--x")
    assert (other / "thesis.tex").exists()


def cell(verdict="KILLED", reason=""):
    return {"verdict": verdict, "reason": reason, "artefacts": [], "code": None}


def record(**mutants):
    return {
        "baseline": [{"model": "m", "cell": "c", "test": "t"}],
        "cells": [{"id": "c"}],
        "mutants": [{"id": name, "model": "m", "cells": {"c": c}} for name, c in mutants.items()],
        "sources": [],
        "warnings": [],
    }


def test_the_report_has_the_paths_and_the_code_that_differs(tmp_path):
    before, after = "int a;\nint b;\n", "int a;\nint c;\n"
    write_entry(
        tmp_path, folder_of("m", "c", None), {"k.c": before.encode()}, index(None, [file("k.c")])
    )
    write_entry(
        tmp_path,
        folder_of("m", "c", "own"),
        {"k.c": after.encode()},
        index("own", [file("k.c", before="k.c")]),
    )
    told = record(seen=cell(), skipped=cell("SKIPPED", "sampled out in this cell"))

    take_artefacts(told, tmp_path, "kept", ["source"], {("m", "c", "seen"): "own"})

    assert told["artefacts"] == {"folder": "kept", "kept": ["source"]}
    seen, skipped = (mutant["cells"]["c"] for mutant in told["mutants"])
    assert seen["artefacts"] == ["m/c/own/index.json", "m/c/own/k.c"]
    (source,) = told["sources"]
    assert (source["stage"], source["text"], source["cells"]) == ("code", before, ["c"])
    assert seen["code"]["source"] == source["id"]
    assert apply_edits(before, seen["code"]["edits"]) == after
    assert skipped["artefacts"] == []
    assert skipped["code"] is None
    whole = json.loads((tmp_path / INDEX).read_text())
    assert [(e["mutant"], e["folder"], e["reason"]) for e in whole["entries"]] == [
        (None, "m/c/baseline", ""),
        ("seen", "m/c/own", ""),
        ("skipped", None, "sampled out in this cell"),
    ]
    assert told["warnings"] == []


def test_what_ran_and_left_nothing_is_warned_about(tmp_path):
    told = record(gone=cell("SURVIVED"))

    take_artefacts(told, tmp_path, "kept", ["ir"], {})

    assert told["warnings"] == [
        "gone in c: no artefacts, kept by a worker on another machine, or taken away since."
    ]


def test_combined_reports_name_the_folder_that_all_have():
    def of(folder, *kinds):
        return {"artefacts": {"folder": folder, "kept": list(kinds)}}

    assert common_artefacts([of("a", "ir"), of("a", "log")]) == {
        "folder": "a",
        "kept": ["ir", "log"],
    }
    assert common_artefacts([of("a", "ir"), of("b")]) == {"folder": None, "kept": ["ir"]}
