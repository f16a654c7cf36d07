"""What the texts of options and ini keys mean, and what is wrong with them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mutatenn.engine.cell import OPT_LEVELS, Cell
from pytest_mutatenn.errors import MutatennError, nearest
from pytest_mutatenn.presence import POLICIES
from pytest_mutatenn.shards import Shard

if TYPE_CHECKING:
    import pytest


class Values:
    """Looks a value up: the command line first, then the ini file, else the default."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def text(self, name: str, default: str) -> tuple[str, str]:
        """The value and the option to name in a message."""
        given = self.config.getoption(f"mutatenn_{name}", None)
        option = f"--mutatenn-{name.replace('_', '-')}"
        if isinstance(given, list):  # one that may be given more than once
            given = "\n".join(given) if all(map(str.strip, given)) else ""
        if given is not None:
            if not str(given).strip():
                raise MutatennError(f"{option} is empty; leave it out, or give it a value.")
            return str(given), option
        if name in ("mutants", "positions", "record", "shard", "export"):
            return default, option
        ini = self.config.getini(f"mutatenn_{name}")
        return (str(ini), f"the ini key mutatenn_{name}") if ini else (default, option)

    def words(self, name: str, default: str = "") -> tuple[str, ...]:
        """Read the words of a list, parted by commas or spaces."""
        text, _ = self.text(name, default)
        return tuple(part for part in re.split(r"[,\s]+", text) if part)

    def some(self, name: str, default: str, noun: str) -> tuple[str, ...]:
        """Read a list that has at least one word."""
        words = self.words(name, default)
        if not words:
            raise MutatennError(f"{self.text(name, default)[1]} names no {noun}.")
        return words

    def number(self, name: str, default: float, low: float, high: float, unit: str) -> float:
        """Read a number within limits."""
        text, option = self.text(name, str(default))
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            span = f"at least {low:g}" if high == float("inf") else f"between {low:g} and {high:g}"
            raise MutatennError(f"{option} must be {unit} {span}, got {text!r}.")
        return value

    def count(self, name: str, default: int) -> int:
        """Read a whole number of at least 0."""
        text, option = self.text(name, str(default))
        if text.isdecimal():
            return int(text)
        raise MutatennError(f"{option} must be a whole number of at least 0, got {text!r}.")

    def whole(self, name: str, noun: str) -> int:
        """Read a whole number of at least 1."""
        text, option = self.text(name, "")
        if text.isdecimal() and int(text) >= 1:
            return int(text)
        raise MutatennError(f"{option} must be a number of {noun} of at least 1, got {text!r}.")


def policy(text: str, option: str) -> str:
    """Read what to do where a device is not here; empty for the default."""
    if text and text not in POLICIES:
        raise MutatennError(
            f"{option} must be {', '.join(POLICIES[:-1])} or {POLICIES[-1]}, got {text!r}."
        )
    return text


def default_policy(config: pytest.Config) -> str:
    """A file is for all machines of a project, a command line for the one it is typed on."""
    in_file = config.getoption("mutatenn_devices") is None and config.getini("mutatenn_devices")
    return "skip" if in_file else "fail"


def folder(root: Path, text: str, option: str) -> Path:
    """Read a folder that can be written to, or made."""
    folder = root / text
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise MutatennError(f"{option}: {text} cannot be a folder, since {there} is a file.")
    if not os.access(there, os.W_OK):
        raise MutatennError(f"{option}: {text} cannot be written to; choose another folder.")
    return folder


def opt_level(word: str, option: str) -> int:
    """Read ``2`` or ``O2``."""
    text = word.removeprefix("O")
    if text.isdigit() and int(text) in OPT_LEVELS:
        return int(text)
    raise MutatennError(f"{option}: {word!r} is no opt level; they are 0 to 4.")


