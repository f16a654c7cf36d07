"""Rows as pytest's users meet them: ids, selection, verdicts, fixtures, several processes."""

import re
import xml.etree.ElementTree as ET

import pytest
from records import stable, verdicts

from pytest_mutatenn.engine.evaluate import Engine
from pytest_mutatenn.engine.outcome import Failure, Outcome

# three mutants: one that every test but the first kills, and two duplicates
FEW = "--mutatenn-mutants=graph.relu_to_sigmoid@*,kernel.max_to_min@softmax#1,kernel.boundary@*"

HEAD = """
import pytest
pytestmark = pytest.mark.mutatenn(model="tiny.onnx", inputs="tiny.npz")
"""


def ids(result):
    return [line for line in result.outlines if "::" in line]


# -- ids and selection ------------------------------------------------------------------------


def test_an_id_names_cell_and_mutant_and_the_collection_runs_nothing(suite):
    result = suite.run("--collect-only", "-q", FEW, "--mutatenn-opt-levels=0,2")

    names = ids(result)
    assert "test_tiny.py::test_finite[llvm-O0-baseline]" in names
    assert "test_tiny.py::test_scores[llvm-O2-kernel.max_to_min@softmax#1]" in names
    assert "test_tiny.py::test_scores[llvm-O2-canary]" in names
    assert result.report is None
    assert result.ret == pytest.ExitCode.OK
    # row by row, the baseline first
    assert [re.search(r"\[(.*)\]", name)[1] for name in names[:6]] == ["llvm-O0-baseline"] * 3 + [
        "llvm-O0-identity"
    ] * 3


def test_a_warm_collection_imports_no_tvm(suite):
    suite.run("--collect-only", FEW)
    suite.pytester.makeconftest(
        """
        import sys
        def pytest_collection_finish(session):
            print("loaded:", sorted({"tvm", "onnx"} & set(sys.modules)))
        """
    )

    result = suite.run("--collect-only", "-q", FEW, apart=True)

    result.stdout.fnmatch_lines(["loaded: []*"])


def test_every_process_lists_the_same_ids(suite):
    here = ids(suite.run("--collect-only", "-q", FEW))
    there = ids(suite.run("--collect-only", "-q", FEW, apart=True))
    assert here == there
    assert len(here) == len(set(here))


def test_k_selects_mutants_and_keeps_the_baseline_they_need(suite):
    result = suite.run("--collect-only", "-q", FEW, "-k", "relu_to_sigmoid and test_labels")

    assert ids(result) == [
        "test_tiny.py::test_labels[llvm-O2-baseline]",
        "test_tiny.py::test_labels[llvm-O2-graph.relu_to_sigmoid@clip#1]",
    ]


def test_m_selects_tests(suite):
    suite.write(
        test_two=HEAD
        + """
@pytest.mark.quick
def test_quick(predictions):
    assert predictions.shape == (12, 5)
"""
    )
    suite.pytester.makeini("[pytest]\nmarkers = quick: q")

    result = suite.run("--collect-only", "-q", FEW, "-m", "quick")

    assert {name.partition("[")[0] for name in ids(result)} == {"test_two.py::test_quick"}


def test_a_single_id_runs_with_its_baseline(suite):
    name = "test_tiny.py::test_labels[llvm-O2-graph.relu_to_sigmoid@clip#1]"

    result = suite.run(FEW, name, "-v")

    assert [line.split()[:2] for line in ids(result)] == [
        ["test_tiny.py::test_labels[llvm-O2-baseline]", "PASSED"],
        [name, "KILLED"],
    ]


# -- verdicts -----------------------------------------------------------------------------------


def test_kills_are_no_failures_and_x_does_not_stop_at_them(suite):
    result = suite.run(FEW, "-x", "-v")

    assert result.ret == pytest.ExitCode.OK
    found = verdicts(result.report)
    assert found["graph.relu_to_sigmoid@clip#1", "llvm-O2"] == "KILLED"
    assert found["kernel.boundary@conv2d#1", "llvm-O2"] == "KILLED"
    assert "failed" not in result.stdout.lines[-1]
    assert "killed" in result.stdout.lines[-1]


def test_a_debugger_does_not_stop_at_a_kill(suite):
    result = suite.run(FEW, "--pdb", apart=True)

    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line("*entering PDB*")


