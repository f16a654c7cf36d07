"""What is tested: a network and its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.errors import MutatennError

if TYPE_CHECKING:
    from pytest_mutatenn.model.inputs import Dataset
    from pytest_mutatenn.model.source import ModelSource


@dataclass(eq=False)
class Subject:
    """A network and its inputs, as a marker names them.

    Attributes
    ----------
    id
        The network in reports: its file's stem, numbered where several networks share it.
    model
        The network.
    arguments
        The marker's arguments, completed from the options.
    base
        The folder that paths are relative to.
    """

    id: str
    model: ModelSource
    arguments: Mapping[str, Any]
    base: Path
    _dataset: Dataset | None = field(default=None, repr=False)

    @property
    def shapes(self) -> Mapping[str, Sequence[int]]:
        """Input shapes that the file leaves open."""
        return self.arguments.get("shapes") or {}

    def dataset(self, info: Mapping[str, Any]) -> Dataset:
        """Read the inputs, once.

        Raises
        ------
        MutatennError
            If there are none, or they do not fit the network.
        """
        if self._dataset is None:
            from pytest_mutatenn.engine.specs import TensorInfo
            from pytest_mutatenn.model.inputs import load_inputs

            if self.arguments.get("inputs") is None:
                raise MutatennError(
                    "predictions need inputs: give them in the marker, "
                    'mutatenn(model="net.onnx", inputs="photos/"), as the ini key mutatenn_inputs, '
                    "or as --mutatenn-inputs."
                )
            self._dataset = load_inputs(
                self.arguments["inputs"],
                inputs=[TensorInfo.of(spec) for spec in info["inputs"]],
                preprocess=self.arguments.get("preprocess"),
                labels=self.arguments.get("labels"),
                limit=self.arguments.get("limit"),
                seed=self.arguments.get("seed"),
                base=self.base,
            )
        return self._dataset

    @property
    def loaded(self) -> Dataset | None:
        """The inputs, if anything has needed them."""
        return self._dataset

    def output(self, info: Mapping[str, Any]) -> str:
        """Name of the output that is the classification: the marker's, else the first.

        Raises
        ------
        MutatennError
            If the network has no such output.
        """
        names = [spec["name"] for spec in info["outputs"]]
        wanted = self.arguments.get("output", 0)
        if isinstance(wanted, int) and -len(names) <= wanted < len(names):
            return str(names[wanted])
        if wanted in names:
            return str(wanted)
        raise MutatennError(
            f"output={wanted!r}: {self.model.source} has no such output; it has {', '.join(names)}."
        )
