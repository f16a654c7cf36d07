"""What the page is given beside the report's own fields, and the forms in which it wants them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pytest_mutatenn.operators.registry import CATEGORIES

_OF_INPUTS = ("top1_dissimilar", "topk_dissimilar")


def prepare(record: Mapping[str, Any]) -> dict[str, Any]:
    """Give the data of the page: the report, and the titles of the categories.

    Names of inputs in the comparisons of cells become their numbers, as ranges such as ``0-3,7``:
    with 10,000 mutants and several cells they would be most of the page.

    Parameters
    ----------
    record
        The report. It is not changed.
    """
    numbers = {
        model["id"]: {name: i for i, name in enumerate(model["dataset"]["names"])}
        for model in record["models"]
        if model["dataset"] is not None
    }

    def compact(entry: Mapping[str, Any], model: str) -> dict[str, Any]:
        known = numbers.get(model, {})
        found = dict(entry)
        for key in _OF_INPUTS:
            if all(name in known for name in entry[key]):
                found[key] = ranges(known[name] for name in entry[key])
        return found

    differential = record["differential"]
    return {
        "record": {
            **record,
            "divergent": [
                {**e, "between": e["between"] and compact(e["between"], e["model"])}
                for e in record["divergent"]
            ],
            "differential": {
                **differential,
                "baseline": [compact(e, e["model"]) for e in differential["baseline"]],
                "mutants": [compact(e, e["model"]) for e in differential["mutants"]],
            },
        },
        "titles": CATEGORIES,
    }


def ranges(numbers: Iterable[int]) -> str:
    """Numbers as ranges, both ends in them: ``0-3,7``."""
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in found)
