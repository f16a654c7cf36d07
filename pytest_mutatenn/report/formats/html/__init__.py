"""The report as a page for a browser: one file, with all it needs in it.

It asks nothing of anywhere, and says so to the browser: its Content-Security-Policy allows its own
script and style, by their digests, and images that stand in it, and nothing else. What comes from a
model file, a path or a test's name lies in it as JSON, and becomes text, never markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_mutatenn.report.formats.html.page import page_of

DEFAULT = "mutatenn.html"

_IN_A_FOLDER = "index.html"


def write(record: Mapping[str, Any], path: Path) -> Path:
    """Write the page: to the file, or as ``index.html`` if the path is a folder; give its path."""
    file = path / _IN_A_FOLDER if path.is_dir() else path
    # a file name that is no UTF-8 is shown with question marks; it is only shown
    file.write_bytes(page_of(record).encode("utf-8", "replace"))
    return file
