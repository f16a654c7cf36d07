"""What a process knows of networks, cells and mutants, as plain data for the report."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.engine.recorded import RecordedEngine
from pytest_mutatenn.engine.texts import source_id
from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.report.recording import describe_cell

if TYPE_CHECKING:
    from pytest_mutatenn.engine.cell import Cell
    from pytest_mutatenn.session import Session
    from pytest_mutatenn.subject import Subject


def estimate_times(session: Session) -> dict[tuple[str, str], dict[str, float]]:
    """(network, cell) -> how long its mutants will take; a few of them are run for it."""
    from pytest_mutatenn.engine.estimate import estimate

    grid = session.grid
    found = {}
    for subject in grid.subjects:
        for cell in session.settings.cells:
            plan = grid.plan_of(subject, cell)
            if plan is None or grid.engines.presence(cell).reason:
                continue
            engine = grid.engines.of(subject, cell)
            data = None
            if subject.arguments.get("inputs") is not None:
                dataset = subject.dataset(engine.info)
                data = dataset.arrays, dataset.digest
            mutants = [entry for entry in plan.mutants if entry["id"] not in plan.accepted]
            found[subject.id, cell.id] = estimate(engine, mutants, data)
    return found


def tell(session: Session) -> str:
    """What an xdist worker knows at its end, as JSON; what goes wrong here its controller tells."""
    try:
        told = describe_subjects(session) if session.used else None
    except Exception:
        told = {"failed": traceback.format_exc()}
    return json.dumps(told)


def describe_subjects(session: Session) -> dict[str, Any]:
    """Models, cells, plans and counters of this process, as plain data for the report."""
    grid = session.grid
    models: dict[str, Any] = {}
    cells: dict[str, Any] = {}
    plans: list[Any] = []
    notes: list[str] = []
    sources: dict[str, Any] = {}
    recorded: list[dict[str, Any]] = []
    for subject in grid.subjects:
        for cell in dict.fromkeys((*session.settings.cells, session.settings.reference)):
            if away := grid.engines.why_missing(cell):
                cells[cell.id] = _cell(cell, {"target": "", "fingerprint": ""}, away)
            engine = grid.engines.known(subject, cell)
            info = engine.peek() if engine is not None else None
            if engine is None or info is None:
                continue
            described = _model(subject, info, pictures=bool(session.settings.reports))
            known = models.setdefault(subject.id, described)
            # a device that takes the network whole knows no layers
            known["layers"] = known["layers"] or described["layers"]
            cells[cell.id] = _cell(cell, info, grid.engines.why_missing(cell))
            notes += engine.notes
            for key, text in engine.known_texts().items():
                sources[source_id(subject.id, key)] = {"model": subject.id, **text}
            plan = grid.plan_of(subject, cell)
            if plan is not None:
                plans.append([subject.id, cell.id, vars(plan)])
            if session.settings.record is not None and not isinstance(engine, RecordedEngine):
                entries = plan.mutants if plan is not None else ()
                recorded.append(describe_cell(subject, cell, engine, entries))
    return {
        "models": models,
        "cells": cells,
        "plans": plans,
        "tests": session.places(),
        "counters": vars(grid.engines.counters).copy(),
        "notes": notes,
        "sources": sources,
        "recorded": {"cells": recorded, "datasets": _datasets(grid.subjects)},
    }


def _datasets(subjects: Iterable[Subject]) -> dict[str, Any]:
    return {
        subject.loaded.digest: {
            "source": subject.loaded.source,
            "count": len(subject.loaded.names),
            "model": subject.id,
        }
        for subject in subjects
        if subject.loaded is not None
    }


def _model(subject: Subject, info: Mapping[str, Any], *, pictures: bool) -> dict[str, Any]:
    dataset = subject.loaded
    return {
        "id": subject.id,
        "source": subject.model.source,
        "digest": subject.model.digest,
        "inputs": info["inputs"],
        "output": _output(subject, info),
        "layers": {
            layer["name"]: f"{layer['name']} ({layer['onnx_op']} {layer['onnx_node']})"
            for layer in info["layers"]
        },
        "dataset": None
        if dataset is None
        else {
            "source": dataset.source,
            "digest": dataset.digest,
            "count": len(dataset.names),
            "labelled": dataset.labels is not None,
            "names": list(map(str, dataset.names)),
            "thumbnails": subject.thumbnails(info) if pictures else None,
        },
    }


def _output(subject: Subject, info: Mapping[str, Any]) -> Any:
    try:
        name = subject.output(info)
    except MutatennError:
        return None  # its tests have said so
    return next(spec for spec in info["outputs"] if spec["name"] == name)


def _cell(cell: Cell, info: Mapping[str, Any], missing: str) -> dict[str, Any]:
    return {
        "id": cell.id,
        "device": cell.device,
        "opt_level": cell.opt_level,
        "target": info["target"],
        "fingerprint": info["fingerprint"],
        "available": not missing,
        "reason": missing,
    }
