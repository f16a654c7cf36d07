"""What the plugin keeps for the length of a session, in each process."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pytest_mutatenn.accepted import read_accepted
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.fixtures import ROW
from pytest_mutatenn.fixtures.group import GroupRun
from pytest_mutatenn.fixtures.keeping import Keeper
from pytest_mutatenn.fixtures.knowledge import Knowledge
from pytest_mutatenn.fixtures.run import RowRun
from pytest_mutatenn.grid import Grid, GroupRow, Row
from pytest_mutatenn.presence import presence
from pytest_mutatenn.report.marking import locate
from pytest_mutatenn.settings import Settings, read_settings
from pytest_mutatenn.subject import Subject
from pytest_mutatenn.upcoming import mutants_after

MARKER = "mutatenn"
WORKERS_HERE = "mutatenn_workers_here"
"""What the controller tells a worker: how many of them are on its machine."""


class Session:
    """Settings, grid and knowledge of one process."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.settings: Settings = read_settings(config)
        accept = self.settings.accept if self.settings.active else None
        self.accepted = read_accepted(*accept, date.today()) if accept else ()
        self.known = Knowledge(_shared_folder(config, self.settings))
        keep = self.settings.keep if self.settings.active else ()
        self.keeper = Keeper(keep, self.settings.keep_dir) if keep else None
        self._grid: Grid | None = None
        self._orders: dict[str, int] = {}
        self._places: dict[str, tuple[str, Path, str, int]] = {}
        self._following: dict[Any, str | None] | None = None

    @property
    def grid(self) -> Grid:
        """The grid, made when first asked: by then every conftest is loaded."""
        if self._grid is None:
            self._grid = Grid(
                self.settings,
                self.config.rootpath,
                _operator_files(),
                self.accepted,
                _threads(self.config, self.settings),
                self._ahead,
                _turn(self.config),
            )
        return self._grid

    def check_devices(self) -> None:
        """Raise MutatennError if a device is not here, and that is to fail."""
        settings = self.settings
        for cell in settings.cells:
            presence(cell, settings.missing_device, settings.devices_option)
        if settings.reference not in settings.cells:
            presence(settings.reference, "fail", settings.reference_option, "")

    def keep(self, run: RowRun | GroupRun) -> None:
        """Keep the artefacts of a row that has ended, where any are wanted.

        Raises
        ------
        MutatennError
            If they cannot be written.
        """
        if self.keeper is None or run.spared:
            return
        for part in run.parts.values() if isinstance(run, GroupRun) else (run,):
            self.keeper.keep(part)

    @property
    def used(self) -> bool:
        """Whether any test asked for a network."""
        return self._grid is not None

    def close(self) -> None:
        """End every process, and clear away what was shared."""
        if self._grid is not None:
            self._grid.engines.close()
        Store(self.settings.cache_dir).clear()

    def subject_of(self, node: Any) -> Subject:
        """The network and inputs that a test's markers name; the closest wins, part by part."""
        arguments: dict[str, Any] = {}
        for marker in reversed(list(node.iter_markers(MARKER))):
            if marker.args:
                raise MutatennError(
                    f"{node.nodeid}: the marker mutatenn takes keywords only, such as "
                    'mutatenn(model="net.onnx", inputs="photos/").'
                )
            arguments.update(marker.kwargs)
        return self.grid.subjects.of(arguments, node.path.parent)

    def default_row(self, node: Any) -> Row:
        """The row of a test when no mutants are wanted."""
        return Row(self.subject_of(node), self.settings.default_cell, None)

    def set_order(self, items: list[Any]) -> None:
        """Number the tests in the order in which they are defined, whatever rows they have."""
        for item in items:
            test = self.test_of(item)
            self._orders.setdefault(test, len(self._orders))
            if test not in self._places and row_of(item) is not None:
                file, line, _ = item.location
                self._places[test] = (test, item.path, file, (line or 0) + 1)

    def places(self) -> dict[str, dict[str, Any]]:
        """Where the tests stand that use a network, by test."""
        return locate(self._places.values())

    def order(self, item: Any) -> int:
        """A test's number."""
        return self._orders.get(self.test_of(item), len(self._orders))

    @property
    def _ahead(self) -> bool:
        """Whether a core is idle where this process runs its rows, one after the other.

        A worker of pytest-xdist has no core of its own to spare, and is told its tests bit by bit.
        """
        if hasattr(self.config, "workerinput") or not self.settings.ahead:
            return False
        return cores() > _threads(self.config, self.settings)

    def following(self, item: Any) -> str | None:
        """The mutant that the rows after a test's are of, in the same cell of the same network."""
        if not self._ahead:
            return None
        if self._following is None:
            self._following = mutants_after([(i, row_of(i)) for i in item.session.items])
        return self._following.get(item)

    def missing_baselines(self, items: Sequence[Any]) -> list[Any]:
        """Baseline rows that were not collected: a mutant's row was asked for by its own id."""
        rows = [(self.test_of(item), row, item) for item in items if (row := row_of(item))]
        there = {(test, row.cell) for test, row, _ in rows if row.mutant is None}
        found = []
        for test, row, item in rows:
            if (test, row.cell) in there:
                continue
            there.add((test, row.cell))
            name = item.originalname
            siblings = item.ihook.pytest_pycollect_makeitem(
                collector=item.parent, name=name, obj=getattr(item.parent.obj, name)
            )
            for other in siblings:
                its = row_of(other)
                if its == dataclasses.replace(row, mutant=None) and self.test_of(other) == test:
                    found.append(other)
        return found

    @staticmethod
    def test_of(item: Any) -> str:
        """The test's id without its row."""
        if _TEST not in item.stash:
            item.stash[_TEST] = _without_row(item)
        return str(item.stash[_TEST])


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def _threads(config: pytest.Config, settings: Settings) -> int:
    """Threads of a kernel: a worker's share; without the option what TVM's own variable says."""
    if settings.threads is None:
        told = os.environ.get("TVM_NUM_THREADS", "")
        return int(told) if told.isdecimal() and int(told) else 1
    workers = getattr(config, "workerinput", {}).get(WORKERS_HERE, 1)
    return max(1, settings.threads // int(workers))


def _turn(config: pytest.Config) -> int:
    """Number of an xdist worker, from 0, as its name ``gw0`` has it; 0 elsewhere."""
    number = getattr(config, "workerinput", {}).get("workerid", "gw0").removeprefix("gw")
    return int(number) if number.isdecimal() else 0


def _shared_folder(config: pytest.Config, settings: Settings) -> Path | None:
    """Where the workers of one run meet; named by the controller, who clears it away."""
    told = getattr(config, "workerinput", None)
    if told is None:
        return None
    return Store(settings.cache_dir).temporary(os.getppid(), told["testrunuid"])


def row_of(item: Any) -> Row | GroupRow | None:
    """The row of a collected test, if it has one."""
    callspec = getattr(item, "callspec", None)
    row = callspec.params.get(ROW) if callspec is not None else None
    return row if isinstance(row, Row | GroupRow) else None


def compares(item: Any) -> bool:
    """Whether a collected test compares cells."""
    return isinstance(row_of(item), GroupRow)


def _without_row(item: Any) -> str:
    row = row_of(item)
    if row is None:
        return str(item.nodeid)
    head, _, params = item.nodeid.partition("[")
    params = params.removesuffix("]")
    for piece in (f"-{row.id}", f"{row.id}-", row.id):
        if piece in params:
            params = params.replace(piece, "", 1)
            break
    return f"{head}[{params}]" if params else head


def _operator_files() -> tuple[Any, ...]:
    """Files of the user's that have defined operators in this process; TVM may not be loaded."""
    import sys

    registry = sys.modules.get("pytest_mutatenn.operators.registry")
    return registry.registered_files() if registry is not None else ()


RUN = pytest.StashKey[RowRun | GroupRun]()
_TEST = pytest.StashKey[str]()
_SESSION = pytest.StashKey[Session]()


def session_of(config: pytest.Config) -> Session:
    """The process' session, made when first asked.

    Raises
    ------
    MutatennError
        If an option is wrong.
    """
    if _SESSION not in config.stash:
        config.stash[_SESSION] = Session(config)
    return config.stash[_SESSION]


def existing_session(config: pytest.Config) -> Session | None:
    """The process' session, if anything has needed it."""
    return config.stash.get(_SESSION, None)
