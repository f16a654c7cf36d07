"""Mutants that a user names by their ids: found whatever is selected, drawn or combined."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from pytest_mutatenn.compiler.mutant import CHECKS, Mutant
from pytest_mutatenn.engine.higher_order import Found, joined
from pytest_mutatenn.engine.workshop import Workshop
from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.operators.registry import STAGES, Operator

Sites = Callable[[Workshop, Operator, Mutant], Sequence[Found]]
"""What an operator offers at a stage: all of it, or at least what the mutant names."""


def named(workshop: Workshop, texts: Iterable[str], sites: Sites, sweep: Any) -> list[Found]:
    """The mutants of these ids, in the order of stage and operator; those that are there.

    Parameters
    ----------
    workshop
        The cell.
    texts
        The ids.
    sites, sweep
        How the list finds sites, and makes a sweep of them.
    """
    found = []
    for text in texts:
        one = _one(workshop, text, sites, sweep)
        if one is not None:
            found.append(one)
    return sorted(found, key=lambda one: (_rank(one.entry["stage"]), one.entry["operator"]))


def _rank(stage: str) -> int:
    return STAGES.index(stage.partition("+")[0])


def _one(workshop: Workshop, text: str, sites: Sites, sweep: Any) -> Found | None:
    try:
        mutant = Mutant.parse(text)
    except MutatennError:
        return None
    if text in CHECKS:
        return None
    parts = [_part(workshop, part, sites, sweep) for part in mutant.parts]
    whole = [part for part in parts if part is not None]
    if len(whole) < len(parts):
        return None
    if len(whole) == 1:
        return whole[0]
    operators = "+".join(dict.fromkeys(part.entry["operator"] for part in whole))
    return joined(whole, text, operators, "higher-order")


def _part(workshop: Workshop, mutant: Mutant, sites: Sites, sweep: Any) -> Found | None:
    op = workshop.operators.find(mutant.operator)
    if op is None or mutant.stage not in op.stages:
        return None
    offered = sites(workshop, op, mutant)
    if mutant.window is not None:
        made = sweep(mutant.stage, op, mutant.window, offered, mutant.draw)
        return next(iter(made), None)
    by_id = {one.entry["id"]: one for one in offered}
    found = [by_id.get(text) for text in _single(mutant)]
    whole = [one for one in found if one is not None]
    if len(whole) < len(found):
        return None
    return whole[0] if len(whole) == 1 else joined(whole, mutant.id, op.name, op.category)


def _single(mutant: Mutant) -> Iterator[str]:
    for site in mutant.sites:
        yield Mutant(mutant.stage, mutant.operator, (site,)).id
