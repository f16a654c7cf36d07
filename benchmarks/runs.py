"""Suites about a network, and runs of pytest on them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import pytest_mutatenn
from benchmarks.common import Bench, BenchmarkError, Network, environment, inputs_of

TOP1, TAU = 0.95, 0.9

EXECUTED = frozenset(["KILLED", "SURVIVED", "TIMEOUT", "CRASHED"])
"""Verdicts of mutants that were made and run; the others cost their making, or less."""

MADE = EXECUTED | {"EQUIVALENT", "DUPLICATE", "INVALID"}

PLAIN = """
def test_labels_hold(predictions, reference):
    assert top1_agreement(predictions, reference) >= {top1}


def test_ranking_holds(predictions, reference):
    assert kendall_tau(predictions, reference).min() >= {tau}
"""
DECIDING = """
def test_labels_hold(predictions, reference):
    assert_top1_agreement(predictions, reference, at_least={top1})


def test_ranking_holds(predictions, reference):
    assert_kendall_tau(predictions, reference, at_least={tau})
"""
SUITES = {
    "plain": (("kendall_tau", "top1_agreement"), PLAIN),
    "deciding": (("assert_kendall_tau", "assert_top1_agreement"), DECIDING),
}
"""Two tests each: with metrics, and with assertions that stop as soon as they are decided."""


def suites() -> tuple[list[str], list[str]]:
    """The suites that this version of the plugin can run, and remarks on those it cannot."""
    here, notes = [], []
    for name, (needed, _) in SUITES.items():
        missing = [each for each in needed if not hasattr(pytest_mutatenn, each)]
        if missing:
            notes.append(f"suite {name!r} left out: pytest_mutatenn has no {', '.join(missing)}")
        else:
            here.append(name)
    return here, notes


def suite_text(suite: str, model: Path, inputs: Path, preprocess: Any = None) -> str:
    """A test file about a network."""
    names, body = SUITES[suite]
    more = "" if preprocess is None else f",\n    preprocess={preprocess!r}"
    return (
        f"import pytest\nfrom pytest_mutatenn import {', '.join(names)}\n\n"
        f"pytestmark = pytest.mark.mutatenn(\n    model={str(model)!r},\n    inputs={str(inputs)!r}"
        f"{more},\n)\n\n{body.format(top1=TOP1, tau=TAU)}"
    )


@dataclass(frozen=True)
class Run:
    """A run of pytest: its wall time in seconds, what it printed, and its report."""

    seconds: float
    output: str
    report: dict[str, Any]

    def verdicts(self) -> dict[str, int]:
        """Verdict -> how many mutants, over all cells."""
        found: dict[str, int] = {}
        for entry in self.entries():
            found[entry["verdict"]] = found.get(entry["verdict"], 0) + 1
        return dict(sorted(found.items()))

    def entries(self) -> list[dict[str, Any]]:
        """Every mutant in every cell that had it, with its ``id``, ``stage`` and ``cell``."""
        return [
            {**there, "id": mutant["id"], "stage": mutant["stage"], "cell": cell}
            for mutant in self.report["mutants"]
            for cell, there in mutant["cells"].items()
            if there["verdict"] != "SKIPPED"
        ]

    def executed(self) -> int:
        """How many mutants were made and run."""
        return sum(entry["verdict"] in EXECUTED for entry in self.entries())

    def made(self) -> int:
        """How many mutants were made, or refused by the compiler."""
        return sum(entry["verdict"] in MADE for entry in self.entries())

    def summary(self) -> dict[str, Any]:
        """What is kept of it as a raw sample."""
        return {
            "seconds": self.seconds,
            "executed": self.executed(),
            "made": self.made(),
            "verdicts": self.verdicts(),
            "counters": self.report["run"]["counters"],
        }


class Project:
    """A folder with a suite about one network, to run pytest in."""

    def __init__(
        self,
        bench: Bench,
        network: Network,
        *,
        suite: str = "plain",
        count: int | None = None,
        inputs: Path | None = None,
    ) -> None:
        self.bench = bench
        self.folder = bench.folder(network.name)
        preprocess = None
        if inputs is None:
            inputs = self.folder / "inputs.npy"
            np.save(inputs, inputs_of(bench, network, count))
        else:
            preprocess = network.preprocess
        self.inputs = inputs
        self.model = bench.place(network.model)
        text = suite_text(suite, self.model, inputs, preprocess)
        (self.folder / "test_speed.py").write_text(text)
        # an ini file of its own, so that no other project's is found above
        (self.folder / "pytest.ini").write_text("[pytest]\n")

    def store(self) -> Path:
        """A new empty store."""
        return self.bench.folder("store")

    def command(self, store: Path, *options: str) -> list[str]:
        """Pytest on this suite with that store."""
        return [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--mutatenn"),
            *(f"--mutatenn-cache-dir={store}", *options, str(self.folder)),
        ]

    def run(self, store: Path, *options: str) -> Run:
        """Run pytest to its end and read its report.

        Raises
        ------
        BenchmarkError
            If it ended otherwise than it should, or a test fails on the unmutated network.
        """
        written = self.folder / "report.json"
        written.unlink(missing_ok=True)
        command = self.command(store, f"--mutatenn-report=json:{written}", *options)
        start = time.perf_counter()
        done = subprocess.run(
            command, cwd=self.folder, env=environment(), capture_output=True, text=True
        )
        return self.finished(time.perf_counter() - start, done.returncode, done.stdout, done.stderr)

    def finished(self, seconds: float, code: int, output: str, errors: str) -> Run:
        """The run, if it went as it should."""
        written = self.folder / "report.json"
        # 1: a sample of few mutants may have none that was tested
        if code not in (0, 1) or not written.exists():
            raise BenchmarkError(f"pytest ended with {code}:\n{(output + errors)[-3000:]}")
        report = json.loads(written.read_text())
        red = [test for test in report["baseline"] if test["outcome"] != "passed"]
        if red:
            raise BenchmarkError(f"{red[0]['test']} fails on {red[0]['cell']}: {red[0]['message']}")
        return Run(seconds, output, report)

    def cold(self, *options: str) -> Run:
        """Run pytest with an empty store, which is removed afterwards."""
        store = self.store()
        try:
            return self.run(store, *options)
        finally:
            shutil.rmtree(store, ignore_errors=True)
