"""What a report finds: survivors, and mutants on which cells disagree, with where to look.

What is shown beside sources, in a code review or as a list of warnings, is made of these.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from pytest_mutatenn.report.divergence import explanation
from pytest_mutatenn.report.marking import in_checkout
from pytest_mutatenn.report.safe_text import visible
from pytest_mutatenn.report.words import cut, test_name, why_survived


class Spot(NamedTuple):
    """A file, from the top of the checkout, and a line of it, from 1."""

    file: str
    line: int


@dataclass(frozen=True)
class Finding:
    """One thing to look at.

    Attributes
    ----------
    kind
        ``survived``: no test of some cells noticed; ``divergent``: one cell's tests did, and
        another's did not.
    level
        ``warning``, or ``note`` where there may be nothing to mend: no input shows the fault, the
        network masks it, the difference is no more than noise, or it is another change in each
        cell's code.
    mutant
        As it stands in the report.
    cells
        The cells it survived in, or those that disagree.
    title, lines
        What is said of it: the title in a line, the rest in several.
    spots
        Markers, or else tests, of the files whose tests let it pass; the first one is the place
        to show it at.
    fingerprint
        The same for the same finding in every run: of the network's name, the mutant and the kind.
    """

    kind: Literal["survived", "divergent"]
    level: Literal["warning", "note"]
    mutant: Mapping[str, Any]
    cells: tuple[str, ...]
    title: str
    lines: tuple[str, ...]
    spots: tuple[Spot, ...]
    fingerprint: str

    @property
    def changes(self) -> list[tuple[tuple[str, ...], Mapping[str, Any]]]:
        """Change in a source of the report, with the cells that have it."""
        found: list[tuple[tuple[str, ...], Mapping[str, Any]]] = []
        for cell in self.cells:
            change = self.mutant["cells"][cell]["change"]
            if change is None:
                continue
            same = next((i for i, (_, other) in enumerate(found) if other == change), None)
            if same is None:
                found.append(((cell,), change))
            else:
                found[same] = ((*found[same][0], cell), change)
        return found


def findings_of(record: Mapping[str, Any]) -> list[Finding]:
    """Everything that a report finds, the most important first.

    Warnings come before notes; among them those that change the best class for the most inputs,
    then those that change the output for the most, then by network and mutant.
    """
    spots = _spots(record)
    found = [_survivor(mutant, spots) for mutant in record["mutants"]]
    mutants = {(mutant["model"], mutant["id"]): mutant for mutant in record["mutants"]}
    found += [_divergent(entry, mutants, spots) for entry in record["divergent"]]
    return sorted((one for one in found if one is not None), key=_rank)


def _rank(one: Finding) -> tuple[Any, ...]:
    there = [one.mutant["cells"][cell] for cell in one.cells]
    top1, propagated = (
        max(entry[name] or 0 for entry in there) for name in ("top1_changed", "propagated")
    )
    return (
        one.level != "warning",
        -top1,
        -propagated,
        one.mutant["model"],
        one.mutant["id"],
        one.kind,
    )


def _survivor(mutant: Mapping[str, Any], spots: Mapping[str, Spot]) -> Finding | None:
    cells = tuple(c for c, there in mutant["cells"].items() if there["verdict"] == "SURVIVED")
    if not cells:
        return None
    there = [mutant["cells"][cell] for cell in cells]
    seen = any(entry["propagated"] for entry in there)
    noise = all(entry["indistinguishable"] for entry in there)
    most = max(there, key=lambda e: (e["top1_changed"] or 0, e["propagated"] or 0))
    lines = [*_layer(mutant), *_change(most["before"], most["after"])]
    if most["infected"] is not None:
        lines.append(_sentence(why_survived(most)))
    lines += _nearest(most["margins"])
    if noise:
        lines.append("All of the difference is under the noise of the unmutated network.")
    if most["undefined"]:
        lines.append(f"{most['undefined']}: undefined, and another device may show it.")
    return Finding(
        "survived",
        "warning" if seen and not noise else "note",
        mutant,
        cells,
        visible(f"{mutant['id']} survived in {', '.join(cells)}", lines=False),
        tuple(visible(line, lines=False) for line in lines),
        _where([test for entry in there for test in entry["survived"]], spots),
        _fingerprint("survived", mutant),
    )


def _divergent(
    entry: Mapping[str, Any],
    mutants: Mapping[tuple[str, str], Mapping[str, Any]],
    spots: Mapping[str, Spot],
) -> Finding:
    mutant = mutants[entry["model"], entry["mutant"]]
    verdicts = ", ".join(f"{cell} {verdict}" for cell, verdict in entry["verdicts"].items())
    there = [mutant["cells"][cell] for cell in entry["verdicts"]]
    tests = [test for one in there for name in ("survived", "killed_by") for test in one[name]]
    return Finding(
        "divergent",
        "warning" if entry["same_change"] else "note",
        mutant,
        tuple(entry["verdicts"]),
        visible(f"cells disagree on {mutant['id']}", lines=False),
        tuple(
            visible(line, lines=False)
            for line in [f"{verdicts}.", *_layer(mutant), *explanation(entry)]
        ),
        _where(tests, spots),
        _fingerprint("divergent", mutant),
    )


def _layer(mutant: Mapping[str, Any]) -> list[str]:
    if not mutant["layer"]:
        return []
    weight = f"weight {mutant['weight']} of " if mutant["weight"] else ""
    return [cut(f"In {weight}layer {mutant['layer']}:")]


def _change(before: str, after: str) -> list[str]:
    return [f"- {cut(before, after)}", f"+ {cut(after, before)}"]


def _nearest(margins: Iterable[Mapping[str, Any]]) -> list[str]:
    """The test that is nearest to failing, by the room that the unmutated network has."""
    known = [one for one in margins if one["exact"] and one["relative"] is not None]
    if not known:
        return []
    one = min(known, key=lambda entry: entry["relative"])
    return [
        f"Nearest to failing: {test_name(one['test'])}, where {one['metric']} is "
        f"{one['value']:.6g}, wanted {one['op']} {one['bound']:.6g}."
    ]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _spots(record: Mapping[str, Any]) -> dict[str, Spot]:
    """Test -> its marker, or else the test, where that is in the checkout."""
    root = record["run"]["root"]
    found = {}
    for test in record["tests"]:
        file = in_checkout(root, test["file"])
        if file is not None:
            found[test["test"]] = Spot(file, test["marker"] or test["line"])
    return found


def _where(tests: list[str], spots: Mapping[str, Spot]) -> tuple[Spot, ...]:
    return tuple(dict.fromkeys(spots[test] for test in tests if test in spots))


def _fingerprint(kind: str, mutant: Mapping[str, Any]) -> str:
    text = "\0".join((kind, mutant["model"], mutant["id"]))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]
