"""Command-line options and ini keys -> frozen :class:`Settings`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.cells import cells_of, read_aliases, read_cell, read_devices
from pytest_mutatenn.engine.cell import OPT_LEVELS, Cell
from pytest_mutatenn.errors import MutatennError, nearest
from pytest_mutatenn.options import active
from pytest_mutatenn.presence import POLICIES
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


class _Values:
    """Looks a value up: the command line first, then the ini file, else the default."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def text(self, name: str, default: str) -> tuple[str, str]:
        """The value and the option to name in a message."""
        given = self.config.getoption(f"mutatenn_{name}", None)
        option = f"--mutatenn-{name.replace('_', '-')}"
        if given is not None:
            if not str(given).strip():
                raise MutatennError(f"{option} is empty; leave it out, or give it a value.")
            return str(given), option
        if name in ("mutants", "positions", "record", "shard", "export"):
            return default, option
        ini = self.config.getini(f"mutatenn_{name}")
        return (str(ini), f"the ini key mutatenn_{name}") if ini else (default, option)

    def words(self, name: str, default: str = "") -> tuple[str, ...]:
        text, _ = self.text(name, default)
        return tuple(part for part in re.split(r"[,\s]+", text) if part)

    def some(self, name: str, default: str, noun: str) -> tuple[str, ...]:
        words = self.words(name, default)
        if not words:
            raise MutatennError(f"{self.text(name, default)[1]} names no {noun}.")
        return words

    def number(self, name: str, default: float, low: float, high: float, unit: str) -> float:
        text, option = self.text(name, str(default))
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            span = f"at least {low:g}" if high == float("inf") else f"between {low:g} and {high:g}"
            raise MutatennError(f"{option} must be {unit} {span}, got {text!r}.")
        return value

    def count(self, name: str, default: int) -> int:
        text, option = self.text(name, str(default))
        if text.isdecimal():
            return int(text)
        raise MutatennError(f"{option} must be a whole number of at least 0, got {text!r}.")

    def whole(self, name: str, noun: str) -> int:
        text, option = self.text(name, "")
        if text.isdecimal() and int(text) >= 1:
            return int(text)
        raise MutatennError(f"{option} must be a number of {noun} of at least 1, got {text!r}.")


