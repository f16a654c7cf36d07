"""``--mutatenn-export``: write the mutants that were collected so that each runs alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_mutatenn.compiler.mutant import CHECKS
from pytest_mutatenn.engine.evaluate import Engine
from pytest_mutatenn.engine.evaluation import Job
from pytest_mutatenn.engine.exporting import EXPORTED
from pytest_mutatenn.engine.outcome import Failure
from pytest_mutatenn.engine.version import package_version
from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.grid import Grid, Row
from pytest_mutatenn.report.artefacts import safe_name
from pytest_mutatenn.report.export import Exported, export_name, write_export

__all__ = ["export_rows"]


def export_rows(grid: Grid, rows: Iterable[Any], folder: Path) -> Iterator[tuple[str, Path]]:
    """Export every mutant that has a row, each to a folder of its own below the one given.

    Yields
    ------
    mutant and cell, for people, and where it lies.

    Raises
    ------
    MutatennError
        If one cannot be exported, with the reason.
    """
    wanted = {
        (row.subject.id, row.cell, row.mutant): row
        for row in reversed(list(rows))
        if isinstance(row, Row) and row.mutant is not None and row.mutant not in CHECKS
    }
    if not wanted:
        raise MutatennError(
            "There is nothing to export: no mutant was collected. Name one by --mutatenn-mutants."
        )
    several = len({model for model, _, _ in wanted}) > 1
    for (model, cell, mutant), row in sorted(wanted.items(), key=lambda entry: str(entry[0])):
        below = folder / safe_name(model) if several else folder
        place = below / export_name(mutant, cell.id)
        write_export(_exported(grid, row), place)
        yield f"{mutant} in {cell.id}", place


def _exported(grid: Grid, row: Row) -> Exported:
    cell, mutant, subject = row.cell, row.mutant, row.subject
    assert mutant is not None
    what = f"{mutant} cannot be exported from {cell.id}"
    kind, _, options = cell.spec.partition(":")
    if kind not in EXPORTED or "sanitize" in options:
        raise MutatennError(
            f"{what}: there is a script for {', '.join(EXPORTED)}, and none for {cell.spec}. A "
            "mutant of the stages graph, kernel and weights can be exported from another cell."
        )
    engine = grid.engines.of(subject, cell)
    assert isinstance(engine, Engine)
    if engine.compile_only:
        raise MutatennError(f"{what}: its device is not here, so that nobody knows what it gives.")
    recipe = engine.recipe(mutant)
    if recipe.status != "prepared":
        raise MutatennError(f"{what}: there is nothing to run: {recipe.reason}.")
    reply = engine.export(mutant)
    if isinstance(reply, Failure):
        raise MutatennError(f"{what}: {reply.reason}.\n{reply.stderr}")
    dataset = subject.dataset(engine.info)
    name = subject.output(engine.info)
    names = [spec["name"] for spec in engine.info["inputs"]]
    expected = _expected(engine, row, name)
    about = {
        "mutant": mutant,
        "model": subject.id,
        "cell": cell.id,
        "verdict": _verdict(engine, recipe.digest, expected),
        "before": "; ".join(recipe.before),
        "after": "; ".join(recipe.after),
        "undefined": recipe.undefined,
        "tvm": package_version("apache-tvm"),
    }
    program = {
        **reply.value,
        "output": [spec["name"] for spec in engine.info["outputs"]].index(name),
        "batch": len(dataset.names) // len(next(iter(dataset.arrays.values()))),
        "memory": engine.limits.memory,
    }
    arrays = [dataset.arrays[name] for name in names]
    return Exported(about, program, reply.arrays, arrays, expected, _reading(engine, mutant))


def _verdict(engine: Engine, digest: str, expected: dict[str, Any]) -> str:
    """What is known of it here; whether a test kills it, the report says."""
    if expected["outcome"]:
        return str(expected["outcome"])
    if digest == engine.info["digest"]:
        return "the baseline's code"
    both = [expected["top1"][role] for role in ("baseline", "mutant")]
    changed = sum(both[0][i] != both[1][i] for i in both[1])
    return f"another best class for {changed} of {len(both[1])} inputs"


def _expected(engine: Engine, row: Row, name: str) -> dict[str, Any]:
    """The best classes of both, from the store, or run now as a test would run them."""
    dataset = row.subject.dataset(engine.info)
    top1: dict[str, dict[str, int]] = {}
    failure: Failure | None = None
    for role, mutant in (("baseline", None), ("mutant", row.mutant)):
        job = Job(mutant, dataset.arrays, dataset.digest, keep=True)
        results = engine.results(job)
        try:
            failure = results.ask(range(results.count))
        finally:
            results.save()
        if failure is not None and mutant is None:
            raise MutatennError(f"The unmutated network does not run: {failure.reason}.")
        done = sorted(results.done)
        batch = len(dataset.names) // results.count
        samples = [number * batch + i for number in done for i in range(batch)]
        best = _best(results.outputs(name, done), len(samples)) if done else []
        top1[role] = {str(s): int(b) for s, b in zip(samples, best, strict=True)}
    baseline = engine.baseline(dataset.arrays, dataset.digest, keep=True)
    return {
        "names": [str(name) for name in dataset.names],
        "top1": top1,
        "outcome": "" if failure is None else str(failure.outcome),
        "reason": "" if failure is None else failure.reason,
        "seconds": engine.limits.deadline(baseline.seconds),
        "code": engine.recipe(str(row.mutant)).digest,
    }


def _best(scores: Any, count: int) -> Sequence[int]:
    from pytest_mutatenn.engine.predictions import as_scores, top_classes

    return [int(row[0]) for row in top_classes(as_scores(scores.reshape(count, -1)), 1)]


def _reading(engine: Engine, mutant: str) -> dict[str, bytes]:
    """What changes, to be read: before and after."""
    after = engine.derive(mutant, ("ir", "source"))
    before = engine.derive(None, ("ir", "source"))
    if isinstance(after, Failure) or isinstance(before, Failure):
        return {}
    found = {}
    ours = {file["name"]: file["text"] for file in before.value["files"]}
    for file in after.value["files"]:
        name = file["name"]
        data = after.arrays[name].tobytes() if name in after.arrays else file["text"].encode()
        found[f"after/{safe_name(name)}"] = data
        was = file["before"]
        if was in ours:
            found[f"before/{safe_name(was)}"] = ours[was].encode()
    return found
