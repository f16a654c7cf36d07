"""What all parts share: settings, networks and their inputs, figures, the host."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pytest_mutatenn.engine.specs import TensorInfo
from pytest_mutatenn.engine.version import code_version, cpu_name, package_version
from pytest_mutatenn.model.inputs import load_inputs

ROOT = Path(__file__).resolve().parent.parent
CORAL = {"mean": [0.50196] * 3, "std": [0.50196] * 3}


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
    """What a part found: how it was set, the table's lines, every raw sample, and remarks.

    A part is a module with ``run(bench, result)``; what it has put there stays if it fails later.
    """

    settings: dict[str, Any] = field(default_factory=dict)
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
        """Results, to standard error."""
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


# -- networks -------------------------------------------------------------------------------


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


def environment() -> dict[str, str]:
    """For what is measured: this checkout's code, one thread for kernels."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return {**clean, "PYTHONPATH": path, "TVM_NUM_THREADS": "1"}


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
