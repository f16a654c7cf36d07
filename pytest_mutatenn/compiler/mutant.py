"""The mutant: a frozen, printable, sortable recipe."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.operators.registry import STAGES

CHECKS = ("identity", "canary")
"""Mutants that test the machinery and the suite, not the network; they are in no score."""

_SITE = re.compile(r"(?P<place>[A-Za-z_]\w*)#(?P<number>[1-9]\d*)")
_ID = re.compile(
    r"(?P<stage>[a-z]+)\.(?P<operator>[A-Za-z_]\w*)@"
    r"(?:sweep(?::(?P<start>\d+):(?P<stop>\d*))?|(?P<sites>[^@]+))"
)


@dataclass(frozen=True, order=True)
class Site:
    """One place where an operator applies.

    Attributes
    ----------
    place
        The layer (stages ``graph`` and ``kernel``) or the kernel (stage ``device``).
    number
        The how-manieth change, from 1, that the operator offers there, in walk order.
    """

    place: str
    number: int

    def __str__(self) -> str:
        return f"{self.place}#{self.number}"


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
    """

    stage: str
    operator: str
    sites: tuple[Site, ...] = ()
    window: tuple[int, int | None] | None = None

    @property
    def id(self) -> str:
        """The stable id: ``kernel.boundary@conv2d_3#1``, ``kernel.boundary@sweep:0:4``."""
        if self.stage == "check":
            return self.operator
        if self.window is not None:
            start, stop = self.window
            window = (
                "" if (start, stop) == (0, None) else f":{start}:{'' if stop is None else stop}"
            )
            return f"{self.stage}.{self.operator}@sweep{window}"
        return f"{self.stage}.{self.operator}@{'+'.join(map(str, self.sites))}"

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
        match = _ID.fullmatch(text)
        if match and match["stage"] in STAGES:
            if match["sites"] is None:
                start = int(match["start"] or 0)
                return cls(
                    match["stage"],
                    match["operator"],
                    window=(start, int(match["stop"]) if match["stop"] else None),
                )
            found = [_SITE.fullmatch(part) for part in match["sites"].split("+")]
            if all(found):
                sites = tuple(Site(m["place"], int(m["number"])) for m in found if m)
                return cls(match["stage"], match["operator"], sites)
        raise MutatennError(
            f"{text!r} is no mutant id. Ids read stage.operator@layer#number, such as "
            "kernel.boundary@conv2d_3#1; --mutatenn-list prints them all."
        )
