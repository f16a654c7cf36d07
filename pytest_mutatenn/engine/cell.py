"""A cell: one device at one opt level; and several cells that a test compares."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pytest_mutatenn.errors import MutatennError

OPT_LEVELS = (0, 1, 2, 3, 4)

_SEPARATORS = r"[,\s]+"
_CELL = re.compile(r"(?P<device>.+)-O(?P<level>[0-4])")


@dataclass(frozen=True, order=True)
class Cell:
    """One device at one opt level.

    Attributes
    ----------
    device
        As the user typed it: ``llvm``, ``llvm:avx2``, or a name of the user's own.
    opt_level
        0 to 4.
    alias_of
        For a name of the user's own: the kind and options that it stands for.
    """

    device: str
    opt_level: int
    alias_of: str = field(default="", compare=False)

    @property
    def spec(self) -> str:
        """Kind and options of the device."""
        return self.alias_of or self.device

    @property
    def id(self) -> str:
        """The cell in test ids: ``llvm-O2``.

        Commas, which separate ids and devices in options, are written as semicolons.
        """
        return f"{re.sub(_SEPARATORS, ';', self.device)}-O{self.opt_level}"

    @classmethod
    def parse(cls, text: str, option: str) -> Cell:
        """Read ``llvm-O0``; what its device is, is not looked at.

        Raises
        ------
        MutatennError
            If it is no cell, naming the option.
        """
        match = _CELL.fullmatch(text)
        if match is None:
            raise MutatennError(
                f"{option}: {text!r} is no cell; write a device and an opt level, such as llvm-O0."
            )
        return cls(match["device"], int(match["level"]))


@dataclass(frozen=True, order=True)
class CellGroup:
    """Several cells that a test compares on the same mutant.

    Attributes
    ----------
    cells
        Two or more, in the order of the run.
    """

    cells: tuple[Cell, ...]

    @property
    def id(self) -> str:
        """The group in test ids and reports: ``llvm-O0~llvm-O2``.

        Of more than three cells the first, how many lie between, and the last: ``llvm-O0~4~c-O3``.
        """
        ids = [cell.id for cell in self.cells]
        return "~".join(ids if len(ids) <= 3 else [ids[0], str(len(ids) - 2), ids[-1]])
