"""The line that says how far a run is: what it counts, and that it leaves nothing behind."""

import io
import os
import pty
import re
import subprocess
import sys

import pytest

from pytest_mutatenn.progress import Live, Results

FEW = "--mutatenn-mutants=graph.relu_to_sigmoid@*,kernel.store_plus_one@softmax*"


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def rows(mutants, tests=("test_a", "test_b"), cell="llvm-O2"):
    names = ["baseline", "canary", *(f"kernel.boundary@conv2d#{i + 1}" for i in range(mutants))]
    return [f"test_it.py::{test}[{cell}-{name}]" for name in names for test in tests]


# -- what it counts ----------------------------------------------------------------------------


def test_a_mutant_is_done_when_all_its_rows_are(clock):
    progress = Results(clock)
    assert not progress.wanted
    first, *_, second, third = rows(5)
    progress.expect([*rows(5), "test_it.py::test_other"])
    assert progress.wanted
    assert progress.text() == "mutatenn 0/5 mutants"

    progress.start(first)
    progress.finish(first, "")
    progress.finish(second, "KILLED")
    assert progress.text() == "mutatenn 0/5 mutants  100 % killed  llvm-O2"
    progress.finish(third, "spared")
    assert progress.text() == "mutatenn 1/5 mutants  100 % killed  llvm-O2"


def test_killed_are_those_that_a_score_counts_and_a_test_has_detected(clock):
    progress = Results(clock)
    statuses = [
        ("SURVIVED", "KILLED"),  # killed by the second test
        ("SURVIVED", "SURVIVED"),
        ("TIMEOUT", "TIMEOUT"),
        ("DUPLICATE", "DUPLICATE"),
        ("SKIPPED", "SKIPPED"),
    ]
    ids = rows(5)
    progress.expect(ids)
    progress.finish(ids[2], "KILLED")  # the canary is no mutant
    for nodeid, status in zip(ids[4:], [s for pair in statuses for s in pair], strict=True):
        progress.finish(nodeid, status)
    assert progress.text() == "mutatenn 5/5 mutants  67 % killed"


def test_the_rate_is_that_of_the_last_minute(clock):
    progress = Results(clock)
    ids = rows(1000, tests=("test_a",))[2:]
    progress.expect(ids)
    for nodeid in ids[:500]:  # out of the store
        clock.now += 0.01
        progress.finish(nodeid, "SURVIVED")
    assert "  100.0/s  about 5 s left" in progress.text()
    for nodeid in ids[500:620]:
        clock.now += 2
        progress.finish(nodeid, "SURVIVED")
    assert "mutatenn 620/1000 mutants  0 % killed  0.5/s  about 13 min left" in progress.text()


def test_a_slow_rate_is_given_by_the_minute(clock):
    progress = Results(clock)
    ids = rows(10, tests=("test_a",))[2:]
    progress.expect(ids)
    for nodeid in ids[:4]:
        clock.now += 20
        progress.finish(nodeid, "SURVIVED")
    assert "/min  about " in progress.text()


# -- where it stands -----------------------------------------------------------------------------


class Screen:
    """As much of a terminal as is needed to see what is left on it."""

    def __init__(self, text, columns=80, lines=200):
        self.cells = [[" "] * columns for _ in range(lines)]
        self.row = self.column = 0
        self.columns = columns
        tokens = re.findall(r"\x1b\[[\d;]*[A-Za-z]|\x1b\][^\x1b\x07]*(?:\x07|\x1b\\)|.", text, re.S)
        for token in tokens:
            self.take(token)

    def take(self, token):
        if token == "\n":
            self.row, self.column = self.row + 1, 0
        elif token == "\r":
            self.column = 0
        elif token == "\x1b[J":
            self.cells[self.row][min(self.column, self.columns) :] = [" "] * (
                self.columns - min(self.column, self.columns)
            )
            for row in self.cells[self.row + 1 :]:
                row[:] = [" "] * self.columns
        elif token == "\x1b[1A":
            self.row -= 1
        elif token.endswith("G"):
            self.column = int(token[2:-1]) - 1
        elif not token.startswith("\x1b"):
            if self.column == self.columns:
                self.row, self.column = self.row + 1, 0
            self.cells[self.row][self.column] = token
            self.column += 1

    @property
    def lines(self):
        found = ["".join(row).rstrip() for row in self.cells]
        while found and not found[-1]:
            found.pop()
        return found


