"""The mutants as a table, a line each and cell: RFC 4180, in UTF-8.

A spreadsheet takes what begins with one of ``= + - @`` for a formula, and text of a network or a
test may begin so. Such text gets an apostrophe before it, which spreadsheets read as "text"
(https://owasp.org/www-community/attacks/CSV_Injection); numbers are as they are.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_mutatenn.report.safe_text import visible, write_text

DEFAULT = "mutatenn.csv"

_OF_MUTANT = (
    *("model", "id", "operator", "category", "stage", "kernel", "site", "layer", "weight"),
    "divergent",
)
_OF_CELL = (
    *("verdict", "reason", "outcome", "inputs_run", "infected", "propagated", "top1_changed"),
    *(
        "nonfinite",
        "tau_mean",
        "indistinguishable",
        "seconds_compile",
        "seconds_run",
        "undefined",
        "code_digest",
    ),
    *("before", "after"),
)
_TESTS = ("killed_by", "survived")
COLUMNS = (*_OF_MUTANT, "cell", *_OF_CELL, *_TESTS)
"""The first line. ``killed_by`` and ``survived`` hold tests, one a line."""


def write(record: Mapping[str, Any], path: Path) -> None:
    """Write the table."""
    write_text(path, render(record))


def render(record: Mapping[str, Any]) -> str:
    """Give the table; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([_shown(value) for value in row] for row in _rows(record))
    return text.getvalue()


def _rows(record: Mapping[str, Any]) -> Iterator[list[Any]]:
    for mutant in record["mutants"]:
        for cell, there in mutant["cells"].items():
            yield [
                *(mutant[name] for name in _OF_MUTANT),
                cell,
                *(there[name] for name in _OF_CELL),
                *("\n".join(there[name]) for name in _TESTS),
            ]


def _shown(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\n")) else text
