"""``pytest-mutatenn export``: a folder that reproduces one mutant alone."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.report.artefacts import safe_name
from pytest_mutatenn.report.export import EXPECTED, export_name
from pytest_mutatenn.report.formats.json import DEFAULT
from pytest_mutatenn.report.mutants_by_id import find_mutants
from pytest_mutatenn.report.one_mutant import arguments_of, run_arguments
from pytest_mutatenn.report.reading import read_report

_ABOUT = """\
Write a folder that reproduces a mutant of a report alone: its kernels, weights and inputs, and a
script that compiles it, runs it on all inputs, and compares with the report. It needs apache-tvm
and NumPy, and not pytest-mutatenn. Give this in the folder where the tests were run: they are
collected again with the arguments of the report, since they say which network and inputs it was;
none is run, and what the store has is not run again either.
"""
NOTHING = 1
"""The exit code where none of several mutants can be exported."""
_ORDER = ("KILLED", "CRASHED", "TIMEOUT", "SURVIVED", "DUPLICATE", "EQUIVALENT")
"""Which cell is taken where none is named: the first with the earliest of these verdicts."""


def add(commands: Any) -> None:
    """Declare the arguments."""
    parser = commands.add_parser(
        "export",
        help="write a folder that reproduces one mutant alone",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("id", metavar="ID", help="an id, its beginning, or a glob")
    parser.add_argument(
        "report", nargs="?", type=Path, default=Path(DEFAULT), help=f"default: {DEFAULT}"
    )
    parser.add_argument("--cell", help="which cell's; default: one in which a test kills it")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("mutatenn-export"), metavar="DIR",
        help="the folder, in which each mutant has its own (default: mutatenn-export)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Export, and say where."""
    record = read_report(arguments.report)
    wanted: dict[str, list[Mapping[str, Any]]] = {}
    found = find_mutants(record, arguments.id)
    for mutant in found:
        try:
            wanted.setdefault(_cell(mutant, arguments.cell), []).append(mutant)
        except MutatennError as error:
            if len(found) == 1:
                raise
            print(f"not exported: {error}", file=sys.stderr)
    for cell, mutants in wanted.items():
        _export(record, mutants, cell, arguments.output)
        for mutant in mutants:
            folder = _folder(mutant, cell, arguments.output)
            _compare(mutant, cell, folder)
            print(f"{mutant['id']} in {cell}, {mutant['cells'][cell]['verdict']}: {folder}")
    return 0 if wanted else NOTHING


def _cell(mutant: Mapping[str, Any], wanted: str | None) -> str:
    cells = mutant["cells"]
    if wanted is not None:
        if wanted not in cells:
            raise MutatennError(
                f"{mutant['id']} has no cell {wanted}; it has {', '.join(sorted(cells))}."
            )
        found = wanted
    else:
        rank = {verdict: i for i, verdict in enumerate(_ORDER)}
        found = min(sorted(cells), key=lambda cell: rank.get(cells[cell]["verdict"], len(rank)))
    told = cells[found]
    if told["verdict"] not in _ORDER:
        raise MutatennError(
            f"{mutant['id']} cannot be exported from {found}: it is {told['verdict']} there "
            f"({told['reason']})."
        )
    return str(found)


def _export(
    record: Mapping[str, Any], mutants: Sequence[Mapping[str, Any]], cell: str, folder: Path
) -> None:
    """Have pytest write the folders of mutants in one cell."""
    ids = list(dict.fromkeys(mutant["id"] for mutant in mutants))
    command = [
        sys.executable,
        "-m",
        "pytest",
        *run_arguments(record, cell),
        *arguments_of(ids, cell),
        f"--mutatenn-export={folder}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    there = [_folder(mutant, cell, folder) / EXPECTED for mutant in mutants]
    if done.returncode or not all(path.is_file() for path in there):
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
        raise MutatennError(
            f"{', '.join(ids)} could not be exported. This was run, and has to find the tests, the "
            f"network and the inputs of the report:\n{shlex.join(command[1:])}\n{said}"
        )


def _folder(mutant: Mapping[str, Any], cell: str, folder: Path) -> Path:
    """Where a mutant was written: below its network, where several networks have such mutants."""
    name = export_name(mutant["id"], cell)
    below = folder / safe_name(mutant["model"]) / name
    return below if (below / EXPECTED).is_file() else folder / name


def _compare(mutant: Mapping[str, Any], cell: str, folder: Path) -> None:
    """See that what was exported is what the report has."""
    expected = json.loads((folder / EXPECTED).read_text(encoding="utf-8"))
    if expected["model"] != mutant["model"]:
        raise MutatennError(
            f"{folder} is not what the report has: it is of the network {expected['model']}, and "
            f"{mutant['model']} is no more in these tests."
        )
    told = mutant["cells"][cell]
    if told["code_digest"] is not None and told["code_digest"] != expected["code"]:
        raise MutatennError(
            f"{folder} is not what the report has: the code of {mutant['id']} is another. The "
            "network, an operator, a package or this machine's kind has changed; run the tests "
            "again."
        )
