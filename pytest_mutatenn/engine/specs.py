"""A network's tensors as the zygote describes them, for pytest's process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TensorInfo:
    """Name, shape (batch first) and NumPy dtype of a network's input or output."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> TensorInfo:
        """Read one of :attr:`pytest_mutatenn.engine.evaluate.Engine.info`."""
        return cls(spec["name"], tuple(spec["shape"]), spec["dtype"])
