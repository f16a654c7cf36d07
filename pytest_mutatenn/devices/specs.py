"""How devices are written: kinds, their options, lists of them, and names of the user's own.

A list is separated by commas or white space, and so are the options of a device after its colon.
A piece that does not begin with the name of a device belongs to the device before it, if that has
options: ``llvm,llvm:mcpu=haswell,mattr=+avx2,-fma,c`` is ``llvm``, then
``llvm:mcpu=haswell,mattr=+avx2,-fma``, then ``c``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from pytest_mutatenn.errors import MutatennError, nearest

__all__ = ["alias_lines", "aliases_of", "pieces", "pyproject_aliases", "split_devices"]

_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_PLACED = ("rpc", "recorded")  # an address or a file, and options after a question mark


def pieces(options: str) -> list[str]:
    """The options of a device, one by one; ``;`` separates them too, as it does in test ids."""
    return [piece for piece in re.split(r"[,;\s]+", options) if piece]


def split_devices(text: str, known: Collection[str], option: str) -> list[str]:
    """Split a list of devices.

    Parameters
    ----------
    text
        The list.
    known
        Names of kinds and aliases.
    option
        Where it was given, for messages.

    Raises
    ------
    MutatennError
        If a piece is neither a device nor part of one.
    """
    found: list[str] = []
    for gap, piece in re.findall(r"([,\s]*)([^,\s]+)", text):
        name = piece.partition(":")[0]
        if name in known:
            found.append(piece)
        elif found and ":" in found[-1] and (":" not in piece or not _NAME.fullmatch(name)):
            found[-1] += ("," if "," in gap else " ") + piece
        else:
            raise MutatennError(
                f"{option}: unknown device {piece!r}.{nearest(name, known)} "
                f"Known: {', '.join(sorted(known))}."
            )
    return found


def pyproject_aliases(root: Path) -> dict[str, str]:
    """Devices of the tables ``[tool.mutatenn.devices.NAME]`` in the root's ``pyproject.toml``.

    Returns
    -------
    dict
        Name -> kind and options, as they would be typed.

    Raises
    ------
    MutatennError
        If the file is no TOML, or a table is no device.
    """
    file = root / "pyproject.toml"
    if not file.is_file():
        return {}
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MutatennError(f"{file} cannot be read: {error}") from None
    ours = tables.get("tool", {}).get("mutatenn", {})
    unknown = sorted(set(ours) - {"devices"})
    if unknown:
        raise MutatennError(
            f"{file}: [tool.mutatenn] has {unknown[0]!r}, and takes nothing but devices; other "
            "settings are ini keys of pytest."
        )
    devices = ours.get("devices", {})
    return {name: _from_table(f"{file}: [tool.mutatenn.devices.{name}]", table)
            for name, table in devices.items()}  # fmt: skip


def _from_table(where: str, table: Any) -> str:
    kind = table.get("kind") if isinstance(table, Mapping) else None
    if not isinstance(kind, str) or not kind:
        raise MutatennError(f'{where} must be a table with a kind, such as kind = "llvm".')
    options = table.get("options", "")
    if not isinstance(options, str):
        raise MutatennError(f"{where}: options must be a string, as after the colon.")
    parts = [options] if options else []
    for key, value in table.items():
        if key in ("kind", "options") or value is False:
            continue
        if value is True:
            parts.append(key)
        elif isinstance(value, list):
            parts.append(f"{key}={','.join(map(str, value))}")
        elif isinstance(value, (str, int, float)):
            parts.append(f"{key}={value}")
        else:
            raise MutatennError(f"{where}: {key} must be a string, a number or a list of them.")
    if kind in _PLACED and options and len(parts) > 1 and "?" not in options:
        return f"{kind}:{options}?{','.join(parts[1:])}"
    return f"{kind}:{','.join(parts)}" if parts else kind


def alias_lines(lines: Iterable[str], option: str) -> dict[str, str]:
    """Read aliases off lines ``NAME = KIND:OPTIONS``.

    Raises
    ------
    MutatennError
        If a line is none, naming the option.
    """
    found = {}
    for line in lines:
        name, equals, spec = (part.strip() for part in line.partition("="))
        if not equals or not spec:
            raise MutatennError(
                f"{option} must be NAME = KIND:OPTIONS, such as board = llvm:mcpu=znver4, "
                f"got {line!r}."
            )
        found[name] = spec
    return found


def aliases_of(found: Iterable[tuple[str, Mapping[str, str]]], kinds: Collection[str]
               ) -> dict[str, str]:  # fmt: skip
    """Gather aliases from several places, each with its name.

    Raises
    ------
    MutatennError
        If a name stands in two places, is a kind's, or is none.
    """
    gathered: dict[str, str] = {}
    for where, aliases in found:
        for name, spec in aliases.items():
            if name in kinds:
                raise MutatennError(f"{where}: {name!r} is a kind of device; choose another name.")
            if not _NAME.fullmatch(name):
                raise MutatennError(
                    f"{where}: {name!r} cannot be the name of a device; use letters, digits, "
                    "underscores, dots and dashes."
                )
            if gathered.setdefault(name, spec) != spec:
                raise MutatennError(f"{where}: the device {name!r} is named elsewhere, too.")
            kind = spec.partition(":")[0]
            if kind not in kinds:
                raise MutatennError(
                    f"{where}: the device {name!r} is of an unknown kind {kind!r}."
                    f"{nearest(kind, kinds)} Kinds: {', '.join(sorted(kinds))}."
                )
    return gathered
