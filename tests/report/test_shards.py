"""Reports of the shards of a run, combined, are the report of the run."""

import copy
import itertools
from dataclasses import dataclass, field
from types import SimpleNamespace
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from records import differing, stable
from told import entry, row

from pytest_mutatenn.report import differences, divergence
from pytest_mutatenn.report.differences import differential_of, without_keys
from pytest_mutatenn.report.divergence import between_others, divergent_of
from pytest_mutatenn.report.merge import merge
from pytest_mutatenn.report.record import Gathered, build_record
from pytest_mutatenn.report.shards import digest_of

CELLS = ["c-O0", "c-O2", "llvm-O2"]
PAIR = "c-O0~c-O2"
TESTS = ["a", "b"]
KERNEL = [f"x@k#{i}" for i in range(6)]
# mutants at the device stage are of one cell
DEVICE = [f"y@k#{i}@{CELLS[0]}" for i in range(2)]
CODES = ["same", "one", "two", "three"]
MODEL = {
    "id": "m", "source": "m.onnx", "digest": "1", "inputs": [], "output": {}, "layers": {},
    "dataset": {"source": "m.npz", "digest": "2", "count": 2, "labelled": False, "names": ["u"]},
}  # fmt: skip


SOURCE = {"model": "m", "stage": "kernel", "name": "k", "language": "c", "text": ""}


@dataclass
class World:
    """What each mutant is in each cell, and what the tests make of each code."""

    codes: dict = field(default_factory=dict)  # (mutant, cell) -> code, or "refused"
    made_of: dict = field(default_factory=dict)  # (cell, code) -> what the tests do: p, f or t
    known: dict = field(default_factory=dict)  # (cell, code) -> whether all inputs were run
    together: dict = field(default_factory=dict)  # (code, code) -> what the test of the pair does
    plans: dict = field(default_factory=dict)  # cell -> mutants in order
    accepted: set = field(default_factory=set)
    sampled_out: dict = field(default_factory=dict)


@st.composite
def worlds(draw):
    world = World()
    for cell in CELLS:
        names = draw(st.permutations([*KERNEL, *(n for n in DEVICE if n.endswith(cell))]))
        cut = draw(st.integers(3, len(names)))
        world.plans[cell], world.sampled_out[cell] = names[:cut], sorted(names[cut:])
        for name in names:
            world.codes[name, cell] = draw(st.sampled_from([*CODES, "refused"]))
            if draw(st.integers(0, 9)) == 0:
                world.accepted.add((name, cell))
        for code in CODES:
            world.made_of[cell, code] = draw(st.sampled_from(["pp", "pf", "fp", "ff", "tt"]))
            world.known[cell, code] = draw(st.booleans())
    for codes in itertools.product(CODES, repeat=2):
        world.together[codes] = draw(st.sampled_from(["passed", "failed"]))
    return world


def rows_of(world, names, chance):
    """What one process tells that runs these mutants, in an order of its own."""
    rows = [row(None, test, "passed", order, cell, stats={"evaluation": f"{cell} same"})
            for cell in CELLS for order, test in enumerate(TESTS)]  # fmt: skip
    rows.append(row(None, "g", "passed", 2, PAIR, cells=CELLS[:2], stats={"parts": {}}))
    detected, first = set(), {}
    for cell in CELLS:
        here = [name for name in world.plans[cell] if name in names]
        chance.shuffle(here)
        for name in here:
            rows += _of_cell(world, cell, name, detected, first)
    shared = [n for n in KERNEL if n in names and all(n in world.plans[c] for c in CELLS[:2])]
    chance.shuffle(shared)
    return rows + [_of_pair(world, name, detected, first) for name in shared]


def _of_cell(world, cell, name, detected, first):
    code, stats = world.codes[name, cell], {}
    if (name, cell) in world.accepted:
        stats = {} if code == "refused" else {"code_digest": f"{cell} {code}", "accepted": True}
        return [_verdict(name, t, i, cell, "SKIPPED", "accepted", stats)
                for i, t in enumerate(TESTS)]  # fmt: skip
    if code == "refused":
        return [_verdict(name, t, i, cell, "INVALID", "refused", {}) for i, t in enumerate(TESTS)]
    stats = {"code_digest": f"{cell} {code}", "before": "a", "after": f"{name} in {cell}",
             "undefined": "", "seconds_compile": 1.0,
             "change": {"source": f"{cell} text", "edits": [], "others": []}}  # fmt: skip
    if code == "same":
        return [_verdict(name, t, i, cell, "EQUIVALENT", "the same", stats)
                for i, t in enumerate(TESTS)]  # fmt: skip
    found = []
    for order, (test, does) in enumerate(zip(TESTS, world.made_of[cell, code], strict=True)):
        if (name, cell) in detected:
            found.append(row(name, test, "spared", order, cell, stats=stats))
        elif first.setdefault((cell, code), name) != name:
            found.append(_verdict(name, test, order, cell, "DUPLICATE", "a twin", stats))
        elif does == "t":
            found.append(_verdict(name, test, order, cell, "TIMEOUT", "late",
                                  {**stats, "outcome": "timed out"}))  # fmt: skip
            detected.add((name, cell))
        else:
            all_inputs = does == "p" or world.known[cell, code]
            ran = {**stats, "outcome": "returned", "evaluation": f"{cell} {code}"}
            ran |= {"propagated": 1, "infected": 2, "inputs": {"run": "0"}} if all_inputs else {}
            result = "passed" if does == "p" else "failed"
            told = row(name, test, result, order, cell, stats=ran, deciding=[order])
            found.append({**told, "reason": "" if does == "p" else f"{code} fails {test}"})
            if does == "f":
                detected.add((name, cell))
    return found


