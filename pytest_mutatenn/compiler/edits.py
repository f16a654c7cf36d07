"""The difference between two texts as edits at line and column. Needs no TVM."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import accumulate

__all__ = ["Edit", "apply_edits", "edits_between"]

Edit = tuple[int, int, int, int, str]
"""First line and column, last line and column (both from 1, the end exclusive), replacement."""

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
# a name or a number, or an operator: half of one is no change that a person would read
_TOKEN = re.compile(r"[\w.]+|[<>=!+\-*/%&|^~]+|\s+|.")


def edits_between(before: str, after: str) -> list[Edit]:
    """Find the edits that make one text the other.

    Lines are aligned first, and then what differs in them: whole names, numbers and operators.

    Returns
    -------
    list of Edit
        Sorted, not overlapping; empty where the texts are equal.
    """
    if before == after:
        return []
    starts = _line_starts(before)
    return [
        (*_position(starts, start), *_position(starts, end), new)
        for start, end, new in _changes(before, after)
    ]


def apply_edits(text: str, edits: Iterable[Sequence[int | str]]) -> str:
    """Make the edits of :func:`edits_between`, also as they come back from JSON.

    Raises
    ------
    ValueError
        If an edit is not in the text, or lies before the end of the one before it.
    """
    starts = _line_starts(text)
    parts, done = [], 0
    for first, column, last, end_column, new in edits:
        start = _offset(text, starts, first, column)
        end = _offset(text, starts, last, end_column)
        if not done <= start <= end:
            raise ValueError(f"edit at {first}:{column} is not after the one before it")
        parts += [text[done:start], str(new)]
        done = end
    return "".join([*parts, text[done:]])


def _lines(text: str) -> list[str]:
    """The lines with their ends; only a newline ends one, whatever else a name may hold."""
    return _LINE.findall(text)


def _line_starts(text: str) -> list[int]:
    """Offset of each line; after a last newline one more, empty, line begins."""
    return [0, *(end.end() for end in re.finditer("\n", text))]


def _position(starts: Sequence[int], offset: int) -> tuple[int, int]:
    line = bisect_right(starts, offset)
    return line, offset - starts[line - 1] + 1


def _offset(text: str, starts: Sequence[int], line: int | str, column: int | str) -> int:
    line, column = int(line), int(column)
    if not 1 <= line <= len(starts) or column < 1:
        raise ValueError(f"the text has no place {line}:{column}")
    offset = starts[line - 1] + column - 1
    end = starts[line] if line < len(starts) else len(text) + 1
    if offset >= end:
        raise ValueError(f"the text has no place {line}:{column}")
    return offset


def _changes(before: str, after: str) -> Iterator[tuple[int, int, str]]:
    """What is replaced: from where, to where, and by what."""
    ours, theirs = _lines(before), _lines(after)
    head = _common(ours, theirs)
    tail = _common(ours[head:][::-1], theirs[head:][::-1])
    offset = sum(map(len, ours[:head]))
    ours, theirs = ours[head : len(ours) - tail], theirs[head : len(theirs) - tail]
    if len(ours) == len(theirs):
        pairs = [(i, i + 1, i, i + 1) for i in range(len(ours))]
    else:
        matched = SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes()
        pairs = [(a, b, c, d) for kind, a, b, c, d in matched if kind != "equal"]
    starts = [offset, *accumulate(map(len, ours), initial=offset)][1:]
    for a, b, c, d in pairs:
        old, new = "".join(ours[a:b]), "".join(theirs[c:d])
        for start, end, replacement in _within(old, new):
            yield starts[a] + start, starts[a] + end, replacement


def _within(old: str, new: str) -> Iterator[tuple[int, int, str]]:
    """What differs of two strings, in whole tokens: offsets in the first, text of the second."""
    ours, theirs = _TOKEN.findall(old), _TOKEN.findall(new)
    if len(ours) != len(theirs):
        head = _common(ours, theirs)
        tail = _common(ours[head:][::-1], theirs[head:][::-1])
        runs = [(head, len(ours) - tail, len(theirs) - tail)]
    else:
        # several sites of one line
        differs = [i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
        starts = [i for i in differs if i - 1 not in differs]
        ends = [i + 1 for i in differs if i + 1 not in differs]
        runs = [(start, end, end) for start, end in zip(starts, ends, strict=True)]
    for start, end, other in runs:
        before = len("".join(ours[:start]))
        yield before, before + len("".join(ours[start:end])), "".join(theirs[start:other])


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many items are the same at the start."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