def test_a_killed_mutant_is_not_run_for_the_other_tests(suite):
    result = suite.run(FEW, "-v")

    result.stdout.fnmatch_lines(
        [
            "*test_finite?llvm-O2-graph.relu_to_sigmoid@clip#1? SURVIVED*",
            "*test_labels?llvm-O2-graph.relu_to_sigmoid@clip#1? KILLED*",
            "*test_scores?llvm-O2-graph.relu_to_sigmoid@clip#1? SPARED*",
        ]
    )
    mutant = next(m for m in result.report["mutants"] if m["operator"] == "relu_to_sigmoid")
    there = mutant["cells"]["llvm-O2"]
    assert there["killed_by"] == ["test_tiny.py::test_labels"]
    assert there["survived"] == ["test_tiny.py::test_finite"]
    assert there["reason"].startswith("assert top1_agreement")


def test_the_full_matrix_runs_every_test(suite):
    result = suite.run(FEW, "--mutatenn-full-matrix")

    mutant = next(m for m in result.report["mutants"] if m["operator"] == "relu_to_sigmoid")
    assert mutant["cells"]["llvm-O2"]["killed_by"] == [
        "test_tiny.py::test_labels",
        "test_tiny.py::test_scores",
    ]


def test_lf_runs_again_what_failed_and_no_kill(suite):
    suite.write(test_red=HEAD + "def test_red(predictions):\n    assert False, 'red'\n")
    first = suite.run(FEW)
    assert first.ret == pytest.ExitCode.TESTS_FAILED

    again = suite.run(FEW, "--lf", "-v")

    rows = [line for line in ids(again) if line.startswith("test_red.py::test_red[")]
    assert [line.split()[:2] for line in rows] == [
        ["test_red.py::test_red[llvm-O2-baseline]", "FAILED"]
    ]


def test_junitxml_has_no_failure_for_a_kill(suite):
    suite.run(FEW, "--junitxml=junit.xml")

    (root,) = ET.parse(suite.path / "junit.xml").getroot()
    assert root.get("failures") == root.get("errors") == "0"
    names = {case.get("name") for case in root}
    assert "test_labels[llvm-O2-graph.relu_to_sigmoid@clip#1]" in names


def test_a_living_canary_is_said_loudly(project):
    project.write(test_weak=HEAD + "def test_weak(predictions):\n    assert len(predictions)\n")

    result = project.run(FEW)

    result.stdout.fnmatch_lines(["THE CANARY LIVES in llvm-O2*"])
    assert [check["verdict"] for check in result.report["checks"]] == ["SURVIVED"] * 2
    assert result.report["score"]["overall"]["score"] == 0


def test_a_baseline_that_fails_is_a_failure_and_its_test_kills_nothing(suite):
    suite.write(test_red=HEAD + "def test_red(predictions):\n    assert False, 'never'\n")

    result = suite.run(FEW)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["FAILED test_red.py::test_red?llvm-O2-baseline?*never*"])
    outcomes = {entry["test"]: entry["outcome"] for entry in result.report["baseline"]}
    assert outcomes["test_red.py::test_red"] == "failed"
    for mutant in result.report["mutants"]:
        assert "test_red.py::test_red" not in mutant["cells"]["llvm-O2"]["killed_by"]


def test_an_error_of_set_up_on_a_mutant_is_an_error_and_no_kill(project):
    project.write(
        test_setup=HEAD
        + """
@pytest.fixture
def fragile(mutant):
    assert mutant != "graph.relu_to_sigmoid@clip#1", "fragile"

def test_it(fragile, predictions):
    pass
"""
    )

    result = project.run("--mutatenn-mutants=graph.relu_to_sigmoid@*")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, errors=1)
    assert verdicts(result.report) == {("graph.relu_to_sigmoid@clip#1", "llvm-O2"): "SKIPPED"}


def test_a_test_may_look_at_the_mutant_or_skip(project):
    project.write(
        test_look=HEAD
        + """
def test_it(mutant, device, opt_level, predictions, baseline):
    assert (device, opt_level) == ("llvm", 2)
    if mutant == "graph.relu_to_sigmoid@clip#1":
        pytest.skip("not this one")
    assert mutant is None or (predictions.scores != baseline.scores).any()
"""
    )

    result = project.run("--mutatenn-mutants=graph.relu_to_sigmoid@*")

    assert result.ret == pytest.ExitCode.TESTS_FAILED  # nothing was tested
    (mutant,) = result.report["mutants"]
    assert mutant["cells"]["llvm-O2"]["verdict"] == "SKIPPED"
    assert "not this one" in mutant["cells"]["llvm-O2"]["reason"]


