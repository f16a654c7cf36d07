"""The rows: tests x (checks, baseline and mutants) x cells, with their ids and their order."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_mutatenn.accepted import Accepted
from pytest_mutatenn.compiler.mutant import CHECKS
from pytest_mutatenn.devices.base import takes
from pytest_mutatenn.engine.cell import Cell, CellGroup
from pytest_mutatenn.engine.evaluate import Engine
from pytest_mutatenn.engine.evaluation import Counters, Limits
from pytest_mutatenn.engine.recorded import RecordedEngine
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.engine.whole import WholeEngine
from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.presence import Presence, presence
from pytest_mutatenn.selection import CellPlan, choose, ids_for, is_glob, unmatched
from pytest_mutatenn.subject import Subject

if TYPE_CHECKING:
    from pytest_mutatenn.model.source import ModelSource
    from pytest_mutatenn.settings import Settings

MARKER_ARGUMENTS = (
    "model", "inputs", "labels", "shapes", "output", "preprocess", "limit", "seed",
)  # fmt: skip

AnyEngine: TypeAlias = Engine | WholeEngine | RecordedEngine
"""Engines have one face; which it is depends on what the device takes."""

_LIVE_ENGINES = 2  # the cell at hand and the reference


@dataclass(frozen=True)
class Row:
    """One test's run: a cell, and a mutant or the baseline.

    Attributes
    ----------
    subject
        What is tested.
    cell
        Where.
    mutant
        Id of the mutant; None for the baseline.
    """

    subject: Subject = field(repr=False)
    cell: Cell
    mutant: str | None

    @property
    def id(self) -> str:
        """As it stands in the test's id."""
        return f"{self.cell.id}-{self.mutant or 'baseline'}"


@dataclass(frozen=True)
class GroupRow:
    """The run of a test that compares cells: which cells, and a mutant or the baseline.

    Attributes
    ----------
    subject
        What is tested.
    cell
        Where: the cells, which have a column of their own in the report.
    mutant
        Id of the mutant; None for the baseline.
    """

    subject: Subject = field(repr=False)
    cell: CellGroup
    mutant: str | None

    @property
    def id(self) -> str:
        """As it stands in the test's id."""
        return f"{self.cell.id}-{self.mutant or 'baseline'}"


