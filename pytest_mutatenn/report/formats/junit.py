"""The mutants as JUnit XML: a testcase for each and cell, survivors as failures.

For whatever shows test results. pytest's own ``--junitxml`` is another file, a testcase a test and
row, where a survivor is no failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from pytest_mutatenn.analysis.verdict import Verdict
from pytest_mutatenn.report.safe_text import visible, write_text
from pytest_mutatenn.report.words import why_survived

DEFAULT = "mutatenn-junit.xml"


def write(record: Mapping[str, Any], path: Path) -> None:
    """Write the file."""
    write_text(path, render(record))


def render(record: Mapping[str, Any]) -> str:
    """Give the file: of every network and cell a suite."""
    suites: dict[tuple[str, str], list[ET.Element]] = {}
    for mutant in record["mutants"]:
        for cell, there in mutant["cells"].items():
            suites.setdefault((mutant["model"], cell), []).append(_case(mutant, cell, there))
    root = _element("testsuites", name="mutatenn")
    for (model, cell), cases in sorted(suites.items()):
        suite = _element("testsuite", name=f"{model}.{cell}", timestamp=record["run"]["started"])
        scores = {"score": record["score"]["by_cell"].get(cell, {}).get("score")}
        suite.append(_properties(model=model, cell=cell, **scores))
        suite.extend(cases)
        _count(suite, cases)
        root.append(suite)
    _count(root, [case for cases in suites.values() for case in cases])
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _case(mutant: Mapping[str, Any], cell: str, there: Mapping[str, Any]) -> ET.Element:
    verdict = Verdict[there["verdict"]]
    seconds = (there["seconds_compile"] or 0) + (there["seconds_run"] or 0)
    case = _element(
        "testcase",
        classname=f"{mutant['model']}.{cell}",
        name=mutant["id"],
        time=f"{seconds:.3f}",
    )
    case.append(
        _properties(
            verdict=verdict.name,
            operator=mutant["operator"],
            category=mutant["category"],
            stage=mutant["stage"],
            layer=mutant["layer"],
            divergent=str(mutant["divergent"]).lower(),
            killed_by="\n".join(there["killed_by"]),
        )
    )
    if verdict is Verdict.SURVIVED:
        why = "" if there["infected"] is None else why_survived(there)
        text = f"- {there['before']}\n+ {there['after']}\n{why}".rstrip()
        case.append(_element("failure", text, type=verdict.name, message="every test passed on it"))
    elif not verdict.scored:
        message = there["reason"] or verdict.name
        case.append(_element("skipped", type=verdict.name, message=message))
    if there["stderr"]:
        case.append(_element("system-err", there["stderr"]))
    return case


def _count(suite: ET.Element, cases: list[ET.Element]) -> None:
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("errors", "0")
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))
    suite.set("time", f"{sum(float(case.get('time', 0)) for case in cases):.3f}")


def _properties(**values: Any) -> ET.Element:
    properties = _element("properties")
    for name, value in values.items():
        if value not in (None, ""):
            properties.append(_element("property", name=name, value=str(value)))
    return properties


def _element(tag: str, body: str = "", /, **attributes: str) -> ET.Element:
    element = ET.Element(tag, {name: visible(value) for name, value in attributes.items()})
    element.text = visible(body) or None
    return element
