"""How long a cell's mutants will take: a few of each stage are made and run, and timed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.compiler.digest import combine

if TYPE_CHECKING:
    from pytest_mutatenn.engine.base import BaseEngine
    from pytest_mutatenn.engine.evaluation import Arrays

_EACH = 3  # mutants that are timed, of each stage


def estimate(
    engine: BaseEngine,
    mutants: Sequence[Mapping[str, Any]],
    data: tuple[Arrays, str] | None,
) -> dict[str, float]:
    """Estimate the time of a cell's mutants on one worker, without the tests' own assertions.

    Parameters
    ----------
    engine
        The cell.
    mutants
        Its mutants, as listed.
    data
        The inputs and their digest; None where no test asks for predictions.

    Returns
    -------
    dict
        ``seconds`` in all, ``each`` the mean for a mutant, ``measured`` how many were timed.
    """
    by_stage: dict[str, list[str]] = {}
    for entry in mutants:
        by_stage.setdefault(entry["stage"], []).append(entry["id"])
    total, measured = 0.0, 0
    for ids in by_stage.values():
        picked = ids[:: max(1, -(-len(ids) // _EACH))]
        times = [_seconds(engine, mutant, data) for mutant in picked]
        total += sum(times) / len(times) * len(ids)
        measured += len(times)
    return {"seconds": total, "each": total / max(1, len(mutants)), "measured": measured}


def _seconds(engine: BaseEngine, mutant: str, data: tuple[Arrays, str] | None) -> float:
    """Time one mutant, or read what it took when it was timed before."""
    key = combine("time", engine.key, mutant, data[1] if data else "")
    known = engine.store.get_json("times", key)
    if known is None:
        if data is not None:
            engine.baseline(*data, keep=True)  # once a cell, and no part of a mutant's time
        start = time.perf_counter()
        prepared = engine.recipe(mutant).status == "prepared"
        if prepared and data is not None:
            engine.evaluate(mutant, *data, keep=True)
        known = {"seconds": time.perf_counter() - start}
        engine.store.put_json("times", key, known)
    return float(known["seconds"])
