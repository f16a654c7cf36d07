"""Stryker's report: valid by its schema, of the same score, and shown by its viewer."""

import json
import os
import shutil
from collections import Counter

import jsonschema
import pytest
from made import SCRIPT, made
from npm import npm_package

from pytest_mutatenn.compiler.edits import edits_between
from pytest_mutatenn.report.formats import stryker

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
TEXT = "def main():\n    for i in range(8):\n        a[i] = b[i] * 2\n    pass\n"


def written(record, tmp_path):
    stryker.write(record, tmp_path / stryker.DEFAULT)
    return json.loads((tmp_path / stryker.DEFAULT).read_text(encoding="utf-8"))


def mutants(report):
    return [mutant for file in report["files"].values() for mutant in file["mutants"]]


def statuses(report):
    return Counter(mutant["status"] for mutant in mutants(report))


@pytest.fixture(scope="module")
def validator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schema")
    package = npm_package("mutation-testing-report-schema@3.8.4", folder)
    schema = json.loads((package / "src/mutation-testing-report-schema.json").read_text())
    return jsonschema.validators.validator_for(schema)(schema)


def test_it_is_valid(record, validator, tmp_path):
    assert list(validator.iter_errors(written(made(40, text=SCRIPT), tmp_path))) == []
    assert list(validator.iter_errors(written(record, tmp_path))) == []
    # and the schema does refuse
    assert list(validator.iter_errors({"schemaVersion": "9", "files": {}}))


def test_its_score_is_ours(tmp_path):
    record = made(60)
    found = statuses(written(record, tmp_path))
    ours = record["score"]["overall"]
    assert found["Killed"] + found["Timeout"] == ours["detected"] > 0
    assert found["Survived"] == ours["survived"] > 0
    assert found.total() == sum(len(mutant["cells"]) for mutant in record["mutants"])


@pytest.mark.parametrize(
    ("verdict", "status", "reason"),
    [
        ("KILLED", "Killed", "why"),
        ("SURVIVED", "Survived", "why"),
        ("TIMEOUT", "Timeout", "why"),
        ("CRASHED", "Killed", "CRASHED: why"),
        ("INVALID", "CompileError", "INVALID: why"),
        ("EQUIVALENT", "Ignored", "EQUIVALENT: why"),
        ("DUPLICATE", "Ignored", "DUPLICATE: why"),
        ("SKIPPED", "Ignored", "SKIPPED: why"),
    ],
)
def test_verdicts(verdict, status, reason, tmp_path):
    record = made(1, ("llvm-O2",))
    record["mutants"][0]["cells"]["llvm-O2"].update(verdict=verdict, reason="why")
    (found,) = mutants(written(record, tmp_path))
    assert (found["status"], found["statusReason"]) == (status, reason)


def test_a_mutant_stands_where_it_changes_the_code_once_a_cell(tmp_path):
    report = written(made(1), tmp_path)
    ((name, file),) = report["files"].items()
    assert name == "net0/kernel/conv2d_0.py"
    assert [mutant["id"].partition(" in ")[2] for mutant in file["mutants"]] == [
        "c-O2",
        "llvm-O0",
        "llvm-O2",
        "opencl-O2",
    ]
    for mutant in file["mutants"]:
        assert mutant["location"] == {
            "start": {"line": 11, "column": 18},
            "end": {"line": 11, "column": 19},
        }
        assert mutant["replacement"] == "<="
        assert set(mutant["killedBy"]) <= set(mutant["coveredBy"])
    assert {test["id"] for test in report["testFiles"]["test_net.py"]["tests"]} == {
        "test_net.py::test_labels",
        "test_net.py::test_ranking",
    }


def test_texts_of_one_name_have_a_file_each_and_none_leaves_its_folder(tmp_path):
    record = made(40, ("llvm-O0", "c-O2"))
    first, second, third = record["sources"][:3]
    second.update(name=first["name"], cells=["c-O2"])
    third.update(name="../../etc")
    files = written(record, tmp_path)["files"]
    assert {"net0/kernel/conv2d_0 (llvm-O0).py", "net0/kernel/conv2d_0 (c-O2).py"} <= set(files)
    assert "net0/kernel/.._.._etc.py" in files
    second.update(cells=["llvm-O0"])
    assert "net0/kernel/conv2d_0 (llvm-O0).py (2)" in written(record, tmp_path)["files"]


