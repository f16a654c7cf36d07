"""An engine that runs nothing: it reads what a run elsewhere has recorded.

A recording is of one network (by its digest) on some cells; results are found by the digests of
program and inputs, so that what is read is what would have been run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.compiler.digest import combine
from pytest_mutatenn.compiler.mutant import Mutant
from pytest_mutatenn.devices.base import open_device
from pytest_mutatenn.engine.base import BaseEngine
from pytest_mutatenn.engine.evaluation import Arrays, Evaluation, Job, Limits, Recipe, role_of
from pytest_mutatenn.engine.outcome import Failure
from pytest_mutatenn.engine.results import KIND, Results
from pytest_mutatenn.engine.selected import selected_operators
from pytest_mutatenn.engine.version import code_version, naming_version
from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.operators.plugins import plugins_version
from pytest_mutatenn.operators.sources import digest_of_sources

if TYPE_CHECKING:
    from pytest_mutatenn.devices.recorded import Device
    from pytest_mutatenn.devices.recording import Recording
    from pytest_mutatenn.engine.row import Row

NOT_THERE = "not in the recording"
"""Why a mutant is skipped, in reports."""


class NotRecorded(MutatennError):
    """What a row asks for has not been recorded: it has no answer, which is no fault of anyone."""


@dataclass(eq=False)
class RecordedEngine(BaseEngine):
    """Gives what a recording has of one network on one of its cells.

    Attributes
    ----------
    operator_files
        The user's own operators.
    """

    # a recorded failure stays one: no more time, and no more memory, than it had
    limits: Limits = field(default_factory=lambda: Limits(memory=0))
    operator_files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        self._device: Device = open_device(self.cell.spec)  # type: ignore[assignment]
        self.key = combine("recorded", code_version(), self.model.digest, self.cell.spec)

    # -- what the file has --------------------------------------------------------------------

    @cached_property
    def _file(self) -> Recording:
        try:
            return self._device.read()
        except MutatennError as error:
            raise MutatennError(f"{self.cell.device}: {error}.") from None

    @cached_property
    def _there(self) -> dict[str, Any]:
        """The recorded cell that this one reads.

        Raises
        ------
        MutatennError
            If the file has another network, device or opt level; it says what it has.
        """
        cells = self._file.about["cells"]
        device, level = self._device.device, self.cell.opt_level
        shapes = {name: list(shape) for name, shape in self.shapes.items()}
        found = [one for one in cells if one["model"]["digest"] == self.model.digest]
        if not found:
            there = sorted({f"{c['model']['source']} ({_short(c['model'])})" for c in cells})
            raise self._differs(
                f"is of another network: {', '.join(there) or 'of none'}; this is "
                f"{self.model.source} ({self.model.digest[:12]})"
            )
        other = found[0]["model"]["shapes"]
        found = [one for one in found if one["model"]["shapes"] == shapes]
        if not found:
            raise self._differs(f"is of other input shapes: {other}; here they are {shapes}")
        devices = sorted({one["device"] for one in found})
        if device and device not in devices:
            raise self._differs(f"has no device {device}; it has {', '.join(devices)}")
        if not device and len(devices) > 1:
            raise self._differs(
                f"has several devices: {', '.join(devices)}; name one, as in "
                f"recorded:{self._device.path}?device={devices[0]}"
            )
        found = [one for one in found if device in ("", one["device"])]
        levels = sorted({one["opt_level"] for one in found})
        if level not in levels:
            text = ", ".join(f"O{n}" for n in levels)
            raise self._differs(
                f"has no O{level} of {found[0]['device']}; it has {text}: give "
                f"--mutatenn-opt-levels={levels[0]}, or "
                f"--mutatenn-reference=recorded:{self._device.path}-O{levels[0]}"
            )
        return dict(next(one for one in found if one["opt_level"] == level))

    def _differs(self, what: str) -> MutatennError:
        return MutatennError(f"{self.cell.id}: the recording {what}.")

    @property
    def info(self) -> dict[str, Any]:
        """What the baseline was where it was recorded."""
        info = dict(self._there["info"])
        return {**info, "target": f"recorded {info['target']}", "steps": []}

    def peek(self) -> dict[str, Any] | None:
        """What :attr:`info` gives, if the recording fits."""
        try:
            return self.info
        except MutatennError:
            return None  # who needs it is told why

    def zygote(self) -> None:
        """Look whether the recording fits; there is no process."""
        _ = self._there

    def close(self) -> None:
        """There is nothing to end."""

    @property
    def notes(self) -> list[str]:
        """What the reader of a report should know of the recording."""
        run = self._file.about["run"]
        if run["naming"] == naming_version():
            return []
        return [
            f"{self.cell.id}: recorded by pytest-mutatenn {run['version']} with TVM {run['tvm']}; "
            "this is another version of one of them, or of ONNX, and its mutants of the same names "
            "may be others. Record it again to be sure."
        ]

    # -- mutants ------------------------------------------------------------------------------

    def list_mutants(
        self,
        operators: str,
        stages: Sequence[str],
        order: tuple[str, int],
        positions: tuple[int, int | None],
        seed: int,
        named: Sequence[str] = (),
    ) -> dict[str, Any]:
        """List the recorded mutants that a selection gives."""
        entries = self._there["mutants"]
        if named:
            chosen = [entry for entry in entries if entry["id"] in named]
        else:
            wanted = self._selected(operators)
            chosen = [
                entry
                for entry in entries
                if all(
                    part.stage in stages and f"{part.stage}.{part.operator}" in wanted
                    for part in Mutant.parse(entry["id"]).parts
                )
                and _order_of(entry["id"]) == (order if order[0] != "sweep" else ("sweep", 1))
                and (order[0] != "sweep" or Mutant.parse(entry["id"]).window == positions)
            ]
        return {"mutants": chosen, "absent": [], "without": NOT_THERE}

    def _selected(self, operators: str) -> frozenset[str]:
        """``stage.operator`` of what a selection of operators names.

        Stored, since knowing the operators takes a process that loads the compiler.
        """
        own = [digest_of_sources(file) for file in self.operator_files]
        key = combine("selected", code_version(), plugins_version(), operators, *own)
        found = self.store.get_json("lists", key)
        if found is None:
            found = selected_operators(operators, self.operator_files)
            self.store.put_json("lists", key, found)
        return frozenset(found)

    def recipe(self, mutant: str, child: Row | None = None, following: str | None = None) -> Recipe:
        """How the recorded cell made a mutant.

        Raises
        ------
        NotRecorded
            If it did not.
        """
        found = self._there["recipes"].get(mutant)
        if found is None:
            raise NotRecorded(NOT_THERE)
        return Recipe.read(found)

    def known_texts(self) -> Mapping[str, Mapping[str, str]]:
        """The texts that the recorded mutants change."""
        texts: Mapping[str, Mapping[str, str]] = self._there["texts"]
        return texts

    # -- runs ---------------------------------------------------------------------------------

    def results(self, job: Job) -> Results:
        """Give what was recorded of a run.

        Raises
        ------
        MutatennError
            If the recording is of other inputs; of a mutant, :class:`NotRecorded` where it was
            not run on these.
        """
        _, found = self._found(job.mutant, job.digest)
        if found is None:
            raise self._unknown(job)
        results = Results(self, job, key=None, allowed=0.0)
        results.take_stored(found, self._arrays(found))
        return results

    def result_key(self, mutant: str | None, digest: str) -> str | None:
        """Where the store has what was recorded; it is put there, for who reads it by its key."""
        run, found = self._found(mutant, digest)
        if found is None:
            return None
        # the file may be another one tomorrow, under its old name
        key = combine(self.key, self._file.digest, *run)
        if self.store.get_arrays(KIND, key) is None:
            self.store.put_arrays(KIND, key, found, self._arrays(found))
        return key

    def _found(
        self, mutant: str | None, digest: str
    ) -> tuple[tuple[str, str, str], dict[str, Any] | None]:
        """Program, role and inputs of a run, and what was recorded of it."""
        program = self._there["info"]["digest"] if mutant is None else self.recipe(mutant).digest
        run = program, role_of(mutant), digest
        return run, self._results.get(run)

    def _arrays(self, found: Mapping[str, Any]) -> Arrays:
        """The arrays of a result, each with a row an input."""
        arrays = self._file.arrays(found["arrays"])
        for name, array in arrays.items():
            if array.shape[:1] != (len(found["samples"]),):
                raise MutatennError(
                    f"{self._file.path} is damaged: {name!r} of {found['cell']} has the shape "
                    f"{array.shape} for {len(found['samples'])} inputs; write it again with "
                    "--mutatenn-record"
                )
        return arrays

    @cached_property
    def _results(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        there = self._there
        return {
            (one["program"], one["role"], one["data"]): one
            for one in self._file.about["results"]
            if one["cell"] == there["id"] and one["model"] == there["model"]["id"]
        }

    def _unknown(self, job: Job) -> MutatennError:
        count = job.count
        known = {data for _, _, data in self._results}
        if job.digest in known:
            return NotRecorded(f"{job.mutant or 'the baseline'} on these inputs is {NOT_THERE}")
        datasets = self._file.about["datasets"]
        listed = [
            f"{there['source']} ({there['count']} inputs)"
            for data, there in sorted(datasets.items())
            if data in known
        ]
        return NotRecorded(
            f"{count} {'input' if count == 1 else 'inputs'} of this content: {NOT_THERE}. It has "
            f"{', '.join(listed) or 'no data set'}, and what tests gave to the fixture model; the "
            "content must be the same to the byte, after preprocessing"
        )

    def baseline(self, arrays: Arrays, digest: str, *, keep: bool = False) -> Evaluation:
        """Give what was recorded of the unmutated network.

        Raises
        ------
        MutatennError
            If the recording is of other inputs.
        """
        result = self.evaluate(None, arrays, digest)
        if isinstance(result, Failure):
            raise MutatennError(
                f"{self.cell.id}: the baseline did not run when it was recorded: {result.reason}."
            )
        return result

    def run(self, job: Job, allowed: float, samples: Sequence[int]) -> Evaluation | Failure:
        """Nothing is run: what is asked for beyond what was recorded has no answer."""
        raise NotRecorded(f"{len(samples)} of the inputs are {NOT_THERE}")


def _short(model: Mapping[str, Any]) -> str:
    return str(model["digest"])[:12]


def _order_of(text: str) -> tuple[str, int]:
    """The order, as ``--mutatenn-order`` has it, that gives mutants like this."""
    mutant = Mutant.parse(text)
    if len(mutant.parts) > 1:
        return "mutants", len(mutant.parts)
    if mutant.window is not None:
        return "sweep", 1
    sites = len(mutant.sites)
    return ("site", 1) if sites == 1 else ("sites", sites)