class Grid:
    """Makes the rows of a session, and the engines that run them.

    Parameters
    ----------
    settings, root
        What the user asked for, and pytest's root.
    operator_files, accepted
        The user's own operators, and the accepted survivors.
    threads
        Threads that a kernel may use.
    turn
        Number of this process among those that collect the same tests at the same time: each begins
        elsewhere with what is to be compiled first.
    """

    def __init__(
        self,
        settings: Settings,
        root: Path,
        operator_files: Sequence[Path],
        accepted: Sequence[Accepted],
        threads: int = 1,
        turn: int = 0,
    ) -> None:
        self.settings = settings
        self.root = root
        self.operator_files = tuple(operator_files)
        self.store = Store(settings.cache_dir)
        self.counters = Counters()
        self.accepted = accepted
        self.threads = threads
        self.turn = turn
        self.subjects: dict[str, Subject] = {}
        self.plans: dict[tuple[str, Cell], CellPlan] = {}
        self._engines: dict[tuple[str, Cell], AnyEngine] = {}
        self._live: list[AnyEngine] = []
        self._most_live = _LIVE_ENGINES
        self._present: dict[Cell, Presence] = {}

    # -- subjects -----------------------------------------------------------------------------

    def subject(self, arguments: Mapping[str, Any], base: Path) -> Subject:
        """The network and inputs of a marker; the same for the same arguments.

        Raises
        ------
        MutatennError
            If an argument is unknown, or the network is not to be had.
        """
        from pytest_mutatenn.model.source import resolve_model

        for name in arguments:
            if name not in MARKER_ARGUMENTS:
                near = difflib.get_close_matches(name, MARKER_ARGUMENTS, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise MutatennError(
                    f"The marker mutatenn has no argument {name!r}.{hint} It takes "
                    f"{', '.join(MARKER_ARGUMENTS)}."
                )
        if isinstance(arguments.get("preprocess"), Mapping):
            from pytest_mutatenn.model.images import check_keys

            check_keys(arguments["preprocess"])
        settings = self.settings
        merged = {"model": settings.model, "inputs": settings.inputs}
        given = {
            name: value
            for name, value in arguments.items()
            if value is not None and name not in settings.overriding
        }
        # a path in an option is relative to the root, one in a marker to the test's folder
        bases = {name: base if name in given else self.root for name in ("model", "inputs")}
        merged.update(given)
        if merged["model"] is None:
            raise MutatennError(
                'No network: mark the test with pytest.mark.mutatenn(model="net.onnx"), set the '
                "ini key mutatenn_model, or give --mutatenn-model."
            )
        source = resolve_model(
            merged["model"], base=bases["model"], scratch=self.store.root / "models"
        )
        key = repr((source.digest, str(bases["inputs"]), sorted(_stable(merged).items())))
        if key not in self.subjects:
            self.subjects[key] = Subject(
                self._id(source, given.get("shapes") or {}), source, merged, bases["inputs"]
            )
        return self.subjects[key]

    def _id(self, source: ModelSource, shapes: Mapping[str, Sequence[int]]) -> str:
        """The network's id, its own for every network and its shapes."""
        wanted = _network(source, shapes)
        taken = {}
        for subject in self.subjects.values():
            taken[subject.id] = _network(subject.model, subject.shapes)
        for name, network in taken.items():
            if network == wanted:
                return name
        if source.id not in taken:
            return source.id
        return f"{source.id}_{hashlib.sha256(wanted.encode()).hexdigest()[:8]}"

    # -- engines ------------------------------------------------------------------------------

    def presence(self, cell: Cell) -> Presence:
        """Whether a cell's device is here.

        Raises
        ------
        MutatennError
            If it is not, and that is to fail: as the settings say, and always for a reference
            that no test runs on.
        """
        if cell not in self._present:
            settings = self.settings
            if cell in settings.cells:
                found = presence(cell, settings.missing_device, settings.devices_option)
            else:
                found = presence(cell, "fail", settings.reference_option, "")
            self._present[cell] = found
        return self._present[cell]

    def why_missing(self, cell: Cell) -> str:
        """Why a cell's device is not here, as far as that was asked and did not fail."""
        return self._present.get(cell, Presence()).reason

    def engine(self, subject: Subject, cell: Cell) -> AnyEngine:
        """The engine of a network on a cell; at most two have processes at a time.

        In :meth:`holding` there may be more.

        Raises
        ------
        MutatennError
            If the cell's device is not here, and nothing is to be compiled for it either.
        """
        there = self.presence(cell)
        if there.reason and not there.compiled:
            raise MutatennError(f"Nothing can run in {cell.id}: no such device: {there.reason}.")
        key = _engine_key(subject, cell)
        if key not in self._engines:
            self._engines[key] = self._engine(subject, cell)
        engine = self._engines[key]
        if engine in self._live:
            self._live.remove(engine)
        self._live.append(engine)
        while len(self._live) > self._most_live:
            self._live.pop(0).close()
        return engine

    @contextlib.contextmanager
    def holding(self, cells: int) -> Iterator[None]:
        """Let the engines of so many cells, and the reference's, have processes at a time."""
        self._most_live = max(_LIVE_ENGINES, cells + 1)
        try:
            yield
        finally:
            self._most_live = _LIVE_ENGINES

    def _engine(self, subject: Subject, cell: Cell) -> AnyEngine:
        """Make the engine for what the cell's device takes."""
        settings = self.settings
        common: dict[str, Any] = {"shapes": subject.shapes, "counters": self.counters}
        kind = takes(cell.spec)
        if kind == "recording":
            return RecordedEngine(
                subject.model, cell, self.store, operator_files=self.operator_files, **common
            )
        common["limits"] = Limits(
            timeout_factor=settings.timeout_factor,
            timeout_constant=settings.timeout_constant,
            memory=settings.memory_limit,
            activations=settings.activation_budget,
        )
        common |= {"incremental": settings.incremental, "threads": self.threads}
        if kind == "network":
            return WholeEngine(subject.model, cell, self.store, **common)
        return Engine(
            subject.model,
            cell,
            self.store,
            disabled_passes=settings.disabled_passes,
            required_passes=settings.required_passes,
            operator_files=self.operator_files,
            settings=settings.parameters,
            compile_only=self.presence(cell).compiled,
            **common,
        )

    def known_engine(self, subject: Subject, cell: Cell) -> AnyEngine | None:
        """The engine, if it has been asked for."""
        return self._engines.get(_engine_key(subject, cell))

    def plan_of(self, subject: Subject, cell: Cell) -> CellPlan | None:
        """The plan, if it has been asked for."""
        return self.plans.get(_engine_key(subject, cell))

    def close(self) -> None:
        """End every process."""
        for engine in self._engines.values():
            engine.close()
        self._live.clear()

    # -- rows ---------------------------------------------------------------------------------

    def rows(self, subject: Subject, *, compared: bool) -> list[Row]:
        """Every row of a test: cell by cell its baseline, the checks, the mutants.

        Parameters
        ----------
        subject
            The network.
        compared
            Whether the test needs the reference.
        """
        rows = []
        usable = self._usable()
        if not self.settings.baseline_only:
            self._prepare(subject, compared=compared)
        for cell in self.settings.cells:
            rows.append(Row(subject, cell, None))
            if self.settings.baseline_only or cell not in usable:
                continue
            plan = self.plan(subject, cell)
            if plan.mutants:
                rows.extend(Row(subject, cell, check) for check in CHECKS)
            rows.extend(Row(subject, cell, entry["id"]) for entry in plan.mutants)
        if not self.settings.baseline_only:
            self._check_named(subject)
        return rows

    def group_rows(self, subject: Subject, *, pairs: bool) -> list[GroupRow]:
        """Every row of a test that compares cells: of each group the baseline, then the mutants.

        A mutant has a row where it is among the mutants of every cell of the group: one on the
        device stage is of one cell, and has none.

        Parameters
        ----------
        subject
            The network.
        pairs
            Whether the groups are all pairs of the run's cells, or all its cells together.
        """
        cells = self.settings.cells
        if len(cells) < 2:
            return []
        groups = itertools.combinations(cells, 2) if pairs else [cells]
        mutated = self.settings.active and not self.settings.baseline_only
        if mutated:
            self._prepare(subject, compared=False)
        rows = []
        for group in map(CellGroup, groups):
            rows.append(GroupRow(subject, group, None))
            if mutated:
                shared = self._in_common(subject, group)
                rows.extend(GroupRow(subject, group, mutant) for mutant in shared)
        if mutated:
            self._check_named(subject)
        return rows

    def _in_common(self, subject: Subject, group: CellGroup) -> list[str]:
        """Ids of the mutants that all cells of a group have, in the order of the first.

        None where a device is not here: then there is nothing to compare.
        """
        if any(self.presence(cell).reason for cell in group.cells):
            return []
        plans = [self.plan(subject, cell).mutants for cell in group.cells]
        others = [{entry["id"] for entry in plan} for plan in plans[1:]]
        return [
            entry["id"]
            for entry in plans[0]
            if "device" not in entry["stage"].split("+")
            and all(entry["id"] in there for there in others)
        ]

    def _usable(self) -> list[Cell]:
        """The cells whose device is here, or can be compiled for."""
        found = [(cell, self.presence(cell)) for cell in self.settings.cells]
        return [cell for cell, there in found if there.compiled or not there.reason]

    def _prepare(self, subject: Subject, *, compared: bool) -> None:
        """Have every cell's mutants listed; the second worker compiles the reference meanwhile."""
        reference = self.settings.reference
        cells = usable = self._usable()
        if compared and self.turn == 1 and reference not in cells:
            cells = [*usable, reference]
        start = self.turn % len(cells) if cells else 0
        for cell in (*cells[start:], *cells[:start]):
            if cell in usable:
                self.plan(subject, cell)
            elif self.engine(subject, cell).peek() is None:
                self.engine(subject, cell).zygote()

    def _check_named(self, subject: Subject) -> None:
        """Raise MutatennError if no cell has what ``--mutatenn-mutants`` names."""
        cells = self._usable()
        if not cells:
            return
        matched = {p for cell in cells for p in self.plan(subject, cell).matched}
        away = [f"@{cell.id}" for cell in self.settings.cells if cell not in cells]
        for pattern in self.settings.mutants:
            if pattern not in matched and not pattern.endswith(tuple(away)):
                own = next((c for c in cells if pattern.endswith(f"@{c.id}")), cells[0])
                raise unmatched(pattern, self._listed(subject, own)["mutants"], own)

    def plan(self, subject: Subject, cell: Cell) -> CellPlan:
        """The mutants of a cell, selected and sampled."""
        key = _engine_key(subject, cell)
        if key not in self.plans:
            settings = self.settings
            found: dict[str, Any] = {"mutants": [], "absent": []}
            if not settings.mutants or any(map(is_glob, settings.mutants)):
                found = self._listed(subject, cell)
            ids = [text for text in settings.mutants if not is_glob(text)]
            ids = ids_for(ids, cell, settings.cells)
            if ids:
                there = {entry["id"] for entry in found["mutants"]}
                named = self._listed(subject, cell, ids)["mutants"]
                mutants = [entry for entry in named if entry["id"] not in there]
                found = {**found, "mutants": [*found["mutants"], *mutants]}
            self.plans[key] = choose(found, settings, subject.id, cell, self.accepted)
        return self.plans[key]

    def _listed(self, subject: Subject, cell: Cell, named: Sequence[str] = ()) -> dict[str, Any]:
        settings = self.settings
        return self.engine(subject, cell).list_mutants(
            settings.operators,
            settings.stages,
            settings.order,
            settings.positions,
            settings.seed,
            named,
        )


def _engine_key(subject: Subject, cell: Cell) -> tuple[str, Cell]:
    return _network(subject.model, subject.shapes), cell


def _network(model: ModelSource, shapes: Mapping[str, Sequence[int]]) -> str:
    return f"{model.digest} {sorted((name, tuple(shape)) for name, shape in shapes.items())}"


def _stable(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Arguments as text; what has no text of its own counts by identity."""
    plain = (str, int, float, bool, type(None), tuple, list, dict, Path)
    return {
        name: repr(value) if isinstance(value, plain) else f"{type(value).__name__} {id(value)}"
        for name, value in arguments.items()
        if name != "model"
    }
