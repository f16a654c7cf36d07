"""What reports say alike: scores, numbers of things, why a mutant lives; and lines that fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Write = Callable[..., None]
"""Writes a line; keywords colour it as in pytest's ``TerminalWriter``."""

_LINE = 100


def more(line: Write, count: int) -> None:
    """Say how many more there are, if there are any."""
    if count > 0:
        line(f"  ... and {count} more; -v shows all, a JSON report keeps them")


def cut(text: str, other: str = "") -> str:
    """A line that fits, cut where it is the same as the other one."""
    if len(text) <= _LINE:
        return text
    pairs = enumerate(zip(text, other, strict=False))
    same = next((i for i, (a, b) in pairs if a != b), min(len(text), len(other)))
    longest = max(len(text), len(other))  # both lines begin at the same place
    start = max(0, min(same - _LINE // 3, longest - _LINE + 4))
    part = text[start : start + _LINE - (4 if start else 0)]
    return ("... " if start else "") + part + (" ..." if start + len(part) < len(text) else "")


def score_text(score: Mapping[str, Any]) -> str:
    """A score of a report that is not None, with its interval where mutants were sampled."""
    interval = ""
    if score["low"] is not None:
        interval = f" (95 %: {score['low']:.1f} to {score['high']:.1f})"
    return f"{score['score']:.1f} %{interval}"


def count_of(number: int, noun: str) -> str:
    """``1 input``, ``2 inputs``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def why_survived(there: Mapping[str, Any]) -> str:
    """Which of three things to mend: the inputs, nothing, or the assertion."""
    infected, propagated, changed = there["infected"], there["propagated"], there["top1_changed"]
    if not infected:
        return "no input shows it: the changed kernel gives the same bits for all of them"
    if not propagated:
        return f"the fault shows inside for {count_of(infected, 'input')}, and the network masks it"
    return (
        f"the output differs for {count_of(propagated, 'input')}, the top-1 for {changed}: "
        "the assertions allow it"
    )


def test_name(test: str) -> str:
    """A test's id without its file and class; its own parameters may hold anything."""
    head, bracket, parameters = test.partition("[")
    return head.rpartition("::")[2] + bracket + parameters


def typed(value: Any) -> str:
    """An option's value, as one would type it."""
    if isinstance(value, list):
        if len(value) == 2 and isinstance(value[1], bool):  # a sample
            return f"{value[0]:g}{'%' if value[1] else ''}"
        return " ".join(text for text in map(typed, value) if text)
    return "" if value is None else str(value)
