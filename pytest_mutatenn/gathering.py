"""The tally of a session, and who hands it the rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

TALLY = pytest.StashKey[Any]()


def tally_of(config: pytest.Config, settings: Any) -> Any:
    """The tally of a session, made when first asked."""
    from pytest_mutatenn.report.marking import checkout_root
    from pytest_mutatenn.tally import Tally

    if TALLY not in config.stash:
        argv = [str(arg) for arg in config.invocation_params.args]
        folder, root = config.invocation_params.dir, checkout_root(config.rootpath)
        config.stash[TALLY] = Tally(settings, argv, folder, root)
    return config.stash[TALLY]


def prepare_folder(config: pytest.Config, settings: Any) -> None:
    """Make the folder of artefacts, before any worker starts."""
    from pytest_mutatenn.errors import MutatennError

    try:
        tally_of(config, settings).prepare()
    except MutatennError as error:
        raise pytest.UsageError(str(error)) from None


class Gather:
    """Hands the rows that arrive to the tally."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self._stopped = ""

    def ended_early(self, session: pytest.Session) -> str:
        """Why not all of the tests were run; empty where they were."""
        return self._stopped or str(session.shouldfail or session.shouldstop or "")

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Take note of Ctrl-C and of ``pytest.exit``, whose exit code may be 0."""
        self._stopped = f"{excinfo.typename}: {excinfo.value}".removesuffix(": ")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a row from a report, whichever process it was made in."""
        row = getattr(report, "mutatenn_row", None)
        tally = self.config.stash.get(TALLY, None)
        if row is not None and tally is not None:
            tally.add_row(json.loads(row))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, specs: Sequence[Any]) -> None:
        """Count xdist's workers."""
        tally = self.config.stash.get(TALLY, None)
        if tally is not None:
            tally.workers = len(specs)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what an xdist worker knows."""
        tally = self.config.stash.get(TALLY, None)
        if tally is not None:
            tally.add_worker(getattr(node, "workeroutput", None))
