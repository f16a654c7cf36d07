"""Command-line options and ini keys -> frozen :class:`Settings`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn import parsing
from pytest_mutatenn.cells import cells_of, read_aliases, read_cell, read_devices
from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.errors import MutatennError, nearest
from pytest_mutatenn.options import active
from pytest_mutatenn.shards import Shard

if TYPE_CHECKING:
    import pytest

    from pytest_mutatenn.report.gates import Gates
    from pytest_mutatenn.report.writers import Destination

STAGES = ("graph", "kernel", "device", "weights")


@dataclass(frozen=True)
class Settings:
    """What the user asked for, checked.

    Attributes
    ----------
    active
        Whether mutants are wanted.
    cells
        Devices x opt levels, in the order given.
    missing_device
        What to do where a device is not here: ``skip``, ``fail`` or ``compile``.
    devices_option, reference_option
        What names the devices, and the reference, for messages.
    default_cell
        Where tests run when no mutants are wanted: the first of ``cells``.
    accept
        The file of accepted survivors, and the option that names it.
    keep, keep_dir
        Which artefacts of mutants to keep, and where.
    export
        Where to write mutants that run alone.
    gates
        What turns the exit code, beside the tests.
    shard
        Which part of the mutants is run; None for all.
    record
        The file to write what the run computes to.
    threads
        Threads for all workers of a machine together; None for one each.
    latency_repeats, latency_warmup
        Rounds over all inputs in which the unmutated network's latency is measured, and rounds
        before them that do not count.
    repeats
        How often the unmutated network is run once more in each cell, to see what changes.
    overriding
        Which of ``model`` and ``inputs`` stand on the command line, and so win over the markers.
    """

    active: bool
    cells: tuple[Cell, ...]
    missing_device: str
    devices_option: str
    reference: Cell
    reference_option: str
    operators: str
    stages: tuple[str, ...]
    mutants: tuple[str, ...]
    order: tuple[str, int]
    positions: tuple[int, int | None]
    parameters: tuple[tuple[str, str, str], ...]
    accept: tuple[Path, str] | None
    sample: tuple[float, bool] | None
    shard: Shard | None
    seed: int
    gates: Gates
    full_matrix: bool
    incremental: bool
    ahead: bool
    list_only: bool
    baseline_only: bool
    differential: bool
    reports: tuple[Destination, ...]
    record: Path | None
    keep: tuple[str, ...]
    keep_dir: Path
    export: Path | None
    cache_dir: Path
    timeout_factor: float
    timeout_constant: float
    memory_limit: int
    activation_budget: int
    threads: int | None
    latency_repeats: int
    latency_warmup: int
    repeats: int
    model: str | None
    inputs: str | None
    overriding: frozenset[str]
    disabled_passes: tuple[str, ...]
    required_passes: tuple[str, ...]

    def deciding(self) -> dict[str, Any]:
        """Which options decide what is tested and what comes out of it, as plain data."""
        return {
            "operators": self.operators,
            "stages": list(self.stages),
            "mutants": list(self.mutants),
            "order": list(self.order),
            "positions": list(self.positions),
            "parameters": [list(parameter) for parameter in self.parameters],
            "sample": None if self.sample is None else list(self.sample),
            "seed": self.seed,
            "full_matrix": self.full_matrix,
            "baseline_only": self.baseline_only,
            "differential": self.differential,
            "reference": self.reference.id,
            "timeout_factor": self.timeout_factor,
            "timeout_constant": self.timeout_constant,
            "memory_limit": self.memory_limit,
            "disable_pass": list(self.disabled_passes),
            "require_pass": list(self.required_passes),
        }

    @property
    def default_cell(self) -> Cell:
        """Where tests run when no mutants are wanted."""
        return self.cells[0]


def read_settings(config: pytest.Config) -> Settings:
    """Read and check all options.

    Raises
    ------
    MutatennError
        Naming the option, what it may be, and what it was.
    """
    from pytest_mutatenn.report.artefacts import DEFAULT_FOLDER
    from pytest_mutatenn.report.writers import parse_destination

    values = parsing.Values(config)
    aliases = read_aliases(config.rootpath, config.getini("mutatenn_aliases"))
    devices = read_devices(*values.text("devices", "llvm"), aliases)
    levels = tuple(parsing.opt_level(word, values.text("opt_levels", "")[1]) for word in
                   values.some("opt_levels", "2", "opt level"))  # fmt: skip
    reference = read_cell(*values.text("reference", "llvm-O0"), aliases)
    order = parsing.order(*values.text("order", "site"))
    positions = parsing.positions(config.getoption("mutatenn_positions"), order[0])
    stages = values.some("stages", ",".join(STAGES), "stage")
    for stage in stages:
        if stage not in STAGES:
            raise MutatennError(
                f"{values.text('stages', '')[1]}: unknown stage {stage!r}."
                f"{nearest(stage, STAGES)} Stages: {', '.join(STAGES)}."
            )
    mutants = values.words("mutants")
    cells = cells_of(devices, levels)
    keep = parsing.artefacts(values.words("keep"), values.text("keep", "")[1])
    if config.getoption("mutatenn_keep_dir") and not keep:
        raise MutatennError(
            "--mutatenn-keep-dir says where, and nothing says what: add --mutatenn-keep=all."
        )
    shard = parsing.shard(*values.text("shard", ""))
    return Settings(
        active=active(config),
        cells=cells,
        missing_device=parsing.policy(*values.text("missing_device", ""))
        or parsing.default_policy(config),
        devices_option=values.text("devices", "")[1],
        reference=reference,
        reference_option=values.text("reference", "")[1],
        operators=values.text("operators", "all" if mutants else "default")[0],
        stages=stages,
        mutants=mutants,
        order=order,
        positions=positions,
        parameters=parsing.parameters(config),
        accept=parsing.file(config.rootpath, *values.text("accept", "")),
        sample=parsing.sample(*values.text("sample", "")),
        shard=shard,
        seed=values.count("seed", 0),
        gates=_gates(values, config, [cell.id for cell in cells], shard),
        # whoever reads a recording may have killed none of its mutants yet
        full_matrix=config.getoption("mutatenn_full_matrix") or bool(values.text("record", "")[0]),
        incremental=not config.getoption("mutatenn_no_incremental"),
        ahead=not config.getoption("mutatenn_no_ahead"),
        list_only=config.getoption("mutatenn_list"),
        baseline_only=config.getoption("mutatenn_baseline_only"),
        # what is kept of a mutant's outputs is of all inputs
        differential=config.getoption("mutatenn_differential")
        or not {"outputs", "log"}.isdisjoint(keep),
        record=parsing.recording(
            *values.text("record", ""),
            (*cells, reference),
            incremental=not config.getoption("mutatenn_no_incremental"),
        ),
        export=parsing.export_folder(config.getoption("mutatenn_export"), mutants),
        keep=keep,
        keep_dir=Path(values.text("keep_dir", DEFAULT_FOLDER)[0]).absolute(),
        reports=tuple(map(parse_destination, config.getoption("mutatenn_report"))),
        cache_dir=parsing.folder(config.rootpath, *values.text("cache_dir", ".mutatenn")),
        timeout_factor=values.number("timeout_factor", 5, 1, float("inf"), "a factor of"),
        timeout_constant=values.number("timeout_constant", 5, 0, float("inf"), "seconds,"),
        memory_limit=int(values.number("memory_limit", 2048, 64, 2**30, "a number of MiB") * 2**20),
        activation_budget=int(
            values.number("activation_budget", 256, 0, 2**30, "a number of MiB") * 2**20
        ),
        threads=values.whole("threads", "threads") if values.text("threads", "")[0] else None,
        latency_repeats=values.count("latency_repeats", 0),
        latency_warmup=values.count("latency_warmup", 1),
        repeats=values.count("repeats", 0),
        model=values.text("model", "")[0] or None,
        inputs=values.text("inputs", "")[0] or None,
        overriding=frozenset(
            name for name in ("model", "inputs") if config.getoption(f"mutatenn_{name}")
        ),
        disabled_passes=values.words("disable_pass"),
        required_passes=values.words("require_pass"),
    )


def _gates(
    values: parsing.Values, config: pytest.Config, cells: Sequence[str], shard: Shard | None
) -> Gates:
    from pytest_mutatenn.report.gates import NAMES, read_gates
    from pytest_mutatenn.report.known_survivors import Known

    given = {name: values.text(name.replace("-", "_"), "") for name in NAMES}
    gates = read_gates(given, cells, update=config.getoption("mutatenn_update_baseline"))
    if gates.update and not gates.baseline:
        raise MutatennError("--mutatenn-update-baseline needs --mutatenn-baseline=FILE.")
    if "indistinguishable" in gates.fail_on and active(config) and not values.count("repeats", 0):
        raise MutatennError(
            f"{given['fail-on'][1]}: indistinguishable needs --mutatenn-repeats=N, since what "
            "cannot be told from noise is known only where noise is measured."
        )
    if gates.update and shard is not None:
        raise MutatennError(
            "--mutatenn-update-baseline: a shard is a part of a run; write the file with "
            "pytest-mutatenn combine --update-baseline."
        )
    controls = active(config) and not hasattr(config, "workerinput")
    if gates.baseline and controls and not gates.update and shard is None:
        Known.read(config.rootpath / gates.baseline, given["baseline"][1])
    return gates