# -- networks and inputs ------------------------------------------------------------------------


def test_without_mutants_the_tests_run_on_the_network(suite):
    result = suite.plain("-v")

    result.assert_outcomes(passed=3)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line("*mutation testing*")
    result.stdout.fnmatch_lines(["test_tiny.py::test_finite PASSED*"])


def test_a_model_takes_one_sample_or_several_with_and_without_batch(project):
    project.write(
        test_model="""
import numpy as np
import pytest

@pytest.mark.mutatenn(model="tiny.onnx")
def test_shapes(model):
    images = np.load("tiny.npz")["arr_0"]
    one = model(images[0])
    assert one.shape == (1, 5)
    assert np.array_equal(model(images[:1]), one)
    assert np.array_equal(model(image=images[0]), one)
    several = model(images)
    assert several.shape == (12, 5)
    assert np.array_equal(several[:1], one)
    assert list(model.all_outputs(images[0])) == ["probabilities"]
    with pytest.raises(ValueError, match=r"shape \\(1, 1, 8, 8\\); got \\(7, 8\\)"):
        model(np.zeros((7, 8), np.float32))
    with pytest.raises(ValueError, match="takes the inputs image"):
        model(images[0], images[0])
    assert model.inputs[0].shape == (1, 1, 8, 8)
"""
    )
    result = project.run("--mutatenn-mutants=graph.relu_to_sigmoid@*", "-v")

    result.stdout.fnmatch_lines(["*baseline? PASSED*", "*relu_to_sigmoid@clip#1? SURVIVED*"])
    again = project.run("--mutatenn-mutants=graph.relu_to_sigmoid@*")
    assert stable(again.report) == stable(result.report)
    assert again.report["run"]["counters"]["evaluations_run"] == 0


def test_markers_merge_from_module_class_and_function(project):
    project.write(
        test_markers="""
import pytest
pytestmark = pytest.mark.mutatenn(model="nowhere.onnx", inputs="tiny.npz", limit=3)

@pytest.mark.mutatenn(model="tiny.onnx")
class TestIt:
    def test_class(self, predictions):
        assert len(predictions) == 3

    @pytest.mark.mutatenn(limit=5)
    def test_function(self, predictions):
        assert len(predictions) == 5
"""
    )
    project.plain().assert_outcomes(passed=2)


def test_two_networks_in_one_session(suite):
    other = (suite.path / "tiny.onnx").read_bytes()
    folder = suite.path / "other"
    folder.mkdir()
    (folder / "second.onnx").write_bytes(other.replace(b"tiny", b"tinY"))
    (folder / "test_second.py").write_text(
        "import pytest\n"
        "@pytest.mark.mutatenn(model='second.onnx', inputs='../tiny.npz')\n"
        "def test_sum(predictions):\n"
        "    assert abs(predictions.scores.sum(1) - 1).max() < 1e-5\n"
    )

    result = suite.run("--mutatenn-mutants=graph.relu_to_sigmoid@*")

    assert result.ret == pytest.ExitCode.OK
    assert [model["source"] for model in result.report["models"]] == ["second.onnx", "tiny.onnx"]
    assert {m["model"]: m["cells"]["llvm-O2"]["verdict"] for m in result.report["mutants"]} == {
        "second": "SURVIVED",
        "tiny": "KILLED",
    }


def test_two_networks_of_one_name_do_not_share_their_kills(suite):
    folder = suite.path / "other"
    folder.mkdir()
    network = (suite.path / "tiny.onnx").read_bytes()
    (folder / "tiny.onnx").write_bytes(network.replace(b"tiny", b"tinY"))
    (folder / "test_weak.py").write_text(
        "import pytest\n"
        "@pytest.mark.mutatenn(model='tiny.onnx', inputs='../tiny.npz')\n"
        "def test_sum(predictions):\n"
        "    assert abs(predictions.scores.sum(1) - 1).max() < 1e-5\n"
    )

    result = suite.run("--mutatenn-mutants=graph.relu_to_sigmoid@*")

    found = {m["model"]: m["cells"]["llvm-O2"]["verdict"] for m in result.report["mutants"]}
    assert sorted(found.values()) == ["KILLED", "SURVIVED"]
    assert len(result.report["models"]) == 2