def read_settings(config: pytest.Config) -> Settings:
    """Read and check all options.

    Raises
    ------
    MutatennError
        Naming the option, what it may be, and what it was.
    """
    from pytest_mutatenn.report.artefacts import DEFAULT_FOLDER
    from pytest_mutatenn.report.writers import parse_destination

    values = _Values(config)
    aliases = read_aliases(config.rootpath, config.getini("mutatenn_aliases"))
    devices = read_devices(*values.text("devices", "llvm"), aliases)
    levels = tuple(_level(word, values.text("opt_levels", "")[1]) for word in
                   values.some("opt_levels", "2", "opt level"))  # fmt: skip
    reference = read_cell(*values.text("reference", "llvm-O0"), aliases)
    order = _order(*values.text("order", "site"))
    positions = _positions(config.getoption("mutatenn_positions"), order[0])
    stages = values.some("stages", ",".join(STAGES), "stage")
    for stage in stages:
        if stage not in STAGES:
            raise MutatennError(
                f"{values.text('stages', '')[1]}: unknown stage {stage!r}."
                f"{nearest(stage, STAGES)} Stages: {', '.join(STAGES)}."
            )
    mutants = values.words("mutants")
    cells = cells_of(devices, levels)
    keep = _kept(values.words("keep"), values.text("keep", "")[1])
    if config.getoption("mutatenn_keep_dir") and not keep:
        raise MutatennError(
            "--mutatenn-keep-dir says where, and nothing says what: add --mutatenn-keep=all."
        )
    shard = _shard(*values.text("shard", ""))
    return Settings(
        active=active(config),
        cells=cells,
        missing_device=_policy(*values.text("missing_device", "")) or _default_policy(config),
        devices_option=values.text("devices", "")[1],
        reference=reference,
        reference_option=values.text("reference", "")[1],
        operators=values.text("operators", "all" if mutants else "default")[0],
        stages=stages,
        mutants=mutants,
        order=order,
        positions=positions,
        parameters=_parameters(config),
        accept=_file(config.rootpath, *values.text("accept", "")),
        sample=_sample(*values.text("sample", "")),
        shard=shard,
        seed=_seed(*values.text("seed", "0")),
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
        record=_record(
            *values.text("record", ""),
            (*cells, reference),
            incremental=not config.getoption("mutatenn_no_incremental"),
        ),
        export=_export(config.getoption("mutatenn_export"), mutants),
        keep=keep,
        keep_dir=Path(values.text("keep_dir", DEFAULT_FOLDER)[0]).absolute(),
        reports=tuple(map(parse_destination, config.getoption("mutatenn_report"))),
        cache_dir=_folder(config.rootpath, *values.text("cache_dir", ".mutatenn")),
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


def _policy(text: str, option: str) -> str:
    if text and text not in POLICIES:
        raise MutatennError(
            f"{option} must be {', '.join(POLICIES[:-1])} or {POLICIES[-1]}, got {text!r}."
        )
    return text


def _default_policy(config: pytest.Config) -> str:
    """A file is for all machines of a project, a command line for the one it is typed on."""
    in_file = config.getoption("mutatenn_devices") is None and config.getini("mutatenn_devices")
    return "skip" if in_file else "fail"


def _seed(text: str, option: str) -> int:
    if text.isdecimal():
        return int(text)
    raise MutatennError(f"{option} must be a whole number of at least 0, got {text!r}.")


def _folder(root: Path, text: str, option: str) -> Path:
    folder = root / text
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise MutatennError(f"{option}: {text} cannot be a folder, since {there} is a file.")
    if not os.access(there, os.W_OK):
        raise MutatennError(f"{option}: {text} cannot be written to; choose another folder.")
    return folder


def _level(word: str, option: str) -> int:
    text = word.removeprefix("O")
    if text.isdigit() and int(text) in OPT_LEVELS:
        return int(text)
    raise MutatennError(f"{option}: {word!r} is no opt level; they are 0 to 4.")


def _record(text: str, option: str, cells: Sequence[Cell], *, incremental: bool) -> Path | None:
    from pytest_mutatenn.devices.base import takes

    if not text:
        return None
    if not incremental:
        raise MutatennError(
            f"{option} reads the results of the run from the store, and --mutatenn-no-incremental "
            "keeps none; leave one of them out."
        )
    for cell in cells:
        if takes(cell.spec) == "recording":
            raise MutatennError(f"{option}: {cell.device} is a recording itself; leave it out.")
    path = Path(text)
    if not path.absolute().parent.is_dir() or path.is_dir():
        raise MutatennError(f"{option}: {text} is no file in a folder that is there.")
    return path


def _kept(words: Sequence[str], option: str) -> tuple[str, ...]:
    """The kinds of artefacts that are wanted, in the order in which they are listed."""
    from pytest_mutatenn.report.artefacts import KINDS

    for word in words:
        if word not in (*KINDS, "all"):
            raise MutatennError(
                f"{option}: nothing is called {word!r}.{nearest(word, (*KINDS, 'all'))} What can "
                f"be kept: {', '.join(KINDS)}, all."
            )
    return tuple(kind for kind in KINDS if kind in words or "all" in words)


def _export(text: str | None, mutants: Sequence[str]) -> Path | None:
    if text is None:
        return None
    if not text or not mutants:
        raise MutatennError(
            "--mutatenn-export=DIR writes the mutants that --mutatenn-mutants names: give both."
        )
    return Path(text).absolute()


def _order(text: str, option: str) -> tuple[str, int]:
    if text in ("site", "sweep"):
        return text, 1
    kind, _, number = text.rpartition(":")
    kind = kind or "mutants"
    if kind in ("sites", "mutants") and number.isdecimal() and int(number) >= 2:
        return kind, int(number)
    raise MutatennError(
        f"{option} must be site, sweep, sites:N or N, where N is 2 or more; got {text!r}."
    )


def _parameters(config: pytest.Config) -> tuple[tuple[str, str, str], ...]:
    """Operators' parameters: the ini file's, and after them the command line's."""
    found: dict[tuple[str, str], str] = {}
    for option, lines in (
        ("the ini key mutatenn_parameters", config.getini("mutatenn_parameters")),
        ("--mutatenn-parameter", config.getoption("mutatenn_parameter")),
    ):
        for line in lines:
            match = re.fullmatch(r"\s*(\w+)\.(\w+)\s*=\s*(\S+)\s*", line)
            if match is None:
                raise MutatennError(
                    f"{option} must be OPERATOR.PARAMETER=VALUE, such as "
                    f"gaussian_noise.strength=0.1, got {line!r}."
                )
            found[match[1], match[2]] = match[3]
    return tuple((name, parameter, value) for (name, parameter), value in sorted(found.items()))


def _file(root: Path, text: str, option: str) -> tuple[Path, str] | None:
    return (root / text, option) if text else None


def _positions(text: str | None, order: str) -> tuple[int, int | None]:
    if text is None:
        return 0, None
    if order != "sweep":
        raise MutatennError("--mutatenn-positions needs --mutatenn-order=sweep.")
    match = re.fullmatch(r"(\d*):(\d*)", text)
    if match is None:
        raise MutatennError(
            f"--mutatenn-positions must be START:END, occurrences counted from 0, got {text!r}."
        )
    start, stop = match.groups()
    return int(start or 0), int(stop) if stop else None


def _gates(
    values: _Values, config: pytest.Config, cells: Sequence[str], shard: Shard | None
) -> Gates:
    from pytest_mutatenn.report.gates import NAMES, read_gates
    from pytest_mutatenn.report.known import Known

    given = {name: values.text(name.replace("-", "_"), "") for name in NAMES}
    gates = read_gates(given, cells, update=config.getoption("mutatenn_update_baseline"))
    if gates.update and not gates.baseline:
        raise MutatennError("--mutatenn-update-baseline needs --mutatenn-baseline=FILE.")
    if gates.update and shard is not None:
        raise MutatennError(
            "--mutatenn-update-baseline: a shard is a part of a run; write the file with "
            "pytest-mutatenn combine --update-baseline."
        )
    controls = active(config) and not hasattr(config, "workerinput")
    if gates.baseline and controls and not gates.update and shard is None:
        Known.read(config.rootpath / gates.baseline, given["baseline"][1])
    return gates


def _shard(text: str, option: str) -> Shard | None:
    return Shard.parse(text, option) if text else None


def _sample(text: str, option: str) -> tuple[float, bool] | None:
    if not text:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", text)
    if match is not None:
        amount, percent = float(match[1]), bool(match[2])
        if amount > 0 and (amount <= 100 if percent else amount.is_integer()):
            return amount, percent
    raise MutatennError(f"{option} must be a number of mutants, or a percentage, got {text!r}.")
