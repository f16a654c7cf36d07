"""The Markdown summary at the end of a file: ``$GITHUB_STEP_SUMMARY`` holds those of all tools."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.report.formats.markdown import LIMIT, summary

DEFAULT = "$GITHUB_STEP_SUMMARY"


def write(record: Mapping[str, Any], path: Path) -> None:
    """Append the summary, as much of it as the file has room for.

    Raises
    ------
    MutatennError
        If the file is full.
    """
    there = path.read_bytes() if path.exists() else b""
    gap = b"\n" if there and not there.endswith(b"\n\n") else b""
    text = summary(record, LIMIT - len(there) - len(gap))
    if text is None:
        raise MutatennError(
            f"markdown-append: {path} has {len(there)} bytes, and GitHub takes "
            f"no more than {LIMIT} of a step; append the summary in a step of its own."
        )
    with path.open("ab") as file:
        file.write(gap + text.encode("utf-8", "backslashreplace"))
