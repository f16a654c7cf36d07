"""What a kind of device is that takes a whole network: no kernels of ours, so no mutants.

A kind is one module of this package with a class called ``Device`` whose ``takes`` is
``"network"`` and that keeps the interface of :class:`WholeKind`. It is the framework axis of
DeltaNN: the same network and inputs, another runtime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np

    from pytest_mutatenn.model.onnx_graph import TensorSpec


class Network(Protocol):
    """A network that a runtime has loaded.

    Attributes
    ----------
    inputs, outputs
        Its tensors by their ONNX names, with the shape of one run.
    target
        What it runs on and how, for people.
    fingerprint
        All that decides which numbers it computes.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    target: str
    fingerprint: str

    def run(self, arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """Run once: one array an input, of its shape; give one array an output."""
        ...


class WholeKind(Protocol):
    """A kind of device that takes a whole network.

    Attributes
    ----------
    kind
        The name people type.
    takes
        ``"network"``.
    """

    kind: str
    takes: str

    def __init__(self, options: str) -> None: ...

    def missing(self) -> str | None:
        """Say why the device is not here; ``None`` where it is. Never raises, never hangs."""
        ...

    def version(self) -> str:
        """What is installed, told without loading it: another one's results are not this one's."""
        ...

    def check_level(self, opt_level: int) -> None:
        """Raise MutatennError if the device has nothing that the opt level could mean."""
        ...

    def open(
        self, model: Path, shapes: Mapping[str, Sequence[int]], opt_level: int, threads: int
    ) -> Network:
        """Load a network; only the process that runs it calls this.

        Raises
        ------
        MutatennError
            If the runtime cannot run it.
        """
        ...
