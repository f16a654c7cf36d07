"""The files that MutateNN writes, for whoever has tools that read them.

Three files in a folder, with the names and fields that MutateNN's ``evaluators/evalgenerator.py``
gives them (https://github.com/luludak/MutateNN, the tool of N. Louloudakis and others, "MutateNN:
Mutation Testing of Image Recognition Models Deployed on Hardware Accelerators", ICST Mutation
2025):

- ``device_evaluation.json``: of the unmutated network and each mutant, every ordered pair of
  devices;
- ``device_discrepancies.json``: of those only where devices differ, or a mutant died on one;
- ``output_stats_total.csv``: the one-way analysis of variance of execution times.

A device of theirs is a cell of ours, and a library a mutant. What is not as in MutateNN: all
dissimilar inputs are listed, not nine; ``total_images_dissimilar`` counts every time, where
MutateNN's count begins at the second; times that nobody measured are ``"NaN"``, since a mutant's
work is spared; the table has a header, and all pairs, not only those that do not differ; and a
mutant that dies everywhere is listed as ``full_crash``, which MutateNN means to do.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

DEFAULT = "mutatenn"

ORIGINAL = "model_original"
"""MutateNN's name for the unmutated network."""
_FIELDS = ("lib", "device1", "device2", "p-value", "statistic")
_DIED = ("CRASHED", "TIMEOUT")
_UNKNOWN = "NaN"  # as MutateNN writes what is no number


def write(record: Mapping[str, Any], path: Path) -> None:
    """Write the three files into a folder, which is made."""
    path.mkdir(parents=True, exist_ok=True)
    evaluation = device_evaluation(record)
    discrepancies = device_discrepancies(record, evaluation)
    for name, found in (
        ("device_evaluation.json", evaluation),
        ("device_discrepancies.json", discrepancies),
    ):
        text = json.dumps(found, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
        (path / name).write_text(text + "\n", encoding="utf-8")
    with (path / "output_stats_total.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _FIELDS)
        writer.writeheader()
        writer.writerows(output_stats(record))


def device_evaluation(record: Mapping[str, Any]) -> dict[str, Any]:
    """Give, by mutant, the comparison of every ordered pair of cells; and how often which inputs.

    Parameters
    ----------
    record
        The report.
    """
    found: dict[str, Any] = {}
    seconds = {(e["model"], e["cell"]): e["seconds_per_input"] for e in record["latency"]["cells"]}
    tests = _tests(record)
    dissimilar: Counter[str] = Counter()
    for entry in _compared(record):
        model = entry["model"]
        original = entry["mutant"] is None
        pairs = found.setdefault(_library(record, model, entry["mutant"]), [])
        for base, evaluated in ((entry["a"], entry["b"]), (entry["b"], entry["a"])):
            test = tests.get((model, frozenset((base, evaluated)))) if original else None
            times = [seconds.get((model, cell)) if original else None for cell in (base, evaluated)]
            comparison = _comparison(entry, times[0], times[1], test)
            dissimilar.update(comparison["images_dissimilar"])
            pairs.append({"base": base, "evaluated": evaluated, "comparison": comparison})
    for pairs in found.values():
        pairs.sort(key=lambda pair: (pair["base"], pair["evaluated"]))
    return {**found, "total_images_dissimilar": dict(sorted(dissimilar.items()))}


def _compared(record: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    for entry in record["differential"]["baseline"]:
        yield {**entry, "mutant": None}
    yield from record["differential"]["mutants"]


def _library(record: Mapping[str, Any], model: str, mutant: str | None) -> str:
    name = mutant or ORIGINAL
    return f"{model}:{name}" if len(record["models"]) > 1 else name


def _comparison(
    entry: Mapping[str, Any],
    base: list[float] | None,
    evaluated: list[float] | None,
    test: Mapping[str, Any] | None,
) -> dict[str, Any]:
    inputs, names = entry["inputs"], entry["top1_dissimilar"]
    similar = inputs - len(names)
    return {
        "total_no_of_images": inputs,
        "no_of_images_similar": str(similar),
        "no_of_images_dissimilar": str(len(names)),
        "percentage_similar": str(100 * similar / inputs),
        "percentage_dissimilar": str(100 * len(names) / inputs),
        "total_exec_time": sum(evaluated) if evaluated else _UNKNOWN,
        "orig_total_exec_time": sum(base) if base else _UNKNOWN,
        "average_exec_time": sum(evaluated) / inputs if evaluated else _UNKNOWN,
        "average_orig_exec_time": sum(base) / inputs if base else _UNKNOWN,
        "images_dissimilar": names,
        "diff_labels": {},  # MutateNN, too, keeps none of them unless its source is changed
        "oneway_exec_time": {
            "statistic": _value(test, "statistic"),
            "p-value": _value(test, "p_value"),
        },
    }


def _value(test: Mapping[str, Any] | None, name: str) -> Any:
    value = test["anova"][name] if test is not None else None
    return _UNKNOWN if value is None else value


def _tests(record: Mapping[str, Any]) -> dict[tuple[str, frozenset[str]], Mapping[str, Any]]:
    return {
        (tested["model"], frozenset((pair["a"], pair["b"]))): pair
        for tested in record["latency"]["tests"]
        for pair in tested["pairs"]
    }


def device_discrepancies(
    record: Mapping[str, Any], evaluation: Mapping[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    """Give, by mutant, the pairs of cells that differ, and those in one of which it died."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, pairs in evaluation.items():
        if name == "total_images_dissimilar":
            continue
        found[name] = [
            {
                "base": pair["base"],
                "evaluated": pair["evaluated"],
                "percentage_dissimilar": pair["comparison"]["percentage_dissimilar"],
                "type": "discrepancy",
            }
            for pair in pairs
            if float(pair["comparison"]["percentage_dissimilar"]) > 0
        ]
    for mutant in record["mutants"]:
        ran = [c for c, there in mutant["cells"].items() if there["outcome"] == "returned"]
        died = [c for c, there in mutant["cells"].items() if there["verdict"] in _DIED]
        if not died:
            continue
        entries = found.setdefault(_library(record, mutant["model"], mutant["id"]), [])
        if not ran:
            entries.append({"type": "full_crash"})
        entries += [
            {"base": base, "evaluated": evaluated, "no_of_images": 0, "type": "crash"}
            for base in ran
            for evaluated in died
        ]
    return found


def output_stats(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the rows of the table: of every two cells the analysis of variance of their times."""
    return [
        {
            "lib": _library(record, tested["model"], None),
            "device1": pair["a"],
            "device2": pair["b"],
            "p-value": _value(pair, "p_value"),
            "statistic": _value(pair, "statistic"),
        }
        for tested in record["latency"]["tests"]
        for pair in tested["pairs"]
    ]
