"""The cells of a run: devices, by kind or by a name of the user's own, x opt levels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_mutatenn.devices.base import check_device, kinds
from pytest_mutatenn.devices.specs import (
    alias_lines,
    aliases_of,
    pyproject_aliases,
    split_devices,
)
from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.errors import MutatennError

_LEVELLED = re.compile(r".*[^:,;\s]-O\d*")


def read_aliases(root: Path, lines: Iterable[str]) -> dict[str, str]:
    """The user's own names of devices: name -> kind and options.

    Parameters
    ----------
    root
        pytest's root: the tables ``[tool.mutatenn.devices.NAME]`` of its ``pyproject.toml`` count,
        whichever file pytest itself is configured by.
    lines
        The ini key ``mutatenn_aliases``, which every ini file of pytest's may have.

    Raises
    ------
    MutatennError
        If one of them is no device.
    """
    key = "the ini key mutatenn_aliases"
    told = (
        ("[tool.mutatenn.devices]", pyproject_aliases(root)),
        (key, alias_lines(lines, key)),
    )
    return aliases_of(told, kinds())


def read_devices(text: str, option: str, aliases: Mapping[str, str]) -> dict[str, str]:
    """Device as it was named -> the kind and options that its name stands for, if it is one.

    Raises
    ------
    MutatennError
        If a device is none, naming the option and the nearest.
    """
    devices = split_devices(text, {*kinds(), *aliases}, option)
    if not devices:
        raise MutatennError(f"{option} names no device.")
    return {device: _alias_of(device, option, aliases) for device in devices}


def _alias_of(device: str, option: str, aliases: Mapping[str, str]) -> str:
    name = device.partition(":")[0]
    alias = aliases.get(name, "")
    if alias and ":" in device:
        raise MutatennError(
            f"{option}: {device!r}: {name!r} is a name for {alias!r}, and takes no options."
        )
    check_device(alias or device, option)
    return alias


def read_cell(text: str, option: str, aliases: Mapping[str, str]) -> Cell:
    """Read ``llvm-O0``; as :func:`read_devices`. A device alone is at O0, which changes least."""
    # of c:-O1 the last part is a flag of the compiler, and no opt level
    cell = Cell.parse(text if _LEVELLED.fullmatch(text) else f"{text}-O0", option)
    devices = split_devices(cell.device, {*kinds(), *aliases}, option)
    if len(devices) != 1:
        raise MutatennError(f"{option}: {text!r} names {len(devices)} devices, and must name one.")
    return replace(cell, alias_of=_alias_of(devices[0], option, aliases))


def cells_of(devices: Mapping[str, str], levels: Sequence[int]) -> tuple[Cell, ...]:
    """Devices x opt levels, in the order given; a device written in two ways is one."""
    found: dict[str, Cell] = {}
    for name, alias in devices.items():
        for level in levels:
            cell = Cell(name, level, alias)
            found.setdefault(cell.id, cell)
    return tuple(found.values())
