"""Which kinds of report there are, and where the user wants them."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_mutatenn.errors import MutatennError, nearest
from pytest_mutatenn.report import formats

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


@dataclass(frozen=True)
class Destination:
    """One ``--mutatenn-report=TYPE[:DEST]``.

    Attributes
    ----------
    kind, target
        Its parts: which writer, and what file, or folder, it writes.
    option
        How the user named it, for messages.
    """

    kind: str
    target: str
    option: str = "--mutatenn-report"

    @property
    def printed(self) -> bool:
        """Whether it goes to standard output."""
        return self.target == "-"


def kinds() -> dict[str, str]:
    """Type of report -> its module, of those in :mod:`pytest_mutatenn.report.formats`."""
    modules = sorted(module.name for module in pkgutil.iter_modules(formats.__path__))
    return {name.replace("_", "-"): f"{formats.__name__}.{name}" for name in modules}


def parse_destination(text: str, option: str = "--mutatenn-report") -> Destination:
    """Read ``json:FILE``; without a file, the writer's own default where pytest was started.

    ``-`` is standard output; ``$NAME`` and ``${NAME}`` in the file are variables of the
    environment.

    Raises
    ------
    MutatennError
        For an unknown type, naming the nearest; for a variable that is not set; for ``-`` where
        the type is no text.
    """
    kind, _, target = text.partition(":")
    if kind not in kinds():
        hint = nearest(kind, kinds())
        raise MutatennError(f"{option}: unknown type {kind!r}.{hint} Types: {', '.join(kinds())}.")
    writer = importlib.import_module(kinds()[kind])
    target = _expanded(target or writer.DEFAULT, kind, option)
    if target == "-" and not hasattr(writer, "render"):
        raise MutatennError(f"{option}={text}: {kind} cannot be printed; name a file.")
    return Destination(kind, target, option)


def _expanded(target: str, kind: str, option: str) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if not os.environ.get(name):
            raise MutatennError(
                f"{option}={kind}:{target}: the environment variable {name} is not set; name a "
                f"file, such as {kind}:FILE, or set it."
            )
        return os.environ[name]

    return _VARIABLE.sub(value, target)


def render_report(record: Mapping[str, Any], destination: Destination) -> str:
    """Give the text of a report that is printed."""
    text: str = importlib.import_module(kinds()[destination.kind]).render(record)
    # as write_text writes it
    return text.encode("utf-8", "backslashreplace").decode()


def write_report(record: Mapping[str, Any], destination: Destination, folder: Path) -> Path:
    """Write a report, and give its path.

    Paths are relative to the folder, and one that ends in a slash is a folder.

    Raises
    ------
    MutatennError
        If the file cannot be written.
    """
    path = folder / destination.target
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if destination.target.endswith("/"):
            path.mkdir(exist_ok=True)
        written = importlib.import_module(kinds()[destination.kind]).write(record, path)
    except OSError as error:
        raise MutatennError(
            f"{destination.option}={destination.kind}:{destination.target} could not be written: "
            f"{error.strerror or error}."
        ) from error
    return written or path