def _of_pair(world, name, detected, first):
    codes = [world.codes[name, cell] for cell in CELLS[:2]]
    parts = {cell: {} for cell in CELLS[:2]}
    more = {"cells": CELLS[:2]}
    if any((name, cell) in world.accepted for cell in CELLS[:2]):
        return {**_verdict(name, "g", 2, PAIR, "SKIPPED", "accepted", {"parts": parts}), **more}
    if all((name, cell) in detected for cell in CELLS[:2]):
        return row(name, "g", "spared", 2, PAIR, stats={"parts": parts}, **more)
    for cell, code in zip(CELLS, codes, strict=False):
        if code == "refused":
            parts[cell] = {"verdict": "INVALID", "reason": "refused"}
            stats = {"parts": parts}
            return {**_verdict(name, "g", 2, PAIR, "INVALID", "refused", stats), **more}
        parts[cell] = {"code_digest": f"{cell} {code}", "equivalent": code == "same"}
        parts[cell] |= {"before": "a", "after": f"{name} in {cell}", "undefined": ""}
    stats = {"parts": parts, "code_digest": " ".join(codes)}
    if set(codes) == {"same"}:
        return {**_verdict(name, "g", 2, PAIR, "EQUIVALENT", "the same", stats), **more}
    if first.setdefault((PAIR, *codes), name) != name:
        return {**_verdict(name, "g", 2, PAIR, "DUPLICATE", "a twin", stats), **more}
    return row(name, "g", world.together[tuple(codes)], 2, PAIR, stats=stats, **more)


def _verdict(name, test, order, cell, verdict, reason, stats):
    told = row(name, test, "verdict", order, cell, stats=stats)
    return {**told, "verdict": verdict, "reason": reason}


COMPARER = SimpleNamespace(
    best=lambda key: {"topk": [[0]]},
    compare=lambda a, b: {"inputs": 1, "k": 1, "what": f"{a} ~ {b}"},
    compare_at=lambda a, b, inputs: {"inputs": 1, "what": f"{a} ~ {b} at {inputs}"},
)


def report_of(world, names, chance, number=1, count=1):
    """The report of a run of these mutants; a shard's if there are others."""
    plans = {}
    for cell, chosen in world.plans.items():
        everything = [
            {**entry(name, stage="device" if name in DEVICE else "kernel"), "index": index}
            for index, name in enumerate(chosen)
        ]
        plans["m", cell] = {
            "mutants": [e for e in everything if e["name"] in names],
            "elsewhere": [e["name"] for e in everything if e["name"] not in names],
            "absent": [], "not_selected": [], "accepting": {}, "without": "",
            "sampled_out": world.sampled_out[cell],
            "accepted": {n: "accepted" for n in chosen if (n, cell) in world.accepted},
        }  # fmt: skip
    gathered = Gathered(
        rows=rows_of(world, names, chance),
        models={"m": copy.deepcopy(MODEL)},
        plans=plans,
        cells={cell: {"id": cell, "fingerprint": "f", "available": True} for cell in CELLS},
        sources={f"{cell} text": SOURCE for cell in CELLS},
    )
    run = {
        "version": "1", "tvm": "2", "python": "3", "host": {}, "started": str(number),
        "seconds": 1.0, "argv": [], "root": "", "seed": 0, "workers": 0, "options": {},
        "ended_early": None,
        "shard": None if count == 1 else {
            "number": number, "count": count, "digest": digest_of(plans), "gates": {},
        },
    }  # fmt: skip
    record = build_record(gathered, run, full_matrix=False, sampled=False)
    with (
        mock.patch.object(differences, "comparer_of", return_value=COMPARER),
        mock.patch.object(divergence, "comparer_of", return_value=COMPARER),
    ):
        record["differential"] = differential_of(record, object(), CELLS[0])
        record["divergent"] = divergent_of(record, object())
        if count > 1:
            record["run"]["shard"]["between"] = between_others(record, object())
    return without_keys(record)


@settings(max_examples=60, deadline=None)
@given(
    worlds(), st.lists(st.integers(1, 3), min_size=8, max_size=8), st.randoms(use_true_random=False)
)
def test_shards_combined_give_the_report_of_the_whole_run(world, dealt, chance):
    numbers = dict(zip([*KERNEL, *DEVICE], dealt, strict=True))
    whole = report_of(world, set(numbers), chance)
    parts = [
        report_of(world, {n for n, number in numbers.items() if number == i}, chance, i, 3)
        for i in (1, 2, 3)
    ]

    combined, different = merge([(f"{i}.json", part) for i, part in enumerate(parts)])

    assert different == []
    assert list(combined) == list(whole)
    assert "\n".join(differing(stable(combined), stable(whole))) == ""
    for ours, theirs in zip(combined["mutants"], whole["mutants"], strict=True):
        for cell, there in ours["cells"].items():
            assert list(there) == list(theirs["cells"][cell])
    # in turn
    two, _ = merge([("a", parts[0]), ("b", parts[1])])
    three, different = merge([("ab", two), ("c", parts[2])])
    assert different == []
    assert "\n".join(differing(stable(three), stable(combined))) == ""
