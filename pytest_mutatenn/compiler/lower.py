"""The whole way down: from the imported network to its program, with one mutant made on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from tvm import IRModule
from tvm.target import Target
from tvm.tirx import PrimFunc

from pytest_mutatenn.compiler import graph, sites
from pytest_mutatenn.compiler.alignment import kernels_that_differ
from pytest_mutatenn.compiler.fusion import Fusion, kernels_called
from pytest_mutatenn.compiler.legaliser import Legalised, Legaliser, calls_by_layer
from pytest_mutatenn.compiler.line import bindings_of, forget_types, operator_name
from pytest_mutatenn.compiler.mutant import Mutant
from pytest_mutatenn.compiler.passes import OptLevel, group, legalise, optimise
from pytest_mutatenn.compiler.program import Program, build_program, in_order
from pytest_mutatenn.compiler.shown import Shown, text_before
from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.model.onnx_import import ImportedModel
from pytest_mutatenn.operators.registry import Operator


@dataclass(frozen=True)
class KernelChange:
    """A change of the kernels of a layer, or of a kernel at the device stage.

    ``kernel`` is the PrimFunc's name, ``body`` its body; ``number`` counts from 1 over the place.
    """

    place: str
    number: int
    kernel: str
    change: sites.Change
    body: Any

    def lines(self) -> tuple[str, str]:
        """The line of TVMScript that changes, before and after."""
        return self.change.lines(self.body)


@dataclass(eq=False)
class Lowering:
    """Lowers one network for one target at one opt level, unmutated or with a mutant.

    Attributes
    ----------
    model
        The imported network.
    opt, target
        The opt level and the target with its host.
    incremental
        Whether of a mutant only what differs from the baseline is lowered; else all of it is.
    """

    model: ImportedModel
    opt: OptLevel
    target: Target
    incremental: bool = True
    _legalised: Legalised | None = field(default=None, repr=False)
    _groups: Mapping[str, tuple[str, ...]] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        remembers = self.incremental
        self.legaliser = Legaliser(self.opt, self.target, self.layers, remembers=remembers)
        self.fusion = Fusion(self.target, remembers=remembers)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in order."""
        return tuple(layer.name for layer in self.model.layers)

    def legalised(self) -> Legalised:
        """The unmutated network as kernels."""
        if self._legalised is None:
            self._legalised = self.to_kernels(self.model.module)
        return self._legalised

    def to_kernels(self, module: IRModule) -> Legalised:
        """Optimise and legalise; give every call its own kernel, named by its layer."""
        if not self.incremental:
            forget_types()
        return self.legaliser(optimise(module, self.opt))

    def to_program(self, legalised: Legalised) -> Program:
        """Fuse the kernels and read the program."""
        return self._read(self._grouped(legalised))

    def _grouped(self, legalised: Legalised) -> IRModule:
        return group(self.fusion.without_units(legalised.module), self.opt, self.target)

    def _read(self, module: IRModule) -> Program:
        num_inputs = len(self.model.inputs)
        return build_program(module, self.fusion, self.model.params, self.layers, num_inputs)

    @cached_property
    def _baseline(self) -> tuple[IRModule, Program]:
        """The unmutated network with its kernels grouped, and its program."""
        module = self._grouped(self.legalised())
        return module, self._read(module)

    @cached_property
    def _callees(self) -> dict[str, Any]:
        """Kernel -> what ``main`` calls to run it: its group, or the kernel itself."""
        module, _ = self._baseline
        found: dict[str, Any] = {}
        for callee, function in module.functions.items():
            if isinstance(function, PrimFunc):
                found.setdefault(callee.name_hint, callee)
            elif function.attrs and "Primitive" in function.attrs:
                found.update(dict.fromkeys((k.name_hint for k in kernels_called(function)), callee))
        return found

    def baseline(self) -> Program:
        """The unmutated network's program."""
        return self._baseline[1]

    def with_kernels(self, changed: Mapping[str, PrimFunc]) -> Program:
        """The program of the unmutated network with these kernels, by name, instead of its own."""
        if not self.incremental:
            return self.to_program(self.legalised().changed(changed))
        module, program = self._baseline
        kernels = dict(program.kernels)
        layers = {}
        # what is fused with what was decided on the unmutated kernels, and stays
        for callee in dict.fromkeys(self._callees[n] for n in changed if n in self._callees):
            part = IRModule({callee: module[callee]})
            for gv in kernels_called(module[callee]):
                part.update_func(gv, module[gv])
            for gv in part.get_global_vars():
                if gv.name_hint in changed:
                    part.update_func(gv, self.fusion.plain(changed[gv.name_hint]))
            fused = self.fusion.fused(part, callee)
            kernels[callee.name_hint] = fused.kernel
            layers[callee.name_hint] = in_order(fused.layers, self.layers)
        steps = tuple(
            replace(step, layers=layers[step.kernel]) if step.kernel in layers else step
            for step in program.steps
        )
        return replace(program, steps=steps, kernels=kernels)

    def mutated(self, legalised: Legalised) -> Program:
        """The program of a mutated network."""
        if self.incremental:
            changed = kernels_that_differ(legalised, self.legalised())
            if changed is not None:
                return self.with_kernels(changed)
        return self.to_program(legalised)

    def ready(self) -> None:
        """Compute what every mutant needs."""
        self.groups()
        _ = self._callees

    def print_before(self, mutant: Mutant) -> None:
        """Print what a mutant of the graph, or of kernels, changes of the unmutated network."""
        if mutant.stage == "graph":
            text_before(self.model.module["main"])
        if mutant.stage == "kernel":
            legalised = self.legalised()
            for site in mutant.sites:
                for name in legalised.kernels.get(site.place, ()):
                    text_before(legalised.module[name])

    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """First layer -> all layers whose kernels are the same code, by the O0 lowering.

        The groups are the same for every cell, so that a kernel mutant has one meaning.
        """
        if self._groups is None:
            opt = OptLevel(0)
            module = legalise(optimise(self.model.module, opt), opt, Target("llvm"))
            line = list(bindings_of(module["main"]))
            calls = [(b.var.name, operator_name(b.value) == "relax.call_tir") for b in line]
            of_layer: dict[str, list[str]] = {}
            for i, (layer, _, _) in calls_by_layer(calls, self.layers).items():
                of_layer.setdefault(layer, []).append(line[i].value.args[0].name_hint)
            by_code: dict[tuple[str, ...], list[str]] = {}
            for layer, kernels in of_layer.items():
                by_code.setdefault(tuple(kernels), []).append(layer)
            self._groups = {group[0]: tuple(group) for group in by_code.values()}
        return self._groups

    def kernel_changes(
        self, op: Operator, layer: str, legalised: Legalised | None = None
    ) -> list[KernelChange]:
        """What the operator offers in the kernels of one layer, numbered from 1.

        They are the unmutated ones, unless others are given.
        """
        legalised = legalised or self.legalised()
        found: list[KernelChange] = []
        for name in legalised.kernels.get(layer, ()):
            body = legalised.module[name].body
            for change in sites.changes(op, body):
                found.append(KernelChange(layer, len(found) + 1, name, change, body))
        return found

    def mutate_graph(self, parts: Sequence[Part]) -> tuple[IRModule, list[graph.GraphChange]]:
        """Apply graph mutants; give the changes that were made too."""
        chosen: list[graph.GraphChange] = []
        for mutant, op in parts:
            wanted = wanted_places(mutant, self.layers)
            everything = list(graph.graph_changes(op, self.model.module, frozenset(wanted)))
            chosen += choose(mutant, everything, lambda c: (c.layer, c.number))
        return graph.apply_graph(self.model.module, chosen), chosen

    def mutate_kernels(
        self, parts: Sequence[Part], legalised: Legalised | None = None
    ) -> tuple[dict[str, PrimFunc], list[KernelChange]]:
        """Apply kernel mutants to every layer that their kernels serve.

        The network is the unmutated one, unless another is given. What comes back is the kernels
        that change, by name, and the changes that were asked for.
        """
        legalised = legalised or self.legalised()
        groups = self.groups()
        made: list[KernelChange] = []
        by_kernel: dict[str, list[sites.Change]] = {}
        for mutant, op in parts:
            everything = [
                change
                for first in wanted_places(mutant, groups)
                for change in self.kernel_changes(op, first, legalised)
            ]
            chosen = choose(mutant, everything, lambda c: (c.place, c.number))
            made += chosen
            for change in chosen:
                for layer in groups[change.place]:
                    own = layer == change.place
                    same = [change] if own else self.kernel_changes(op, layer, legalised)
                    for twin in same:
                        if twin.number == change.number:
                            by_kernel.setdefault(twin.kernel, []).append(twin.change)
        module = legalised.module
        return {name: sites.apply(module[name], found) for name, found in by_kernel.items()}, made


