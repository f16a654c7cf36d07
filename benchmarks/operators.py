"""Measures every mutation operator on real networks and writes docs/measured.md.

    python benchmarks/operators.py --models ../shared/models --images ../shared/images

For each operator and network it counts the sites, draws some mutants of them, and says how many
fail top-1 agreement >= 0.99, how many fail a mean Kendall tau >= 0.9 (both against the unmutated
network on the same cell), and how many are equivalent, duplicate, crashed or refused. For each
category it says how many answers change at most, and of some mutants, made in several cells, how
many answers differ between these. Nothing is timed. What has been run before is taken from the
store.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import statistics
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_mutatenn.analysis.metrics import kendall_tau, top1_agreement
from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.engine.evaluate import Engine
from pytest_mutatenn.engine.outcome import Failure, Outcome
from pytest_mutatenn.engine.predictions import Predictions
from pytest_mutatenn.engine.specs import TensorInfo
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.engine.version import cpu_name, package_version
from pytest_mutatenn.model.inputs import load_inputs
from pytest_mutatenn.model.source import resolve_model
from pytest_mutatenn.operators.registry import CATEGORIES

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "measured.md"
CORAL = {"mean": [0.50196] * 3, "std": [0.50196] * 3}
CELL = Cell("llvm", 2)
OTHERS = (Cell("llvm", 0), Cell("llvm", 3))
TOP1, TAU = 0.99, 0.9

COLUMNS = ("sites", "drawn", "top-1", "tau", "equivalent", "duplicate", "crashed", "refused")


@dataclass(frozen=True)
class Network:
    """A network and its inputs; ``folder`` says which of the command line's folders they are in."""

    name: str
    model: str
    inputs: str
    preprocess: dict[str, Any] | None
    what: str


NETWORKS = (
    Network(
        "digits",
        "{examples}/digits.onnx",
        "{examples}/digits.npz",
        {"scale": 1 / 16},
        "300 digits, 10 classes",
    ),
    Network(
        "mlperf_resnet8_bn",
        "{models}/mlperf_resnet8_bn.onnx",
        "{images}/cifar10_eran100.npz",
        None,
        "100 images of CIFAR-10, 10 classes",
    ),
    Network(
        "coral_mobilenetv1_025_128",
        "{models}/coral_mobilenetv1_025_128.onnx",
        "{images}/photos",
        CORAL,
        "15 photographs, 1001 classes",
    ),
)


def measure(network: Network, options: argparse.Namespace, part: int) -> dict[str, Any]:
    """Run one worker's share of the mutants of a network.

    Returns
    -------
    dict
        ``sites`` and ``categories`` by "stage operator"; ``results``: of each mutant drawn its
        group, id, program digest or nothing, what became of it, the part of the answers that
        change, and the part that differs between cells (None where that was not asked).
    """
    store = Store(Path(options.store).resolve())
    places = {"examples": ROOT / "examples", "models": options.models, "images": options.images}
    source = resolve_model(network.model.format(**places), base=Path.cwd(), scratch=store.root)
    engines = {cell: Engine(source, cell, store) for cell in (CELL, *OTHERS)}
    try:
        engine = engines[CELL]
        data = load_inputs(
            network.inputs.format(**places),
            inputs=[TensorInfo.of(spec) for spec in engine.info["inputs"]],
            preprocess=network.preprocess,
            base=Path.cwd(),
        )
        stages = ("graph", "kernel", "device", "weights")
        listed = engine.list_mutants("all", stages, ("site", 1), (0, None), 0)
        groups: dict[str, list[str]] = {}
        categories = {}
        for entry in listed["mutants"]:
            group = f"{entry['stage']} {entry['operator']}"
            groups.setdefault(group, []).append(entry["id"])
            categories[group] = entry["category"]
        for entry in listed["absent"]:
            groups.setdefault(f"{entry['stage']} {entry['operator']}", [])
        results = []
        for group, ids in groups.items():
            for number, mutant in enumerate(drawn(ids, options.each)):
                if number % options.workers != part:
                    continue
                digest, found, answers = outcome(engine, mutant, data)
                changed = differing([answers, answers_of(engine, None, data)])
                between = None
                if number < options.across and not group.startswith("device"):
                    others = [answers_of(engines[cell], mutant, data) for cell in OTHERS]
                    between = differing([answers, *others])
                results.append((group, mutant, digest, found, changed, between))
        sites = {group: len(ids) for group, ids in groups.items()}
        return {"sites": sites, "categories": categories, "results": results}
    finally:
        for engine in engines.values():
            engine.close()


