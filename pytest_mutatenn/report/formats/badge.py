"""The mutation score as a badge: what https://shields.io/badges/endpoint-badge reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_mutatenn.report.safe_text import write_text

DEFAULT = "mutatenn-badge.json"

COLOURS = (
    (90, "brightgreen"),
    (80, "green"),
    (70, "yellowgreen"),
    (60, "yellow"),
    (50, "orange"),
    (0, "red"),
)
"""From which score, in percent, which of the names that shields knows."""


def write(record: Mapping[str, Any], path: Path) -> None:
    """Write the badge."""
    write_text(path, render(record))


def render(record: Mapping[str, Any]) -> str:
    """Give the badge: the score, with its interval where mutants were sampled."""
    overall = record["score"]["overall"]
    score = overall["score"]
    message, colour = "not tested", "lightgrey"
    if score is not None:
        message = f"{score:.1f} %"
        colour = next(name for least, name in COLOURS if score >= least)
        if overall["low"] is not None:
            message += f" ({overall['low']:.1f} to {overall['high']:.1f})"
    badge = {"schemaVersion": 1, "label": "mutation score", "message": message, "color": colour}
    return json.dumps(badge, ensure_ascii=False) + "\n"
