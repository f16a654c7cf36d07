"""``--mutatenn-record``: what a run has computed, for a run elsewhere to read as ``recorded:FILE``.

The processes of a run say which entries of the store their results are; the one that writes the
file reads them there, one after another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.devices.recording import write_recording
from pytest_mutatenn.engine.results import KIND
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.engine.version import naming_version
from pytest_mutatenn.errors import MutatennError

if TYPE_CHECKING:
    import numpy as np

    from pytest_mutatenn.engine.base import ProcessEngine
    from pytest_mutatenn.engine.cell import Cell
    from pytest_mutatenn.subject import Subject

_INFO = ("digest", "fingerprint", "target", "inputs", "outputs", "layers")
_OF_RUN = ("name", "index")  # of a listed mutant: what another run may have otherwise


def describe_cell(
    subject: Subject, cell: Cell, engine: ProcessEngine, entries: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """What a process knows of one network on one cell, as plain data.

    Parameters
    ----------
    subject, cell, engine
        The network, the cell, and what has evaluated the one on the other.
    entries
        The cell's mutants, as listed.
    """
    return {
        "id": cell.id,
        "device": cell.device,
        "opt_level": cell.opt_level,
        "model": {
            "id": subject.id,
            "source": subject.model.source,
            "digest": subject.model.digest,
            "shapes": {name: list(shape) for name, shape in subject.shapes.items()},
        },
        "info": {name: engine.info[name] for name in _INFO},
        "mutants": [{k: v for k, v in entry.items() if k not in _OF_RUN} for entry in entries],
        "recipes": {mutant: asdict(recipe) for mutant, recipe in engine.recipes.items()},
        "texts": {key: dict(text) for key, text in engine.known_texts().items()},
        "opened": {key: asdict(opened) for key, opened in engine.opened.items()},
    }


def write(
    path: Path, told: Iterable[Mapping[str, Any]], run: Mapping[str, Any], store: Store
) -> str:
    """Write what the processes of a run have told.

    Parameters
    ----------
    path
        The file.
    told
        ``cells`` and ``datasets`` of each process.
    run
        The report's part ``run``.
    store
        Where the results lie.

    Returns
    -------
    str
        What has been written, in a phrase.

    Raises
    ------
    MutatennError
        If there is nothing to write, results are not in the store, or the file cannot be written.
    """
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    datasets: dict[str, Any] = {}
    for process in told:
        datasets |= process["datasets"]
        for one in process["cells"]:
            known = cells.setdefault((one["model"]["id"], one["id"]), {**one})
            for part in ("recipes", "texts", "opened"):
                known[part] = {**known[part], **one[part]}
            known["mutants"] = known["mutants"] or one["mutants"]
    ordered = [cells[key] for key in sorted(cells)]
    if not any(one["opened"] for one in ordered):
        raise MutatennError("--mutatenn-record: no test has run a network, so nothing is recorded.")
    about: dict[str, Any] = {
        "run": {**run, "naming": naming_version()},
        "datasets": datasets,
        "cells": [
            {
                **{k: v for k, v in one.items() if k not in ("opened", "mutants")},
                # of a mutant that was never made nothing is known
                "mutants": [m for m in one["mutants"] if m["id"] in one["recipes"]],
            }
            for one in ordered
        ],
    }
    write_recording(path, about, _results(ordered, store))
    mutants = sum(len(one["mutants"]) for one in about["cells"])
    return f"{len(ordered)} cells, {mutants} mutants"


def _results(
    cells: Sequence[Mapping[str, Any]], store: Store
) -> Iterator[tuple[dict[str, Any], Mapping[str, np.ndarray]]]:
    for cell in cells:
        for key, opened in sorted(cell["opened"].items()):
            found = store.get_arrays(KIND, key)
            if found is None and opened["role"] == "baseline":
                raise MutatennError(
                    "--mutatenn-record: results of the run are not in the store of this process "
                    "(--mutatenn-cache-dir). Was it removed meanwhile, or are workers on other "
                    "machines? Record on one machine."
                )
            if found is not None:  # a mutant that no input was asked of has none
                value, arrays = found
                here = {"cell": cell["id"], "model": cell["model"]["id"], **opened}
                yield {**value, **here}, arrays
