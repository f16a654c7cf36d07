"""One report of several: of other machines and devices, or of other mutants of the same cells."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pytest_mutatenn.analysis.differential import compare_best
from pytest_mutatenn.analysis.verdict import Verdict
from pytest_mutatenn.report.differences import NOT_STORED, comparable, without_keys
from pytest_mutatenn.report.divergence import divergent_of
from pytest_mutatenn.report.duplicates import judge_anew
from pytest_mutatenn.report.in_cell import absent_here
from pytest_mutatenn.report.kept_artefacts import common_artefacts
from pytest_mutatenn.report.latencies import NOT_ASKED, tests_of
from pytest_mutatenn.report.margins import margins_of
from pytest_mutatenn.report.matching import mismatches
from pytest_mutatenn.report.noise import merge_noise
from pytest_mutatenn.report.record import SCHEMA
from pytest_mutatenn.report.scores import excluded_of, scores_of
from pytest_mutatenn.report.shards import Named, shards_of
from pytest_mutatenn.report.sources import merged_sources

Records = Sequence[Mapping[str, Any]]

_LEFT_OUT = ("sampled_out", "not_selected", "other_shards")
_APART = "cells of different runs: reports have no scores of mutants"


def merge(named: Named) -> tuple[dict[str, Any], list[str]]:
    """Make one report of several, the same whatever their order.

    Parameters
    ----------
    named
        Reports, with what to call them in messages.

    Returns
    -------
    record
        The report.
    mismatches
        In what they differ that should be the same.
    """
    named = sorted(named, key=lambda entry: (json.dumps(entry[1], sort_keys=True), entry[0]))
    records = [record for _, record in named]
    plans = _plans(records)
    mutants = _mutants(records, plans)
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "run": _run(records),
        "models": _models(records),
        "cells": _union(records, "cells", ("id",), lambda cell: not cell["available"]),
        "baseline": _union(
            records,
            "baseline",
            ("model", "cell", "test"),
            lambda entry: entry["outcome"] in ("skipped", "compiled"),
        ),
        "checks": _union(records, "checks", ("model", "cell", "id")),
        "tests": _union(records, "tests", ("test",)),
        "plans": plans,
        "operators": _union(records, "operators", ("id",)),
        "mutants": mutants,
        "sources": merged_sources(records),
        "divergent": [],
        "differential": {},
        "latency": _latency(records),
        "noise": merge_noise([record["noise"] for record in records]),
        "margins": margins_of(mutants),
        "absent": _union(records, "absent", ("model", "cell", "stage", "operator")),
        "score": scores_of(mutants, any(r["run"]["options"].get("sample") for r in records)),
        "excluded": excluded_of(mutants, plans),
        "gates": [],
        "warnings": sorted({text for r in records for text in r["warnings"]}),
        "artefacts": common_artefacts(records),
    }
    record["divergent"] = _divergent(records, record)
    record["differential"] = _differential(records, record)
    return without_keys(record), mismatches(sorted(named, key=lambda entry: entry[0]))


def _run(records: Records) -> dict[str, Any]:
    """What ran: of what all have in common that, and all runs one by one."""
    runs = [run for r in records for run in r["run"].get("runs", [r["run"]])]
    runs.sort(key=lambda run: json.dumps(run, sort_keys=True))
    found: dict[str, Any] = {}
    for name in ("version", "tvm", "python", "host", "seed", "root"):
        values = [run[name] for run in runs]
        found[name] = values[0] if all(value == values[0] for value in values) else None
    return {
        **found,
        "options": _options([run["options"] for run in runs]),
        "started": min(run["started"] for run in runs),
        "seconds": round(sum(run["seconds"] for run in runs), 3),
        "argv": [],
        "workers": sum(run["workers"] for run in runs),
        "counters": _sums(run["counters"] for run in runs),
        "shard": None,
        "ended_early": None,
        "runs": runs,
    }


def _options(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Options that all runs had in common, the mutants that any was asked for, and any sample."""
    found: dict[str, Any] = {}
    for name in sorted({name for options in told for name in options}):
        values = [options.get(name) for options in told]
        found[name] = values[0] if all(value == values[0] for value in values) else None
        if name == "mutants" and found[name] is None:
            # a run that was asked for none had them all
            found[name] = (
                sorted({text for value in values for text in value or ()}) if all(values) else []
            )
        if name == "sample":
            found[name] = next((value for value in values if value), None)
    return found


