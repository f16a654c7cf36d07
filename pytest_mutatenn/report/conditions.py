"""Conditions by name that must not hold of a report: ``--mutatenn-fail-on=divergent,timeout``."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_mutatenn.errors import MutatennError, nearest


def _divergent(record: Mapping[str, Any]) -> Sequence[str]:
    return [entry["mutant"] for entry in record["divergent"]]


def _with_verdict(*verdicts: str) -> Callable[[Mapping[str, Any]], Sequence[str]]:
    def find(record: Mapping[str, Any]) -> Sequence[str]:
        return [
            mutant["id"]
            for mutant in record["mutants"]
            if any(there["verdict"] in verdicts for there in mutant["cells"].values())
        ]

    return find


def _skipped(record: Mapping[str, Any]) -> Sequence[str]:
    """What was to be run and was not; what is sampled out, accepted or has no site was not."""
    away = {cell["id"] for cell in record["cells"] if not cell["available"]}
    return [
        mutant["id"]
        for mutant in record["mutants"]
        if any(
            there["verdict"] == "SKIPPED"
            and not there["accepted"]
            and (there["planned"] or cell in away)
            for cell, there in mutant["cells"].items()
        )
    ]


def _indistinguishable(record: Mapping[str, Any]) -> Sequence[str]:
    return [
        mutant["id"]
        for mutant in record["mutants"]
        if any(there["indistinguishable"] for there in mutant["cells"].values())
    ]


def _canary(record: Mapping[str, Any]) -> Sequence[str]:
    return [
        f"that of {check['model']} in {check['cell']}"
        for check in record["checks"]
        if check["id"] == "canary" and check["verdict"] == "SURVIVED"
    ]


def _warnings(record: Mapping[str, Any]) -> Sequence[str]:
    return list(record["warnings"])


def _nothing_repeated(record: Mapping[str, Any]) -> str:
    repeats = record["noise"]["repeats"]
    return "" if repeats else "not known, since nothing was repeated (--mutatenn-repeats)"


@dataclass(frozen=True)
class Condition:
    """What must not hold of a report.

    Attributes
    ----------
    said
        What is said where it holds; ``{}`` stands for how many there are.
    find
        Gives what makes it hold, each in a few words; nothing where it does not.
    noun
        What is counted.
    unknown
        Says of a report why nobody knows whether it holds; empty where it is known.
    """

    said: str
    find: Callable[[Mapping[str, Any]], Sequence[str]]
    noun: str = "mutant"
    unknown: Callable[[Mapping[str, Any]], str] = lambda _: ""


CONDITIONS: Mapping[str, Condition] = {
    "divergent": Condition("cells disagree on {}", _divergent),
    "timeout": Condition("{} gave no answer in time", _with_verdict("TIMEOUT")),
    "crashed": Condition("the process of {} died", _with_verdict("CRASHED")),
    "invalid": Condition("the compiler refused {}", _with_verdict("INVALID")),
    "skipped": Condition("{} should have run in a cell, and did not", _skipped),
    "indistinguishable": Condition(
        "{} cannot be told from the unmutated network",
        _indistinguishable,
        unknown=_nothing_repeated,
    ),
    "canary": Condition(
        "{} lives: no test sees that an output has the wrong sign", _canary, noun="canary"
    ),
    "warnings": Condition("there are {}", _warnings, noun="warning"),
}
"""The conditions by name.

- ``divergent``: a mutant on which the tests of two cells disagree.
- ``timeout``, ``crashed``, ``invalid``: a mutant with this verdict in a cell.
- ``skipped``: a mutant that was to run in a cell and did not, or whose device is not here.
- ``indistinguishable``: a mutant no farther from the unmutated network than noise.
- ``canary``: a network whose outputs have the wrong sign passes all tests.
- ``warnings``: the report has a warning.
"""


def parse_conditions(
    text: str, option: str, known: Collection[str] = CONDITIONS
) -> tuple[str, ...]:
    """Read names of conditions, each once, parted by commas or spaces.

    Raises
    ------
    MutatennError
        For an unknown one, naming the option and the nearest.
    """
    names = re.findall(r"[^,\s]+", text)
    for name in names:
        if name not in known:
            raise MutatennError(
                f"{option}: unknown condition {name!r}.{nearest(name, known)} Conditions: "
                f"{', '.join(known)}."
            )
    return tuple(dict.fromkeys(names))
