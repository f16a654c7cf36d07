"""The report as JSON: everything that any other writer needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write(record: Mapping[str, Any], path: Path) -> None:
    """Write the record; NaN never stands in it."""
    path.write_text(json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