def test_an_error_of_the_machinery_is_no_kill_even_if_the_test_swallows_it(project, monkeypatch):
    run = Engine.run

    def broken(self, job, *args):
        if job.mutant and job.mutant != "identity":
            raise OSError("no space left")
        return run(self, job, *args)

    monkeypatch.setattr(Engine, "run", broken)
    project.write(
        test_swallow=HEAD
        + """
import numpy as np
def test_swallow(model):
    try:
        model(np.zeros((1, 1, 8, 8), np.float32))
    except Exception:
        pass
""",
    )

    result = project.run("--mutatenn-mutants=graph.relu_to_sigmoid@*")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    verdicts = {m["cells"]["llvm-O2"]["verdict"] for m in result.report["mutants"]}
    assert verdicts == {"SKIPPED"}


def test_an_identity_that_dies_is_an_error_of_the_run_and_is_not_stored(suite, monkeypatch):
    run = Engine.run
    only = "--mutatenn-mutants=graph.relu_to_sigmoid@*", "--mutatenn-cache-dir=own"
    dead = Failure(Outcome.CRASHED, "its process died of SIGBUS")
    with monkeypatch.context() as patch:
        patch.setattr(
            Engine,
            "run",
            lambda self, job, *a: dead if job.mutant == "identity" else run(self, job, *a),
        )
        result = suite.run(*only)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*check identity of llvm-O2 failed: its process died of SIGBUS*"])
    assert suite.run(*only).ret == pytest.ExitCode.OK


def test_predictions_of_a_test_that_has_ended_are_an_error_and_no_kill(project):
    project.write(
        test_late=HEAD
        + """
from pytest_mutatenn import assert_top1_agreement

held = []

def test_first(predictions, reference):
    held.append(predictions)
    assert_top1_agreement(predictions, reference, at_least=1)

def test_late(predictions):
    assert held[-1].scores.size
""",
    )
    result = project.run(
        "--mutatenn-mutants=graph.relu_to_sigmoid@*",
        "--mutatenn-full-matrix",
        "--mutatenn-cache-dir=own",  # in the store of all tests are all answers
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*looked at after the test has ended that asked for*"])
    killed = {t for m in result.report["mutants"] for t in m["cells"]["llvm-O2"]["killed_by"]}
    assert killed == {"test_late.py::test_first"}


def test_other_parameters_of_a_test_stay_in_its_name(project):
    project.write(
        test_parameters=HEAD
        + """
@pytest.mark.parametrize("bound", [0.5, 2.0])
def test_bound(predictions, baseline, bound):
    assert abs(predictions.scores - baseline.scores).max() <= bound
"""
    )
    result = project.run("--mutatenn-mutants=graph.relu_to_sigmoid@*")

    assert {entry["test"] for entry in result.report["baseline"]} == {
        "test_parameters.py::test_bound[0.5]",
        "test_parameters.py::test_bound[2.0]",
    }


# -- several processes --------------------------------------------------------------------------

RED_FIRST = HEAD + "def test_a_red(predictions):\n    assert False, 'always'\n"


@pytest.mark.parametrize("red", [False, True], ids=["green", "red"])
def test_two_workers_give_the_report_of_none(red, suite):
    if red:
        # its failures on mutants are no kills, also where its baseline ran in another process
        suite.write(test_a_red=RED_FIRST)

    alone = suite.run(FEW, "-n0", apart=True)
    shared = suite.run(FEW, "-n2", apart=True)
    without = suite.run(FEW, "-p", "no:xdist", apart=True)

    assert stable(shared.report) == stable(alone.report)
    assert stable(without.report) == stable(alone.report)
    assert alone.ret == shared.ret == without.ret == int(red)
    assert shared.report["run"]["workers"] == 2
    assert alone.report["run"]["workers"] == 0


def test_it_can_be_switched_off(suite):
    suite.write(test_tiny="def test_plain():\n    assert True\n")
    result = suite.pytester.runpytest_subprocess("-p", "no:mutatenn")
    result.assert_outcomes(passed=1)