def _union(
    records: Records,
    part: str,
    keys: Sequence[str],
    lesser: Callable[[Mapping[str, Any]], bool] = lambda _: False,
) -> list[dict[str, Any]]:
    """Entries of all reports, sorted by their keys; of equal keys the first that is no lesser."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in records:
        for entry in record[part]:
            known = found.setdefault(tuple(entry[key] for key in keys), entry)
            if lesser(known) and not lesser(entry):
                found[tuple(entry[key] for key in keys)] = entry
    return [found[key] for key in sorted(found)]


def _models(records: Records) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        for model in record["models"]:
            known = found.setdefault(model["id"], dict(model))
            known["dataset"] = known["dataset"] or model["dataset"]
    return [found[name] for name in sorted(found)]


def _plans(records: Records) -> list[dict[str, Any]]:
    """How many mutants each cell has: where several runs shared them out, all of theirs."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in records:
        for plan in record["plans"]:
            found.setdefault((plan["model"], plan["cell"]), []).append(plan)
    ran: dict[tuple[str, str], set[str]] = {}
    for record in records:
        here = {(plan["model"], plan["cell"]) for plan in record["plans"]}
        for mutant in record["mutants"]:
            for cell, there in mutant["cells"].items():
                key = mutant["model"], cell
                if key in here and there["planned"]:
                    ran.setdefault(key, set()).add(mutant["id"])
    merged = []
    for (model, cell), plans in sorted(found.items()):
        count = len(ran.get((model, cell), ()))
        sampled_out = min(plan["sampled_out"] for plan in plans)
        everything = max(p["mutants"] + sum(p[name] for name in _LEFT_OUT) for p in plans)
        # of shards, what is in none of these
        parts = [p["mutants"] + p["other_shards"] for p in plans if p["other_shards"]]
        other_shards = max(0, max(parts, default=count) - count)
        merged.append(
            {
                "model": model,
                "cell": cell,
                "mutants": count,
                "sampled_out": sampled_out,
                "not_selected": max(0, everything - count - sampled_out - other_shards),
                "other_shards": other_shards,
            }
        )
    return merged


