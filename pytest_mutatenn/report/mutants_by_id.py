"""Mutants of a report by what people type: an id, its beginning, or a glob."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from pytest_mutatenn.errors import MutatennError, nearest

__all__ = ["find_mutants"]

_SHOWN = 8  # ids that a message names


def find_mutants(record: Mapping[str, Any], text: str) -> Sequence[Mapping[str, Any]]:
    """The mutants of a report that a text names.

    Parameters
    ----------
    record
        The report.
    text
        An id, after a model and a colon where several have it; the beginning of one that no other
        id has; or a glob over ids, in which ``[`` is a bracket.

    Raises
    ------
    MutatennError
        If there is none, with the nearest; or several begin so.
    """
    mutants = record["mutants"]
    exact = [m for m in mutants if text in (m["id"], f"{m['model']}:{m['id']}")]
    if exact:
        return exact
    if any(sign in text for sign in "*?"):
        pattern = text.replace("[", "[[]")
        found = [m for m in mutants if fnmatchcase(m["id"], pattern)]
        if found:
            return found
    begins = [m for m in mutants if m["id"].startswith(text)]
    if len({m["id"] for m in begins}) == 1:
        return begins
    if begins and text:
        ids = [m["id"] for m in begins]
        more = f", and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
        raise MutatennError(
            f"{len(ids)} mutants of the report begin with {text}: {', '.join(ids[:_SHOWN])}{more}. "
            f"Write more of it, or '{text}*' for all."
        )
    ids = [m["id"] for m in mutants]
    hint = nearest(text, ids)
    if not ids:
        raise MutatennError(f"The report has no mutant, and so no {text}.")
    raise MutatennError(
        f"The report has no mutant {text}.{hint} It has {len(ids)}; ids read "
        "stage.operator@layer#number."
    )