class Writer:
    """What there is of pytest's terminal writer."""

    fullwidth = 20

    def __init__(self):
        self._file = io.StringIO()
        self.width_of_current_line = 0

    def write(self, text):
        self._file.write(text)
        self.width_of_current_line = len(
            (text if "\n" in text else "x" * self.width_of_current_line + text).rpartition("\n")[2]
        )


def test_the_line_is_below_and_gone_when_anything_is_written():
    writer = Writer()
    file = writer._file
    live = Live(writer)

    writer.write("test_it.py ..")
    live.show("mutatenn 1/5 mutants  and more than fits")
    assert Screen(file.getvalue(), 20).lines == ["test_it.py ..", "mutatenn 1/5 mutant"]
    live.show("mutatenn 2/5")
    assert Screen(file.getvalue(), 20).lines == ["test_it.py ..", "mutatenn 2/5"]
    writer.write("F")
    assert Screen(file.getvalue(), 20).lines == ["test_it.py ..F"]
    live.show("mutatenn 3/5")
    writer.write("\nend\n")
    assert Screen(file.getvalue(), 20).lines == ["test_it.py ..F", "end"]
    live.show("mutatenn 4/5")
    live.close()
    assert Screen(file.getvalue(), 20).lines == ["test_it.py ..F", "end"]
    assert writer._file is file


def on_a_terminal(project, *args, term="xterm"):
    """What a run writes to a terminal."""
    ours, theirs = pty.openpty()
    # no colours: they are none of our business
    command = [sys.executable, "-m", "pytest", "--color=no", *project.arguments(*args)]
    environment = {**os.environ, "TERM": term, "COLUMNS": "80"}
    environment.pop("CI", None)
    run = subprocess.Popen(
        command, cwd=project.path, stdout=theirs, stderr=theirs, stdin=theirs, env=environment
    )
    os.close(theirs)
    out = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        out += piece
    os.close(ours)
    assert run.wait() == pytest.ExitCode.OK, out.decode()
    return out.decode()


@pytest.mark.parametrize("how", [["-q"], ["-v"], ["-n2"]], ids=["dots", "verbose", "xdist"])
def test_on_a_terminal_it_is_shown_and_leaves_nothing(how, suite):
    # results out of the store are there before the text would be made anew
    suite.pytester.makeconftest("from pytest_mutatenn import progress\nprogress._EVERY = 0\n")
    written = on_a_terminal(suite, FEW, *how)
    assert re.search(r"mutatenn 0/\d+ mutants", written)
    assert re.search(r"mutatenn [1-9]\d*/\d+ mutants  \d+ % killed", written)
    left = Screen(written).lines
    assert not [line for line in left if re.search(r"mutatenn \d+/\d+ mutants", line)]
    # what pytest wrote is whole: every row has its letter or its line
    text = "\n".join(left)
    outcomes = suite.run(FEW).parseoutcomes()
    # which test of a mutant is the one that is spared, or that there is one, is xdist's chance
    assert re.search(rf"{outcomes['survived']} survived", text)
    assert re.search(r"[1-9]\d* killed", text)
    if "-v" in how:
        assert len(re.findall(r"^test_tiny.py::.*\[", text, re.M)) == sum(outcomes.values())
    else:
        letters = re.findall(r"^(?:test_tiny\.py )?([.SkEFdict=s-]+) +\[ *\d+%\]", text, re.M)
        assert sum(map(len, letters)) == sum(outcomes.values())


def test_elsewhere_it_is_not(suite):
    assert "\x1b[1A" not in on_a_terminal(suite, FEW, term="dumb")
    assert "\x1b[1A" not in on_a_terminal(suite, FEW, "-s")
    assert "\x1b[1A" not in on_a_terminal(suite, FEW, "-qq")
    assert "\x1b[1A" not in suite.run(FEW, apart=True).stdout.str()
    assert "\x1b[1A" in on_a_terminal(suite, FEW)
