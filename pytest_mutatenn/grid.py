"""The rows: tests x (checks, baseline and mutants) x cells, with their ids and their order."""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.compiler.mutant import CHECKS
from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.engine.evaluate import Engine
from pytest_mutatenn.engine.evaluation import Counters, Limits
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.errors import MutatennError

if TYPE_CHECKING:
    from pytest_mutatenn.model.inputs import Dataset
    from pytest_mutatenn.model.source import ModelSource
    from pytest_mutatenn.options import Settings

MARKER_ARGUMENTS = (
    "model", "inputs", "labels", "shapes", "output", "preprocess", "limit", "seed",
)  # fmt: skip

_LIVE_ENGINES = 2  # the cell at hand and the reference


@dataclass(frozen=True)
class Row:
    """One test's run: a cell, and a mutant or the baseline.

    Attributes
    ----------
    subject
        What is tested.
    cell
        Where.
    mutant
        Id of the mutant; None for the baseline.
    """

    subject: Subject = field(repr=False)
    cell: Cell
    mutant: str | None

    @property
    def id(self) -> str:
        """As it stands in the test's id."""
        return f"{self.cell.id}-{self.mutant or 'baseline'}"


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


@dataclass(eq=False)
class CellPlan:
    """The mutants of one cell.

    Attributes
    ----------
    mutants
        The chosen ones, in order; see :func:`pytest_mutatenn.engine.listing.list_mutants`.
    absent
        Operators without a site.
    sampled_out, not_selected
        Ids that the sample, and ``--mutatenn-mutants``, left out.
    """

    mutants: list[dict[str, Any]]
    absent: list[dict[str, Any]]
    sampled_out: list[str]
    not_selected: list[str]


class Grid:
    """Makes the rows of a session, and the engines that run them."""

    def __init__(self, settings: Settings, root: Path, operator_files: Sequence[Path]) -> None:
        self.settings = settings
        self.root = root
        self.operator_files = tuple(operator_files)
        self.store = Store(settings.cache_dir)
        self.counters = Counters()
        self.subjects: dict[str, Subject] = {}
        self.plans: dict[tuple[str, Cell], CellPlan] = {}
        self._engines: dict[tuple[str, Cell], Engine] = {}
        self._live: list[Engine] = []

    # -- subjects -----------------------------------------------------------------------------

    def subject(self, arguments: Mapping[str, Any], base: Path) -> Subject:
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
            merged["model"], base=bases["model"], scratch=self.store.root / "models"
        )
        key = repr((source.digest, str(bases["inputs"]), sorted(_stable(merged).items())))
        if key not in self.subjects:
            self.subjects[key] = Subject(
                self._id(source, given.get("shapes") or {}), source, merged, bases["inputs"]
            )
        return self.subjects[key]

    def _id(self, source: ModelSource, shapes: Mapping[str, Sequence[int]]) -> str:
        """The network's id, its own for every network and its shapes."""
        wanted = _network(source, shapes)
        taken = {}
        for subject in self.subjects.values():
            taken[subject.id] = _network(subject.model, subject.shapes)
        for name, network in taken.items():
            if network == wanted:
                return name
        if source.id not in taken:
            return source.id
        return f"{source.id}_{hashlib.sha256(wanted.encode()).hexdigest()[:8]}"

    # -- engines ------------------------------------------------------------------------------

    def engine(self, subject: Subject, cell: Cell) -> Engine:
        """The engine of a network on a cell; at most two have processes at a time."""
        key = _engine_key(subject, cell)
        if key not in self._engines:
            settings = self.settings
            self._engines[key] = Engine(
                subject.model,
                cell,
                self.store,
                shapes=subject.shapes,
                disabled_passes=settings.disabled_passes,
                required_passes=settings.required_passes,
                operator_files=self.operator_files,
                limits=Limits(
                    timeout_factor=settings.timeout_factor,
                    timeout_constant=settings.timeout_constant,
                    memory=settings.memory_limit,
                    activations=settings.activation_budget,
                ),
                counters=self.counters,
            )
        engine = self._engines[key]
        if engine in self._live:
            self._live.remove(engine)
        self._live.append(engine)
        while len(self._live) > _LIVE_ENGINES:
            self._live.pop(0).close()
        return engine

    def known_engine(self, subject: Subject, cell: Cell) -> Engine | None:
        """The engine, if it has been asked for."""
        return self._engines.get(_engine_key(subject, cell))

    def plan_of(self, subject: Subject, cell: Cell) -> CellPlan | None:
        """The plan, if it has been asked for."""
        return self.plans.get(_engine_key(subject, cell))

    def close(self) -> None:
        """End every process."""
        for engine in self._engines.values():
            engine.close()
        self._live.clear()

    # -- rows ---------------------------------------------------------------------------------

    def rows(self, subject: Subject) -> list[Row]:
        """Every row of a test: cell by cell its baseline, the checks, the mutants."""
        rows = []
        for cell in self.settings.cells:
            rows.append(Row(subject, cell, None))
            if self.settings.baseline_only:
                continue
            plan = self.plan(subject, cell)
            if plan.mutants:
                rows.extend(Row(subject, cell, check) for check in CHECKS)
            rows.extend(Row(subject, cell, entry["id"]) for entry in plan.mutants)
        return rows

    def plan(self, subject: Subject, cell: Cell) -> CellPlan:
        """The mutants of a cell, selected and sampled.

        Raises
        ------
        MutatennError
            If ``--mutatenn-mutants`` names what is not there.
        """
        key = _engine_key(subject, cell)
        if key not in self.plans:
            settings = self.settings
            found = self.engine(subject, cell).list_mutants(
                settings.operators, settings.stages, settings.order, settings.positions
            )
            everything = found["mutants"]
            wanted = [entry for entry in everything if self._wanted(entry["id"])]
            chosen = sample(wanted, settings.sample, settings.seed)
            self.plans[key] = CellPlan(
                chosen,
                found["absent"],
                _left_out(wanted, chosen),
                _left_out(everything, wanted),
            )
            if settings.mutants and everything and not wanted:
                ids = [entry["id"] for entry in everything]
                near = difflib.get_close_matches(settings.mutants[0], ids, n=1)
                hint = f" The nearest is {near[0]!r}." if near else ""
                raise MutatennError(
                    f"--mutatenn-mutants={','.join(settings.mutants)} matches none of the "
                    f"{len(ids)} mutants of {cell.id}.{hint} --mutatenn-list prints them."
                )
        return self.plans[key]

    def _wanted(self, mutant: str) -> bool:
        patterns = self.settings.mutants
        return not patterns or any(
            mutant == pattern or fnmatch.fnmatchcase(mutant, pattern) for pattern in patterns
        )


