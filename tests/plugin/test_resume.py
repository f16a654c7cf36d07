"""A run that is interrupted or killed leaves nothing, and the next one goes on where it was."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from processes import sandboxes
from records import stable

# stops in a row whose child is alive, when the test outside has asked for it
HELD = """
import os
import time
from pathlib import Path

left = int(os.environ.get("ITEMS_BEFORE_HOLD", "-1"))

def pytest_runtest_setup(item):
    global left
    if left == 0 and item.originalname != "test_finite":
        Path("held").touch()
        time.sleep(120)
    left -= left > 0
"""

ARGUMENTS = [
    "--mutatenn-operators=store_float32_to_int8,relu_to_sigmoid",
    "--mutatenn-sample=16",
    *("-p", "no:cacheprovider"),
]


@pytest.fixture
def held(suite):
    suite.pytester.makeconftest(HELD)
    return suite


def start(suite, cache, report, *, hold=None):
    command = [
        *(sys.executable, "-m", "pytest", *ARGUMENTS),
        *(f"--mutatenn-cache-dir={cache}", f"--mutatenn-report=json:{report}"),
    ]
    return subprocess.Popen(
        command,
        cwd=suite.path,
        env=os.environ if hold is None else {**os.environ, "ITEMS_BEFORE_HOLD": str(hold)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # a job in the background ignores the signal, and what it starts inherits that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finished(process):
    out, _ = process.communicate(timeout=120)
    return out


def evaluations(cache):
    return {
        path.name: path.stat().st_mtime_ns
        for path in (cache / "evaluations").glob("*/*")
        if path.is_file()
    }


def in_the_middle(suite, process):
    """Wait until the run has stopped at the item where it is held."""
    deadline = time.monotonic() + 120
    while not (suite.path / "held").exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def nothing_left(cache):
    deadline = time.monotonic() + 5
    while sandboxes(cache):
        assert time.monotonic() < deadline, sandboxes(cache)
        time.sleep(0.05)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The report of an uninterrupted run; made by the first test."""
    return tmp_path_factory.mktemp("whole") / "report.json"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_the_same_command_again_ends_with_the_same_report(how, held, whole, tmp_path, store_folder):
    if not whole.exists():
        out = finished(start(held, store_folder, whole))
        assert whole.exists(), out
    cache = tmp_path / "cache"

    process = start(held, cache, held.path / "first.json", hold=24)
    in_the_middle(held, process)
    os.kill(process.pid, how)
    asked = time.monotonic()
    out = finished(process)

    assert time.monotonic() - asked < 8
    expected = pytest.ExitCode.INTERRUPTED if how == signal.SIGINT else -how
    assert process.returncode == expected, out
    assert "Traceback" not in out
    assert "INTERNALERROR" not in out
    nothing_left(cache)
    if how == signal.SIGINT:
        assert list((cache / "tmp").iterdir()) == []
    done = evaluations(cache)
    assert len(done) > 1  # with the baseline's

    again = start(held, cache, held.path / "second.json")
    out = finished(again)

    assert again.returncode == pytest.ExitCode.OK, out
    second = json.loads((held.path / "second.json").read_text())
    assert stable(second) == stable(json.loads(whole.read_text()))
    # what was done was not done again
    later = evaluations(cache)
    assert {name: later[name] for name in done} == done
    assert second["run"]["counters"]["evaluations_run"] == len(later) - len(done) > 0
    assert list((cache / "tmp").iterdir()) == []


def test_an_interrupted_run_reports_what_it_has(held, tmp_path):
    cache = tmp_path / "cache"
    process = start(held, cache, held.path / "part.json", hold=16)
    in_the_middle(held, process)
    os.kill(process.pid, signal.SIGINT)
    finished(process)

    part = json.loads((held.path / "part.json").read_text())
    reasons = {m["cells"]["llvm-O2"]["verdict"]: m["cells"]["llvm-O2"] for m in part["mutants"]}
    assert reasons["SKIPPED"]["reason"].startswith("not run")
    assert part["score"]["overall"]["detected"] > 0