def recording(text: str, option: str, cells: Sequence[Cell], *, incremental: bool) -> Path | None:
    """Read the file of ``--mutatenn-record``, if one is wanted."""
    from pytest_mutatenn.devices.base import takes

    if not text:
        return None
    if not incremental:
        raise MutatennError(
            f"{option} reads the results of the run from the store, and --mutatenn-no-incremental "
            "keeps none; leave one of them out."
        )
    for cell in cells:
        if takes(cell.spec) == "recording":
            raise MutatennError(f"{option}: {cell.device} is a recording itself; leave it out.")
    path = Path(text)
    if not path.absolute().parent.is_dir() or path.is_dir():
        raise MutatennError(f"{option}: {text} is no file in a folder that is there.")
    return path


def artefacts(words: Sequence[str], option: str) -> tuple[str, ...]:
    """The kinds of artefacts that are wanted, in the order in which they are listed."""
    from pytest_mutatenn.report.artefacts import KINDS

    for word in words:
        if word not in (*KINDS, "all"):
            raise MutatennError(
                f"{option}: nothing is called {word!r}.{nearest(word, (*KINDS, 'all'))} What can "
                f"be kept: {', '.join(KINDS)}, all."
            )
    return tuple(kind for kind in KINDS if kind in words or "all" in words)


def export_folder(text: str | None, mutants: Sequence[str]) -> Path | None:
    """Read the folder of ``--mutatenn-export``, if one is wanted."""
    if text is None:
        return None
    if not text or not mutants:
        raise MutatennError(
            "--mutatenn-export=DIR writes the mutants that --mutatenn-mutants names: give both."
        )
    return Path(text).absolute()


def order(text: str, option: str) -> tuple[str, int]:
    """Read how mutants are made: the kind, and how many sites or mutants go into one."""
    if text in ("site", "sweep"):
        return text, 1
    kind, _, number = text.rpartition(":")
    kind = kind or "mutants"
    if kind in ("sites", "mutants") and number.isdecimal() and int(number) >= 2:
        return kind, int(number)
    raise MutatennError(
        f"{option} must be site, sweep, sites:N or N, where N is 2 or more; got {text!r}."
    )


def parameters(config: pytest.Config) -> tuple[tuple[str, str, str], ...]:
    """Operators' parameters: the ini file's, and after them the command line's."""
    found: dict[tuple[str, str], str] = {}
    for option, lines in (
        ("the ini key mutatenn_parameters", config.getini("mutatenn_parameters")),
        ("--mutatenn-parameter", config.getoption("mutatenn_parameter")),
    ):
        for line in lines:
            match = re.fullmatch(r"\s*(\w+)\.(\w+)\s*=\s*(\S+)\s*", line)
            if match is None:
                raise MutatennError(
                    f"{option} must be OPERATOR.PARAMETER=VALUE, such as "
                    f"gaussian_noise.strength=0.1, got {line!r}."
                )
            found[match[1], match[2]] = match[3]
    return tuple((name, parameter, value) for (name, parameter), value in sorted(found.items()))


def file(root: Path, text: str, option: str) -> tuple[Path, str] | None:
    """Read a path, and keep what named it."""
    return (root / text, option) if text else None


def positions(text: str | None, order: str) -> tuple[int, int | None]:
    """Read which occurrences a sweep changes: the first, and the one after the last."""
    if text is None:
        return 0, None
    if order != "sweep":
        raise MutatennError("--mutatenn-positions needs --mutatenn-order=sweep.")
    match = re.fullmatch(r"(\d*):(\d*)", text)
    if match is None:
        raise MutatennError(
            f"--mutatenn-positions must be START:END, occurrences counted from 0, got {text!r}."
        )
    start, stop = match.groups()
    return int(start or 0), int(stop) if stop else None


def shard(text: str, option: str) -> Shard | None:
    """Read which part of the mutants is run."""
    return Shard.parse(text, option) if text else None


def sample(text: str, option: str) -> tuple[float, bool] | None:
    """Read a number of mutants, or a percentage, and which of the two it is."""
    if not text:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", text)
    if match is not None:
        amount, percent = float(match[1]), bool(match[2])
        if amount > 0 and (amount <= 100 if percent else amount.is_integer()):
            return amount, percent
    raise MutatennError(f"{option} must be a number of mutants, or a percentage, got {text!r}.")
