"""What differs from run to run and from cell to cell, and what cannot be told from it.

The *floor* of a cell is, for the largest difference of outputs and for every metric, the larger of
two distances: between repeats of the unmutated network there, and between the unmutated network
there and in the reference cell. A mutant no farther from the unmutated network than that, by every
measure, is INDISTINGUISHABLE: another run, or a correct network compiled in another way, is as far
away.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.analysis.margins import finite
from pytest_mutatenn.analysis.verdict import Verdict
from pytest_mutatenn.report.differences import baselines_of, comparer_of
from pytest_mutatenn.report.words import Write, count_of

if TYPE_CHECKING:
    from pytest_mutatenn.analysis.differential import Comparer
    from pytest_mutatenn.engine.store import Store

NOT_ASKED = "not measured: see --mutatenn-repeats"
RECORDED = "a recording: nothing runs"
_ROUNDED = 1e-12  # what float64 may round of a metric
_SHOWN = 10


def noise_of(rows: Iterable[Mapping[str, Any]], repeats: int) -> dict[str, Any]:
    """Gather what the rows of the unmutated network measured.

    Parameters
    ----------
    rows
        All rows.
    repeats
        How often each cell was to be repeated; 0 where nothing was to be measured.

    Returns
    -------
    dict
        The part ``noise`` of the report, without pairs of cells.
    """
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        stats = row.get("stats") or {}
        if row["mutant"] is None:
            for cell, part in {row["cell"]: stats, **stats.get("parts", {})}.items():
                if part.get("noise"):
                    found.setdefault((row["model"], cell), []).append(part["noise"])
    cells = [
        {"model": model, "cell": cell, **_largest(told)}
        for (model, cell), told in sorted(found.items())
    ]
    return {"repeats": repeats, "off": "" if repeats else NOT_ASKED, "cells": cells, "pairs": []}


def _largest(told: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Of several measurements, of other inputs or by other workers, the largest of each number."""
    measured = [one for one in told if one["repeats"]]
    if not measured:
        return {"repeats": 0, "off": RECORDED, "output": None, "metrics": {}}
    names = sorted({name for one in measured for name in one["metrics"]})
    return {
        "repeats": max(one["repeats"] for one in measured),
        "off": "",
        "output": finite(max(one["output"] for one in measured)),
        "metrics": {
            name: finite(max(one["metrics"].get(name, 0.0) for one in measured)) for name in names
        },
    }


