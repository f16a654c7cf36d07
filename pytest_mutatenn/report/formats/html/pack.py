"""The report's data, made small: what is the same is written once.

A report of 10,000 mutants in four cells says most things many times: a test's id, a line of code, a
reason that only its numbers tell from another. The packed form is a table of values, each of them
once, which name each other by their place in it. ``js/record.js`` reads it back.

A value of the table is one of

- a text;
- ``[shape, item, ...]``, an object: ``shapes[shape]`` are its keys;
- ``[-1, item, ...]``, a list;
- ``[-2, item, number, ...]``, a text whose numbers stand apart: the item is the text with
  :data:`HOLE` in place of each.

An item is a number, a truth value or null as it is, and for anything else its place in the table, a
text in base 36.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HOLE = "\ue000"
"""Stands for a number in a text; of the private use area, where no text of ours has anything."""

DIGITS = 6
"""Significant digits of a figure in the page, which shows no more; the JSON report has all."""

_NUMBERS = re.compile(r"[0-9]+")
_WORTH_SPLITTING = 80  # characters; below, the table's own cost is more than what it spares
_BASE = "0123456789abcdefghijklmnopqrstuvwxyz"


def pack(value: Any) -> dict[str, Any]:
    """Pack plain data: what JSON can say.

    Parameters
    ----------
    value
        Dictionaries with text keys, lists, texts, finite numbers, truth values and None. Figures
        that are no whole numbers are rounded to :data:`DIGITS`.

    Returns
    -------
    dict
        ``shapes``, ``values`` and ``root``, an item.
    """
    packer = _Packer()
    root = packer.item(value)
    return {"shapes": packer.shapes, "values": packer.values, "root": root}


class _Packer:
    def __init__(self) -> None:
        self.shapes: list[list[str]] = []
        self.values: list[Any] = []
        self._shapes: dict[tuple[str, ...], int] = {}
        self._texts: dict[str, str] = {}
        self._others: dict[str, str] = {}

    def item(self, value: Any) -> Any:
        if isinstance(value, str):
            found = self._texts.get(value)
            return found if found is not None else self._text(value)
        if isinstance(value, float):
            return float(f"{value:.{DIGITS}g}")
        if value is None or isinstance(value, int):
            return value
        if isinstance(value, Mapping):
            shape = self._shape(tuple(value))
            return self._other([shape, *map(self.item, value.values())])
        return self._other([-1, *map(self.item, value)])

    def _text(self, text: str) -> str:
        written: Any = text
        if len(text) >= _WORTH_SPLITTING and HOLE not in text:
            numbers = [_number(digits) for digits in _NUMBERS.findall(text)]
            if numbers:
                pattern = _NUMBERS.sub(HOLE, text)
                place = self._texts.get(pattern)
                if place is None:
                    place = self._texts[pattern] = self._add(pattern)
                written = [-2, place, *numbers]
        found = self._texts[text] = self._add(written)
        return found

    def _shape(self, keys: tuple[str, ...]) -> int:
        found = self._shapes.setdefault(keys, len(self.shapes))
        if found == len(self.shapes):
            self.shapes.append(list(keys))
        return found

    def _other(self, value: list[Any]) -> str:
        # by how it is written, since in Python 1, 1.0 and True are the same key
        written = repr(value)
        found = self._others.get(written)
        if found is None:
            found = self._others[written] = self._add(value)
        return found

    def _add(self, value: Any) -> str:
        self.values.append(value)
        return _base36(len(self.values) - 1)


def _number(digits: str) -> int | str:
    """A whole number where it gives the same digits back, in a browser too."""
    return digits if len(digits) > 15 or (digits[0] == "0" and digits != "0") else int(digits)


def _base36(number: int) -> str:
    digits = ""
    while True:
        number, rest = divmod(number, 36)
        digits = _BASE[rest] + digits
        if not number:
            return digits
