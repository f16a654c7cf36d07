"""Mutants of several changes: sites of one operator, or mutants of any operators.

They are sampled: every mutant of first order goes into one of higher order, with partners that the
seed decides (after Polo et al. 2009, whose strategies combine each mutant once). So there are about
as many as first-order mutants divided by the order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_mutatenn.compiler.mutant import Mutant
from pytest_mutatenn.operators.registry import STAGES


@dataclass(frozen=True, eq=False)
class Found:
    """A mutant as the list has it.

    Attributes
    ----------
    entry
        Its entry.
    spot
        The node that it changes; two changes of one node are not made together.
    """

    entry: dict[str, Any]
    spot: str


Fits = Callable[[Found, Found], bool]


def several_sites(found: Sequence[Found], count: int, seed: int) -> Iterator[Found]:
    """Mutants of one operator that change so many of its sites each."""
    for group in _groups(found, count, seed, lambda one, other: one.spot != other.spot):
        first = Mutant.parse(group[0].entry["id"])
        sites = tuple(s for one in group for s in Mutant.parse(one.entry["id"]).sites)
        text = Mutant(first.stage, first.operator, sites).id
        yield joined(group, text, group[0].entry["operator"], group[0].entry["category"])


def pairs(found: Sequence[Found], count: int, seed: int) -> Iterator[Found]:
    """Mutants of so many mutants of first order each, of any operators and stages."""
    for group in _groups(found, count, seed, _apart):
        text = "+".join(one.entry["id"] for one in group)
        operators = "+".join(dict.fromkeys(one.entry["operator"] for one in group))
        yield joined(group, text, operators, "higher-order")


def _apart(one: Found, other: Found) -> bool:
    """Whether two mutants can be made together, each as it would be alone."""
    stages = {one.entry["stage"], other.entry["stage"]}
    if len(stages) == 1:
        if stages == {"graph"}:
            return bool(one.entry["kernel"] != other.entry["kernel"])
        return one.spot != other.spot
    # a change in another stage could take the site away
    return "weights" in stages or not set(one.entry["layers"]) & set(other.entry["layers"])


def _groups(found: Sequence[Found], count: int, seed: int, fits: Fits) -> list[list[Found]]:
    place = {one.entry["id"]: i for i, one in enumerate(found)}
    waiting = sorted(found, key=lambda one: _rank(seed, one.entry["id"]))
    full: list[list[Found]] = []
    begun: list[list[Found]] = []
    for one in waiting:
        # few are begun at a time: those that nothing has fitted so far
        group = next((g for g in begun if all(fits(one, other) for other in g)), None)
        if group is None:
            begun.append([one])
            continue
        group.append(one)
        if len(group) == count:
            begun.remove(group)
            full.append(sorted(group, key=lambda each: place[each.entry["id"]]))
    return sorted(full, key=lambda group: [place[each.entry["id"]] for each in group])


def _rank(seed: int, text: str) -> bytes:
    return hashlib.sha256(f"{seed} {text}".encode()).digest()


def joined(group: Sequence[Found], text: str, operator: str, category: str) -> Found:
    """One mutant of several."""
    entries = [one.entry for one in group]
    stages = {entry["stage"] for entry in entries}
    entry = {
        "id": text,
        "operator": operator,
        "category": category,
        "stage": "+".join(stage for stage in STAGES if stage in stages),
        "kernel": ", ".join(_once(entry["kernel"] for entry in entries)),
        "site": 0,
        "layers": _once(layer for entry in entries for layer in entry["layers"]),
        "before": "; ".join(entry["before"] for entry in entries),
        "after": "; ".join(entry["after"] for entry in entries),
        "parameters": {
            name if len(group) == 1 else f"{each['operator']}.{name}": value
            for each in entries
            for name, value in each["parameters"].items()
        },
        "summary": " ".join(_once(entry["summary"] for entry in entries)),
    }
    return Found(entry, "")


def _once(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))
