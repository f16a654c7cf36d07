"""What pytest's reports say of rows, and what they are made to say."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from pytest_mutatenn.analysis.verdict import Verdict
from pytest_mutatenn.errors import InternalError, MutatennError
from pytest_mutatenn.fixtures.group import GroupRun
from pytest_mutatenn.fixtures.run import MutantDied, RowRun
from pytest_mutatenn.session import RUN

if TYPE_CHECKING:
    from pytest_mutatenn.session import Session

_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")  # of an object in memory: another on every run
_REASON = 500  # characters of a failed assertion that the report keeps


def shorten(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Spare a mutant's failed row the traceback: the message is all that is read of it."""
    run = item.stash.get(RUN, None)
    if run is None or run.row.mutant is None or run.broken or call.when != "call":
        return
    if call.excinfo is not None and type(item).repr_failure is pytest.Function.repr_failure:
        vars(item)["repr_failure"] = _said


def _said(failed: pytest.ExceptionInfo[BaseException]) -> str:
    error = failed.value
    if isinstance(error, pytest.fail.Exception) and not error.pytrace:
        return str(error)
    return failed.exconly(tryshort=True)


def read_row(
    session: Session, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
) -> None:
    """Read what a row did off a report of its setup or call, and attach it.

    On a mutant, a failed call becomes a passed report with the status ``killed``; a mutant that
    gave no answer becomes a skipped one with its verdict as status. Errors stay errors.
    """
    run = item.stash.get(RUN, None)
    if run is None or report.when == "teardown" or (report.when == "setup" and report.passed):
        return
    if run.row.mutant is None:
        result = "compiled" if run.compiled else _baseline_result(report)
        model, cell, _ = run.key
        # mutants of what compiles, and cannot be run, are compiled too
        session.known.set_green((model, cell, run.test), result in ("passed", "compiled"))
        _attach(report, run, result, _message(report) if result != "passed" else "")
        return
    if call.excinfo is not None and call.excinfo.errisinstance((MutatennError, InternalError)):
        run.broken = run.broken or str(call.excinfo.value)
    if run.broken:
        # an error, even where the test has swallowed it
        report.outcome = "failed"
        report.longrepr = report.longrepr or run.broken
        _attach(report, run, "error", run.broken)
        return
    died = call.excinfo is not None and call.excinfo.errisinstance(MutantDied)
    if run.decided is not None and (died or report.skipped or report.when == "call"):
        verdict, reason = run.decided
        if verdict.detected:
            session.known.set_detected(run.key)
        _attach(report, run, "verdict", reason, verdict)
        _set_status(report, verdict.name)
        if not report.skipped:
            report.outcome = "skipped"
            path, line, _ = item.location
            report.longrepr = (path, (line or 0) + 1, f"{verdict.name}: {reason}")
        return
    if run.spared:
        _attach(report, run, "spared", run.spared)
        _set_status(report, "spared")
    elif report.when == "setup":
        _attach(report, run, "skipped" if report.skipped else "error", _message(report))
    elif report.failed:
        reason = _message(report)
        _attach(report, run, "failed", reason)
        model, cell, _ = run.key
        # where nobody knows of the baseline yet, the other tests run too: it may have failed
        if session.known.is_green((model, cell, run.test)):
            session.known.killers.setdefault(run.key, (run.order, run.test))
            session.known.set_detected(run.key)
        call.excinfo = None  # no exception to interact with: a debugger does not stop at it
        report.outcome = "passed"
        report.longrepr = None
        report.sections = []
        _set_status(report, "KILLED")
    elif report.passed and not hasattr(report, "wasxfail"):
        _attach(report, run, "passed", "")
        _set_status(report, "SURVIVED")
    else:
        _attach(report, run, "skipped", _message(report))


def _baseline_result(report: pytest.TestReport) -> str:
    if report.when == "setup":
        return "skipped" if report.skipped else "error"
    if hasattr(report, "wasxfail"):
        return "xfailed"
    return report.outcome


def _attach(
    report: pytest.TestReport,
    run: RowRun | GroupRun,
    result: str,
    reason: str,
    verdict: Verdict | None = None,
) -> None:
    model, cell, mutant = run.key
    # a string, which travels between xdist's processes whatever stands in it
    row = json.dumps(
        {
            "model": model,
            "cell": cell,
            "mutant": mutant or None,
            "test": run.test,
            "order": run.order,
            "result": result,
            "reason": reason,
            "verdict": verdict.name if verdict is not None else "",
            "stats": run.stats,
            "deciding": run.deciding,
            "margins": run.margins,
            **run.told(),
        }
    )
    vars(report)["mutatenn_row"] = row


def _set_status(report: pytest.TestReport, status: str) -> None:
    """Give a report a status of ours; extra attributes travel between xdist's processes."""
    vars(report)["mutatenn_status"] = status


def _message(report: pytest.TestReport) -> str:
    """The first lines of what an assertion said, or why a test was skipped."""
    if isinstance(report.longrepr, tuple):
        text = str(report.longrepr[2])
    else:
        crash = getattr(report.longrepr, "reprcrash", None)
        text = crash.message if crash is not None else report.longreprtext
    text = _ADDRESS.sub("0x...", text.strip())
    return text if len(text) <= _REASON else text[:_REASON] + " ..."


def words_of(status: str) -> tuple[str, str, tuple[str, dict[str, bool]]]:
    """Category, letter and word of a row's status, as ``pytest_report_teststatus`` wants them."""
    if status == "spared":
        return "spared", "-", ("SPARED", {"cyan": True})
    verdict = Verdict[status]
    return verdict.name.lower(), verdict.letter, (verdict.name, {verdict.colour: True})
