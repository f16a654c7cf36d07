"""The summary at the end of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_mutatenn.analysis.verdict import Verdict
from pytest_mutatenn.report.differences import write_differences
from pytest_mutatenn.report.divergence import write_divergent
from pytest_mutatenn.report.gates import Gates
from pytest_mutatenn.report.latencies import write_latencies
from pytest_mutatenn.report.margins import write_margins
from pytest_mutatenn.report.noise import write_noise
from pytest_mutatenn.report.shards import missing
from pytest_mutatenn.report.words import Write, count_of, cut, more, why_survived

_SHOWN = 10


def write_summary(
    record: Mapping[str, Any], line: Write, *, titles: Mapping[str, str], verbose: bool
) -> None:
    """Write the summary, a line a call.

    Parameters
    ----------
    record
        The report.
    line
        Called with a text and, as keywords, what colours it as in pytest's ``TerminalWriter``.
    titles
        Category -> title.
    verbose
        Show every survivor.
    """
    _devices(record, line)
    _shard(record, line)
    if not record["mutants"]:
        _baseline(record, line)
        write_differences(record, line, verbose=verbose)
        write_latencies(record, line)
        write_noise(record, line, verbose=verbose)
        _warnings(record, line)
        return
    _checks(record, line)
    _table(record, line, titles, verbose=verbose)
    write_differences(record, line, verbose=verbose)
    write_latencies(record, line)
    write_noise(record, line, verbose=verbose)
    write_divergent(record, line, verbose=verbose)
    _survivors(record, line, verbose=verbose)
    write_margins(record, line, verbose=verbose)
    _rest(record, line)
    _warnings(record, line)


def _warnings(record: Mapping[str, Any], line: Write) -> None:
    for text in record["warnings"]:
        line(f"WARNING: {text}", yellow=True)
    for gate in record["gates"]:
        if gate["passed"]:
            line(gate["text"], green=True)


def _devices(record: Mapping[str, Any], line: Write) -> None:
    """The cells whose device is not here."""
    compiled = {e["cell"] for e in record["baseline"] if e["outcome"] == "compiled"}
    for cell in record["cells"]:
        if not cell["available"]:
            what = "compiled only" if cell["id"] in compiled else "skipped"
            line(f"{cell['id']} {what}, no such device: {cell['reason']}", yellow=True)


def _shard(record: Mapping[str, Any], line: Write) -> None:
    """That this is a part of a run, and what becomes of the gates."""
    shard = record["run"]["shard"]
    if shard is not None:
        here, others = (
            sum(plan[name] for plan in record["plans"]) for name in ("mutants", "other_shards")
        )
        asked = str(Gates.of(shard["gates"]))
        gates = f" and judges the gates {asked}" if asked else ""
        line(
            f"shard {shard['number']}/{shard['count']}, a part of a run: {here} mutants, and "
            f"{others} in the other shards; pytest-mutatenn combine makes one report of all{gates}",
            bold=True,
        )
    elif gaps := missing([record]):
        lacks = ", ".join(f"{n}/{count}" for (_, count), numbers in gaps.items() for n in numbers)
        line(f"A PART OF A RUN: the shards {lacks} are missing.", red=True, bold=True)


def _baseline(record: Mapping[str, Any], line: Write) -> None:
    cells: dict[str, list[bool]] = {}
    away = {cell["id"] for cell in record["cells"] if not cell["available"]}
    for entry in record["baseline"]:
        if entry["cell"] not in away:
            cells.setdefault(entry["cell"], []).append(entry["outcome"] == "passed")
    for cell, passed in cells.items():
        text = f"{cell}: {sum(passed)} of {count_of(len(passed), 'test')} passed on the baseline"
        line(text, green=all(passed), red=not all(passed))


def _checks(record: Mapping[str, Any], line: Write) -> None:
    for entry in record["baseline"]:
        if entry["outcome"] in ("failed", "error"):
            what = "fails" if entry["outcome"] == "failed" else "cannot run"
            text = f"baseline of {entry['cell']}: {entry['test']} {what}, and kills nothing there"
            line(text, yellow=True)
    for check in record["checks"]:
        if check["id"] == "canary" and check["verdict"] == "SURVIVED":
            line(
                f"THE CANARY LIVES in {check['cell']}: no test notices that the network's output "
                "has the wrong sign. This suite cannot kill anything.",
                red=True,
                bold=True,
            )


def _table(
    record: Mapping[str, Any], line: Write, titles: Mapping[str, str], *, verbose: bool
) -> None:
    parts = [
        (titles.get(name, name), found)
        for name, found in sorted(
            record["score"]["by_category"].items(), key=lambda item: _rank(titles, item[0])
        )
    ]
    cells = list(record["score"]["by_cell"].items())
    width = max([len(name) for name, _ in [*parts, *cells]] + [len("mutation score")])
    line(f"{'':{width}}  detected  survived   score")
    for name, found in parts:
        line(_score_line(name, found, width))
    if len(cells) > 1:
        line("")
        for name, found in cells:
            line(_score_line(name, found, width))
    line("")
    overall = record["score"]["overall"]
    line(_score_line("mutation score", overall, width), bold=True)
    _groups(record["score"]["by_group"], line, verbose=verbose)


def _groups(groups: Mapping[str, Any], line: Write, *, verbose: bool) -> None:
    if not groups:
        return
    line("")
    line("of what the tests of one cell left, by the tests that compare cells:")
    width = max(map(len, groups))
    most_first = sorted(groups.items(), key=lambda item: -item[1]["detected"])
    for name, found in most_first if verbose else most_first[:_SHOWN]:
        line(_score_line(name, found, width))
    if not verbose:
        more(line, len(groups) - _SHOWN)


def _rank(titles: Mapping[str, str], name: str) -> tuple[int, str]:
    order = list(titles)
    return (order.index(name) if name in order else len(order), name)


def _score_line(name: str, found: Mapping[str, Any], width: int) -> str:
    value = "     -" if found["score"] is None else f"{found['score']:5.1f} %"
    text = f"{name:{width}}  {found['detected']:8d}  {found['survived']:8d} {value}"
    if found["low"] is not None:
        text += f"  (95 %: {found['low']:.1f} to {found['high']:.1f})"
    return text


def _survivors(record: Mapping[str, Any], line: Write, *, verbose: bool) -> None:
    found = [
        (mutant, [c for c, there in mutant["cells"].items() if there["verdict"] == "SURVIVED"])
        for mutant in record["mutants"]
    ]
    found = [(mutant, cells) for mutant, cells in found if cells]
    if not found:
        return
    line("")
    everywhere = sum(len(cells) for _, cells in found)
    where = f" ({everywhere} times, over all cells)" if everywhere > len(found) else ""
    line(f"{count_of(len(found), 'mutant')} survived{where}:", bold=True)
    limit = len(found) if verbose else _SHOWN
    for mutant, cells in _spread(found, limit):
        there = mutant["cells"][cells[0]]
        own = len(cells) == 1 and mutant["id"].endswith(f"@{cells[0]}")
        line(mutant["id"] if own else f"{mutant['id']}  {', '.join(cells)}", red=True)
        if mutant["layer"]:
            weight = f"weight {mutant['weight']} of " if mutant["weight"] else ""
            line(f"    {cut(f'{weight}layer ' + mutant['layer'])}")
        line(f"    - {cut(there['before'], there['after'])}")
        line(f"    + {cut(there['after'], there['before'])}")
        if there["infected"] is not None:
            line(f"    {why_survived(there)}")
        if there["undefined"]:
            line(f"    {there['undefined']}: undefined, and another device may show it")
    more(line, len(found) - limit)


def _spread(found: list[Any], limit: int) -> Iterable[Any]:
    """At most so many, of as many operators as there are, in order."""
    seen: dict[str, int] = {}
    ranked = []
    for position, (mutant, cells) in enumerate(found):
        turn = seen[mutant["operator"]] = seen.get(mutant["operator"], 0) + 1
        ranked.append((turn, position, (mutant, cells)))
    chosen = sorted(ranked, key=lambda e: (e[0], e[1]))[:limit]
    return [entry for _, _, entry in sorted(chosen, key=lambda e: e[1])]


def _rest(record: Mapping[str, Any], line: Write) -> None:
    excluded = record["excluded"]
    words = {
        "INVALID": "refused by the compiler",
        "EQUIVALENT": "equivalent",
        "DUPLICATE": "duplicate",
        "sampled_out": "sampled out",
        "other_shards": "in other shards",
    }
    found = [f"{excluded[name]} {text}" for name, text in words.items() if excluded.get(name)]
    found += [f"{count} {reason}" for reason, count in _skipped(record)]
    line("")
    if found:
        line(f"not in the score: {', '.join(found)}")
    strays = sum(
        Verdict[there["verdict"]].scored and bool(there["undefined"])
        for mutant in record["mutants"]
        for there in mutant["cells"].values()
    )
    if strays:
        what = "on code that reaches outside its buffers (undefined; NaN lies there)"
        line(f"{count_of(strays, 'verdict')} {what}")
    counters = record["run"]["counters"]
    line(
        f"kernels compiled {counters.get('kernels_compiled', 0)}, "
        f"evaluations run {counters.get('evaluations_run', 0)}, "
        f"taken from the store {counters.get('evaluations_reused', 0)}"
    )
    if excluded.get("not_selected") or excluded.get("other_shards"):
        return  # what was not asked for is not missing
    absent = {entry["operator"] for entry in record["absent"]}
    present = {mutant["operator"] for mutant in record["mutants"]}
    nowhere = sorted(absent - present)
    if nowhere:
        line(f"operators without a site here: {', '.join(nowhere)}")


def _skipped(record: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Why mutants were skipped, with counts, the most frequent first."""
    reasons = Counter(
        there["reason"].partition(" (")[0]
        for mutant in record["mutants"]
        for there in mutant["cells"].values()
        if there["verdict"] == "SKIPPED"
    )
    return [(f"skipped ({reason})", count) for reason, count in reasons.most_common(4)]
