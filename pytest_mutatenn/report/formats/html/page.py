"""The page, put together: markup, style, script and data."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from pytest_mutatenn.report.formats.html.pack import pack
from pytest_mutatenn.report.formats.html.prepare import prepare

STYLES = (
    "colours.css",
    "base.css",
    "head.css",
    "overview.css",
    "tables.css",
    "maps.css",
    "list.css",
    "mutant.css",
    "others.css",
    "narrow.css",
    "print.css",
)
"""The parts of the style, in the order in which they stand in the page."""

SCRIPTS = (
    "record.js",
    "dom.js",
    "words.js",
    "state.js",
    "index.js",
    "filter.js",
    "highlight.js",
    "change.js",
    "command.js",
    "scores.js",
    "heatmap.js",
    "layers.js",
    "overview.js",
    "list.js",
    "diff.js",
    "inputs.js",
    "detail.js",
    "divergent.js",
    "measured.js",
    "run.js",
    "main.js",
)
"""The parts of the script, in the order in which they stand in the page."""

_ESCAPED = ("<", ">", "&", "\u2028", "\u2029")
"""What could end the element that holds the data, or a line of it: escaped as JSON allows."""


def page_of(record: Mapping[str, Any]) -> str:
    """Give the whole page.

    Parameters
    ----------
    record
        The report. The same report gives the same page, to the byte.
    """
    first, details, texts = prepare(record)
    style = "\n".join(_file(f"css/{name}") for name in STYLES)
    script = "\n".join(_file(f"js/{name}") for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}}})();\n'
    names = ", ".join(model["id"] for model in record["models"]) or "no network"
    parts = {
        "{{policy}}": _policy(script, style),
        "{{title}}": html.escape(f"{names}: mutation report"),
        "{{style}}": style,
        "{{data}}": _data(first),
        "{{details}}": "\n".join(_apart("details", part) for part in details),
        "{{texts}}": "\n".join(_apart("text", text) for text in texts),
        "{{script}}": script,
    }
    page = _file("page.html")
    # one after the other, from the left: what one part says is not read for the next
    found = []
    for name, text in parts.items():
        before, page = page.split(name)
        found += [before, text]
    return "".join([*found, page])


def _policy(script: str, style: str) -> str:
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {_digest(script)}",
            f"style-src {_digest(style)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _digest(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _data(value: Any) -> str:
    text = json.dumps(pack(value), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for character in _ESCAPED:
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _apart(kind: str, value: Any) -> str:
    return f'<script type="application/json" class="{kind}">{_data(value)}</script>'


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