def merge_noise(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Make one part ``noise`` of several reports': of what several measured the largest."""
    cells: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    pairs: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for part in parts:
        for entry in part["cells"]:
            cells.setdefault((entry["model"], entry["cell"]), []).append(_unlimited(entry))
        for entry in part["pairs"]:
            pairs.setdefault((entry["model"], entry["a"], entry["b"]), entry)
    repeats = max(part["repeats"] for part in parts)
    return {
        "repeats": repeats,
        "off": "" if repeats else NOT_ASKED,
        "cells": [
            {"model": m, "cell": c, **_largest(told)} for (m, c), told in sorted(cells.items())
        ],
        "pairs": [pairs[key] for key in sorted(pairs)],
    }


def _unlimited(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of a report with infinity where JSON has none."""
    metrics = {name: _infinite(value) for name, value in entry["metrics"].items()}
    return {**entry, "output": _infinite(entry["output"]), "metrics": metrics}


def _infinite(value: float | None) -> float:
    return float("inf") if value is None else value


def floor_in(metrics: Mapping[str, float | None], metric: str) -> float | None:
    """The floor of what a test has compared; None where it is not among what was measured.

    The worst and the best input change no more than the input that changes most, and
    ``topk_agreement`` is measured for the `k` at which it changes most.
    """
    for name in (metric, metric.removesuffix(".min()").removesuffix(".max()").partition("(k=")[0]):
        if name in metrics:
            return _infinite(metrics[name])
    return None


def doubtful(record: Mapping[str, Any]) -> list[str]:
    """Say which tests are nearer to a bound on the unmutated network than repeats are apart."""
    floors = {(e["model"], e["cell"]): e["metrics"] for e in record["noise"]["cells"]}
    found = []
    for entry in record["baseline"]:
        metrics = floors.get((entry["model"], entry["cell"]), {})
        for margin in entry["margins"]:
            floor = floor_in(metrics, margin["metric"])
            if not floor or margin["margin"] is None or margin["margin"] > floor:
                continue
            apart = "without limit" if floor == float("inf") else f"by up to {floor:.3g}"
            found.append(
                f"{entry['test']} may fail by chance in {entry['cell']}: {margin['metric']} "
                f"{margin['op']} {margin['bound']:.6g} holds by {margin['margin']:.3g} on the "
                f"unmutated network, which changes {apart} from run to run. Give it more room."
            )
    return found


def compare_noise(record: dict[str, Any], store: Store, reference: str) -> None:
    """Compare cells two by two, and mark mutants that cannot be told from the original.

    Parameters
    ----------
    record
        The report, with where each answer is stored; what is found is written into it.
    store
        Where the answers lie.
    reference
        The reference cell.
    """
    if not record["noise"]["repeats"]:
        return
    pairs = record["noise"]["pairs"]
    for model in record["models"]:
        comparer = comparer_of(model, store)
        if comparer is None:
            continue
        keys = baselines_of(record, model["id"], reference)
        for a, b in itertools.combinations(sorted(keys), 2):
            found = comparer.apart(keys[a], keys[b])
            if found is not None:
                pairs.append({"model": model["id"], "a": a, "b": b, **_finite(found)})
        floors = _floors(record["noise"], model["id"], reference)
        for mutant in record["mutants"]:
            if mutant["model"] == model["id"]:
                for cell, there in mutant["cells"].items():
                    if cell in floors and Verdict[there["verdict"]].scored:
                        under = _is_under(floors[cell], there, keys.get(cell), comparer)
                        there["indistinguishable"] = under


def _finite(found: Mapping[str, Any]) -> dict[str, Any]:
    metrics = {name: finite(value) for name, value in found["metrics"].items()}
    return {"output": finite(found["output"]), "metrics": metrics}


def _floors(noise: Mapping[str, Any], model: str, reference: str) -> dict[str, dict[str, float]]:
    """Cell -> the largest difference of outputs, as ``output``, and of each metric."""
    found: dict[str, dict[str, float]] = {}
    told = [(entry["cell"], entry) for entry in noise["cells"] if entry["model"] == model]
    for pair in noise["pairs"]:
        if pair["model"] == model and reference in (pair["a"], pair["b"]):
            told.append((pair["b"] if pair["a"] == reference else pair["a"], pair))
    for cell, entry in told:
        if entry.get("off"):
            continue
        floor = found.setdefault(cell, {})
        for name, value in {**entry["metrics"], "output": entry["output"]}.items():
            floor[name] = max(floor.get(name, 0.0), _infinite(value))
    return found


def _is_under(
    floor: Mapping[str, float],
    there: Mapping[str, Any],
    baseline: str | None,
    comparer: Comparer,
) -> bool | None:
    """Whether a mutant is under a floor; None where it was not run on all inputs, or not kept."""
    answered = there["verdict"] in (Verdict.KILLED.name, Verdict.SURVIVED.name)
    difference = there["output_difference"]
    if not answered or not floor["output"]:
        return False  # where nothing differs there is nothing to be lost in
    if difference is not None and difference > floor["output"]:
        return False
    if there["propagated"] is None or baseline is None or not there["evaluation"]:
        return None
    found = comparer.apart(there["evaluation"], baseline)
    if found is None:
        return None
    return all(value <= floor.get(name, 0.0) + _ROUNDED for name, value in found["metrics"].items())


def write_noise(record: Mapping[str, Any], line: Write, *, verbose: bool) -> None:
    """Write what differs from run to run, and how many mutants are under that, a line a call."""
    noise = record["noise"]
    if not noise["repeats"]:
        return
    if not noise["cells"]:
        line("")
        line("nothing was repeated: no test looks at predictions", yellow=True)
        return
    several = len(record["models"]) > 1
    line("")
    line(f"the unmutated network, run {count_of(noise['repeats'], 'more time')} in each cell:",
         bold=True)  # fmt: skip
    noisy = [entry for entry in noise["cells"] if entry["off"] or entry["output"] != 0]
    quiet = len(noise["cells"]) - len(noisy)
    if quiet:
        line(f"the same bits every time in {count_of(quiet, 'cell')}")
    for entry in noisy if verbose else noisy[:_SHOWN]:
        name = f"{entry['model']}: {entry['cell']}" if several else entry["cell"]
        line(f"{name}  {_said(entry)}", yellow=not entry["off"])
    if not verbose and len(noisy) > _SHOWN:
        line(f"  ... and {len(noisy) - _SHOWN} more; -v shows all")
    marked = [
        (there["verdict"], there["indistinguishable"])
        for mutant in record["mutants"]
        for there in mutant["cells"].values()
        if Verdict[there["verdict"]].scored
    ]
    under = [verdict for verdict, found in marked if found]
    if under:
        survived = under.count(Verdict.SURVIVED.name)
        line(
            f"{count_of(len(under), 'verdict')} on mutants INDISTINGUISHABLE from the unmutated "
            f"network ({survived} survived, {len(under) - survived} detected): no farther from it "
            "than another run, or the reference cell"
        )
    unknown = sum(found is None for _, found in marked)
    if unknown:
        line(
            f"not known of {unknown}, which were not run on all inputs or whose outputs are not "
            "kept (see --mutatenn-differential)"
        )


def _said(entry: Mapping[str, Any]) -> str:
    if entry["off"]:
        return f"not repeated: {entry['off']}"
    largest = "without limit" if entry["output"] is None else f"by up to {entry['output']:.3g}"
    changing = [
        f"{name} by {'any number' if floor is None else format(floor, '.3g')}"
        for name, floor in entry["metrics"].items()
        if name != "max_abs_diff" and (floor is None or floor > _ROUNDED)
    ]
    return f"differs from run to run {largest}" + (f"; {', '.join(changing)}" if changing else "")
