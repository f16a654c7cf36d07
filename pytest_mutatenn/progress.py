"""A line below pytest's own output that says how far the mutants are, where somebody looks on.

pytest's writer gets a file that takes the line away before anything is written, and the line is
put back after: whatever pytest or another plugin prints by way of the writer stays whole. Cursor
up and column are all that is asked of the terminal.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from pytest_mutatenn.analysis.verdict import Verdict
from pytest_mutatenn.place import Place, place_of
from pytest_mutatenn.report.listing import duration

_EVERY = 0.2  # seconds between two texts
_WINDOW = 60.0  # seconds over which the rate is taken: what is in the store goes by fast
_ENOUGH = 3  # mutants and seconds before a rate is given


class Results:
    """Counts mutants as their rows arrive.

    A mutant is done when all its rows have been reported. Networks whose mutants have the same ids
    count as one: the ids of tests do not tell them apart.

    Parameters
    ----------
    clock
        Seconds, from wherever.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: dict[str, int] = {}
        self._total = 0
        self._done = 0
        self._detected: set[str] = set()
        self._survived: set[str] = set()
        self._cell = ""
        self._history: deque[tuple[float, int]] = deque()

    def expect(self, nodeids: Iterable[str]) -> None:
        """Take the ids of all tests that will be run."""
        self._left = {}
        for place in map(place_of, nodeids):
            if place.mutated:
                self._left[place.row] = self._left.get(place.row, 0) + 1
        self._total = len(self._left)

    @property
    def wanted(self) -> bool:
        """Whether there is anything to count."""
        return self._total > 0

    def start(self, nodeid: str) -> None:
        """A test begins."""
        self._cell = place_of(nodeid).cell or self._cell

    def finish(self, nodeid: str, status: str) -> None:
        """A row is done; the status is that of :func:`pytest_mutatenn.rows.read_row`."""
        place = place_of(nodeid)
        self._judge(place, status)
        if place.row not in self._left:
            return
        self._left[place.row] -= 1
        if self._left[place.row] == 0:
            self._done += 1
            self._history.append((self._clock(), self._done))
            while len(self._history) > 2 and self._clock() - self._history[1][0] > _WINDOW:
                self._history.popleft()

    def _judge(self, place: Place, status: str) -> None:
        if not place.mutated or status not in Verdict.__members__:
            return
        if Verdict[status].detected:
            self._detected.add(place.row)
            self._survived.discard(place.row)
        elif Verdict[status].scored and place.row not in self._detected:
            self._survived.add(place.row)

    def text(self) -> str:
        """The line: ``mutatenn 41/365 mutants  31 % killed  5.2/s  about 62 s left  llvm-O2``."""
        parts = [f"mutatenn {self._done}/{self._total} mutants"]
        scored = len(self._detected) + len(self._survived)
        if scored:
            parts.append(f"{100 * len(self._detected) / scored:.0f} % killed")
        rate = self._rate()
        if rate:
            parts.append(f"{rate:.1f}/s" if rate >= 0.1 else f"{60 * rate:.1f}/min")
            parts.append(f"about {duration((self._total - self._done) / rate)} left")
        return "  ".join([*parts, self._cell] if self._cell else parts)

    def _rate(self) -> float | None:
        if not self._history:
            return None
        start, before = self._history[0]
        seconds, done = self._clock() - start, self._done - before
        return done / seconds if done >= _ENOUGH and seconds >= _ENOUGH else None


class Live:
    """Keeps a line of text below what a terminal writer writes.

    Parameters
    ----------
    writer
        pytest's ``TerminalWriter``.
    """

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._file = writer._file
        self._shown = False
        writer._file = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: str) -> int:
        """Write what pytest writes; the line is gone meanwhile."""
        self.hide()
        return int(self._file.write(text) or 0)

    def show(self, text: str) -> None:
        """Put the line below the cursor, and the cursor back."""
        column = self._writer.width_of_current_line + 1
        text = text[: self._writer.fullwidth - 1]
        # the cursor goes down by a line feed, which scrolls at the bottom, and up again
        self._file.write(f"\x1b[J\n{text}\x1b[1A\x1b[{column}G")
        self._file.flush()
        self._shown = True

    def hide(self) -> None:
        """Take the line away: all that is behind the cursor."""
        if self._shown:
            self._file.write("\x1b[J")
            self._shown = False

    @property
    def shown(self) -> bool:
        """Whether the line is there."""
        return self._shown

    def close(self) -> None:
        """Give the writer its file back."""
        self.hide()
        self._file.flush()
        self._writer._file = self._file


class ProgressLine:
    """pytest's hooks, from which the line is fed."""

    def __init__(self, reporter: Any) -> None:
        self._progress = Results()
        self._live = Live(reporter._tw)
        self._text = ""
        self._drawn = 0.0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Without pytest-xdist: count the mutants of this process."""
        self._progress.expect(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """With it: count those of any worker, since all have the same."""
        if not self._progress.wanted:
            self._progress.expect(ids)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Name the cell at hand."""
        self._progress.start(nodeid)
        self._draw()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a row: the one report of a test that carries it."""
        if hasattr(report, "mutatenn_row"):
            self._progress.finish(report.nodeid, getattr(report, "mutatenn_status", ""))
        self._draw()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self) -> None:
        """Put the line back below what pytest has written at the end of a test."""
        self._draw()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Leave nothing of the line."""
        self._live.close()

    def _draw(self) -> None:
        if not self._progress.wanted:
            return
        now = time.monotonic()
        if now - self._drawn >= _EVERY:
            self._text, self._drawn = self._progress.text(), now
        elif self._live.shown:
            return
        self._live.show(self._text)


def line_for(config: pytest.Config) -> ProgressLine | None:
    """The line, if somebody looks on: a terminal that can move its cursor, and is not quiet.

    With ``-s`` or ``--capture=tee-sys`` tests write to the terminal past pytest's writer: there is
    none then.
    """
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None or not reporter.isatty or config.get_verbosity() <= -2:
        return None
    if os.environ.get("CI") or os.environ.get("TERM", "dumb") == "dumb":
        return None
    if config.option.capture in ("no", "tee-sys"):
        return None
    return ProgressLine(reporter)
