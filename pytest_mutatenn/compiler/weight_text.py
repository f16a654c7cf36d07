"""A parameter of the network as text for people: its figures, and the elements that change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pytest_mutatenn.compiler.shown import Shown

if TYPE_CHECKING:
    from pytest_mutatenn.compiler.weights import Weight, WeightChange

_LISTED = 10  # elements that change
_BLOCK = 1 << 16


def shown_parameters(changes: Sequence[WeightChange]) -> list[Shown]:
    """Each parameter that changes: its figures before and after, and the first elements."""
    last = {change.weight.index: change for change in changes}  # of two the later counts
    return [_shown(change) for change in last.values()]


def _shown(change: WeightChange) -> Shown:
    old, new = change.weight.whole.values.reshape(-1), change.values.reshape(-1)
    count, first = changed_elements(old, new)
    lines = []
    for place in first:
        where = ", ".join(str(int(i)) for i in np.unravel_index(place, change.values.shape))
        lines.append(f"  [{where}]  {old[place]:.9g} -> {new[place]:.9g}")
    if count > len(first):
        lines.append(f"  and {count - len(first)} more")
    return Shown(
        "weights",
        change.weight.whole.name,
        "text",
        _text(change.weight, old, 0, []),
        _text(change.weight, new, count, lines),
    )


def changed_elements(old: np.ndarray, new: np.ndarray) -> tuple[int, list[int]]:
    """How many elements of two flat arrays differ in any bit, and the first ten of them."""
    count, first = 0, list[int]()
    bits = f"u{old.itemsize}"
    for start in range(0, old.size, _BLOCK):  # in blocks: tensors may be as large as the memory
        end = start + _BLOCK
        differs = old[start:end].view(bits) != new[start:end].view(bits)
        here = int(np.count_nonzero(differs))
        if here and len(first) < _LISTED:
            found = np.flatnonzero(differs)[: _LISTED - len(first)]
            first += [start + int(place) for place in found]
        count += here
    return count, first


def _text(weight: Weight, values: np.ndarray, changed: int, listed: list[str]) -> str:
    whole = weight.whole
    finite = np.isfinite(values)
    known = values if finite.all() else values[finite]
    figures = ["-"] * 3
    if known.size:
        mean = float(np.mean(known, dtype=np.float64))
        figures = [f"{float(known.min()):.6g}", f"{float(known.max()):.6g}", f"{mean:.6g}"]
    lines = [
        f"parameter   {weight.onnx_name!r}, {whole.role} of {', '.join(weight.layers)}",
        f"shape       {' x '.join(map(str, whole.values.shape)) or 'scalar'}, {values.dtype}",
        f"elements    {values.size}",
        f"least       {figures[0]}",
        f"largest     {figures[1]}",
        f"mean        {figures[2]}",
        f"zeros       {values.size - int(np.count_nonzero(values))}",
        f"not finite  {values.size - int(np.count_nonzero(finite))}",
        f"changed     {changed}",
        *listed,
    ]
    return "\n".join(lines) + "\n"
