"""How far tests are from their bounds: on the unmutated network, and on each mutant.

A test may compare several metrics. On the unmutated network each comparison says on which side of
its bound the network is right. On a mutant one of them speaks for the test: of a test that fails
the last that comes out otherwise than on the unmutated network, which is the one it fails by; of a
test that passes the one that is nearest to its bound, measured by the room that the unmutated
network has there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.analysis.margins import finite, margin_of, opposite
from pytest_mutatenn.analysis.verdict import Verdict
from pytest_mutatenn.report.words import Write, more, test_name

if TYPE_CHECKING:
    from pytest_mutatenn.analysis.verdict import Judgement
    from pytest_mutatenn.report.judging import Judge

KEPT = 200
"""Entries that each list of the report keeps; every margin stands with its mutant."""

_SHOWN = 3
_DIGITS = 6
FEW_INPUTS = "killed before all inputs were run (see --mutatenn-differential)"
NO_METRIC = "killed by something else than the comparison of a metric with a number"
_LISTS = {
    "nearly_killed": "nearly killed: survivors nearer to a test's bound than the unmutated network",
    "barely_killed": "barely killed: beyond the bound by less than the unmutated network's room",
}

_Key = tuple[str, str, float]


class Margins:
    """Reads margins off rows.

    Parameters
    ----------
    judge
        Has the rows.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._wanted: dict[tuple[str, str], dict[str, dict[_Key, float | None]]] = {}

    def of_mutant(
        self,
        model: str,
        cell: str,
        judgement: Judgement,
        rows: Iterable[Mapping[str, Any]],
    ) -> list[dict[str, Any]]:
        """Give one margin for each test that counts and compares metrics, sorted by test."""
        if not judgement.verdict.scored:
            return []
        found = []
        for row in rows:
            if row["test"] in judgement.read and row["result"] in ("passed", "failed"):
                rooms = self._rooms(model, cell).get(row["test"], {})
                decided = _deciding(row.get("margins") or [], rooms, row["result"] == "failed")
                if decided is not None:
                    found.append({"test": row["test"], **decided})
        return sorted(found, key=lambda entry: entry["test"])

    def _rooms(self, model: str, cell: str) -> dict[str, dict[_Key, float | None]]:
        """Test -> comparison -> the unmutated network's margin; None where it goes both ways."""
        if (model, cell) not in self._wanted:
            self._wanted[model, cell] = {
                row["test"]: _rooms(row.get("margins") or [])
                for row in self._judge.all_rows(model, cell, None)
            }
        return self._wanted[model, cell]


