"""Which of a cell's mutants are run: selected, accepted, sampled."""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.accepted import Accepted
from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.errors import MutatennError

if TYPE_CHECKING:
    from pytest_mutatenn.settings import Settings


@dataclass(eq=False)
class CellPlan:
    """The mutants of one cell.

    Attributes
    ----------
    mutants
        The chosen ones, in order; see :func:`pytest_mutatenn.engine.listing.list_mutants`. Beside
        what is there, ``name`` is the id as reports have it: one on the device stage names its
        cell, since it is this cell's code that it changes. ``index`` counts them from 0, those of
        other shards too.
    absent
        Operators without a site.
    sampled_out, not_selected
        Names that the sample, and ``--mutatenn-mutants``, left out.
    matched
        The patterns of ``--mutatenn-mutants`` that some mutant here has.
    accepted
        Id of a chosen mutant -> why it is accepted, and is not run.
    accepting
        Entry of ``--mutatenn-accept`` that is about operators listed here -> whether it covers any
        of their mutants.
    without
        Why mutants of other cells are not here, where that is no matter of this cell's lowering.
    elsewhere
        Names of the chosen ones that are in other shards of the run, and not in ``mutants``.
    """

    mutants: list[dict[str, Any]]
    absent: list[dict[str, Any]]
    sampled_out: list[str]
    not_selected: list[str]
    matched: list[str] = field(default_factory=list)
    accepted: dict[str, str] = field(default_factory=dict)
    accepting: dict[str, bool] = field(default_factory=dict)
    without: str = ""
    elsewhere: list[str] = field(default_factory=list)


def choose(
    found: Mapping[str, Any],
    settings: Settings,
    model: str,
    cell: Cell,
    accepting: Sequence[Accepted],
) -> CellPlan:
    """Choose from the list of a cell's mutants."""
    everything = [{**entry, "name": name_of(entry, cell)} for entry in found["mutants"]]
    wanted = [entry for entry in everything if _wanted(entry, settings.mutants)]
    accepted = {}
    for entry in wanted:
        for one in accepting:
            if one.covers(model, cell.id, (entry["id"], entry["name"])):
                accepted[entry["id"]] = f"accepted until {one.expires}: {one.reason}"
                break
    open_ones = [entry for entry in wanted if entry["id"] not in accepted]
    drawn = sample(open_ones, settings.sample, settings.seed)
    kept = {*accepted, *(entry["id"] for entry in drawn)}
    chosen = [entry for entry in wanted if entry["id"] in kept]
    chosen = [{**entry, "index": index} for index, entry in enumerate(chosen)]
    return CellPlan(
        chosen,
        found["absent"],
        _left_out(wanted, chosen),
        _left_out(everything, wanted),
        [p for p in settings.mutants if any(_wanted(entry, [p]) for entry in wanted)],
        accepted,
        _met(found, everything, settings, model, cell, accepting),
        found.get("without", ""),
    )


def _met(
    found: Mapping[str, Any],
    everything: Sequence[Mapping[str, Any]],
    settings: Settings,
    model: str,
    cell: Cell,
    accepting: Sequence[Accepted],
) -> dict[str, bool]:
    """Entry that this list is about -> whether it covers any mutant of it.

    A sweep, a list of other operators, or of named mutants, does not show that one is no more.
    """
    whole = not settings.mutants or any(map(is_glob, settings.mutants))
    operators = {f"{e['stage']}.{e['operator']}" for e in (*found["mutants"], *found["absent"])}
    met = {}
    for one in accepting:
        covers = any(one.covers(model, cell.id, (e["id"], e["name"])) for e in everything)
        here = one.model in ("", model) and one.cell in ("", cell.id)
        pattern = one.mutant.partition("@")[0]
        listed = any(fnmatch.fnmatchcase(name, pattern) for name in operators)
        if covers or (whole and here and listed and settings.order[0] == "site"):
            met[str(one)] = covers
    return met


def is_glob(pattern: str) -> bool:
    """Whether a pattern stands for several ids."""
    return bool(set("*?[") & set(pattern))


def ids_for(patterns: Sequence[str], cell: Cell, cells: Sequence[Cell]) -> list[str]:
    """The ids among the patterns that are about a cell, as that cell knows them."""
    found = []
    for pattern in patterns:
        own = next((c for c in cells if pattern.endswith(f"@{c.id}")), None)
        if own in (None, cell):
            found.append(pattern.removesuffix(f"@{cell.id}"))
    return found


def unmatched(pattern: str, everything: Sequence[Mapping[str, Any]], cell: Cell) -> MutatennError:
    """What to say of a pattern that no cell has a mutant for."""
    names = [name_of(entry, cell) for entry in everything]
    near = difflib.get_close_matches(pattern, names, n=1)
    hint = f" The nearest of {cell.id} is {near[0]!r}." if near else ""
    return MutatennError(
        f"--mutatenn-mutants: no cell has a mutant {pattern!r}.{hint} --mutatenn-list prints them."
    )


def name_of(entry: Mapping[str, Any], cell: Cell) -> str:
    """The id of a mutant as reports have it."""
    on_device = "device" in entry["stage"].split("+")
    return f"{entry['id']}@{cell.id}" if on_device else str(entry["id"])


def _wanted(entry: Mapping[str, Any], patterns: Sequence[str]) -> bool:
    return not patterns or any(
        text == pattern or fnmatch.fnmatchcase(text, pattern)
        for pattern in patterns
        for text in (entry["id"], entry["name"])
    )


def sample(
    entries: Sequence[dict[str, Any]], amount: tuple[float, bool] | None, seed: int
) -> list[dict[str, Any]]:
    """Choose some mutants: of every stage and category its share, by the digest of seed and id.

    The choice depends on the ids alone, so that it is the same on every machine, and a cell with
    the same mutants has the same sample.

    Parameters
    ----------
    entries
        All mutants, in order; the chosen ones keep it.
    amount
        How many, or how many percent when the second is true; None for all.
    seed
        Another seed gives another choice.
    """
    if amount is None or not entries:
        return list(entries)
    number, percent = amount
    total = round(len(entries) * number / 100) if percent else int(number)
    total = max(1, min(total, len(entries)))
    strata: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in entries:
        strata.setdefault((entry["stage"], entry["category"]), []).append(entry)
    shares = {key: len(group) * total / len(entries) for key, group in strata.items()}
    quota = {key: int(share) for key, share in shares.items()}
    # largest remainders first, ties by name
    for key in sorted(shares, key=lambda k: (quota[k] - shares[k], k))[
        : total - sum(quota.values())
    ]:
        quota[key] += 1
    chosen: set[str] = set()
    for key, group in strata.items():
        ranked = sorted(entry["id"] for entry in group)
        ranked.sort(key=lambda text: hashlib.sha256(f"{seed} {text}".encode()).digest())
        chosen.update(ranked[: quota[key]])
    return [entry for entry in entries if entry["id"] in chosen]


def _left_out(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> list[str]:
    kept = {entry["id"] for entry in after}
    return [entry["name"] for entry in before if entry["id"] not in kept]
