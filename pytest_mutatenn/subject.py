"""What is tested: a network and its inputs."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.errors import MutatennError

if TYPE_CHECKING:
    from pytest_mutatenn.model.inputs import Dataset
    from pytest_mutatenn.model.source import ModelSource
    from pytest_mutatenn.settings import Settings

MARKER_ARGUMENTS = (
    "model", "inputs", "labels", "shapes", "output", "preprocess", "limit", "seed",
)  # fmt: skip


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
    _thumbnails: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def shapes(self) -> Mapping[str, Sequence[int]]:
        """Input shapes that the file leaves open."""
        return self.arguments.get("shapes") or {}

    @property
    def network(self) -> str:
        """The network and its shapes, as text that only the same ones have."""
        return _network(self.model, self.shapes)

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

    def thumbnails(self, info: Mapping[str, Any]) -> dict[str, Any] | None:
        """Small pictures of the inputs for reports, made once; None where they are no images."""
        if self._thumbnails is None and self._dataset is not None:
            from pytest_mutatenn.engine.specs import TensorInfo
            from pytest_mutatenn.report.thumbnails import thumbnails_of

            inputs = [TensorInfo.of(spec) for spec in info["inputs"]]
            given = self.arguments.get("preprocess")
            self._thumbnails = thumbnails_of(self._dataset, inputs, given)
        return self._thumbnails

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


class Subjects:
    """The networks and inputs of a session's markers.

    Parameters
    ----------
    settings, root
        What the user asked for, and pytest's root.
    """

    def __init__(self, settings: Settings, root: Path) -> None:
        self.settings = settings
        self.root = root
        self._known: dict[str, Subject] = {}

    def __iter__(self) -> Iterator[Subject]:
        """Those that were asked for so far."""
        return iter(self._known.values())

    def of(self, arguments: Mapping[str, Any], base: Path) -> Subject:
        """The network and inputs of a marker; the same for the same arguments.

        Raises
        ------
        MutatennError
            If an argument is unknown, or the network is not to be had.
        """
        from pytest_mutatenn.model.source import resolve_model

        for name in arguments:
            if name not in MARKER_ARGUMENTS:
                near = difflib.get_close_matches(name, MARKER_ARGUMENTS, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise MutatennError(
                    f"The marker mutatenn has no argument {name!r}.{hint} It takes "
                    f"{', '.join(MARKER_ARGUMENTS)}."
                )
        if isinstance(arguments.get("preprocess"), Mapping):
            from pytest_mutatenn.model.images import check_keys

            check_keys(arguments["preprocess"])
        settings = self.settings
        merged = {"model": settings.model, "inputs": settings.inputs}
        given = {
            name: value
            for name, value in arguments.items()
            if value is not None and name not in settings.overriding
        }
        # a path in an option is relative to the root, one in a marker to the test's folder
        bases = {name: base if name in given else self.root for name in ("model", "inputs")}
        merged.update(given)
        if merged["model"] is None:
            raise MutatennError(
                'No network: mark the test with pytest.mark.mutatenn(model="net.onnx"), set the '
                "ini key mutatenn_model, or give --mutatenn-model."
            )
        source = resolve_model(
            merged["model"], base=bases["model"], scratch=self.settings.cache_dir / "models"
        )
        key = repr((source.digest, str(bases["inputs"]), sorted(_stable(merged).items())))
        if key not in self._known:
            self._known[key] = Subject(
                self._id(source, given.get("shapes") or {}), source, merged, bases["inputs"]
            )
        return self._known[key]

    def _id(self, source: ModelSource, shapes: Mapping[str, Sequence[int]]) -> str:
        """The network's id, its own for every network and its shapes."""
        wanted = _network(source, shapes)
        taken = {subject.id: subject.network for subject in self}
        for name, network in taken.items():
            if network == wanted:
                return name
        if source.id not in taken:
            return source.id
        return f"{source.id}_{hashlib.sha256(wanted.encode()).hexdigest()[:8]}"


def _network(model: ModelSource, shapes: Mapping[str, Sequence[int]]) -> str:
    return f"{model.digest} {sorted((name, tuple(shape)) for name, shape in shapes.items())}"


def _stable(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Arguments as text; what has no text of its own counts by identity."""
    plain = (str, int, float, bool, type(None), tuple, list, dict, Path)
    return {
        name: repr(value) if isinstance(value, plain) else f"{type(value).__name__} {id(value)}"
        for name, value in arguments.items()
        if name != "model"
    }