def _mutants(records: Records, plans: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for record in records:
        for mutant in record["mutants"]:
            known = found.setdefault(
                (mutant["model"], mutant["id"]), {**mutant, "cells": {}, "groups": {}}
            )
            for part in ("cells", "groups"):
                for name, there in mutant[part].items():
                    known[part][name] = _better(known[part].get(name), there)
    cells = [(plan["model"], plan["cell"]) for plan in plans]
    sampled = any(record["run"]["options"].get("sample") for record in records)
    judge_anew(found.values(), lambda: absent_here(sampled_out=False))
    for (model, _), mutant in found.items():
        if "device" not in mutant["stage"].split("+"):
            for of, cell in cells:
                if of == model and cell not in mutant["cells"]:
                    mutant["cells"][cell] = absent_here(sampled_out=None if sampled else False)
        mutant["cells"] = dict(sorted(mutant["cells"].items()))
        mutant["groups"] = dict(sorted(mutant["groups"].items()))
        alone = {there["alone"] for there in mutant["cells"].values()}
        mutant["divergent"] = len({name for name in alone if Verdict[name].scored}) > 1
    return [found[key] for key in sorted(found)]


def _better(known: Mapping[str, Any] | None, other: Mapping[str, Any]) -> dict[str, Any]:
    """Of two entries of a mutant the one that says more: it ran, or at least it was planned."""

    def rank(there: Mapping[str, Any]) -> tuple[bool, bool]:
        return there["verdict"] == "SKIPPED", not there.get("planned", True)

    return dict(other if known is None or rank(other) < rank(known) else known)


def _divergent(records: Records, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Explain the divergent mutants; what a run knows of outputs it has compared is kept."""
    spare = [entry for one in records for shard in shards_of(one) for entry in shard["between"]]
    known = {
        (entry["model"], entry["mutant"], *entry["cells"]): entry["between"]
        for entry in [*spare, *(entry for one in records for entry in one["divergent"])]
        if entry["between"] is not None
    }
    found = divergent_of(record, None)
    for entry in found:
        entry["between"] = known.get((entry["model"], entry["mutant"], *entry["cells"]))
    return found


def _differential(records: Records, record: Mapping[str, Any]) -> dict[str, Any]:
    final = {(mutant["model"], mutant["id"]): mutant for mutant in record["mutants"]}
    parts = [_of_duplicates_no_more(one, final) for one in records]
    cells = _union(parts, "cells", ("model", "cell"))
    baseline = _union(parts, "baseline", ("model", "a", "b"))
    there = {(entry["model"], entry["a"], entry["b"]) for entry in baseline}
    datasets = {model["id"]: model["dataset"] for model in record["models"]}
    for one, other in itertools.combinations(cells, 2):
        model, a, b = one["model"], one["cell"], other["cell"]
        same = other["model"] == model and len(one["topk"]) == len(other["topk"])
        if same and datasets[model] is not None and (model, a, b) not in there:
            compared = compare_best(one["topk"], other["topk"], datasets[model]["names"])
            baseline.append({"model": model, "a": a, "b": b, **compared})
    not_compared = _sums(part["not_compared"] for part in parts)
    apart = _apart(records, record)
    if apart:
        not_compared[_APART] = not_compared.get(_APART, 0) + apart
    references = {part["reference"] for part in parts}
    return {
        "reference": references.pop() if len(references) == 1 else None,
        "cells": cells,
        "baseline": sorted(baseline, key=lambda e: (e["model"], e["a"], e["b"])),
        "mutants": _union(parts, "mutants", ("model", "mutant", "a", "b")),
        "not_compared": dict(sorted(not_compared.items())),
    }


def _of_duplicates_no_more(
    one: Mapping[str, Any], final: Mapping[tuple[str, str], Mapping[str, Any]]
) -> dict[str, Any]:
    """The comparisons of a report, but for mutants that have been found duplicates since."""
    part = one["differential"]
    nothing = NOT_STORED in part["not_compared"]
    less, more = Counter[str](), Counter[str]()
    kept = {}
    for mutant in one["mutants"]:
        key = mutant["model"], mutant["id"]
        here = [cell for cell, there in mutant["cells"].items() if there["planned"]]
        now = {**mutant, "cells": {cell: final[key]["cells"][cell] for cell in here}}
        stored = () if nothing else mutant["cells"]
        comparable(mutant, less, stored=stored)
        kept[key] = comparable(now, more, stored=stored)
    counts = Counter(part["not_compared"])
    counts.update(more)
    counts.subtract(less)
    return {
        **part,
        "mutants": [
            entry
            for entry in part["mutants"]
            if {entry["a"], entry["b"]} <= kept[entry["model"], entry["mutant"]]
        ],
        "not_compared": {reason: count for reason, count in counts.items() if count > 0},
    }


def _apart(records: Records, record: Mapping[str, Any]) -> int:
    """How many pairs of cells ran a mutant in different runs."""
    together = [{(plan["model"], plan["cell"]) for plan in one["plans"]} for one in records]
    count = 0
    for mutant in record["mutants"]:
        ran = [c for c, there in mutant["cells"].items() if Verdict[there["verdict"]].scored]
        for a, b in itertools.combinations(ran, 2):
            model = mutant["model"]
            count += not any({(model, a), (model, b)} <= cells for cells in together)
    return count


def _latency(records: Records) -> dict[str, Any]:
    cells = _union([record["latency"] for record in records], "cells", ("model", "cell"))
    why = sorted({record["latency"]["off"] for record in records} - {None, NOT_ASKED})
    off = None if cells else (why[0] if why else NOT_ASKED)
    return {"off": off, "cells": cells, "tests": tests_of(cells)}


def _sums(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            found[name] = found.get(name, 0) + count
    return dict(sorted(found.items()))