def of_baseline(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the margin of each comparison of a test on the unmutated network."""
    rooms = _rooms(row.get("margins") or [])
    found = []
    for entry in row.get("margins") or []:
        sided = _sided(entry, met=entry["met"])
        if rooms.get(_key(sided)) is not None:
            found.append(_shown(sided))
    return found


def _rooms(entries: Iterable[Mapping[str, Any]]) -> dict[_Key, float | None]:
    found: dict[_Key, float | None] = {}
    for entry in entries:
        sided = _sided(entry, met=entry["met"])
        other = opposite(sided["op"]), sided["bound"]
        if (sided["metric"], *other) in found:
            # a comparison that goes both ways, as in a loop, is no bound
            found[_key(sided)] = found[(sided["metric"], *other)] = None
        else:
            found[_key(sided)] = sided["margin"]
    return found


def _key(entry: Mapping[str, Any]) -> _Key:
    return entry["metric"], entry["op"], entry["bound"]


def _sided(entry: Mapping[str, Any], *, met: bool) -> dict[str, Any]:
    """A comparison with the sign that is wanted to hold, and its margin."""
    op = entry["op"] if met else opposite(entry["op"])
    margin = margin_of(op, entry["bound"], entry["value"])
    return {**entry, "op": op, "margin": margin, "met": entry["met"] is met}


def _deciding(
    entries: Sequence[Mapping[str, Any]], rooms: Mapping[_Key, float | None], failed: bool
) -> dict[str, Any] | None:
    """The comparison that speaks for a test on a mutant; None where there is none."""
    sided = []
    for entry in entries:
        turned = _sided(entry, met=False)
        found = turned if _key(turned) in rooms else _sided(entry, met=True)
        if rooms.get(_key(found), 0.0) is not None:
            sided.append({**found, "relative": _relative(found, rooms.get(_key(found)))})
    if failed:
        wrong = [entry for entry in sided if not entry["met"]]
        return _shown(wrong[-1]) if wrong else None
    # what does not hold, and has not failed the test, was not asserted
    right = [entry for entry in sided if entry["met"]]
    return _shown(min(right, key=_room_left)) if right else None


def _relative(entry: Mapping[str, Any], room: float | None) -> float | None:
    """A margin by the room of the unmutated network: 1 as much, 0 at the bound, beyond it below."""
    margin = finite(entry["margin"])
    if margin is None:
        return None
    if room is not None and finite(room) is not None and room > 0:
        return margin / room
    # it stands at its bound itself: nearer there is none, and beyond it the bound is the measure
    return margin / (abs(entry["bound"]) or 1.0) if margin < 0 else None


def _room_left(entry: Mapping[str, Any]) -> float:
    relative = entry["relative"]
    return float("inf") if relative is None else float(relative)


def _shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    margin = finite(entry["margin"])
    found = {
        "metric": entry["metric"],
        "op": entry["op"],
        "bound": finite(entry["bound"]),
        "value": finite(entry["value"]),
        "margin": None if margin is None else float(f"{margin:.12g}"),
        "exact": entry["exact"],
    }
    if "relative" in entry:
        relative = entry["relative"]
        found["relative"] = None if relative is None else float(f"{relative:.{_DIGITS}g}")
    return found


def margins_of(mutants: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Gather the mutants that are nearer to a bound than the unmutated network is.

    Parameters
    ----------
    mutants
        The part ``mutants`` of the report.

    Returns
    -------
    dict
        ``nearly_killed``: survivors, each once a cell, by the test that is nearest to failing;
        ``barely_killed``: killed mutants, by the test that fails most clearly; both nearest first,
        with the unmutated network's room as the measure. ``left_out``: how many more there are
        than each list keeps. ``not_known``: reason -> number of killed mutants of which nobody
        knows how far beyond the bound they are.
    """
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in _LISTS}
    not_known: Counter[str] = Counter()
    for mutant in mutants:
        for cell, there in mutant["cells"].items():
            of = {"model": mutant["model"], "mutant": mutant["id"], "cell": cell}
            if there["verdict"] == Verdict.SURVIVED.name:
                near = [e for e in there["margins"] if _near(e)]
                if near:
                    found["nearly_killed"].append(of | min(near, key=_room_left))
            elif there["verdict"] == Verdict.KILLED.name:
                killers = [e for e in there["margins"] if e["test"] in there["killed_by"]]
                if len(killers) < len(there["killed_by"]):
                    not_known[NO_METRIC] += 1
                elif not all(entry["exact"] for entry in killers):
                    not_known[FEW_INPUTS] += 1
                elif all(_near(entry) for entry in killers):
                    found["barely_killed"].append(of | min(killers, key=_room_left))
    lists: dict[str, Any] = {}
    for name, entries in found.items():
        entries.sort(key=lambda e: (abs(e["relative"]), e["model"], e["mutant"], e["cell"]))
        lists[name] = [{k: v for k, v in e.items() if k != "exact"} for e in entries[:KEPT]]
    left_out = {name: max(0, len(entries) - KEPT) for name, entries in found.items()}
    return {**lists, "left_out": left_out, "not_known": dict(sorted(not_known.items()))}


def _near(entry: Mapping[str, Any]) -> bool:
    return entry["exact"] and entry["relative"] is not None and abs(entry["relative"]) < 1


def write_margins(record: Mapping[str, Any], line: Write, *, verbose: bool) -> None:
    """Write the lists, a line a call: the nearest, or all that the report keeps."""
    for name, title in _LISTS.items():
        entries = record["margins"][name]
        if not entries:
            continue
        left_out = record["margins"]["left_out"][name]
        line("")
        line(f"{title} ({len(entries) + left_out}):", bold=True)
        shown = entries if verbose else entries[:_SHOWN]
        for entry in shown:
            own = entry["mutant"].endswith(f"@{entry['cell']}")
            line(entry["mutant"] if own else f"{entry['mutant']}  {entry['cell']}")
            line(f"    {_said(entry)}")
        more(line, len(entries) + left_out - len(shown))


def _said(entry: Mapping[str, Any]) -> str:
    test = test_name(entry["test"])
    part = f"{100 * abs(entry['relative']):.2g} % of the unmutated network's room"
    where = f"{part} left" if entry["margin"] > 0 else f"beyond by {part}"
    value, bound = f"{entry['value']:.6g}", f"{entry['bound']:.6g}"
    return f"{test}: {entry['metric']} is {value}, wanted {entry['op']} {bound}; {where}"
