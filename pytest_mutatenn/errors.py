"""The two kinds of error: the user's to mend, and ours."""

from __future__ import annotations

from collections.abc import Iterable


class MutatennError(Exception):
    """Something the user can mend; the message says what, why and the way out.

    The plugin shows the message alone, without a traceback of ours.
    """


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the hint `` Did you mean 'llvm'?``, or nothing where nothing is near."""
    import difflib

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.4)
    return f" Did you mean {near[0]!r}?" if near else ""


class InternalError(Exception):
    """A fault of pytest-mutatenn itself. Deliberately no :class:`MutatennError`.

    It is never turned into a verdict: a row that meets one is a pytest error.
    """
