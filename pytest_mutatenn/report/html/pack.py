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

import json
import re
from collections.abc import Mapping
from typing import Any

HOLE = "\ue000"
"""Stands for a number in a text; of the private use area, where no text of ours has anything."""

DIGITS = 9
"""Significant digits of a figure in the page: all that a float32 has."""

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
        self._shape_of: dict[tuple[str, ...], int] = {}
        self._place_of: dict[str, str] = {}

    def item(self, value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.{DIGITS}g}")
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            shape = self._shape(tuple(value))
            return self._place([shape, *map(self.item, value.values())])
        return self._place([-1, *map(self.item, value)])

    def _text(self, text: str) -> str:
        if len(text) >= _WORTH_SPLITTING and HOLE not in text:
            numbers = [_number(digits) for digits in _NUMBERS.findall(text)]
            if numbers:
                return self._place([-2, self._place(_NUMBERS.sub(HOLE, text)), *numbers])
        return self._place(text)

    def _shape(self, keys: tuple[str, ...]) -> int:
        found = self._shape_of.setdefault(keys, len(self.shapes))
        if found == len(self.shapes):
            self.shapes.append(list(keys))
        return found

    def _place(self, value: Any) -> str:
        # by what is written, since in Python 1, 1.0 and True are the same key
        written = json.dumps(value, allow_nan=False)
        found = self._place_of.get(written)
        if found is None:
            found = self._place_of[written] = _base36(len(self.values))
            self.values.append(value)
        return found


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
