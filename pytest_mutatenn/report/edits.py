"""How one text becomes another, as few places as possible: what a report keeps of a second text."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["Edit", "apply_edits", "edits_between"]

Edit = list[Any]
"""Start line, start column, end line, end column, replacement; from 1, the end not included."""

_MANY = 4000  # lines that differ in between, beyond which they are replaced as one


def edits_between(before: str, after: str) -> list[Edit]:
    """The edits that make one text of another, line by line; sorted, and none overlaps."""
    ours, theirs = before.splitlines(keepends=True), after.splitlines(keepends=True)
    start = 0
    while start < min(len(ours), len(theirs)) and ours[start] == theirs[start]:
        start += 1
    end = 0
    most = min(len(ours), len(theirs)) - start
    while end < most and ours[len(ours) - 1 - end] == theirs[len(theirs) - 1 - end]:
        end += 1
    old, new = ours[start : len(ours) - end], theirs[start : len(theirs) - end]
    if len(old) + len(new) > _MANY:
        blocks: Iterable[Any] = [("replace", 0, len(old), 0, len(new))]
    else:
        blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [
        [*_place(ours, start + a), *_place(ours, start + b), "".join(new[c:d])]
        for tag, a, b, c, d in blocks
        if tag != "equal"
    ]


def _place(lines: Sequence[str], index: int) -> tuple[int, int]:
    """Line and column where the line of a number begins, or the text ends."""
    if index < len(lines) or not lines or lines[-1].endswith("\n"):
        return index + 1, 1
    return len(lines), len(lines[-1]) + 1


def apply_edits(text: str, edits: Iterable[Sequence[Any]]) -> str:
    """The text that edits make of another."""
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    made, done = [], 0
    for line, column, last, end, replacement in edits:
        first = starts[line - 1] + column - 1
        made += [text[done:first], replacement]
        done = starts[last - 1] + end - 1
    return "".join([*made, text[done:]])
