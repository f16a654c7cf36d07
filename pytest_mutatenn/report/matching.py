"""Whether several reports are of the same thing, so that one can be made of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_mutatenn.report.shards import Named, incomplete, shards_of
from pytest_mutatenn.report.words import typed

_SHOWN = 3
_VERSIONS = {"version": "pytest-mutatenn", "tvm": "apache-tvm"}
_OF_NETWORK = ("digest", "inputs", "output")
_OF_INPUTS = ("digest", "count")
_OF_MUTANT = ("operator", "category", "stage", "parameters")
_CHOSEN = "mutants"  # what --mutatenn-mutants names: the runs may have shared them out


def mismatches(named: Named) -> list[str]:
    """Say, in sentences, in what reports differ that should be the same; empty where in nothing.

    Two by two they are asked for the same versions, options, networks, inputs, tests and mutants;
    and where both ran the same thing, for the same result.
    """
    found = []
    for a, b in itertools.combinations(named, 2):
        for check in (_same_run, _versions, _options, _models, _tests, _cells, _mutants, _results):
            found += check(a, b)
    return list(dict.fromkeys([*found, *incomplete(named)]))


def setups(named: Named) -> list[str]:
    """Say, in sentences, what reports were made with or of that differs, whatever came out of it.

    Two by two they are asked for the versions, options, networks, inputs, tests and cells.
    """
    found = []
    for a, b in itertools.combinations(named, 2):
        for check in (_versions, _options, _chosen, _models, _tests, _same_cells, _cells):
            found += check(a, b)
    return list(dict.fromkeys(found))


def _chosen(a: tuple[str, Any], b: tuple[str, Any]) -> list[str]:
    ours, theirs = (record["run"]["options"].get(_CHOSEN) for _, record in (a, b))
    option = f"--mutatenn-{_CHOSEN}"
    return [_values(option, a[0], b[0], ours, theirs)] if ours != theirs else []


def _same_cells(a: tuple[str, Any], b: tuple[str, Any]) -> list[str]:
    ours, theirs = ({plan["cell"] for plan in record["plans"]} for _, record in (a, b))
    return _only("the cell", a, b, ours, theirs)


def _same_run(a: tuple[str, Any], b: tuple[str, Any]) -> list[str]:
    if a[1]["run"] == b[1]["run"]:
        return [f"{a[0]} and {b[0]} are reports of the same run; name it once."]
    return []


def _versions(a: tuple[str, Any], b: tuple[str, Any]) -> list[str]:
    ours, theirs = a[1]["run"], b[1]["run"]
    return [
        _values(f"the version of {package}", a[0], b[0], ours[part], theirs[part])
        for part, package in _VERSIONS.items()
        if ours[part] != theirs[part]
    ]


def _options(a: tuple[str, Any], b: tuple[str, Any]) -> list[str]:
    ours, theirs = a[1]["run"]["options"], b[1]["run"]["options"]
    found = []
    for name in sorted({*ours, *theirs} - {_CHOSEN}):
        if ours.get(name) != theirs.get(name):
            option = f"--mutatenn-{name.replace('_', '-')}"
            values = (typed(options.get(name)) or "not given" for options in (ours, theirs))
            found.append(_values(option, a[0], b[0], *values))
    return found


def _models(a: tuple[str, Any], b: tuple[str, Any]) -> list[str]:
    ours, theirs = ({model["id"]: model for model in record["models"]} for _, record in (a, b))
    found = _only("the network", a, b, ours, theirs)
    for name in sorted(ours.keys() & theirs.keys()):
        for part in _OF_NETWORK:
            if ours[name][part] != theirs[name][part]:
                values = ours[name][part], theirs[name][part]
                found.append(_values(f"{part} of the network {name}", a[0], b[0], *values))
        data = ours[name]["dataset"], theirs[name]["dataset"]
        if None in data:
            continue  # nothing there looked at inputs
        for part in _OF_INPUTS:
            if data[0][part] != data[1][part]:
                what = f"{part} of the inputs of {name}"
                found.append(_values(what, a[0], b[0], data[0][part], data[1][part]))
    return found


def _tests(a: tuple[str, Any], b: tuple[str, Any]) -> list[str]:
    ours, theirs = ({entry["test"] for entry in record["baseline"]} for _, record in (a, b))
    return _only("the test", a, b, ours, theirs)


def _cells(a: tuple[str, Any], b: tuple[str, Any]) -> list[str]:
    """A cell that both ran mutants in has to be the same machine, or one like it."""
    ours, theirs = ({cell["id"]: cell for cell in record["cells"]} for _, record in (a, b))
    mutated = [{plan["cell"] for plan in record["plans"]} for _, record in (a, b)]
    return [
        f"{name} is on different processors in {a[0]} and {b[0]}, which may give different "
        "numbers; run it on one of them."
        for name in sorted(mutated[0] & mutated[1])
        if ours[name]["fingerprint"] != theirs[name]["fingerprint"]
    ]


def _mutants(a: tuple[str, Any], b: tuple[str, Any]) -> list[str]:
    ours, theirs = ({(m["model"], m["id"]): m for m in record["mutants"]} for _, record in (a, b))
    found = [
        _values(f"{part} of the mutant {key[1]}", a[0], b[0], ours[key][part], theirs[key][part])
        for key in sorted(ours.keys() & theirs.keys())
        for part in _OF_MUTANT
        if ours[key][part] != theirs[key][part]
    ]
    if ours and theirs and _comparable(a[1], b[1]):
        sides = [
            {key[1] for key, mutant in side.items() if mutant["stage"] in ("graph", "weights")}
            for side in (ours, theirs)
        ]
        found += _only("the mutant", a, b, *sides)
    return found


def _comparable(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether both should have the same mutants at the stages that no lowering touches.

    Where they share a cell, or are shards, they may have shared out its mutants; a sample is drawn
    from all mutants of a cell, and so differs from cell to cell.
    """
    shared = {p["cell"] for p in a["plans"]} & {p["cell"] for p in b["plans"]}
    options = a["run"]["options"], b["run"]["options"]
    chosen = any(one.get(_CHOSEN) or one.get("sample") for one in options)
    shards = any(list(shards_of(one)) for one in (a, b))
    return not shared and not chosen and not shards


