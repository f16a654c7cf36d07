"""The command-line options and ini keys, and whether any was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pytest

# (name, ini type or None for an option only, metavar, help); the defaults are in settings.py
_VALUES: tuple[tuple[str, Literal["string"] | None, str, str], ...] = (
    ("devices", "string", "LIST", "Devices to run on (default: llvm); implies --mutatenn"),
    ("missing-device", "string", "POLICY", "What to do where a device is not here: skip its rows;"
     "\nfail (the default for devices named on the command line); compile its"
     "\ncode and run nothing. The default for devices of the ini file is skip"),
    ("opt-levels", "string", "LIST", "Opt levels 0 to 4 to compile for (default: 2)"),
    ("operators", "string", "LIST", "Mutation operators: ids, globs, groups (mutatenn, all),"
     "\ncategories, stages; a leading - takes away (default: default)"),
    ("stages", "string", "LIST", "Stages to mutate: graph, kernel, device, weights (default: all)"),
    ("mutants", None, "LIST", "Only these mutants: ids or globs"),
    ("accept", "string", "FILE", "Survivors to accept: a TOML file with their reasons and dates"),
    ("order", "string", "ORDER", "site: one mutant a site (the default)"
     "\nsweep: one mutant an operator, which changes all of its sites"
     "\nsites:N: mutants of N sites of one operator, drawn with the seed"
     "\nN: mutants of N mutants of any operators, drawn with the seed"),
    ("positions", None, "START:END", "With --mutatenn-order=sweep: only these occurrences"),
    ("sample", "string", "N|P%", "Only a sample of each cell's mutants, stratified by category"),
    ("shard", None, "K/N", "Only part K of N of the mutants: for N jobs, whose reports"
     "\npytest-mutatenn combine makes one"),
    ("seed", "string", "N", "Seed of everything that is sampled (default: 0)"),
    ("fail-under", "string", "LIST", "Fail if the mutation score is lower, in percent: 80, and of"
     "\nparts category:conditional=70, stage:..., cell:..., operator:..."),
    ("max-survivors", "string", "LIST", "Fail if more mutants survive: 5, and of parts"
     "\nstage:graph=0"),
    ("baseline", "string", "FILE", "Fail if a mutant survives, or cells disagree on it, that is not"
     "\nin this file of known ones"),
    ("fail-on", "string", "LIST", "Fail where one of these holds: divergent (cells disagree on a"
     "\nmutant), timeout, crashed, invalid, skipped,"
     "\nindistinguishable, canary, warnings"),
    ("reference", "string", "CELL", "Cell that predictions are compared with: a device and a level"
     "\n(default: llvm-O0), or a device alone, at O0"),
    ("record", None, "FILE", "Write what the run computes, for --mutatenn-devices=recorded:FILE"
     "\nelsewhere; every test is run on every mutant, and on all inputs"),
    ("keep", "string", "LIST", "Keep artefacts of each mutant: ir (Relax and TIR before and after),"
     "\nsource (generated code), object (object files), outputs (the 5 best"
     "\nclasses of each input), log, or all; the last two run all inputs"),
    ("keep-dir", "string", "DIR", "Where --mutatenn-keep puts them (default: mutatenn-artefacts)"),
    ("export", None, "DIR", "Write the mutants of --mutatenn-mutants so that each runs alone, by a"
     "\nscript that needs apache-tvm and NumPy only; no test is run"),
    ("cache-dir", "string", "DIR", "Store of compiled kernels and results (default: .mutatenn)"),
    ("timeout-factor", "string", "X", "A mutant may take X times the baseline's time, plus"
     "\n--mutatenn-timeout-constant (default: 5)"),
    ("timeout-constant", "string", "SECONDS", "See --mutatenn-timeout-factor (default: 5)"),
    ("memory-limit", "string", "MIB", "Memory a mutant may allocate (default: 2048)"),
    ("activation-budget", "string", "MIB", "Memory for tensors of the baseline that spare mutants"
     "\nwork (default: 256)"),
    ("latency-repeats", "string", "N", "Measure the unmutated network's latency, N times an input"
     "\n(default: 0, do not); off under pytest-xdist"),
    ("latency-warmup", "string", "N", "Rounds over all inputs before that (default: 1)"),
    ("repeats", "string", "N", "Run the unmutated network N more times in each cell, to measure"
     "\nwhat differs from run to run (default: 0, do not)"),
    ("threads", "string", "N", "Threads that kernels may use at once on a machine, shared among its"
     "\nworkers (default: one a worker)"),
    ("model", "string", "MODEL", "The network: an ONNX file or package.module:function"),
    ("inputs", "string", "INPUTS", "Its inputs: .npz, .npy, a folder of images or"
     "\npackage.module:function"),
    ("disable-pass", "string", "LIST", "Compiler passes to take out of every opt level"),
    ("require-pass", "string", "LIST", "Compiler passes to take into every opt level"),
)  # fmt: skip

_GATES = ("fail-under", "max-survivors", "fail-on")

# given on the command line, these mean that mutants are wanted
_IMPLY = (
    "devices", "opt_levels", "operators", "stages", "mutants", "order", "positions", "sample",
    "shard", "fail_under", "max_survivors", "baseline", "update_baseline", "fail_on", "full_matrix",
    "no_incremental", "list", "report", "baseline_only", "accept", "parameter", "differential",
    "record", "repeats", "keep", "export",
)  # fmt: skip


def add_options(parser: pytest.Parser) -> None:
    """Declare every option and ini key."""
    group = parser.getgroup("mutatenn", "mutation testing of compiled neural networks")
    group.addoption(
        "--mutatenn",
        action="store_true",
        default=False,
        help="Run the tests on mutants of their network, not only on the network",
    )
    for name, ini, metavar, text in _VALUES:
        dest = name.replace("-", "_")
        group.addoption(
            f"--mutatenn-{name}",
            dest=f"mutatenn_{dest}",
            metavar=metavar,
            help=text,
            # a gate that a second one took away would be one that nobody sees
            action="append" if name in _GATES else "store",
        )
        if ini is not None:
            parser.addini(f"mutatenn_{dest}", text.replace("\n", " "), type=ini, default=None)
    group.addoption(
        "--mutatenn-report",
        dest="mutatenn_report",
        metavar="TYPE[:DEST]",
        action="append",
        default=[],
        help="Write a report, such as json:FILE; may be given more than once",
    )
    group.addoption(
        "--mutatenn-parameter",
        dest="mutatenn_parameter",
        metavar="OPERATOR.NAME=VALUE",
        action="append",
        default=[],
        help="Set a parameter of an operator; may be given more than once",
    )
    parser.addini(
        "mutatenn_aliases",
        "Devices under names of your own, a line each: board = llvm:mcpu=znver4,-fma",
        type="linelist",
        default=[],
    )
    parser.addini(
        "mutatenn_parameters",
        "Parameters of operators, a line each: gaussian_noise.strength = 0.1",
        type="linelist",
        default=[],
    )
    for flag, text in (
        ("list-devices", "Print which devices are here, and what others lack, and run nothing"),
        ("full-matrix", "Run every test on every mutant, also on those already killed"),
        ("list", "Print the mutants with an estimate of the time, and run no test"),
        ("list-operators", "Print the mutation operators and run nothing"),
        (
            "no-incremental",
            "Run every mutant whole and on all inputs, and take nothing from the"
            "\nbaseline, the store or another mutant: slow, and the same verdicts",
        ),
        ("update-baseline", "Write the file of --mutatenn-baseline, instead of failing"),
        (
            "no-ahead",
            "Make no mutant while the one before it is run, also where a core is idle:"
            "\none process works at a time",
        ),
        ("baseline-only", "Run the unmutated network on every cell, and no mutant"),
        (
            "differential",
            "Run every mutant on all inputs, also where the first ones kill it, so that"
            "\ncells can be compared on it",
        ),
    ):
        group.addoption(
            f"--mutatenn-{flag}",
            dest=f"mutatenn_{flag.replace('-', '_')}",
            action="store_true",
            default=False,
            help=text,
        )


def active(config: pytest.Config) -> bool:
    """Whether mutants are wanted: ``--mutatenn``, or an option that means nothing without."""
    wanted = (config.getoption(f"mutatenn_{name}") for name in _IMPLY)
    # an empty value is one that was given, and is refused when it is read
    return bool(config.getoption("mutatenn")) or any(v or v == "" for v in wanted)


def given(config: pytest.Config) -> bool:
    """Whether any option of the plugin stands on the command line."""
    names = [name.replace("-", "_") for name, *_ in _VALUES]
    values = (config.getoption(f"mutatenn_{name}") for name in names)
    return active(config) or any(value is not None for value in values)
