"""The engines of a session: each network's on each cell, and whether the cell's device is here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_mutatenn.devices.base import takes
from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.engine.evaluate import Engine
from pytest_mutatenn.engine.evaluation import Counters, Limits
from pytest_mutatenn.engine.recorded import RecordedEngine
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.engine.whole import WholeEngine
from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.presence import Presence, presence
from pytest_mutatenn.subject import Subject

if TYPE_CHECKING:
    from pytest_mutatenn.settings import Settings

AnyEngine: TypeAlias = Engine | WholeEngine | RecordedEngine
"""Engines have one face; which it is depends on what the device takes."""

_LIVE_ENGINES = 2  # the cell at hand and the reference


class Engines:
    """Makes engines as they are asked for, and keeps few of their processes at a time.

    Parameters
    ----------
    settings
        What the user asked for.
    operator_files
        The user's own operators.
    threads
        Threads that a kernel may use.
    ahead
        Whether a mutant may be made while the one before it is run and judged.

    Attributes
    ----------
    store, counters
        Where results lie, and the work done and spared, of all engines.
    """

    def __init__(
        self,
        settings: Settings,
        operator_files: Sequence[Path],
        threads: int = 1,
        *,
        ahead: bool = False,
    ) -> None:
        self.settings = settings
        self.operator_files = tuple(operator_files)
        self.threads = threads
        self.ahead = ahead
        self.store = Store(settings.cache_dir)
        self.counters = Counters()
        self._engines: dict[tuple[str, Cell], AnyEngine] = {}
        self._live: list[AnyEngine] = []
        self._most_live = _LIVE_ENGINES
        self._present: dict[Cell, Presence] = {}

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

    def of(self, subject: Subject, cell: Cell) -> AnyEngine:
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
        key = (subject.network, cell)
        if key not in self._engines:
            self._engines[key] = self._made(subject, cell)
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

    def _made(self, subject: Subject, cell: Cell) -> AnyEngine:
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
            ahead=self.ahead,
            **common,
        )

    def known(self, subject: Subject, cell: Cell) -> AnyEngine | None:
        """The engine, if it has been asked for."""
        return self._engines.get((subject.network, cell))

    def close(self) -> None:
        """End every process."""
        for engine in self._engines.values():
            engine.close()
        self._live.clear()
