"""Which operators a selection names, told by a process that may load the compiler.

Run as ``python -m pytest_mutatenn.engine.selected SELECTION [FILE ...]``, with the files that
define operators of the user's; prints JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from pytest_mutatenn.devices.probing import environment
from pytest_mutatenn.errors import InternalError, MutatennError


def selected_operators(selection: str, files: Iterable[Path] = ()) -> list[str]:
    """``stage.operator`` of all that a selection of operators names, sorted.

    Raises
    ------
    MutatennError
        If a part of it names nothing.
    """
    command = [sys.executable, "-m", "pytest_mutatenn.engine.selected", selection]
    asked = subprocess.run(
        [*command, *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=environment(),
    )
    try:
        told = json.loads(asked.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise InternalError(f"selecting operators failed:\n{asked.stderr}") from error
    if "error" in told:
        raise MutatennError(told["error"])
    return [str(name) for name in told["selected"]]


def main(selection: str, files: list[str]) -> None:
    """Print what a selection names."""
    from pytest_mutatenn.operators.catalogue import load, select

    try:
        chosen = select(load(map(Path, files)), selection)
        told: dict[str, object] = {"selected": sorted(f"{s}.{op.name}" for s, op in chosen)}
    except MutatennError as error:
        told = {"error": str(error)}
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
