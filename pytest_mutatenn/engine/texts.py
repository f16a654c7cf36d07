"""The texts that mutants change, each kept once, and the edits that a mutant makes in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.compiler.digest import combine
from pytest_mutatenn.compiler.edits import Edit, edits_between

if TYPE_CHECKING:
    from pytest_mutatenn.compiler.shown import Shown
    from pytest_mutatenn.engine.store import Store

__all__ = ["Change", "Texts", "change_in", "changes_of", "source_id"]

Change = tuple[tuple[str, Sequence[Edit]], ...]
"""The texts that a mutant changes, by the keys that :class:`Texts` has for them, and its edits."""

_KIND = "texts"
_PARTS = ("stage", "name", "language", "text")


def changes_of(shown: Iterable[Shown]) -> list[dict[str, Any]]:
    """What a child tells of the texts that its mutant changes; those that stay are left out."""
    return [
        {
            "stage": one.stage,
            "name": one.name,
            "language": one.language,
            "text": one.before,
            "edits": edits_between(one.before, one.after),
        }
        for one in shown
        if one.before != one.after
    ]


class Texts:
    """Texts of one network on one cell, by a digest of their content.

    Parameters
    ----------
    store
        Where they are kept between runs.

    Attributes
    ----------
    known
        Key -> ``stage``, ``name``, ``language`` and ``text``, of those that were met so far.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.known: dict[str, dict[str, str]] = {}

    def take(self, told: Iterable[Mapping[str, Any]], *, keep: bool) -> Change:
        """Take what a child has told (:func:`changes_of`); with ``keep``, for later runs, too."""
        found = []
        for one in told:
            text = {part: str(one[part]) for part in _PARTS}
            key = combine(*text.values())
            if key not in self.known:
                self.known[key] = text
                if keep and self._store.get(_KIND, key) is None:
                    self._store.put_json(_KIND, key, text)
            found.append((key, one["edits"]))
        return tuple(found)

    def get(self, key: str) -> dict[str, str] | None:
        """The text of a key; None where the store has it no more."""
        if key not in self.known:
            stored = self._store.get_json(_KIND, key)
            if stored is None:
                return None
            self.known[key] = stored
        return self.known[key]


def source_id(model: str, key: str) -> str:
    """What a report calls a text of a network: 16 hexadecimal digits."""
    return combine(model, key)[:16]


def change_in(model: str, change: Change) -> dict[str, Any] | None:
    """A mutant's change as a report has it; None where no text of it is known."""
    found = [
        {"source": source_id(model, key), "edits": [list(edit) for edit in edits]}
        for key, edits in change
    ]
    return {**found[0], "others": found[1:]} if found else None
