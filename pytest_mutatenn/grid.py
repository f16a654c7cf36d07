"""The rows: tests x (checks, baseline and mutants) x cells, with their ids and their order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pytest_mutatenn.accepted import Accepted
from pytest_mutatenn.compiler.mutant import CHECKS
from pytest_mutatenn.engine.cell import Cell, CellGroup
from pytest_mutatenn.engines import Engines
from pytest_mutatenn.selection import CellPlan, choose, ids_for, is_glob, unmatched
from pytest_mutatenn.shards import part_of
from pytest_mutatenn.subject import Subject, Subjects

if TYPE_CHECKING:
    from pytest_mutatenn.settings import Settings


Place = TypeVar("Place", Cell, CellGroup)


@dataclass(frozen=True)
class BaseRow(Generic[Place]):
    """One test's run.

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
    cell: Place
    mutant: str | None

    @property
    def id(self) -> str:
        """As it stands in the test's id."""
        return f"{self.cell.id}-{self.mutant or 'baseline'}"


class Row(BaseRow[Cell]):
    """A row of one cell."""


class GroupRow(BaseRow[CellGroup]):
    """A row of a test that compares cells, which have a column of their own in the report."""


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
    ahead
        Whether a mutant may be made while the one before it is run and judged.
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
        ahead: bool = False,
        turn: int = 0,
    ) -> None:
        self.settings = settings
        self.accepted = accepted
        self.turn = turn
        self.subjects = Subjects(settings, root)
        self.engines = Engines(settings, operator_files, threads, ahead=ahead)
        self.plans: dict[tuple[str, Cell], CellPlan] = {}
        self._whole: dict[tuple[str, Cell], CellPlan] = {}

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
            if plan.mutants or plan.elsewhere:
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
        if any(self.engines.presence(cell).reason for cell in group.cells):
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
        found = [(cell, self.engines.presence(cell)) for cell in self.settings.cells]
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
                self._chosen(subject, cell)
            elif self.engines.of(subject, cell).peek() is None:
                self.engines.of(subject, cell).zygote()

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
        """The mutants of a cell, selected and sampled, and in this run's shard."""
        key = (subject.network, cell)
        if key not in self.plans:
            if self.settings.shard is None:
                self.plans[key] = self._chosen(subject, cell)
            else:
                whole = {one: self._chosen(subject, one) for one in self._usable()}
                told = [self.engines.of(subject, one).info["layers"] for one in whole]
                layers = [layer["name"] for layer in max(told, key=len)]
                for one, part in part_of(whole, layers, self.settings.shard).items():
                    self.plans[subject.network, one] = part
        return self.plans[key]

    def _chosen(self, subject: Subject, cell: Cell) -> CellPlan:
        key = (subject.network, cell)
        if key not in self._whole:
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
            self._whole[key] = choose(found, settings, subject.id, cell, self.accepted)
        return self._whole[key]

    def plan_of(self, subject: Subject, cell: Cell) -> CellPlan | None:
        """The plan, if it has been asked for."""
        return self.plans.get((subject.network, cell))

    def _listed(self, subject: Subject, cell: Cell, named: Sequence[str] = ()) -> dict[str, Any]:
        settings = self.settings
        return self.engines.of(subject, cell).list_mutants(
            settings.operators,
            settings.stages,
            settings.order,
            settings.positions,
            settings.seed,
            named,
        )
