"""The controller's side: rows gathered from every process, the report and the gates."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.engine.history import add_kills
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.engine.version import cpu_name, package_version
from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.report import recording
from pytest_mutatenn.report.artefacts import prepare_folder
from pytest_mutatenn.report.differences import differential_of, without_keys
from pytest_mutatenn.report.divergence import between_others, divergent_of
from pytest_mutatenn.report.gates import Gates, Judged, judge_gates
from pytest_mutatenn.report.kept_artefacts import take_artefacts
from pytest_mutatenn.report.latencies import NOT_ASKED, WORKERS
from pytest_mutatenn.report.noise import compare_noise
from pytest_mutatenn.report.record import Gathered, build_record
from pytest_mutatenn.report.shards import digest_of
from pytest_mutatenn.report.writers import render_report, write_report

if TYPE_CHECKING:
    from pytest_mutatenn.settings import Settings


class Tally:
    """Gathers rows; at the end builds the report and says whether the gates are passed.

    Parameters
    ----------
    settings, argv
        What the user asked for, and how.
    folder
        Where pytest was started.

    Attributes
    ----------
    workers
        How many processes of pytest-xdist run the rows; 0 where this process does.
    """

    def __init__(self, settings: Settings, argv: list[str], folder: Path, root: str = "") -> None:
        self.settings = settings
        self._folder = folder
        self.gathered = Gathered()
        self.errors: list[str] = []
        self._lost: list[str] = []
        self.written: list[str] = []
        self.printed: list[str] = []
        self.record: dict[str, Any] | None = None
        self._argv = argv
        self._root = root
        self._recorded: list[Mapping[str, Any]] = []
        self.workers = 0
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Take what one row did."""
        self.gathered.rows.append(dict(row))

    def add_worker(self, output: Mapping[str, Any] | None) -> None:
        """Take what a worker of pytest-xdist told at its end; that it told nothing is an error.

        Parameters
        ----------
        output
            Its ``workeroutput``; None where it has died.
        """
        told = None if output is None else json.loads(output.get("mutatenn", "null"))
        if output is None:
            self._lost.append("A worker died, and with it what it knew of its mutants.")
        elif told is not None and "failed" in told:
            self._lost.append(
                "A worker could not tell what it knows, by a fault of pytest-mutatenn:\n"
                + told["failed"].rstrip()
            )
        elif told is not None:
            self.add_process(told)

    def add_process(self, told: Mapping[str, Any]) -> None:
        """Take what one process knows: models, cells, plans and counters."""
        for model, found in told["models"].items():
            known = self.gathered.models.setdefault(model, found)
            if known["digest"] != found["digest"]:
                self.gathered.mixed.append(
                    f"{model}: workers have different files of this network; copy the same one to "
                    "every machine. The report is of no use."
                )
            # a process that ran no row of it has not read its inputs
            known["dataset"] = known["dataset"] or found["dataset"]
        for cell, found in told["cells"].items():
            known = self.gathered.cells.setdefault(cell, found)
            if known["fingerprint"] != found["fingerprint"]:
                self.gathered.mixed.append(
                    f"{cell}: workers on different processors took part, which may give different "
                    "numbers: a verdict depends on where the mutant ran. Use machines of one kind, "
                    "or a run for each."
                )
        for model, cell, plan in told["plans"]:
            self.gathered.plans[model, cell] = plan
        self.gathered.tests |= told["tests"]
        self.gathered.sources |= told["sources"]
        self.gathered.mixed += told["notes"]
        self._recorded.append(told["recorded"])
        for name, count in told["counters"].items():
            self.gathered.counters[name] = self.gathered.counters.get(name, 0) + count

    def finish(self, ended_early: str = "") -> dict[str, Any]:
        """Build the report.

        Parameters
        ----------
        ended_early
            Why not all of the tests were run; empty where they were.
        """
        run = {
            "version": package_version("pytest-mutatenn"),
            "tvm": package_version("apache-tvm"),
            "python": platform.python_version(),
            "host": {"cpu": cpu_name(), "cores": os.cpu_count(), "os": platform.platform()},
            "started": self._started.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - self._clock, 3),
            "argv": self._argv,
            "root": self._root,
            "seed": self.settings.seed,
            "workers": self.workers,
            "options": self.settings.deciding(),
            "shard": self._shard(),
            "ended_early": ended_early or (self._lost[0] if self._lost else None),
        }
        self.record = build_record(
            self.gathered,
            run,
            full_matrix=self.settings.full_matrix,
            sampled=self.settings.sample is not None,
            latency_off=self._latency_off(),
            repeats=self.settings.repeats,
        )
        store = Store(self.settings.cache_dir)
        reference = self.settings.reference.id
        self.record["differential"] = differential_of(self.record, store, reference)
        self.record["divergent"] = divergent_of(self.record, store)
        if self.settings.shard is not None:
            self.record["run"]["shard"]["between"] = between_others(self.record, store)
        compare_noise(self.record, store, reference)
        without_keys(self.record)
        self._take_artefacts()
        self._remember_kills()
        return self.record

    def prepare(self) -> None:
        """Make the folder of artefacts, where any are to be kept, before the first row.

        Raises
        ------
        MutatennError
            If it cannot be, or holds something else.
        """
        if self.settings.active and self.settings.keep:
            prepare_folder(self.settings.keep_dir, "--mutatenn-keep-dir")

    def _take_artefacts(self) -> None:
        if not self.settings.keep:
            return
        assert self.record is not None
        ids = {
            (model, cell, entry["name"]): entry["id"]
            for (model, cell), plan in self.gathered.plans.items()
            for entry in plan["mutants"]
        }
        folder = self.settings.keep_dir
        relative = Path(os.path.relpath(folder, self._folder)).as_posix()
        take_artefacts(self.record, folder, relative, self.settings.keep, ids)
        self.written.append(f"artefacts: {relative}")

    def _shard(self) -> dict[str, Any] | None:
        """Which part of a run this is, and what the whole needs of it."""
        shard = self.settings.shard
        if shard is None:
            return None
        return {
            "number": shard.number,
            "count": shard.count,
            "digest": digest_of(self.gathered.plans),
            "gates": self.settings.gates.plain(),
            "between": [],
        }

    def _latency_off(self) -> str:
        if not self.settings.latency_repeats:
            return NOT_ASKED
        return WORKERS if self.workers else ""

    def _remember_kills(self) -> None:
        """Keep which inputs the killing assertions failed for: they come first next time."""
        killed: dict[str, list[Any]] = {}
        for row in self.gathered.rows:
            if row["result"] == "failed" and row.get("deciding"):
                killed.setdefault(row["model"], []).append(row["deciding"])
        for model, inputs in sorted(killed.items()):
            found = self.gathered.models.get(model)
            if found is not None and found["dataset"] is not None:
                store = Store(self.settings.cache_dir)
                add_kills(store, found["digest"], found["dataset"]["digest"], inputs)

    def write(self, folder: Path) -> None:
        """Write the reports the user asked for; what was not to be written is an error."""
        assert self.record is not None
        for destination in self.settings.reports:
            try:
                if destination.printed:
                    self.printed.append(render_report(self.record, destination))
                    continue
                path = write_report(self.record, destination, folder)
            except MutatennError as error:
                self.errors.append(str(error))
            except Exception as error:  # the other reports, and the summary, are still wanted
                text = f"{destination.option}={destination.kind}:{destination.target}"
                self.errors.append(f"{text} failed, by a fault of its writer: {_said(error)}")
            else:
                self.written.append(f"{destination.kind} report: {path}")
        self._write_recording(folder)

    def _write_recording(self, folder: Path) -> None:
        if self.settings.record is None or self.record is None:
            return
        path = folder / self.settings.record
        run = self.record["run"]
        try:
            what = recording.write(path, self._recorded, run, Store(self.settings.cache_dir))
        except MutatennError as error:
            self.errors.append(str(error))
        else:
            self.written.append(f"recording: {path} ({what})")

    def gate(self, root: Path, *, failed: bool) -> None:
        """Judge the gates; what keeps the run from being green are errors.

        Of a part of a run they are kept for the whole: the part's score is not the run's.

        Parameters
        ----------
        root
            What the file of known survivors is relative to.
        failed
            Whether a test has failed.
        """
        assert self.record is not None
        self.errors = [*self._lost]
        settings, plans = self.settings, self.gathered.plans.values()
        if settings.baseline_only:
            self.errors += self._nowhere()
            if settings.gates:
                why = "--mutatenn-baseline-only runs no mutant"
                self.written.append(f"not judged, since {why}: {settings.gates}")
            return
        ended = self.record["run"]["ended_early"]
        if ended is not None and not failed:
            # of the mutants that did not run nobody knows, and a part of them is not the run
            self.errors += (
                [] if self._lost else [f"The run ended early ({ended}): nothing is judged."]
            )
            return
        there = any(plan["mutants"] for plan in plans)
        if settings.shard is not None:
            there = there or any(plan["elsewhere"] for plan in plans)
            self.errors += [] if there else [self._nothing()]
            return
        judged = self._judged(settings.gates, root, failed=failed)
        self.record["gates"] = judged.entries
        self.record["warnings"] = sorted({*self.record["warnings"], *judged.warnings})
        self.errors += judged.errors if there else [self._nothing(), *judged.errors[1:]]

    def _judged(self, gates: Gates, root: Path, *, failed: bool) -> Judged:
        assert self.record is not None
        try:
            return judge_gates(self.record, gates, root, "mutatenn-", failed=failed)
        except MutatennError as error:
            # the file of known survivors; the other gates, and the reports, are still wanted
            rest = dataclasses.replace(gates, baseline="", update=False)
            judged = judge_gates(self.record, rest, root, "mutatenn-", failed=failed)
            judged.errors.append(str(error))
            return judged

    def _nowhere(self) -> list[str]:
        """Without mutants: say that every test was skipped because its device is not here."""
        assert self.record is not None
        baseline = self.record["baseline"]
        away = any(not cell["available"] for cell in self.gathered.cells.values())
        if not away or not baseline or any(e["outcome"] != "skipped" for e in baseline):
            return []
        return [
            "Nothing was tested: no device that was named is here. See above, and "
            "--mutatenn-list-devices."
        ]

    def _nothing(self) -> str:
        operators = self.settings.operators
        plans = self.gathered.plans
        without = sorted({f"{cell} ({plan['without']})" for (_, cell), plan in plans.items()
                          if plan["without"]})  # fmt: skip
        if without and len({cell for _, cell in plans}) == len(without):
            return (
                f"No mutants: {', '.join(without)}. Add a device that is compiled for, such as "
                "llvm, or give --mutatenn-baseline-only."
            )
        away = [cell for cell in self.gathered.cells.values() if not cell["available"]]
        if not plans and away:
            return (
                "No mutant was tested: no device that was named is here. See above, and "
                "--mutatenn-list-devices."
            )
        if not plans:
            return "No mutants: no test with a network was collected. See --mutatenn-list."
        cells = ", ".join(sorted({cell for _, cell in plans}))
        return (
            f"No mutants: the operators {operators!r} found nothing in the stages "
            f"{', '.join(self.settings.stages)} of {cells}. See --mutatenn-list."
        )


def _said(error: Exception) -> str:
    """An error of ours, with where it comes from."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno})"
