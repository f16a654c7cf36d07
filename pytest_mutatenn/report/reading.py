"""Reading a report that an earlier run wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.report.record import FIELDS, SCHEMA


def read_report(path: Path) -> dict[str, Any]:
    """Read a report of ``--mutatenn-report=json:FILE``.

    Raises
    ------
    MutatennError
        If there is no such file, or it is no report of this version.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MutatennError(
            f"{path} could not be read: {error.strerror or error}. Name a report that "
            "--mutatenn-report=json:FILE wrote."
        ) from None
    except ValueError:
        raise MutatennError(f"{path} is no JSON; write it with --mutatenn-report=json.") from None
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema != SCHEMA:
        raise MutatennError(
            f"{path} is no report of this version: its schema is {schema!r}, and {SCHEMA!r} is "
            "known. Write it with --mutatenn-report=json, and with the same pytest-mutatenn."
        )
    missing = [name for name in FIELDS if name not in record]
    if missing:
        raise MutatennError(f"{path} is no whole report: it has no {', '.join(missing)}.")
    return dict(record)
