"""The mutant: a frozen, printable, sortable recipe."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.operators.registry import STAGES

CHECKS = ("identity", "canary")
"""Mutants that test the machinery and the suite, not the network; they are in no score."""

_NUMBER = "0|[1-9][0-9]*"
_SITE = re.compile(rf"(?P<place>[A-Za-z_]\w*)#(?P<number>{_NUMBER})?(?:b(?P<bit>{_NUMBER}))?(?<!#)")
_ID = re.compile(
    r"(?P<stage>[a-z]+)\.(?P<operator>[A-Za-z_]\w*)@"
    r"(?:sweep(?::(?P<start>\d+):(?P<stop>\d*))?(?:~(?P<draw>[1-9]\d*))?|(?P<sites>[^@]+))"
)


@dataclass(frozen=True, order=True)
class Site:
    """One place where an operator applies.

    Attributes
    ----------
    place
        The layer (stages ``graph`` and ``kernel``), the kernel (stage ``device``) or the parameter
        (stage ``weights``).
    number
        The how-manieth change, from 1, that the operator offers there, in walk order. In a
        parameter: the element or the channel, from 0, the draw, or -1 where only the bit counts.
    bit
        In a parameter: the bit, 0 the lowest; -1 where none is meant.
    """

    place: str
    number: int
    bit: int = -1

    def __str__(self) -> str:
        number = str(self.number) if self.number >= 0 else ""
        return f"{self.place}#{number}" + (f"b{self.bit}" if self.bit >= 0 else "")


@dataclass(frozen=True, order=True)
class Mutant:
    """What to change: operator, stage and site; never how the code looks afterwards.

    Attributes
    ----------
    stage
        Where in the lowering: ``graph``, ``kernel``, ``device``, ``weights``; ``check`` for
        :data:`CHECKS`.
    operator
        Id of the mutation operator, or the name of the check.
    sites
        The changed sites; empty for a sweep and for a check.
    window
        For a sweep: the half-open range of occurrences that change, counted from 0 over the whole
        network in walk order (MutateNN's occurrence window); ``None`` as its end means all.
    draw
        For a sweep over the weights: the seed that drew the elements.
    others
        What else is changed, in a mutant of higher order.
    """

    stage: str
    operator: str
    sites: tuple[Site, ...] = ()
    window: tuple[int, int | None] | None = None
    draw: int = 0
    others: tuple[Mutant, ...] = ()

    @property
    def id(self) -> str:
        """The stable id.

        ``kernel.boundary@conv2d_3#1``, ``kernel.boundary@sweep:0:4``,
        ``weights.bit_flip_sign@conv_w#417b31``; several changes are joined by ``+``.
        """
        if self.stage == "check":
            return self.operator
        head = f"{self.stage}.{self.operator}@"
        if self.window is not None:
            start, stop = self.window
            window = (
                "" if (start, stop) == (0, None) else f":{start}:{'' if stop is None else stop}"
            )
            head += f"sweep{window}" + (f"~{self.draw}" if self.draw else "")
        else:
            head += "+".join(map(str, self.sites))
        return "+".join([head, *(other.id for other in self.others)])

    @property
    def parts(self) -> tuple[Mutant, ...]:
        """The mutants of first order that it is made of."""
        return (replace(self, others=()), *self.others)

    def __str__(self) -> str:
        return self.id

    @classmethod
    def parse(cls, text: str) -> Mutant:
        """Read an id back; ``Mutant.parse(m.id) == m``.

        Raises
        ------
        MutatennError
            If the text is no id.
        """
        if text in CHECKS:
            return cls("check", text)
        pieces: list[str] = []
        for piece in text.split("+"):
            if "@" in piece or not pieces:
                pieces.append(piece)
            else:
                pieces[-1] += f"+{piece}"
        found = [cls._first_order(piece) for piece in pieces]
        if not all(found):
            raise MutatennError(
                f"{text!r} is no mutant id. Ids read stage.operator@layer#number, such as "
                "kernel.boundary@conv2d_3#1; --mutatenn-list prints them all."
            )
        first, *others = (one for one in found if one is not None)
        return replace(first, others=tuple(others))

    @classmethod
    def _first_order(cls, text: str) -> Mutant | None:
        match = _ID.fullmatch(text)
        if match is None or match["stage"] not in STAGES:
            return None
        stage, operator = match["stage"], match["operator"]
        if match["sites"] is None:
            start, stop = int(match["start"] or 0), int(match["stop"]) if match["stop"] else None
            return cls(stage, operator, window=(start, stop), draw=int(match["draw"] or 0))
        found = [_SITE.fullmatch(part) for part in match["sites"].split("+")]
        sites = tuple(_site(m) for m in found if m)
        whole = len(sites) == len(found)
        # elsewhere sites are counted from 1, and have no bits
        plain = stage == "weights" or all(s.number >= 1 and s.bit < 0 for s in sites)
        return cls(stage, operator, sites) if whole and plain else None


def _site(match: re.Match[str]) -> Site:
    number, bit = (-1 if match[name] is None else int(match[name]) for name in ("number", "bit"))
    return Site(match["place"], number, bit)
