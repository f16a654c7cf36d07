"""What of a network a mutant changes, as text for people: before and after."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

__all__ = ["Shown", "script_of", "text_before"]


@dataclass(frozen=True)
class Shown:
    """A text that a mutant changes.

    Attributes
    ----------
    stage
        Of the mutant.
    name
        Of the kernel, function or parameter.
    language
        ``tvmscript``, or ``text`` for the figures of a parameter.
    before, after
        The text without the mutant and with it.
    """

    stage: str
    name: str
    language: str
    before: str
    after: str

    @classmethod
    def of(cls, stage: str, name: str, before: Any, after: Any) -> Shown:
        """Print a function before and after."""
        return cls(stage, name, "tvmscript", text_before(before), script_of(after))


@cache
def text_before(function: Any) -> str:
    """Print a function that many mutants change, once; it is known by being the very object."""
    return script_of(function)


_ELSEWHERE = ("target", "op_pattern")


def script_of(function: Any) -> str:
    """Print a PrimFunc, or a Relax function, as TVMScript.

    Without its target, which is the cell's and longer than many a kernel, without the note on what
    it may be fused with, in which cells differ, and without the comments before it, which say what
    a script would have to import.
    """
    for name in _ELSEWHERE:
        if function.attrs and name in function.attrs:
            function = function.without_attr(name)
    text = str(function.script())
    return text[text.index("@") :].rstrip() + "\n"