def test_what_a_cell_has_not_made_stands_where_another_has_it_or_in_a_list(tmp_path):
    record = made(2, ("llvm-O0", "c-O2"))
    first, second = record["mutants"]
    first["cells"]["c-O2"].update(change=None, verdict="SKIPPED")
    for there in second["cells"].values():
        there.update(change=None, verdict="SKIPPED")
    files = written(record, tmp_path)["files"]
    here, nowhere = files["net0/kernel/conv2d_0.py"], files["net0/not made.txt"]
    assert ["another cell" in mutant["description"] for mutant in here["mutants"]] == [True, False]
    assert nowhere["source"] == f"{second['id']}\n"
    assert len(nowhere["mutants"]) == 2


def replaced(old, new):
    start, end, text = stryker._Source(TEXT).range(edits_between(TEXT, TEXT.replace(old, new)))
    lines = TEXT.splitlines(keepends=True)

    def offset(place):
        return sum(map(len, lines[: place[0] - 1])) + place[1] - 1

    made = TEXT[: offset(start)] + text + TEXT[offset(end) :]
    return TEXT[offset(start) : offset(end)], text, made


@pytest.mark.parametrize(
    ("old", "new", "was", "is_now"),
    [
        ("*", "+", "*", "+"),
        ("8", "7", "8", "7"),
        # several sites are one range
        ("b[i] * 2", "c[i] * 3", "b[i] * 2", "c[i] * 3"),
        # what is put in is shown with its line
        ("* 2", "* 2 + 1", "a[i] = b[i] * 2", "a[i] = b[i] * 2 + 1"),
        ("    pass\n", "    x()\n    pass\n", "    pass", "    x()\n    pass"),
        ("    pass\n", "    pass\n    end()\n", "pass", "pass\n    end()"),
    ],
)
def test_a_range_and_what_takes_its_place(old, new, was, is_now):
    assert replaced(old, new) == (was, is_now, TEXT.replace(old, new))


def test_a_line_that_goes_leaves_an_empty_one():
    was, is_now, _ = replaced("        a[i] = b[i] * 2\n", "")
    assert (was, is_now) == ("        a[i] = b[i] * 2", "")


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")
def test_strykers_viewer_shows_it(tmp_path):
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright: pip install playwright"
    )
    folder = tmp_path / "viewer"
    folder.mkdir()
    package = npm_package("mutation-testing-elements@3.9.0", folder)
    shutil.copy(package / "dist/mutation-test-elements.js", tmp_path)
    report = written(made(8, text=SCRIPT), tmp_path)
    page_file = tmp_path / "page.html"
    shown = json.dumps(report).replace("</", "<\\/")
    page_file.write_text(
        '<!doctype html><meta charset="utf-8"><mutation-test-report-app></mutation-test-report-app>'
        '<script src="mutation-test-elements.js"></script>'
        f'<script>document.querySelector("mutation-test-report-app").report = {shown}</script>'
    )
    wrong = []
    with playwright.sync_playwright() as started:
        # as root, as in a container, Chromium does not start with its sandbox
        alone = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = started.chromium.launch(executable_path=CHROMIUM, args=alone)
        page = browser.new_page()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.goto(page_file.as_uri())
        page.locator("mte-metrics-table").get_by_text("conv2d_0.py").click()
        page.locator("mte-file").wait_for()
        boxes = page.locator("mte-state-filter input[type=checkbox]")
        for i in range(boxes.count()):
            boxes.nth(i).check()
        name = next(file for file in report["files"] if file.endswith("conv2d_0.py"))
        here = report["files"][name]["mutants"]
        dots = page.locator("svg.mutant-dot")
        dots.nth(len(here) - 1).wait_for()
        assert dots.count() == len(here) == 4
        dots.first.click(force=True)
        drawer = page.locator("mte-drawer-mutant")
        drawer.get_by_text("boundary").first.wait_for()
        drawer.get_by_text(SCRIPT).first.wait_for()
        page.locator("mte-file").get_by_text("if i <= 0 and j <= 63:").first.wait_for()
        browser.close()
    assert wrong == []