Part = tuple[Mutant, Operator]
"""A mutant of first order and its operator."""


class NoSuchSite(MutatennError):
    """The mutant names a site that this cell's lowering does not have."""


def wanted_places(mutant: Mutant, places: Iterable[str]) -> list[str]:
    """The places that a mutant's sites name, in order; all of them for a sweep."""
    if mutant.window is not None:
        return list(places)
    named = {site.place for site in mutant.sites}
    return [place for place in places if place in named]


def choose(mutant: Mutant, everything: Sequence[Any], key: Any) -> list[Any]:
    """Pick the changes a mutant asks for: its sites, or its window of a sweep.

    Raises
    ------
    NoSuchSite
        If a site is not there, or the window holds none.
    """
    if mutant.window is not None:
        start, stop = mutant.window
        chosen = list(everything[start:stop])
    else:
        by_site = {key(change): change for change in everything}
        wanted = [(site.place, site.number) for site in mutant.sites]
        chosen = [by_site[site] for site in wanted if site in by_site]
        if len(chosen) != len(wanted):
            chosen = []
    if not chosen:
        raise NoSuchSite(
            f"this cell's lowering has no such site (the operator finds {len(everything)} there)"
        )
    return chosen


def canary_program(lowering: Lowering) -> Program:
    """Lower the network with every output negated."""
    return lowering.to_program(lowering.to_kernels(graph.negate_output(lowering.model.module)))


