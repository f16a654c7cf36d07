"""Repeats of the unmutated network, mutants that are lost in noise, and margins, end to end."""

import shutil

import pytest
from noisy import ALIAS, AMPLITUDE, noisy_compiler
from opencl_here import needs_opencl
from records import stable, verdicts

from pytest_mutatenn.devices.c import Device as CDevice
from pytest_mutatenn.engine import whole

NOISY = "--mutatenn-devices=noisy"
FAINT, CLEAR = "weights.bit_flip_mantissa@bias#3b2", "kernel.max_to_min@softmax#1"
SWAPPED = "graph.relu_to_sigmoid@clip#1"
FEW = (f"--mutatenn-mutants={FAINT},{CLEAR},{SWAPPED}", "--mutatenn-opt-levels=0")

HEAD = """
import pytest
from pytest_mutatenn import assert_max_abs_diff, assert_top1_agreement, max_abs_diff, top1_agreement
pytestmark = pytest.mark.mutatenn(model="tiny.onnx", inputs="tiny.npz")
"""
# the noise moves scores by up to one part in 10,000: the first passes, and is near its bound
TESTS = (
    HEAD
    + """
def test_tight(predictions, reference):
    assert max_abs_diff(predictions, reference) <= 1.2e-4

def test_labels(predictions, reference):
    assert top1_agreement(predictions, reference) >= 0.9
"""
)
EARLY = (
    HEAD
    + """
def test_labels(predictions, reference):
    assert_top1_agreement(predictions, reference, at_least=0.6)

def test_scores(predictions, reference):
    assert_max_abs_diff(predictions, reference, at_most=1e-4)
"""
)


@pytest.fixture(scope="module")
def noisy_store(tmp_path_factory):
    return tmp_path_factory.mktemp("noisy")


@pytest.fixture
def noisy(project, noisy_store, monkeypatch):
    """A project with a device of the name `noisy`."""
    if CDevice().missing() is not None:
        pytest.skip(CDevice().missing())
    noisy_compiler(noisy_store / "compiler", monkeypatch)
    project.pytester.makeini(ALIAS)
    project.cache = noisy_store / "store"
    return project.write(test_noisy=TESTS)


def cells(report, mutant):
    return next(m["cells"] for m in report["mutants"] if m["id"] == mutant)


def test_on_a_noisy_device_the_floor_is_measured_and_faint_mutants_are_marked(noisy):
    result = noisy.run(NOISY, *FEW, "--mutatenn-repeats=4")

    assert result.ret == pytest.ExitCode.OK
    report = result.report
    (cell,) = report["noise"]["cells"]
    assert (cell["cell"], cell["repeats"]) == ("noisy-O0", 4)
    assert 0.1 * AMPLITUDE < cell["output"] <= 2.1 * AMPLITUDE
    assert cell["output"] == cell["metrics"]["max_abs_diff"]
    assert cell["metrics"]["top1_agreement"] == 0
    (pair,) = report["noise"]["pairs"]
    assert (pair["a"], pair["b"]) == ("llvm-O0", "noisy-O0")
    assert 0 < pair["output"] <= 1.1 * AMPLITUDE

    # it is told apart by nothing, and counts all the same
    faint = cells(report, FAINT)["noisy-O0"]
    assert faint["indistinguishable"] is True
    assert faint["output_difference"] <= cell["output"]
    assert cells(report, SWAPPED)["noisy-O0"]["indistinguishable"] is False
    assert cells(report, CLEAR)["noisy-O0"]["indistinguishable"] is False
    score = report["score"]["overall"]
    assert score["detected"] + score["survived"] == 3
    result.stdout.fnmatch_lines(
        [
            "noisy-O0  differs from run to run by up to *",
            "1 verdict on mutants INDISTINGUISHABLE from the unmutated network (*",
            "WARNING: *test_tight may fail by chance in noisy-O0: max_abs_diff <= 0.00012 *",
        ]
    )
    assert len(report["warnings"]) == 1


def test_without_repeats_the_identity_says_what_to_do_on_a_noisy_device(noisy):
    result = noisy.run(NOISY, *FEW)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*InternalError: *gives other numbers from run to run, which*"])
    assert result.report["noise"]["cells"] == []


