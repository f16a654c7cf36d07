"""What of a report turns the exit code: a score that is too low, and conditions by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_mutatenn.errors import MutatennError, nearest
from pytest_mutatenn.report.words import count_of

_LISTED = 3
_FINE = ("passed", "compiled", "skipped")


def _divergent(record: Mapping[str, Any]) -> str | None:
    found = [entry["mutant"] for entry in record["divergent"]]
    if not found:
        return None
    more = f", and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return f"cells disagree on {count_of(len(found), 'mutant')}: {', '.join(found[:_LISTED])}{more}"


CONDITIONS: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {"divergent": _divergent}
"""Condition -> what is to be said of a report in which it holds; None where it does not.

- ``divergent``: a mutant on which the tests of two cells disagree.
"""


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


def gates(
    record: Mapping[str, Any], fail_under: float | None, fail_on: Sequence[str], prefix: str = ""
) -> list[str]:
    """Say what keeps a report from being green; nothing where nothing does.

    Parameters
    ----------
    record
        The report.
    fail_under
        The least mutation score, in percent.
    fail_on
        Conditions that must not hold.
    prefix
        What stands before the options' names in messages: ``mutatenn-`` in pytest.
    """
    overall = record["score"]["overall"]
    if overall["score"] is None:
        red = sum(entry["outcome"] not in _FINE for entry in record["baseline"])
        if red:
            fail = "1 test fails" if red == 1 else f"{red} tests fail"
            return [
                f"{fail} on the unmutated model; mutation testing needs a green suite. "
                "Run pytest without --mutatenn first."
            ]
        return ["No mutant was tested: " + _why_none(record)]
    found = []
    if fail_under is not None:
        reached = overall["score"] if overall["low"] is None else overall["low"]
        lower = "" if overall["low"] is None else " (lower end of the sample's 95 % interval)"
        if reached < fail_under:
            found.append(
                f"--{prefix}fail-under: required {fail_under:g} %, reached {reached:.2f} %{lower}"
            )
    for name in fail_on:
        said = CONDITIONS[name](record)
        if said is not None:
            found.append(f"--{prefix}fail-on={name}: {said}")
    return found


def _why_none(record: Mapping[str, Any]) -> str:
    reasons: dict[str, int] = {}
    for mutant in record["mutants"]:
        for there in mutant["cells"].values():
            text = there["reason"] if there["verdict"] == "SKIPPED" else there["verdict"]
            reasons[text] = reasons.get(text, 0) + 1
    worst = sorted(reasons.items(), key=lambda item: -item[1])[:3]
    return "; ".join(f"{count} x {text}" for text, count in worst) + "."