def mutant_program(
    lowering: Lowering, parts: Sequence[Part], shown: list[Shown] | None = None
) -> tuple[Program, list[tuple[str, str]]]:
    """Lower the network with the mutants of the stages ``graph`` and ``kernel`` among the parts.

    Parameters
    ----------
    lowering
        How this cell lowers the network.
    parts
        Mutants of first order, also of other stages.
    shown
        Where to put the texts that change, as soon as they are known: what is changed may not
        compile. None prints none.

    Returns
    -------
    program, lines
        The program, and for every change its line before and after.

    Raises
    ------
    NoSuchSite
        If a site is not there, or another change has taken it away.
    """
    of_graph, of_kernels = (
        [part for part in parts if part[0].stage == stage] for stage in ("graph", "kernel")
    )
    lines: list[tuple[str, str]] = []
    legalised = None
    if of_graph:
        module, changed = lowering.mutate_graph(of_graph)
        if shown is not None:
            shown.append(Shown.of("graph", "main", lowering.model.module["main"], module["main"]))
        legalised = lowering.to_kernels(module)
        lines += [(change.before, change.after) for change in changed]
    kernels, made = lowering.mutate_kernels(of_kernels, legalised)
    if shown is not None:
        before = (legalised or lowering.legalised()).module
        names = dict.fromkeys(change.kernel for change in made)
        shown += [Shown.of("kernel", name, before[name], kernels[name]) for name in names]
    lines += [change.lines() for change in made]
    if legalised is None:
        return lowering.with_kernels(kernels), lines
    return lowering.mutated(legalised.changed(kernels) if kernels else legalised), lines
