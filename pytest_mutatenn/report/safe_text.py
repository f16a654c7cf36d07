"""Text from models, paths and tests, which may hold anything, on its way into a report."""

from __future__ import annotations

import re
from pathlib import Path

# what XML forbids, what a terminal would act on, and what turns the direction of writing, by which
# a line of code can be made to read as another (https://trojansource.codes)
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ud800-\udfff\ufeff"
    "\ufffe\uffff\u2028\u2029]"
)


def visible(text: str, *, lines: bool = True) -> str:
    r"""Text with what cannot be seen written out, such as ``\x1b``.

    Parameters
    ----------
    text
        Any text, also with halves of surrogate pairs, as a path that is no UTF-8 has.
    lines
        Whether ends of lines and tabs stay; else they become spaces.
    """
    if text.isprintable():
        return text  # nearly all is, and there is much of it
    text = text.replace("\r\n", "\n")
    shown = _UNSEEN.sub(lambda match: repr(match[0])[1:-1], text)
    return shown if lines else re.sub(r"[\n\t]+", " ", shown)


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8; what UTF-8 cannot hold is written out, as JSON does it too."""
    path.write_bytes(text.encode("utf-8", "backslashreplace"))
