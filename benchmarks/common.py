"""What all parts share: networks, suites, runs of pytest, workers, statistics, the host."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import pytest_mutatenn
from pytest_mutatenn.engine.specs import TensorInfo
from pytest_mutatenn.engine.version import code_version, cpu_name, package_version
from pytest_mutatenn.model.inputs import load_inputs

ROOT = Path(__file__).resolve().parent.parent
CORAL = {"mean": [0.50196] * 3, "std": [0.50196] * 3}
TOP1, TAU = 0.95, 0.9

EXECUTED = frozenset(["KILLED", "SURVIVED", "TIMEOUT", "CRASHED"])
"""Verdicts of mutants that were made and run; the others cost their making, or less."""

MADE = EXECUTED | {"EQUIVALENT", "DUPLICATE", "INVALID"}


class BenchmarkError(Exception):
    """A part cannot be measured; says why."""


@dataclass(frozen=True)
class Network:
    """A network and its inputs; ``{...}`` stands for one of the command line's folders."""

    name: str
    model: str
    inputs: str
    preprocess: dict[str, Any] | None


NETWORKS = {
    network.name: network
    for network in (
        Network("digits", "{examples}/digits.onnx", "{examples}/digits.npz", {"scale": 1 / 16}),
        Network("ms_mnist8", "{models}/ms_mnist8.onnx", "{images}/mnist_first200.npz", None),
        Network(
            "abcrown_conv_sigmoid",
            "{models}/abcrown_conv_sigmoid.onnx",
            "{images}/cifar10_eran100.npz",
            {
                "scale": 1 / 255,
                "mean": [0.4914, 0.4822, 0.4465],
                "std": [0.2023, 0.1994, 0.2010],
            },
        ),
        Network(
            "mlperf_resnet8_bn",
            "{models}/mlperf_resnet8_bn.onnx",
            "{images}/cifar10_eran100.npz",
            None,
        ),
        Network(
            "mlperf_resnet8_folded",
            "{models}/mlperf_resnet8_folded.onnx",
            "{images}/cifar10_eran100.npz",
            None,
        ),
        Network(
            "coral_mobilenetv1_025_128",
            "{models}/coral_mobilenetv1_025_128.onnx",
            "{images}/photos",
            CORAL,
        ),
        Network(
            "coral_mobilenetv2_100_224",
            "{models}/coral_mobilenetv2_100_224.onnx",
            "{images}/photos",
            CORAL,
        ),
    )
}


@dataclass(frozen=True)
class Line:
    """One figure of the table.

    Attributes
    ----------
    what
        What was measured.
    value, unit
        The figure.
    target
        What it is held against; None where there is nothing.
    at_least
        Whether more is better.
    """

    what: str
    value: float
    unit: str = ""
    target: float | None = None
    at_least: bool = False

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def as_dict(self) -> dict[str, Any]:
        """As it stands in the JSON."""
        return {
            "what": self.what,
            "value": self.value,
            "unit": self.unit,
            "target": self.target,
            "at_least": self.at_least,
            "reached": self.reached,
        }