def test_repeats_are_executed_each_time_and_agree_where_nothing_is_noisy(suite):
    run = (f"--mutatenn-mutants={SWAPPED},{CLEAR}", "--mutatenn-opt-levels=0,2")
    suite.run(*run)

    result = suite.run(*run, "--mutatenn-repeats=2")

    assert result.report["run"]["counters"]["evaluations_run"] == 2 * 2
    found = result.report["noise"]
    assert [(e["cell"], e["output"]) for e in found["cells"]] == [("llvm-O0", 0), ("llvm-O2", 0)]
    assert {floor for e in found["cells"] for floor in e["metrics"].values()} == {0}
    assert [(e["a"], e["b"]) for e in found["pairs"]] == [("llvm-O0", "llvm-O2")]
    result.stdout.fnmatch_lines(["the same bits every time in 2 cells"])


def test_a_runtime_that_takes_the_network_whole_is_started_anew(project, monkeypatch):
    pytest.importorskip("onnxruntime")
    started = []

    class Counted(whole.Process):
        def __init__(self, *args, **options):
            started.append(args)
            super().__init__(*args, **options)

    monkeypatch.setattr(whole, "Process", Counted)
    result = project.write(test_noisy=TESTS).run(
        "--mutatenn-devices=onnxruntime", "--mutatenn-baseline-only", "--mutatenn-repeats=2"
    )

    assert result.ret == pytest.ExitCode.OK
    assert len(started) >= 2
    (cell,) = result.report["noise"]["cells"]
    assert (cell["cell"], cell["output"]) == ("onnxruntime-O2", 0)


def test_a_device_with_servers_is_repeated_too(project):
    needs_opencl()
    result = project.write(test_noisy=TESTS).run(
        "--mutatenn-devices=opencl", "--mutatenn-baseline-only", "--mutatenn-repeats=2"
    )

    (cell,) = result.report["noise"]["cells"]
    assert (cell["cell"], cell["output"]) == ("opencl-O2", 0)


def early_run(project, store_folder, tmp_path):
    """A run in a store that has kernels and no results."""
    project.cache = tmp_path / "store"
    shutil.copytree(
        store_folder, project.cache, ignore=shutil.ignore_patterns("evaluations", "spreads")
    )
    return project.write(test_early=EARLY)


def test_margins_are_the_same_cold_and_warm_and_on_workers(project, store_folder, tmp_path):
    suite = early_run(project, store_folder, tmp_path)
    run = (f"--mutatenn-mutants={FAINT},{CLEAR},{SWAPPED}", "--mutatenn-repeats=1")

    cold = suite.run(*run).report
    warm = suite.run(*run, "-n2", apart=True).report

    assert warm["run"]["counters"]["inputs_run"] == 0
    assert stable(warm) == stable(cold)
    assert set(verdicts(cold).values()) == {"KILLED", "SURVIVED"}
    survivor = cells(cold, FAINT)["llvm-O2"]["margins"]
    assert [(e["test"].rpartition("::")[2], e["metric"], e["exact"]) for e in survivor] == [
        ("test_labels", "top1_agreement", True),
        ("test_scores", "max_abs_diff", True),
    ]
    assert survivor[0]["margin"] == 0.4
    # decided by the first inputs: it is at least so far beyond
    killed = next(
        there["margins"] for m in cold["mutants"] for there in m["cells"].values()
        if there["verdict"] == "KILLED" and there["inputs_run"] < 12
    )  # fmt: skip
    assert [entry["exact"] for entry in killed] == [False]
    assert killed[0]["margin"] < 0


def test_on_all_inputs_every_margin_is_exact(project, store_folder, tmp_path):
    suite = early_run(project, store_folder, tmp_path)

    report = suite.run(f"--mutatenn-mutants={CLEAR},{SWAPPED}", "--mutatenn-differential").report

    margins = [e for m in report["mutants"] for c in m["cells"].values() for e in c["margins"]]
    assert len(margins) >= 2
    assert all(entry["exact"] for entry in margins)
    assert not any("before all inputs" in why for why in report["margins"]["not_known"])


def test_an_option_that_is_no_number_is_refused(suite):
    result = suite.run("--mutatenn-repeats=few")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--mutatenn-repeats must be a whole number of at least 0*"])
