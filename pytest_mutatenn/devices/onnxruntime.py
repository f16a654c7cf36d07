"""ONNX Runtime: another framework on the same network, the best reference there is.

Loaded only by a process of its own (:mod:`pytest_mutatenn.engine.server`), never by pytest's.
"""

from __future__ import annotations

import importlib.util
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.errors import MutatennError, nearest

if TYPE_CHECKING:
    import numpy as np

    from pytest_mutatenn.model.onnx_graph import TensorSpec

_CPU = "CPUExecutionProvider"
# each brings the module onnxruntime, with other execution providers
_PACKAGES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-rocm")
# an opt level of ours -> the name of ONNX Runtime's level with the same kind of work in it
LEVELS = {
    0: "ORT_DISABLE_ALL",
    1: "ORT_ENABLE_BASIC",
    2: "ORT_ENABLE_EXTENDED",
    3: "ORT_ENABLE_ALL",
}
_PROBE_SECONDS = 60.0
# a provider is listed where it was built in; whether its libraries load shows in a session alone
_PROBE = """
import sys
import onnxruntime
from onnx import TensorProto, helper
there = onnxruntime.get_available_providers()
wanted = sys.argv[1]
print("providers", *there)
if wanted in there:
    spec = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", spec[:1], spec[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 7
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=[wanted])
    print("opened", *session.get_providers())
"""


class Device:
    """``onnxruntime[:PROVIDER]``: ONNX Runtime, by default on the CPU."""

    kind = "onnxruntime"
    takes = "network"
    forks = False

    def __init__(self, options: str) -> None:
        if options and not options.isidentifier():
            raise MutatennError(
                "the option of onnxruntime is an execution provider, such as "
                "onnxruntime:CUDAExecutionProvider."
            )
        self.provider = options or _CPU

    def missing(self) -> str | None:
        """Say why the device is not here: no package, no such provider, or one that fails."""
        if importlib.util.find_spec("onnxruntime") is None:
            return "ONNX Runtime is not installed: pip install 'pytest-mutatenn[onnxruntime]'"
        # every ONNX Runtime has the CPU, and no driver for it: there is nobody to ask
        return None if self.provider == _CPU else _missing(self.provider)

    def about(self) -> str:
        """What is installed, and the provider, in a phrase."""
        return self.version()

    def version(self) -> str:
        """The installed packages of ONNX Runtime, and the provider."""
        return f"{_installed()} {self.provider}"

    def check_level(self, opt_level: int) -> None:
        """Raise MutatennError at O4: ONNX Runtime has no fast math to turn on."""
        if opt_level not in LEVELS:
            raise MutatennError(
                f"onnxruntime has no opt level {opt_level}: O4 adds fast math, which ONNX Runtime "
                f"does not have. It has O0 to O3; leave {opt_level} out of --mutatenn-opt-levels, "
                "or run onnxruntime by itself."
            )

    def open(
        self, model: Path, shapes: Mapping[str, Sequence[int]], opt_level: int, threads: int
    ) -> OnnxRuntimeNetwork:
        """Make a session.

        Raises
        ------
        MutatennError
            If ONNX Runtime refuses the file, or the provider does not come up.
        """
        self.check_level(opt_level)
        return OnnxRuntimeNetwork(model, shapes, self.provider, opt_level, threads)


class OnnxRuntimeNetwork:
    """A session of ONNX Runtime.

    Parameters
    ----------
    model
        The ONNX file.
    shapes
        Input shapes that the file leaves open.
    provider
        Name of the execution provider; what it cannot run goes to the CPU, as in deployment.
    opt_level
        0 to 3, see :data:`LEVELS`.
    threads
        Threads of an operator; operators run one after another.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def __init__(
        self,
        model: Path,
        shapes: Mapping[str, Sequence[int]],
        provider: str,
        opt_level: int,
        threads: int,
    ) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MutatennError(
                f"ONNX Runtime does not load: {error}. Install it again: pip install onnxruntime"
            ) from error
        from pytest_mutatenn.model.onnx_graph import input_specs

        self.inputs = input_specs(model, shapes)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        level = LEVELS[opt_level]
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        providers = list(dict.fromkeys([provider, _CPU]))
        try:
            self._session = onnxruntime.InferenceSession(str(model), options, providers=providers)
        except Exception as error:
            raise MutatennError(
                f"ONNX Runtime does not load {model.name}: {_first_line(error)}. Test it on "
                "compiled devices alone, or export it again."
            ) from error
        first = self._session.get_providers()[0]
        if first != provider:
            raise MutatennError(
                f"onnxruntime:{provider} does not come up, ONNX Runtime fell back to {first}: are "
                "its driver and libraries installed?"
            )
        self.target = f"onnxruntime {onnxruntime.__version__} {provider} {level} threads={threads}"
        self.fingerprint = f"{self.target} {platform.machine()}"
        self._names = [one.name for one in self._session.get_outputs()]
        self.outputs = self._specs()

    def _specs(self) -> tuple[TensorSpec, ...]:
        """The outputs' shapes, by a run: the file may leave them open."""
        import numpy as np

        from pytest_mutatenn.model.onnx_graph import TensorSpec

        found = self.run([np.zeros(spec.shape, spec.dtype) for spec in self.inputs])
        return tuple(
            TensorSpec(name, tuple(array.shape), array.dtype.name)
            for name, array in zip(self._names, found, strict=True)
        )

    def run(self, arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """Run once.

        Raises
        ------
        MutatennError
            If ONNX Runtime fails.
        """
        feeds = {spec.name: array for spec, array in zip(self.inputs, arrays, strict=True)}
        try:
            found: Sequence[Any] = self._session.run(self._names, feeds)
        except Exception as error:
            raise MutatennError(f"ONNX Runtime fails to run it: {_first_line(error)}") from error
        return found


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


@cache
def _installed() -> str:
    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found) or "none"


@cache
def _missing(provider: str) -> str | None:
    """Ask another process, which may hang or die of a driver."""
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _PROBE, provider],
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"ONNX Runtime does not open {provider} within {_PROBE_SECONDS:g} s"
    except OSError as error:
        return f"ONNX Runtime cannot be asked: {error}"
    said = {line.split()[0]: line.split()[1:] for line in asked.stdout.splitlines() if line}
    there = said.get("providers")
    if there is None:
        return f"ONNX Runtime does not load: {_last_line(asked.stderr)}"
    if provider not in there:
        return (
            f"this ONNX Runtime has no {provider}.{nearest(provider, there)} It has "
            f"{', '.join(there)}; other packages of it, such as onnxruntime-gpu, have others"
        )
    if said.get("opened", [""])[0] != provider:
        return (
            f"ONNX Runtime's {provider} does not come up: are its driver and libraries installed? "
            f"{_last_line(asked.stderr)}"
        ).strip()
    return None


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else ""
