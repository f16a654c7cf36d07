"""Which mutants a cell has: the operators asked about every layer, in a child process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_mutatenn.compiler.graph import graph_changes
from pytest_mutatenn.compiler.mutant import Mutant, Site
from pytest_mutatenn.compiler.sites import changes
from pytest_mutatenn.compiler.weights import WeightChange, chosen_weights, weight_changes
from pytest_mutatenn.engine.higher_order import Found, pairs, several_sites
from pytest_mutatenn.engine.naming import named
from pytest_mutatenn.engine.workshop import Workshop
from pytest_mutatenn.operators import catalogue
from pytest_mutatenn.operators.example import check_example
from pytest_mutatenn.operators.parameter import Parameter
from pytest_mutatenn.operators.registry import REGISTRY, Operator, is_ours

Entry = dict[str, Any]


def list_mutants(workshop: Workshop, request: Mapping[str, Any]) -> dict[str, Any]:
    """List the mutants of a cell, in the order of stage, operator and walk.

    Parameters
    ----------
    workshop
        The cell.
    request
        ``operators`` (the selection people type), ``stages``, ``order`` (``site``, ``sweep``,
        ``sites`` or ``mutants``; of the last two ``count`` at a time), ``positions`` (the window
        of a sweep) and ``seed``; or else ``named``, the ids of the only ones that are wanted.

    Returns
    -------
    dict
        ``mutants``: one entry each; ``absent``: the selected operators that have no site here,
        with the reason.

    Raises
    ------
    MutatennError
        If the selection names an unknown operator, or an operator of the user's fails its example.
    """
    if request.get("named"):
        wanted = named(workshop, request["named"], _sites_for, _sweep)
        return {"mutants": [one.entry for one in wanted], "absent": []}
    chosen = catalogue.select(workshop.operators, request["operators"])
    for op in {op.name: op for _, op in chosen}.values():
        if not is_ours(op) and op.example is not None:
            check_example(REGISTRY[op.name])  # it holds for the parameters as they are defined
    order, count, seed = request["order"], request["count"], request["seed"]
    mutants: list[Found] = []
    absent: list[Entry] = []
    for stage, op in chosen:
        if stage not in request["stages"]:
            continue
        found = list(_SITES[stage](workshop, op, seed))
        made = found
        if order == "sweep":
            made = _sweep(stage, op, request["positions"], found, seed)
        elif order == "sites":
            made = list(several_sites(found, count, seed))
        mutants += made
        if not made:
            reason = _reason(stage, op, workshop)
            if found and order == "sweep":
                reason = f"--mutatenn-positions leaves none of its {len(found)} sites"
            elif found:
                reason = f"--mutatenn-order=sites:{count}: it has {len(found)} sites"
            absent.append({"operator": op.name, "stage": stage, "reason": reason})
    if order == "mutants":
        mutants = list(pairs(mutants, count, seed))
    return {"mutants": [one.entry for one in mutants], "absent": absent}


def _reason(stage: str, op: Operator, workshop: Workshop) -> str:
    if stage == "graph":
        names = ", ".join(str(name).removeprefix("relax.") for name in op.on)
        present = {layer.op for layer in workshop.model.layers}
        if not present & set(op.on):
            return f"the network has no {names}"
        return f"no {names} of the network fits the change"
    if stage == "weights":
        return "the network has no parameter that it would change"
    kinds = ", ".join(sorted({getattr(kind, "__name__", str(kind)) for kind in op.on}))
    where = "the network's kernels" if stage == "kernel" else "the lowered kernels of this cell"
    return f"no {kinds} that it changes stands in {where}"


def _found(
    stage: str, op: Operator, site: Site, lines: tuple[str, str], layers: Any, spot: str
) -> Found:
    entry = {
        "id": Mutant(stage, op.name, (site,)).id,
        "operator": op.name,
        "category": op.category,
        "stage": stage,
        "kernel": site.place,
        "site": site.number,
        "layers": list(layers),
        "before": lines[0],
        "after": lines[1],
        "parameters": dict(op.parameters),
        "summary": op.summary,
    }
    return Found(entry, f"{site.place} {spot}")


def _sweep(stage: str, op: Operator, positions: Any, found: list[Found], seed: int) -> list[Found]:
    start, stop = positions
    window = found[start:stop]
    if not window:
        return []
    drawn = stage == "weights" and op.on != (Parameter,)
    entry = {
        **window[0].entry,
        "id": Mutant(stage, op.name, window=(start, stop), draw=seed if drawn else 0).id,
        "kernel": f"{len(window)} sites",
        "site": 0,
        "layers": list(dict.fromkeys(name for one in window for name in one.entry["layers"])),
    }
    return [Found(entry, "")]


def _graph_sites(workshop: Workshop, op: Operator, seed: int) -> Iterator[Found]:
    for change in graph_changes(op, workshop.model.module):
        site = Site(change.layer, change.number)
        yield _found("graph", op, site, (change.before, change.after), [change.layer], "")


def _kernel_sites(workshop: Workshop, op: Operator, seed: int) -> Iterator[Found]:
    lowering = workshop.canonical
    for first, layers in workshop.lowering.groups().items():
        for change in lowering.kernel_changes(op, first):
            spot = f"{change.kernel} {change.change.place.path}"
            yield _found("kernel", op, Site(first, change.number), change.lines(), layers, spot)


def _device_sites(workshop: Workshop, op: Operator, seed: int) -> Iterator[Found]:
    for kernel in workshop.device_kernels:
        body = workshop.device_stage(kernel.kernels[0], workshop.baseline.program).body
        for number, change in enumerate(changes(op, body), 1):
            site, spot = Site(kernel.name, number), str(change.place.path)
            yield _found("device", op, site, change.lines(body), kernel.layers, spot)


def _weight_sites(workshop: Workshop, op: Operator, seed: int) -> Iterator[Found]:
    for change in weight_changes(op, workshop.weights, seed):
        yield _of_weight(op, change)


def _of_weight(op: Operator, change: WeightChange) -> Found:
    found = _found("weights", op, change.site, change.lines(), change.weight.layers, "")
    found.entry["weight"] = change.weight.onnx_name
    return found


_SITES = {
    "graph": _graph_sites,
    "kernel": _kernel_sites,
    "device": _device_sites,
    "weights": _weight_sites,
}


def _sites_for(workshop: Workshop, op: Operator, mutant: Mutant) -> list[Found]:
    """What an operator offers, with the elements of parameters that a mutant names."""
    if mutant.stage == "weights" and mutant.window is None:
        return [_of_weight(op, one) for one in chosen_weights(mutant, op, workshop.weights)]
    return list(_SITES[mutant.stage](workshop, op, mutant.draw))
