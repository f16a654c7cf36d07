"""What of a report turns the exit code: gates that were asked for, and that nothing was tested."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_mutatenn.analysis.score import score
from pytest_mutatenn.analysis.verdict import Verdict
from pytest_mutatenn.errors import MutatennError, nearest
from pytest_mutatenn.report.bounds import Bound, number_of_mutants, parse_bounds, percentage
from pytest_mutatenn.report.conditions import CONDITIONS, parse_conditions
from pytest_mutatenn.report.known_survivors import Known, gone, told
from pytest_mutatenn.report.words import count_of

NAMES = ("fail-under", "max-survivors", "baseline", "fail-on")
"""The gates, in the order in which they are judged."""

_LISTED = 3
_FINE = ("passed", "compiled", "skipped")


@dataclass(frozen=True)
class Gates:
    """The gates that were asked for.

    Attributes
    ----------
    fail_under
        The least mutation score, in percent, of the whole and of parts.
    max_survivors
        The most mutants that may survive, of the whole and of parts.
    fail_on
        Conditions that must not hold.
    baseline
        The file of known survivors and divergent mutants, as the user named it; empty for none.
    update
        Whether that file is to be written instead.
    """

    fail_under: tuple[Bound, ...] = ()
    max_survivors: tuple[Bound, ...] = ()
    fail_on: tuple[str, ...] = ()
    baseline: str = ""
    update: bool = False

    def __bool__(self) -> bool:
        return bool(self.fail_under or self.max_survivors or self.fail_on or self.baseline)

    def plain(self) -> dict[str, Any]:
        """As plain data, for the report of a part of a run."""
        return {
            "fail_under": [[bound.scope, bound.value] for bound in self.fail_under],
            "max_survivors": [[bound.scope, bound.value] for bound in self.max_survivors],
            "fail_on": list(self.fail_on),
            "baseline": self.baseline,
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Gates:
        """Read what :meth:`plain` gives."""
        return cls(
            tuple(Bound(*pair) for pair in plain["fail_under"]),
            tuple(Bound(*pair) for pair in plain["max_survivors"]),
            tuple(plain["fail_on"]),
            plain["baseline"],
        )

    def __str__(self) -> str:
        """As one would type them, in words of the command line."""
        lists = {
            "fail-under": self.fail_under,
            "max-survivors": self.max_survivors,
            "baseline": (self.baseline,) if self.baseline else (),
            "fail-on": self.fail_on,
        }
        return ", ".join(f"{n}={','.join(map(str, found))}" for n, found in lists.items() if found)


def read_gates(
    given: Mapping[str, tuple[str, str]], cells: Iterable[str] | None, *, update: bool
) -> Gates:
    """Read gates as people type them.

    Parameters
    ----------
    given
        Name, of :data:`NAMES` -> its text, empty where it was not given; and what names it in
        messages.
    cells
        The cells that there are; None where nobody knows yet.
    update
        Whether the file of known survivors is to be written.

    Raises
    ------
    MutatennError
        If one is wrong.
    """
    under, most = given["fail-under"], given["max-survivors"]
    return Gates(
        parse_bounds(*under, percentage, cells) if under[0] else (),
        parse_bounds(*most, number_of_mutants, cells) if most[0] else (),
        parse_conditions(*given["fail-on"]),
        given["baseline"][0],
        update,
    )


@dataclass
class Judged:
    """What has become of the gates.

    Attributes
    ----------
    entries
        The part ``gates`` of the report.
    errors
        What keeps it from being green, a sentence each; nothing where nothing does.
    warnings
        What makes a gate less than it seems.
    """

    entries: list[dict[str, Any]]
    errors: list[str]
    warnings: list[str]


def judge_gates(
    record: Mapping[str, Any], gates: Gates, folder: Path, prefix: str = "", *, failed: bool = False
) -> Judged:
    """Hold a report against the gates; write the file of known survivors where that is asked for.

    Parameters
    ----------
    record
        The report.
    gates
        What was asked for.
    folder
        What the path of the file of known survivors is relative to.
    prefix
        What stands before the options' names in messages: ``mutatenn-`` in pytest.
    failed
        Whether a test has failed, or broken on a mutant: then the file is not written.
    """
    judge = _Judge(record, f"--{prefix}")
    for name, bounds, check in (
        ("fail-under", gates.fail_under, judge.score),
        ("max-survivors", gates.max_survivors, judge.survivors),
    ):
        for bound in bounds:
            judge.bound(name, bound, check)
    if gates.baseline:
        judge.baseline(gates, folder, failed=failed)
    for name in gates.fail_on:
        judge.condition(name)
    errors = [entry["text"] for entry in judge.entries if not entry["passed"]]
    if judge.nothing:
        # what the gates say of it is no more than that
        errors = [judge.nothing, *(text for text in errors if not text.endswith(_UNTESTED))]
    return Judged(judge.entries, errors, judge.warnings)


_UNTESTED = "no mutant was tested"


class _Judge:
    def __init__(self, record: Mapping[str, Any], dashes: str) -> None:
        self.record = record
        self.dashes = dashes
        self.nothing = nothing_tested(record)
        self.entries: list[dict[str, Any]] = []
        self.warnings: list[str] = []

    def bound(self, name: str, bound: Bound, check: Any) -> None:
        entry = {"gate": name, "scope": bound.scope, "required": bound.value, "reached": None}
        option = f"{self.dashes}{name}" + (f", {bound.scope}" if bound.scope else "")
        verdicts = self._verdicts(bound)
        if any(verdict.scored for *_, verdict in verdicts):
            entry |= check(bound, verdicts)
        else:
            entry |= {"by": "nothing", "passed": False, "text": self._untested(bound)}
        self.entries.append({**entry, "text": f"{option}: {entry['text']}"})

    def _verdicts(self, bound: Bound) -> list[tuple[str, str, Verdict]]:
        """Mutant, cell and verdict of all that a bound is about."""
        if bound.kind == "group":
            return [
                (mutant["id"], bound.name, Verdict[mutant["groups"][bound.name]["verdict"]])
                for mutant in self.record["mutants"]
                if bound.name in mutant["groups"]
            ]
        return [
            (mutant["id"], cell, Verdict[there["verdict"]])
            for mutant in self.record["mutants"]
            for cell, there in mutant["cells"].items()
            if bound.covers(mutant, cell)
        ]

    def score(self, bound: Bound, verdicts: list[tuple[str, str, Verdict]]) -> dict[str, Any]:
        sampled = self.record["score"]["overall"]["low"] is not None
        found = score((verdict for *_, verdict in verdicts), sampled=sampled)
        interval, value = found.interval(), found.value
        assert value is not None
        reached, by = value, "by the score"
        if interval is not None:
            reached = interval[0]
            by = f"by the lower end of the sample's 95 % interval (score {_shown(value)} %)"
        counted = f"{found.detected} of {found.detected + found.survived} detected"
        return {
            "reached": round(reached, 4),
            "by": "score" if interval is None else "low",
            "passed": reached >= bound.value,
            "text": f"required {bound.value:g} %, reached {_shown(reached)} % {by}, {counted}",
        }

    def survivors(self, bound: Bound, verdicts: list[tuple[str, str, Verdict]]) -> dict[str, Any]:
        found = sorted({mutant for mutant, _, verdict in verdicts if verdict is Verdict.SURVIVED})
        which = f": {_some(found)}" if len(found) > bound.value else ""
        return {
            "reached": len(found),
            "by": "count",
            "passed": len(found) <= bound.value,
            "text": f"required at most {bound.value:g}, reached {len(found)} by count of the "
            f"mutants that survive{which}",
        }

    def _untested(self, bound: Bound) -> str:
        required = f"required {bound.value:g}"
        if self.nothing or not bound.scope:
            return f"{required}, and {_UNTESTED}"
        names = self._names(bound.kind)
        if bound.name not in names:
            return (
                f"{required}, and there is no {bound.kind} {bound.name!r} in this report."
                f"{nearest(bound.name, names)}"
            )
        mutants = [
            {"cells": {cell: there for cell, there in m["cells"].items() if bound.covers(m, cell)}}
            for m in self.record["mutants"]
        ]
        why = _why_none(mutants)
        return f"{required}, and no mutant of it was tested" + (f": {why}" if why else "")

    def _names(self, kind: str) -> set[str]:
        names = set(self.record["score"][f"by_{kind}"])
        if kind in ("operator", "stage"):
            names |= {entry[kind] for entry in self.record["absent"]}
        return names | {cell["id"] for cell in self.record["cells"] if kind == "cell"}

    def baseline(self, gates: Gates, folder: Path, *, failed: bool) -> None:
        option = f"{self.dashes}baseline"
        entry: dict[str, Any] = {"gate": "baseline", "scope": gates.baseline, "required": 0}
        path, now = folder / gates.baseline, Known.of(self.record)
        if self.nothing:
            entry |= {"reached": None, "by": "nothing", "passed": False, "text": _UNTESTED}
        elif gates.update:
            entry |= self._write(now, path, f"{self.dashes}update-baseline", failed=failed)
        else:
            known = Known.read(path, option)
            new = now.survivors - known.survivors
            diverging = now.divergent.keys() - known.divergent.keys()
            entry |= {"reached": len(new) + len(diverging), "by": "count"}
            entry |= {"passed": not new and not diverging, "text": _new(new, diverging)}
            lost = gone(known, self.record)
            if lost:
                entry["text"] += f"; {lost} ({self.dashes}update-baseline takes out what is gone)"
            found = known.differences(now)
            if found:
                self.warnings.append(
                    f"{option}: {gates.baseline} is of another run: {'; '.join(found)}. What is "
                    "new may only not have been run before."
                )
        self.entries.append({**entry, "text": f"{option}={gates.baseline}: {entry['text']}"})

    def _write(self, now: Known, path: Path, option: str, *, failed: bool) -> dict[str, Any]:
        """Write the file, where the tests are green: what they fail on is not known to survive."""
        red = _red(self.record)
        if red or failed:
            why = f"{_fails(red)} on the unmutated model" if red else "a test has failed"
            text = f"left as it is, since {why}"
            return {"reached": None, "by": "nothing", "passed": False, "text": text}
        try:
            before = Known.read(path, option) if path.exists() else Known()
        except MutatennError:
            before = Known()  # it is replaced
        now.write(path, option)
        survivors = {place[:2] for place in now.survivors}
        text = (
            f"written, with {count_of(len(survivors), 'survivor')} and "
            f"{count_of(len(now.divergent), 'divergent mutant')}; survivals over all cells: "
            f"{len(now.survivors - before.survivors)} new, "
            f"{len(before.survivors - now.survivors)} gone"
        )
        return {"reached": 0, "by": "update", "passed": True, "text": text}

    def condition(self, name: str) -> None:
        condition = CONDITIONS[name]
        warnings = [*self.record["warnings"], *self.warnings]
        found = condition.find({**self.record, "warnings": warnings})
        what = condition.said.format(count_of(len(found), condition.noun))
        text = f"{what}: {_some(found)}" if found else "passed"
        why = condition.unknown(self.record)
        self.entries.append(
            {
                "gate": "fail-on",
                "scope": name,
                "required": 0,
                "reached": None if why else len(found),
                "by": "nothing" if why else "count",
                "passed": not (found or why),
                "text": f"{self.dashes}fail-on={name}: {why or text}",
            }
        )


def nothing_tested(record: Mapping[str, Any]) -> str:
    """Say why no mutant has a verdict that counts; empty where one has."""
    if record["score"]["overall"]["score"] is not None:
        return ""
    red = _red(record)
    if red:
        return (
            f"{_fails(red)} on the unmutated model; mutation testing needs a green suite. "
            "Run pytest without --mutatenn first."
        )
    return f"No mutant was tested: {_why_none(record['mutants'])}."


def _red(record: Mapping[str, Any]) -> int:
    return sum(entry["outcome"] not in _FINE for entry in record["baseline"])


def _fails(red: int) -> str:
    return "1 test fails" if red == 1 else f"{red} tests fail"


def _new(survivors: frozenset[tuple[str, str, str]], diverging: Iterable[tuple[str, str]]) -> str:
    if not survivors and not diverging:
        return "no new survivor and no newly divergent mutant"
    parts = []
    if survivors:
        count = len({place[:2] for place in survivors})
        parts.append(f"{count_of(count, 'new survivor')}: {told(survivors)}")
    names = sorted(mutant for _, mutant in diverging)
    if names:
        parts.append(f"{count_of(len(names), 'newly divergent mutant')}: {_some(names)}")
    return f"required none that is new, reached {'; '.join(parts)}"


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _shown(value: float) -> str:
    """Two digits, never rounded up: what is below a bound must not look like it."""
    return f"{math.floor(value * 100 + 1e-9) / 100:.2f}"


def _why_none(mutants: Iterable[Mapping[str, Any]]) -> str:
    reasons: dict[str, int] = {}
    for mutant in mutants:
        for there in mutant["cells"].values():
            text = there["reason"] if there["verdict"] == "SKIPPED" else there["verdict"]
            reasons[text] = reasons.get(text, 0) + 1
    worst = sorted(reasons.items(), key=lambda item: -item[1])[:3]
    return "; ".join(f"{count} x {text}" for text, count in worst)
