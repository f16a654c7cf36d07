"""The results as a Markdown table."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any


def render(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the table of results, with the host and the remarks of each part.

    Parameters
    ----------
    parts
        Part -> its result, as it stands in the JSON.
    """
    return "\n".join(_lines(parts)) + "\n"


def _lines(parts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "| part | what | measured | target | reached |"
    yield "|---|---|---|---|---|"
    for part, result in parts.items():
        if "error" in result:
            said = textwrap.shorten(str(result["error"]), 200, placeholder=" ...")
            yield f"| {part} | not measured, or not to its end: {escaped(said)} | | | |"
        for line in result.get("lines", ()):
            yield (
                f"| {part} | {escaped(line['what'])} | {number(line['value'], line['unit'])} | "
                f"{_target(line)} | {_reached(line['reached'])} |"
            )
    for part, result in parts.items():
        host = result["host"]
        load = ", ".join(f"{value:.2f}" for value in host["load"])
        yield (
            f"\n**{part}**: {host['started']}, {host['cpu']}, {host['cores']} cores, load {load} "
            f"at the start, apache-tvm {host['packages']['apache-tvm']}, Python {host['python']}; "
            f"took {result['seconds']:.0f} s."
        )
        if result.get("settings"):
            chosen = ", ".join(f"{name} {value}" for name, value in result["settings"].items())
            yield f"Settings: {chosen}."
        for note in result.get("notes", ()):
            yield f"- {note}"


def number(value: float, unit: str) -> str:
    """A figure with three digits that mean something; whole numbers stand as they are.

    >>> number(0.12345, "s"), number(5000, "rows"), number(12.25, "x"), number(1234.6, "ms")
    ('0.123 s', '5000 rows', '12.2 x', '1235 ms')
    """
    if value == int(value):
        text = str(int(value))
    elif abs(value) >= 100:
        text = f"{value:.0f}"
    else:
        text = f"{value:.3g}"
    return f"{text} {unit}".strip()


def escaped(text: str) -> str:
    """Text for a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def _target(line: Mapping[str, Any]) -> str:
    if line["target"] is None:
        return ""
    return f"{'>=' if line['at_least'] else '<='} {number(line['target'], line['unit'])}"


def _reached(reached: bool | None) -> str:
    return {True: "yes", False: "**no**", None: ""}[reached]
