"""The report as JSON: everything that any other writer needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_mutatenn.report.safe_text import write_text

DEFAULT = "mutatenn.json"


def write(record: Mapping[str, Any], path: Path) -> None:
    """Write the record."""
    write_text(path, render(record))


def render(record: Mapping[str, Any]) -> str:
    """Give the record, of a list each entry on a line; NaN never stands in it."""
    parts = (f"{_text(name)}: {_lines(value)}" for name, value in record.items())
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return _text(value)
    return "[\n " + ",\n ".join(map(_text, value)) + "\n]"


def _text(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)
