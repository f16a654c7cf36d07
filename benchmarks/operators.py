"""Measures every mutation operator on real networks and writes docs/measured.md.

    python benchmarks/operators.py --models ../shared/models --images ../shared/images

For each operator and network it counts the sites, draws some mutants of them with a seed, and says
how many fail top-1 agreement >= 0.99, how many fail a mean Kendall tau >= 0.9 (both against the
unmutated network on the same cell), and how many are equivalent, duplicate, crashed or refused.
Nothing is timed. What has been run before is taken from the store.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
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

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "measured.md"
CORAL = {"mean": [0.50196] * 3, "std": [0.50196] * 3}
CELL = Cell("llvm", 2)
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
        ``sites``: (stage, operator) -> number; ``results``: (stage, operator, program digest or
        empty, what became of it) for each mutant drawn.
    """
    store = Store(Path(options.store).resolve())
    places = {"examples": ROOT / "examples", "models": options.models, "images": options.images}
    source = resolve_model(network.model.format(**places), base=Path.cwd(), scratch=store.root)
    engine = Engine(source, CELL, store)
    try:
        inputs = [TensorInfo.of(spec) for spec in engine.info["inputs"]]
        data = load_inputs(
            network.inputs.format(**places),
            inputs=inputs,
            preprocess=network.preprocess,
            base=Path.cwd(),
        )
        stages = ("graph", "kernel", "device", "weights")
        listed = engine.list_mutants("all", stages, ("site", 1), (0, None), 0)
        groups: dict[str, list[str]] = {}
        for entry in listed["mutants"]:
            groups.setdefault(f"{entry['stage']} {entry['operator']}", []).append(entry["id"])
        for entry in listed["absent"]:
            groups.setdefault(f"{entry['stage']} {entry['operator']}", [])
        results = []
        for group, ids in groups.items():
            for number, mutant in enumerate(drawn(ids, options.each)):
                if number % options.workers == part:
                    results.append((group, *outcome(engine, mutant, data)))
        return {"sites": {group: len(ids) for group, ids in groups.items()}, "results": results}
    finally:
        engine.close()


def drawn(ids: list[str], each: int) -> list[str]:
    """Some of the ids, the same ones everywhere."""
    return sorted(ids, key=lambda text: hashlib.sha256(text.encode()).digest())[:each]


def outcome(engine: Engine, mutant: str, data: Any) -> tuple[str, str, list[str]]:
    """Id, program digest and what became of a mutant."""
    recipe = engine.recipe(mutant)
    if recipe.status != "prepared":
        return mutant, "", ["refused" if recipe.status == "rejected" else "no site"]
    if recipe.digest == engine.info["digest"]:
        return mutant, recipe.digest, ["equivalent"]
    result = engine.evaluate(mutant, data.arrays, data.digest, keep=True)
    if isinstance(result, Failure):
        late = result.outcome is Outcome.TIMED_OUT
        return mutant, recipe.digest, ["timed out" if late else "crashed"]
    base = engine.baseline(data.arrays, data.digest, keep=True)
    ours, theirs = (
        Predictions(next(iter(run.outputs.values())).reshape(len(data), -1))
        for run in (result, base)
    )
    found = []
    if not top1_agreement(ours, theirs) >= TOP1:
        found.append("top-1")
    tau = float(kendall_tau(ours, theirs).mean())
    if math.isnan(tau) or tau < TAU:
        found.append("tau")
    return mutant, recipe.digest, found or ["survived"]


def summary(parts: list[dict[str, Any]]) -> dict[str, Counter[str]]:
    """(stage, operator) -> counts by column; of the mutants with one code the first counts."""
    counts = {group: Counter({"sites": sites}) for group, sites in parts[0]["sites"].items()}
    seen: set[str] = set()
    everything = sorted(tuple(result) for part in parts for result in map(_frozen, part["results"]))
    for group, _, digest, found in everything:
        counts[group]["drawn"] += 1
        if digest and "equivalent" not in found and digest in seen:
            counts[group]["duplicate"] += 1
            continue
        seen.add(digest)
        counts[group].update("crashed" if what == "timed out" else what for what in found)
    return counts


def _frozen(result: Any) -> tuple[Any, ...]:
    group, mutant, digest, found = result
    return group, mutant, digest, tuple(found)


def page(found: dict[str, dict[str, Counter[str]]], each: int) -> Iterator[str]:
    """The tables of docs/measured.md."""
    for network in NETWORKS:
        if network.name not in found:
            continue
        yield f"\n### {network.name}\n\n{network.what}.\n"
        yield f"| operator | stage | {' | '.join(COLUMNS)} |"
        yield f"|---|---|{'---|' * len(COLUMNS)}"
        rows = found[network.name]
        for group in sorted(rows, key=lambda text: text.split()[::-1]):
            stage, operator = group.split()
            cells = [str(rows[group][column] or ".") for column in COLUMNS]
            yield f"| `{operator}` | {stage} | {' | '.join(cells)} |"
        total: Counter[str] = sum(rows.values(), Counter())
        yield f"| all | | {' | '.join(str(total[column]) for column in COLUMNS)} |"


def main() -> None:
    """Measure, and write the tables into the page between its marks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="folder of the ONNX files")
    parser.add_argument("--images", type=Path, required=True, help="folder of the images")
    parser.add_argument("--each", type=int, default=12, help="mutants an operator and stage")
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
            found[network.name] = summary([job.result() for job in jobs])
        print(network.name, dict(sum(found[network.name].values(), Counter())), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1, sort_keys=True))
    host = f"{cpu_name()}, apache-tvm {package_version('apache-tvm')}, {CELL.id}"
    table = f"\n{host}, at most {options.each} mutants an operator and stage.\n"
    table += "\n".join(page(found, options.each)) + "\n"
    text = PAGE.read_text("utf-8")
    head, _, rest = text.partition("<!-- begin tables -->")
    _, _, tail = rest.partition("<!-- end tables -->")
    PAGE.write_text(f"{head}<!-- begin tables -->\n{table}<!-- end tables -->{tail}", "utf-8")


if __name__ == "__main__":
    main()