def sample(
    entries: Sequence[dict[str, Any]], amount: tuple[float, bool] | None, seed: int
) -> list[dict[str, Any]]:
    """Choose some mutants: of every stage and category its share, by the digest of seed and id.

    The choice depends on the ids alone, so that it is the same on every machine, and a cell with
    the same mutants has the same sample.

    Parameters
    ----------
    entries
        All mutants, in order; the chosen ones keep it.
    amount
        How many, or how many percent when the second is true; None for all.
    seed
        Another seed gives another choice.
    """
    if amount is None:
        return list(entries)
    number, percent = amount
    total = round(len(entries) * number / 100) if percent else int(number)
    total = max(1, min(total, len(entries)))
    strata: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in entries:
        strata.setdefault((entry["stage"], entry["category"]), []).append(entry)
    shares = {key: len(group) * total / len(entries) for key, group in strata.items()}
    quota = {key: int(share) for key, share in shares.items()}
    # largest remainders first, ties by name
    for key in sorted(shares, key=lambda k: (quota[k] - shares[k], k))[
        : total - sum(quota.values())
    ]:
        quota[key] += 1
    chosen: set[str] = set()
    for key, group in strata.items():
        ranked = sorted(entry["id"] for entry in group)
        ranked.sort(key=lambda text: hashlib.sha256(f"{seed} {text}".encode()).digest())
        chosen.update(ranked[: quota[key]])
    return [entry for entry in entries if entry["id"] in chosen]


def _engine_key(subject: Subject, cell: Cell) -> tuple[str, Cell]:
    return _network(subject.model, subject.shapes), cell


def _network(model: ModelSource, shapes: Mapping[str, Sequence[int]]) -> str:
    return f"{model.digest} {sorted((name, tuple(shape)) for name, shape in shapes.items())}"


def _left_out(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> list[str]:
    kept = {entry["id"] for entry in after}
    return [entry["id"] for entry in before if entry["id"] not in kept]


def _stable(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Arguments as text; what has no text of its own counts by identity."""
    plain = (str, int, float, bool, type(None), tuple, list, dict, Path)
    return {
        name: repr(value) if isinstance(value, plain) else f"{type(value).__name__} {id(value)}"
        for name, value in arguments.items()
        if name != "model"
    }