def drawn(ids: list[str], each: int) -> list[str]:
    """Some of the ids, the same ones everywhere."""
    return sorted(ids, key=lambda text: hashlib.sha256(text.encode()).digest())[:each]


def outcome(engine: Engine, mutant: str, data: Any) -> tuple[str, list[str], Any]:
    """Program digest, what became of a mutant, and its answers."""
    recipe = engine.recipe(mutant)
    if recipe.status != "prepared":
        return "", ["refused" if recipe.status == "rejected" else "no site"], None
    if recipe.digest == engine.info["digest"]:
        return recipe.digest, ["equivalent"], None
    ours = predictions(engine, mutant, data)
    if isinstance(ours, Failure):
        late = ours.outcome is Outcome.TIMED_OUT
        return recipe.digest, ["timed out" if late else "crashed"], None
    theirs = predictions(engine, None, data)
    found = []
    if not top1_agreement(ours, theirs) >= TOP1:
        found.append("top-1")
    tau = float(kendall_tau(ours, theirs).mean())
    if math.isnan(tau) or tau < TAU:
        found.append("tau")
    return recipe.digest, found or ["survived"], ours.top1


def predictions(engine: Engine, mutant: str | None, data: Any) -> Any:
    """What the network, or a mutant, says of all inputs; a Failure where it says nothing."""
    result = (
        engine.baseline(data.arrays, data.digest, keep=True)
        if mutant is None
        else engine.evaluate(mutant, data.arrays, data.digest, keep=True)
    )
    if isinstance(result, Failure):
        return result
    return Predictions(next(iter(result.outputs.values())).reshape(len(data), -1))


def answers_of(engine: Engine, mutant: str | None, data: Any) -> Any:
    """Best class of every input; None where a cell has no such mutant, or it died."""
    if mutant is not None and engine.recipe(mutant).status != "prepared":
        return None
    found = predictions(engine, mutant, data)
    return None if isinstance(found, Failure) else found.top1


def differing(answers: list[Any]) -> float | None:
    """Part of the inputs on which answers are not all the same; None where only one gave any."""
    there = [each for each in answers if each is not None]
    if len(there) < 2:
        return None
    return float(sum((each != there[0]) for each in there[1:]).astype(bool).mean())


def summary(parts: list[dict[str, Any]]) -> dict[str, Counter[str]]:
    """(stage, operator) -> counts by column; of the mutants with one code the first counts."""
    counts = {group: Counter({"sites": sites}) for group, sites in parts[0]["sites"].items()}
    seen: set[str] = set()
    everything = sorted((result for part in parts for result in part["results"]), key=_order)
    for group, _, digest, found, *_ in everything:
        counts[group]["drawn"] += 1
        if digest and "equivalent" not in found and digest in seen:
            counts[group]["duplicate"] += 1
            continue
        seen.add(digest)
        counts[group].update("crashed" if what == "timed out" else what for what in found)
    return counts


def _order(result: Any) -> tuple[str, str]:
    return result[0], result[1]


