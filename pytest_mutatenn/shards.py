"""``--mutatenn-shard=K/N``: the mutants of a run, shared out over several jobs.

Every job makes the same plan and takes its own part of it, so what decides may differ on no
machine: the listed mutants alone, and no clock. A mutant that several cells have is in one part
with all of them, as it has to be where cells are compared on it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.errors import MutatennError

if TYPE_CHECKING:
    from pytest_mutatenn.engine.cell import Cell
    from pytest_mutatenn.selection import CellPlan

# What a mutant costs, in hundredths of a second of a small network at O2 (docs/performance.md):
# something for its process and for pytest, its making, and running it from where it changes on
_PROCESS = 3
_MAKING = {"graph": 20, "kernel": 10, "device": 8, "weights": 0}
_RUNNING = 8

_NUMBERED = re.compile(r"__\d+$")  # of kernels of one name, as the device stage has them


@dataclass(frozen=True)
class Shard:
    """One part of so many.

    Attributes
    ----------
    number
        Which, from 1.
    count
        How many there are.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str, option: str) -> Shard:
        """Read ``2/3``.

        Raises
        ------
        MutatennError
            If it is no such thing, naming the option.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if match is not None:
            number, count = int(match[1]), int(match[2])
            if 1 <= number <= count:
                return cls(number, count)
        raise MutatennError(
            f"{option} must be K/N, the number of this job among how many there are, such as 1/3, "
            f"2/3 and 3/3; got {text!r}."
        )

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def part_of(
    plans: Mapping[Cell, CellPlan], layers: Sequence[str], shard: Shard
) -> dict[Cell, CellPlan]:
    """Give each cell's plan with the mutants of one shard; the others are ``elsewhere``.

    Parameters
    ----------
    plans
        The plans of all cells of one network.
    layers
        The network's layers, in order.
    shard
        Which part.
    """
    costs: dict[str, int] = {}
    places: dict[str, str] = {}
    for plan in plans.values():
        for entry in plan.mutants:
            name = entry["name"]
            accepted = entry["id"] in plan.accepted
            costs[name] = costs.get(name, 0) + cost(entry, layers, accepted=accepted)
            places[name] = _NUMBERED.sub("", entry["kernel"])
    dealt = deal(costs, places, shard.count)
    found = {}
    for cell, plan in plans.items():
        mine = [entry for entry in plan.mutants if dealt[entry["name"]] == shard.number]
        others = [e["name"] for e in plan.mutants if dealt[e["name"]] != shard.number]
        found[cell] = dataclasses.replace(plan, mutants=mine, elsewhere=others)
    return found


def cost(entry: Mapping[str, Any], layers: Sequence[str], *, accepted: bool) -> int:
    """Estimate what a mutant costs, in whole units, which are the same on every machine.

    Execution begins at the layer that changes, so a mutant near the end costs less. An accepted one
    is made and not run.
    """
    depth = max(1, len(layers))
    first = min((layers.index(name) for name in entry["layers"] if name in layers), default=0)
    making = _PROCESS + max(_MAKING.get(stage, 0) for stage in entry["stage"].split("+"))
    return making * depth + (0 if accepted else _RUNNING * (depth - first))


def deal(costs: Mapping[str, int], places: Mapping[str, str], count: int) -> dict[str, int]:
    """Deal mutants to shards: kernel by kernel in a line, which is cut into parts of equal cost.

    Mutants of one kernel, which may have the same code, so are together but where a cut falls
    between them, and no shard is off its share by more than the dearest mutant. The kernels stand
    in the order of their names' digests: were they in that of the network, a fault of the estimate
    would meet one shard more than another.

    Parameters
    ----------
    costs
        Mutant -> its cost.
    places
        Mutant -> the kernel, layer or parameter that it changes.
    count
        How many shards there are.

    Returns
    -------
    dict
        Mutant -> the number of its shard, from 1.
    """
    mixed = {place: hashlib.sha256(place.encode()).digest() for place in places.values()}
    line = sorted(costs, key=lambda name: (mixed[places[name]], name))
    total = sum(costs.values())
    dealt, before = {}, 0
    for name in line:
        # where its middle lies: in integers, which no machine rounds
        dealt[name] = (2 * before + costs[name]) * count // (2 * total) + 1
        before += costs[name]
    return dealt