def _results(a: tuple[str, Any], b: tuple[str, Any]) -> list[str]:
    ours, theirs = (_results_of(record) for _, record in (a, b))
    return [
        _values(f"the result of {what}", a[0], b[0], ours[what], theirs[what])
        for what in sorted(ours.keys() & theirs.keys())
        if ours[what] != theirs[what]
    ]


def _results_of(record: Mapping[str, Any]) -> dict[str, str]:
    found = {
        f"{entry['test']} on the unmutated network {entry['model']} in {entry['cell']}": entry[
            "outcome"
        ]
        for entry in record["baseline"]
        if entry["outcome"] not in ("skipped", "compiled")
    }
    for mutant in record["mutants"]:
        for cell, there in mutant["cells"].items():
            if there["verdict"] != "SKIPPED":
                found[f"{mutant['id']} of {mutant['model']} in {cell}"] = there["verdict"]
    return found


def _only(
    what: str,
    a: tuple[str, Any],
    b: tuple[str, Any],
    ours: Iterable[str],
    theirs: Iterable[str],
) -> list[str]:
    found = []
    for name, here, there in ((a[0], set(ours), set(theirs)), (b[0], set(theirs), set(ours))):
        other = b[0] if name == a[0] else a[0]
        alone = sorted(here - there)
        if alone:
            more = f", and {len(alone) - _SHOWN} more" if len(alone) > _SHOWN else ""
            which = what if len(alone) == 1 else f"{what}s"
            listed = ", ".join(alone[:_SHOWN])
            found.append(f"{which} {listed}{more}: in {name} and not in {other}.")
    return found


def _values(what: str, a: str, b: str, ours: Any, theirs: Any) -> str:
    return f"{what} differs: {_shown(ours)} in {a}, {_shown(theirs)} in {b}."


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