def by_category(parts: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Category -> how many answers change, and how many differ between cells."""
    categories = {group: name for part in parts for group, name in part["categories"].items()}
    found: dict[str, dict[str, list[float]]] = {}
    for part in parts:
        for group, _, _, what, changed, between in part["results"]:
            there = found.setdefault(categories[group], {"changed": [], "between": [], "died": []})
            there["died"].append(float("crashed" in what or "timed out" in what))
            for name, value in (("changed", changed), ("between", between)):
                if value is not None:
                    there[name].append(value)
    return {
        name: {
            "mutants": len(there["died"]),
            "median": statistics.median(there["changed"] or [0.0]),
            "most": max(there["changed"], default=0.0),
            "died": sum(there["died"]),
            "compared": len(there["between"]),
            "differ": sum(value > 0 for value in there["between"]),
            "furthest": max(there["between"], default=0.0),
        }
        for name, there in found.items()
    }


def page(found: dict[str, Any]) -> Iterator[str]:
    """The tables of docs/measured.md."""
    for network in NETWORKS:
        if network.name not in found:
            continue
        rows, categories = found[network.name]
        yield f"\n## {network.name}\n\n{network.what}.\n"
        yield (
            "| category | mutants | answers changed: median | most | crashed | in several cells | "
            "answers differ between them | most |\n|---|---|---|---|---|---|---|---|"
        )
        for category, title in CATEGORIES.items():
            if category in categories:
                c = categories[category]
                yield (
                    f"| {title} | {c['mutants']} | {c['median']:.1%} | {c['most']:.1%} | "
                    f"{c['died']:.0f} | {c['compared']} | {c['differ']} | {c['furthest']:.1%} |"
                )
        yield f"\n| operator | stage | {' | '.join(COLUMNS)} |"
        yield f"|---|---|{'---|' * len(COLUMNS)}"
        absent = []
        for group in sorted(rows, key=lambda text: text.split()[::-1]):
            stage, operator = group.split()
            if not rows[group]["sites"]:
                absent.append(f"{stage}.{operator}")
                continue
            cells = [str(rows[group][column] or ".") for column in COLUMNS]
            yield f"| `{operator}` | {stage} | {' | '.join(cells)} |"
        total: Counter[str] = sum(rows.values(), Counter())
        yield f"| all | | {' | '.join(str(total[column]) for column in COLUMNS)} |"
        yield f"\nWithout a site in this network: {', '.join(absent)}."


def main() -> None:
    """Measure, and write the tables into the page between its marks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="folder of the ONNX files")
    parser.add_argument("--images", type=Path, required=True, help="folder of the images")
    parser.add_argument("--each", type=int, default=12, help="mutants an operator and stage")
    parser.add_argument("--across", type=int, default=4, help="of them, those made in every cell")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--store", default=".mutatenn")
    parser.add_argument("--networks", default=",".join(n.name for n in NETWORKS))
    parser.add_argument("--json", type=Path, help="where to write the counts")
    options = parser.parse_args()
    found = {}
    for network in NETWORKS:
        if network.name not in options.networks.split(","):
            continue
        with ProcessPoolExecutor(options.workers) as pool:
            jobs = [pool.submit(measure, network, options, i) for i in range(options.workers)]
            parts = [job.result() for job in jobs]
        found[network.name] = summary(parts), by_category(parts)
        print(network.name, dict(sum(found[network.name][0].values(), Counter())), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1, sort_keys=True))
    host = f"{cpu_name()}, apache-tvm {package_version('apache-tvm')}, {CELL.id}"
    cells = ", ".join(cell.id for cell in (CELL, *OTHERS))
    table = (
        f"\n{host}. At most {options.each} mutants an operator and stage, {options.across} of "
        f"them in the cells {cells}.\n"
    )
    table += "\n".join(page(found)) + "\n"
    text = PAGE.read_text("utf-8")
    head, _, rest = text.partition("<!-- begin tables -->")
    _, _, tail = rest.partition("<!-- end tables -->")
    PAGE.write_text(f"{head}<!-- begin tables -->\n{table}<!-- end tables -->{tail}", "utf-8")


if __name__ == "__main__":
    main()
