"""Reports of parts of a run: what a part keeps for the whole, and whether all parts are there."""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Named = Sequence[tuple[str, Mapping[str, Any]]]
"""Reports, with what to call them in messages."""


def digest_of(plans: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
    """Digest of what was shared out: parts of one run have the same.

    Parameters
    ----------
    plans
        (network, cell) -> its plan, with the mutants of this part and the names of all others.
    """
    whole = [
        [model, cell, sorted([*plan["elsewhere"], *(entry["name"] for entry in plan["mutants"])])]
        for (model, cell), plan in sorted(plans.items())
    ]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:16]


def runs_of(record: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The runs that a report is of: those that were combined, or its own."""
    run = record["run"]
    return list(run.get("runs", [run]))


def shards_of(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The parts that a report is of; none where it is of whole runs."""
    for one in runs_of(record):
        if one["shard"] is not None:
            yield one["shard"]


def missing(records: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int], list[int]]:
    """(What was shared out, over how many) -> numbers of the parts that are not there."""
    found: dict[tuple[str, int], set[int]] = {}
    for record in records:
        for shard in shards_of(record):
            found.setdefault((shard["digest"], shard["count"]), set()).add(shard["number"])
    return {
        (digest, count): sorted(set(range(1, count + 1)) - there)
        for (digest, count), there in found.items()
        if len(there) < count
    }


def incomplete(named: Named) -> list[str]:
    """Say, in sentences, which parts of runs are not there or there twice, and what ended early."""
    found = []
    where: dict[tuple[str, int], dict[int, list[str]]] = {}
    for name, record in named:
        for shard in shards_of(record):
            numbers = where.setdefault((shard["digest"], shard["count"]), {})
            numbers.setdefault(shard["number"], []).append(name)
    for name, record in named:
        for why in filter(None, map(operator.itemgetter("ended_early"), runs_of(record))):
            found.append(f"{name} has a run that ended early ({why}): run it again.")
    gaps = missing(record for _, record in named)
    for key, numbers in sorted(where.items(), key=lambda item: sorted(item[1].items())):
        count = key[1]
        for number, names in sorted(numbers.items()):
            if len(names) > 1:
                found.append(f"shard {number}/{count} is there {len(names)} times: {_and(names)}.")
        if key in gaps:
            lacks = _and([f"{number}/{count}" for number in gaps[key]])
            of = _and([name for _, names in sorted(numbers.items()) for name in names])
            which = "shard" if len(gaps[key]) == 1 else "shards"
            found.append(f"{which} {lacks} of the run of {of} {_is(gaps[key])} missing.")
    counts = [count for _, count in gaps]
    if any(counts.count(count) > 1 for count in counts):
        found.append(
            "what was shared out is not the same in all shards: their jobs need the same networks, "
            "tests, operators, sample, seed and devices."
        )
    gates = [shard["gates"] for _, record in named for shard in shards_of(record)]
    if any(one != gates[0] for one in gates):
        found.append("the shards were given different gates.")
    return found


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _is(things: Sequence[Any]) -> str:
    return "is" if len(things) == 1 else "are"
