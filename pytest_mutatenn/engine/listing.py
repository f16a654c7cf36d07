"""Which mutants a cell has: the operators asked about every layer, in a child process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_mutatenn.compiler.graph import graph_changes
from pytest_mutatenn.compiler.mutant import Mutant, Site
from pytest_mutatenn.engine.workshop import Workshop
from pytest_mutatenn.operators import catalogue
from pytest_mutatenn.operators.registry import Operator

Entry = dict[str, Any]


def list_mutants(workshop: Workshop, request: Mapping[str, Any]) -> dict[str, Any]:
    """List the mutants of a cell, in the order of stage, operator and walk.

    Parameters
    ----------
    workshop
        The cell.
    request
        ``operators`` (the selection people type), ``stages``, ``order`` (``site`` or ``sweep``)
        and ``positions`` (the window of a sweep).

    Returns
    -------
    dict
        ``mutants``: one entry each; ``absent``: the selected operators that have no site here,
        with the reason.

    Raises
    ------
    MutatennError
        If the selection names an unknown operator.
    """
    chosen = catalogue.select(workshop.operators, request["operators"])
    mutants: list[Entry] = []
    absent: list[Entry] = []
    for stage, op in chosen:
        if stage not in request["stages"]:
            continue
        found = list(_SITES[stage](workshop, op))
        if not found:
            absent.append(
                {"operator": op.name, "stage": stage, "reason": _reason(stage, op, workshop)}
            )
        elif request["order"] == "sweep":
            start, stop = request["positions"]
            window = found[start:stop]
            if window:
                mutants.append(_sweep(stage, op, (start, stop), window))
            else:
                reason = f"--mutatenn-positions leaves none of its {len(found)} sites"
                absent.append({"operator": op.name, "stage": stage, "reason": reason})
        else:
            mutants.extend(found)
    return {"mutants": mutants, "absent": absent}


def _reason(stage: str, op: Operator, workshop: Workshop) -> str:
    if stage == "graph":
        names = ", ".join(str(name).removeprefix("relax.") for name in op.on)
        present = {layer.op for layer in workshop.model.layers}
        if not present & set(op.on):
            return f"the network has no {names}"
        return f"no {names} of the network fits the change"
    kinds = ", ".join(sorted({getattr(kind, "__name__", str(kind)) for kind in op.on}))
    where = "the network's kernels" if stage == "kernel" else "the lowered kernels of this cell"
    return f"no {kinds} that it changes stands in {where}"


def _entry(stage: str, op: Operator, site: Site, before: str, after: str, layers: Any) -> Entry:
    return {
        "id": Mutant(stage, op.name, (site,)).id,
        "operator": op.name,
        "category": op.category,
        "stage": stage,
        "kernel": site.place,
        "site": site.number,
        "layers": list(layers),
        "before": before,
        "after": after,
    }


def _sweep(stage: str, op: Operator, window: Any, found: list[Entry]) -> Entry:
    layers = dict.fromkeys(layer for entry in found for layer in entry["layers"])
    return {
        "id": Mutant(stage, op.name, window=window).id,
        "operator": op.name,
        "category": op.category,
        "stage": stage,
        "kernel": f"{len(found)} sites",
        "site": 0,
        "layers": list(layers),
        "before": found[0]["before"],
        "after": found[0]["after"],
    }


def _graph_sites(workshop: Workshop, op: Operator) -> Iterator[Entry]:
    for change in graph_changes(op, workshop.model.module):
        site = Site(change.layer, change.number)
        yield _entry("graph", op, site, change.before, change.after, [change.layer])


def _kernel_sites(workshop: Workshop, op: Operator) -> Iterator[Entry]:
    for first, layers in workshop.lowering.groups().items():
        for change in workshop.lowering.kernel_changes(op, first):
            site = Site(first, change.number)
            yield _entry("kernel", op, site, change.before, change.after, layers)


def _device_sites(workshop: Workshop, op: Operator) -> Iterator[Entry]:
    for kernel in workshop.device_kernels():
        body = workshop.device_stage(kernel.kernels[0], workshop.baseline.program).body
        for number, change in enumerate(workshop.device_changes(op, kernel), 1):
            site = Site(kernel.name, number)
            before, after = change.lines(body)
            yield _entry("device", op, site, before, after, kernel.layers)


def _weight_sites(workshop: Workshop, op: Operator) -> Iterator[Entry]:
    yield from ()


_SITES = {
    "graph": _graph_sites,
    "kernel": _kernel_sites,
    "device": _device_sites,
    "weights": _weight_sites,
}
