"""MutateNN's files, with MutateNN's names and fields."""

import csv
import json

import pytest

from pytest_mutatenn.report.formats import mutatenn
from pytest_mutatenn.report.writers import Destination, parse_destination, write_report

# as evaluators/evalgenerator.py of MutateNN writes them
COMPARISON = {
    "total_no_of_images", "no_of_images_similar", "no_of_images_dissimilar", "percentage_similar",
    "percentage_dissimilar", "total_exec_time", "orig_total_exec_time", "average_exec_time",
    "average_orig_exec_time", "images_dissimilar", "diff_labels", "oneway_exec_time",
}  # fmt: skip


def compared(a, b, dissimilar, **more):
    return {"model": "m", "a": a, "b": b, "inputs": 4, "top1_dissimilar": dissimilar, **more}


def mutant(name, **verdicts):
    def there(verdict):
        return {"verdict": verdict, "outcome": "returned" if verdict == "KILLED" else "crashed"}

    return {"id": name, "model": "m", "cells": {c: there(v) for c, v in verdicts.items()}}


@pytest.fixture
def record():
    cells = [
        {"model": "m", "cell": "c", "seconds_per_input": [0.1, 0.1, 0.1, 0.1]},
        {"model": "m", "cell": "d", "seconds_per_input": [0.2, 0.2, 0.2, 0.3]},
    ]
    pair = {"a": "c", "b": "d", "anova": {"statistic": 27.0, "p_value": 0.002}}
    return {
        "models": [{"id": "m"}],
        "mutants": [
            mutant("x@k#1", c="KILLED", d="KILLED"),
            mutant("y@k#1", c="KILLED", d="CRASHED"),
            mutant("z@k#1", c="CRASHED", d="TIMEOUT"),
        ],
        "differential": {
            "baseline": [compared("c", "d", [])],
            "mutants": [compared("c", "d", ["2.png"], mutant="x@k#1")],
        },
        "latency": {"cells": cells, "tests": [{"model": "m", "pairs": [pair]}]},
    }


@pytest.fixture
def folder(record, tmp_path):
    return write_report(record, Destination("mutatenn", "out/deep"), tmp_path)


def test_every_ordered_pair_of_devices_has_an_entry(folder):
    found = json.loads((folder / "device_evaluation.json").read_text())

    assert set(found) == {"model_original", "x@k#1", "total_images_dissimilar"}
    pairs = found["x@k#1"]
    assert [(pair["base"], pair["evaluated"]) for pair in pairs] == [("c", "d"), ("d", "c")]
    assert set(pairs[0]["comparison"]) == COMPARISON
    assert pairs[0]["comparison"]["images_dissimilar"] == ["2.png"]
    assert pairs[0]["comparison"]["no_of_images_similar"] == "3"
    assert pairs[0]["comparison"]["percentage_dissimilar"] == "25.0"
    assert found["total_images_dissimilar"] == {"2.png": 2}


def test_times_are_those_of_the_unmutated_network(folder):
    found = json.loads((folder / "device_evaluation.json").read_text())
    original = found["model_original"][0]["comparison"]
    assert original["orig_total_exec_time"] == pytest.approx(0.4)
    assert original["total_exec_time"] == pytest.approx(0.9)
    assert original["average_exec_time"] == pytest.approx(0.225)
    assert original["oneway_exec_time"] == {"statistic": 27.0, "p-value": 0.002}
    assert found["x@k#1"][0]["comparison"]["total_exec_time"] == "NaN"


def test_discrepancies_are_what_differs_or_died(folder):
    found = json.loads((folder / "device_discrepancies.json").read_text())
    assert found["model_original"] == []
    assert found["x@k#1"][0] == {
        "base": "c",
        "evaluated": "d",
        "percentage_dissimilar": "25.0",
        "type": "discrepancy",
    }
    crash = {"base": "c", "evaluated": "d", "no_of_images": 0, "type": "crash"}
    assert found["y@k#1"] == [crash]
    assert found["z@k#1"] == [{"type": "full_crash"}]


def test_the_table_has_a_row_for_two_devices(folder):
    with (folder / "output_stats_total.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {
            "lib": "model_original",
            "device1": "c",
            "device2": "d",
            "p-value": "0.002",
            "statistic": "27.0",
        }
    ]


def test_mutants_of_several_networks_are_told_apart(record):
    record["models"].append({"id": "n"})
    assert "m:x@k#1" in mutatenn.device_evaluation(record)


def test_it_has_a_folder_of_its_own_where_none_is_named():
    assert parse_destination("mutatenn").target == "mutatenn"
    assert parse_destination("json").target == "mutatenn.json"