@dataclass
class Result:
    """What a part found: the table's lines, how it was set, every raw sample, and remarks."""

    settings: dict[str, Any]
    lines: list[Line] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """What a part is given: where networks and images are, how much to do, a folder to work in."""

    models: Path
    images: Path
    quick: bool
    scratch: Path

    def say(self, text: str) -> None:
        """Progress, to standard error."""
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

    def pick(self, full: Any, quick: Any) -> Any:
        """A setting, by how much is to be done."""
        return quick if self.quick else full

    def place(self, text: str) -> Path:
        """The path that a network names."""
        folders = {"examples": ROOT / "examples", "models": self.models, "images": self.images}
        path = Path(text.format(**folders)).resolve()
        if not path.exists():
            raise BenchmarkError(f"There is no {path}; --models and --images name its folder.")
        return path

    def folder(self, name: str) -> Path:
        """A new empty folder."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))


# -- networks and suites ----------------------------------------------------------------------


def input_of(model: Path) -> TensorInfo:
    """The one input of a network, from its file; an open batch is 1."""
    import onnx

    graph = onnx.load(str(model)).graph
    weights = {tensor.name for tensor in graph.initializer}
    value = next(value for value in graph.input if value.name not in weights)
    kind = value.type.tensor_type
    shape = tuple(dim.dim_value or 1 for dim in kind.shape.dim)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    return TensorInfo(value.name, shape, str(dtype))


def inputs_of(bench: Bench, network: Network, count: int | None = None) -> np.ndarray:
    """The inputs as values of the network, ``(n, *shape with its batch)``.

    More than there are are made by shifting and mirroring, so that each is another picture.
    """
    tensor = input_of(bench.place(network.model))
    data = load_inputs(
        str(bench.place(network.inputs)),
        inputs=[tensor],
        preprocess=network.preprocess,
        base=Path.cwd(),
    )
    array = data.arrays[tensor.name]
    return array if count is None else varied(array, count, tensor.shape)


def varied(array: np.ndarray, count: int, shape: Sequence[int]) -> np.ndarray:
    """So many pictures: those given, then the same shifted by rows and mirrored by columns.

    Parameters
    ----------
    array
        ``(n, 1, channels, height, width)``, or channels last, or any array of samples.
    count
        How many are wanted; the first ones where there are more.
    shape
        One sample's, which tells rows and columns.
    """
    last = len(shape) == 4 and shape[-1] in (1, 3)
    rows, columns = (-3, -2) if last else (-2, -1)
    batches = [array]
    for number in range(1, -(-count // len(array))):
        moved = np.roll(array, number * 3, axis=rows)
        batches.append(np.flip(moved, axis=columns) if number % 2 else moved)
    return np.ascontiguousarray(np.concatenate(batches)[:count])


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


# -- runs of pytest ---------------------------------------------------------------------------


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
            "counters": self.report["counters"],
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


def environment() -> dict[str, str]:
    """For what is measured: this checkout's code, one thread for kernels."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return {**clean, "PYTHONPATH": path, "TVM_NUM_THREADS": "1"}


# -- workers ----------------------------------------------------------------------------------


class Worker:
    """``python -m benchmarks.MODULE`` as a process that answers requests of JSON, a line each."""

    def __init__(self, module: str) -> None:
        self.module = module
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment(),
        )

    def ask(self, **request: Any) -> Any:
        """Send a request and wait for its answer.

        Raises
        ------
        BenchmarkError
            If the process ends instead.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait()
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace")[-3000:]
            raise BenchmarkError(f"benchmarks.{self.module} ended:\n{said}")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()


def serve(answer: Callable[[dict[str, Any]], Any]) -> None:
    """Be such a process: answer until there are no more requests."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the compiler prints is no reply
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=replies, flush=True)


# -- figures ----------------------------------------------------------------------------------


def quantile(values: Iterable[float], part: float) -> float:
    """A quantile, by linear interpolation.

    Raises
    ------
    BenchmarkError
        If there is no value.
    """
    found = sorted(values)
    if not found:
        raise BenchmarkError("nothing was measured: there is no sample to take a quantile of")
    place = part * (len(found) - 1)
    low = int(place)
    high = min(low + 1, len(found) - 1)
    return found[low] + (found[high] - found[low]) * (place - low)


def median(values: Iterable[float]) -> float:
    """The median."""
    return quantile(values, 0.5)


def mean(values: Iterable[float]) -> float:
    """The mean; like :func:`quantile`, of at least one value."""
    found = list(values)
    if not found:
        raise BenchmarkError("nothing was measured: there is no sample to take a mean of")
    return sum(found) / len(found)


def slope(few: tuple[float, float], many: tuple[float, float]) -> tuple[float, float]:
    """Cost that does not grow, and cost of each, from two (number, total) pairs.

    Raises
    ------
    BenchmarkError
        If the numbers are the same.
    """
    if many[0] <= few[0]:
        raise BenchmarkError(
            f"{many[0]:g} mutants were run where {few[0]:g} were before: the sample is too small"
        )
    each = (many[1] - few[1]) / (many[0] - few[0])
    return few[1] - each * few[0], each


def host() -> dict[str, Any]:
    """The machine and what is installed on it, and how busy it is now."""
    packages = ("apache-tvm", "apache-tvm-ffi", "onnx", "numpy", "scipy", "pytest", "pytest-xdist")
    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: package_version(name) for name in packages},
        "code": code_version()[:16],
        "load": list(os.getloadavg()),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def has_module(name: str) -> bool:
    """Whether a module can be imported."""
    return importlib.util.find_spec(name) is not None


def counts(found: Mapping[str, int]) -> str:
    """Counts for people: ``3 killed, 1 survived``."""
    return ", ".join(f"{number} {name.lower()}" for name, number in found.items()) or "none"
