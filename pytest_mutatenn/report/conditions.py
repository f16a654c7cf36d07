"""Conditions by name that must not hold of a report: ``--mutatenn-fail-on=divergent,timeout``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_mutatenn.errors import MutatennError, nearest

Found = Sequence[str]
"""What a condition has found, each in a few words."""


def _divergent(record: Mapping[str, Any]) -> Found:
    return [entry["mutant"] for entry in record["divergent"]]


def _with_verdict(*verdicts: str) -> Callable[[Mapping[str, Any]], Found]:
    def find(record: Mapping[str, Any]) -> Found:
        return [
            mutant["id"]
            for mutant in record["mutants"]
            if any(there["verdict"] in verdicts for there in mutant["cells"].values())
        ]

    return find


def _skipped(record: Mapping[str, Any]) -> Found:
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


def _indistinguishable(record: Mapping[str, Any]) -> Found:
    return [
        mutant["id"]
        for mutant in record["mutants"]
        if any(there["indistinguishable"] for there in mutant["cells"].values())
    ]


def _canary(record: Mapping[str, Any]) -> Found:
    return [
        f"that of {check['model']} in {check['cell']}"
        for check in record["checks"]
        if check["id"] == "canary" and check["verdict"] == "SURVIVED"
    ]


def _warnings(record: Mapping[str, Any]) -> Found:
    return list(record["warnings"])


CONDITIONS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Found]]] = {
    "divergent": ("cells disagree on {}", _divergent),
    "timeout": ("{} gave no answer in time", _with_verdict("TIMEOUT")),
    "crashed": ("the process of {} died", _with_verdict("CRASHED")),
    "invalid": ("the compiler refused {}", _with_verdict("INVALID")),
    "skipped": ("{} should have run in a cell, and did not", _skipped),
    "indistinguishable": (
        "{} cannot be told from the unmutated network",
        _indistinguishable,
    ),
    "canary": ("{} lives: no test sees that an output has the wrong sign", _canary),
    "warnings": ("there are {}", _warnings),
}
"""Condition -> what is said where it holds, and what finds it.

- ``divergent``: a mutant on which the tests of two cells disagree.
- ``timeout``, ``crashed``, ``invalid``: a mutant with this verdict in a cell.
- ``skipped``: a mutant that was to run in a cell and did not, or whose device is not here.
- ``indistinguishable``: a mutant no farther from the unmutated network than noise.
- ``canary``: a network whose outputs have the wrong sign passes all tests.
- ``warnings``: the report has a warning.
"""

_NOUNS = {"canary": "canary", "warnings": "warning"}


def noun_of(name: str) -> str:
    """What a condition counts."""
    return _NOUNS.get(name, "mutant")


def unknown(name: str, record: Mapping[str, Any]) -> str:
    """Why nobody knows whether a condition holds; empty where it is known."""
    if name == "indistinguishable" and not record["noise"]["repeats"]:
        return "not known, since nothing was repeated (--mutatenn-repeats)"
    return ""


def check_conditions(names: Sequence[str], option: str) -> tuple[str, ...]:
    """Check the names of conditions.

    Raises
    ------
    MutatennError
        For an unknown one, naming the option and the nearest.
    """
    for name in names:
        if name not in CONDITIONS:
            raise MutatennError(
                f"{option}: unknown condition {name!r}.{nearest(name, CONDITIONS)} Conditions: "
                f"{', '.join(CONDITIONS)}."
            )
    return tuple(dict.fromkeys(names))
