"""Tests that compare cells, as pytest's users meet them."""

import pytest
from records import stable, verdicts

FEW = "--mutatenn-mutants=graph.relu_to_sigmoid@*,kernel.max_to_min@softmax#1,kernel.boundary@*"
TWO = "--mutatenn-opt-levels=0,2"
PAIR = "llvm-O0~llvm-O2"
HEAD = """
import pytest
from pytest_mutatenn import all_finite, max_abs_diff
pytestmark = pytest.mark.mutatenn(model="tiny.onnx", inputs="tiny.npz")
"""
# the comparison fails on one mutant only, which the test of one cell lets through
COMPARING = (
    HEAD
    + """
def test_agree(cell_pair, mutant):
    a, b = cell_pair
    assert max_abs_diff(a.predictions, b.predictions) <= 0.1
    assert mutant != "graph.relu_to_sigmoid@clip#1"

def test_shape(predictions):
    assert predictions.shape == (12, 5)
"""
)


@pytest.fixture
def comparing(project):
    return project.write(test_pairs=COMPARING)


def ids(result):
    return [line for line in result.outlines if "::" in line]


def test_ids_name_the_cells_and_come_after_those_of_one(comparing):
    names = ids(comparing.run("--collect-only", "-q", FEW, TWO))

    compared = [name for name in names if "test_agree" in name]
    assert f"test_pairs.py::test_agree[{PAIR}-graph.relu_to_sigmoid@clip#1]" in compared
    assert names[-len(compared) :] == compared
    assert all(f"[{PAIR}-" in name for name in compared)
    # of each the baseline first, and no check
    assert compared[0] == f"test_pairs.py::test_agree[{PAIR}-baseline]"
    assert not any("canary" in name or "identity" in name for name in compared)


def test_what_only_the_comparison_kills_is_killed_in_both_cells(comparing):
    result = comparing.run(FEW, TWO)

    assert result.ret == pytest.ExitCode.OK
    mutants = {mutant["id"]: mutant for mutant in result.report["mutants"]}
    killed = mutants["graph.relu_to_sigmoid@clip#1"]
    over = f"test_pairs.py::test_agree ({PAIR})"
    for there in killed["cells"].values():
        assert (there["verdict"], there["alone"]) == ("KILLED", "SURVIVED")
        assert (there["killed_by"], there["survived"]) == ([over], ["test_pairs.py::test_shape"])
    assert killed["groups"][PAIR]["verdict"] == "KILLED"
    other = verdicts(result.report)["kernel.max_to_min@softmax#1", "llvm-O0"]
    assert other == "SURVIVED"
    assert list(result.report["score"]["by_group"]) == [PAIR]
    (baseline,) = [e for e in result.report["baseline"] if e["cell"] == PAIR]
    assert baseline["outcome"] == "passed"
    # again: all is in the store
    counters = comparing.run(FEW, TWO).report["run"]["counters"]
    assert (counters["evaluations_run"], counters["kernels_compiled"]) == (0, 0)
    assert counters["evaluations_reused"] > 0


def test_two_workers_give_the_report_of_one(comparing):
    alone = comparing.run(FEW, TWO, apart=True).report
    assert stable(comparing.run(FEW, TWO, "-n2", apart=True).report) == stable(alone)


def test_k_keeps_the_baseline_of_the_cells(comparing):
    result = comparing.run("--collect-only", "-q", FEW, TWO, "-k", "relu_to_sigmoid and agree")
    assert ids(result) == [
        f"test_pairs.py::test_agree[{PAIR}-baseline]",
        f"test_pairs.py::test_agree[{PAIR}-graph.relu_to_sigmoid@clip#1]",
    ]


def test_one_id_runs_with_its_baseline(comparing):
    name = f"test_pairs.py::test_agree[{PAIR}-graph.relu_to_sigmoid@clip#1]"
    result = comparing.run(FEW, TWO, name, "-v")
    assert [line.split()[:2] for line in ids(result)] == [
        [f"test_pairs.py::test_agree[{PAIR}-baseline]", "PASSED"],
        [name, "KILLED"],
    ]


def test_cells_gives_all_of_them_with_all_there_is_to_ask(project):
    project.write(
        test_all=HEAD
        + """
def test_all(cells, reference, mutant):
    assert [cell.cell for cell in cells] == ["llvm-O0", "llvm-O2"]
    assert [(cell.device, cell.opt_level) for cell in cells] == [("llvm", 0), ("llvm", 2)]
    image = [[[0.5] * 8] * 8]
    for cell in cells:
        assert cell.baseline.shape == cell.predictions.shape == reference.shape
        assert cell.model(image).shape == (1, 5)
        assert repr(cell) == f"<{mutant or 'baseline'} in {cell.cell}>"
"""
    )
    result = project.run("--mutatenn-mutants=graph.relu_to_sigmoid@*", TWO)
    assert result.ret == pytest.ExitCode.OK
    (mutant,) = result.report["mutants"]
    assert mutant["groups"][PAIR]["verdict"] == "SURVIVED"
    assert {there["verdict"] for there in mutant["cells"].values()} == {"SURVIVED"}


def test_where_devices_disagree_on_the_unmutated_network_the_test_fails(project):
    project.write(test_red=HEAD + "\ndef test_red(cell_pair):\n    assert len(cell_pair) == 3\n")
    result = project.run("--mutatenn-baseline-only", TWO)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{PAIR}: 0 of 1 test passed on the baseline*"])


def test_without_mutants_it_compares_the_cells_of_the_ini_file(comparing):
    comparing.pytester.makeini("[pytest]\nmutatenn_opt_levels = 0,2\n")
    result = comparing.plain("-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines([f"*test_agree[[]{PAIR}-baseline[]] PASSED*"])


def test_with_one_cell_it_is_skipped_and_says_why(comparing):
    result = comparing.plain("-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*compares cells, and this run has only one: name more*"])


def test_what_is_of_one_cell_cannot_be_asked_beside(project):
    names = ("predictions", "model", "baseline", "device", "opt_level")
    tests = (f"def test_{name}(cell_pair, {name}):\n    pass\n" for name in names)
    project.write(test_both=HEAD + "\n".join(tests))
    result = project.run(FEW, TWO, "--collect-only", "--continue-on-collection-errors")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*test_predictions asks for cells and for one cell*"])


def test_a_mutant_of_one_cell_is_in_no_comparison(comparing):
    result = comparing.run("--mutatenn-mutants=device.boundary@*#1", TWO)
    assert {mutant["stage"] for mutant in result.report["mutants"]} == {"device"}
    assert all(mutant["groups"] == {} for mutant in result.report["mutants"])


# -- what the report makes of several cells -----------------------------------------------------


def test_cells_are_compared_on_the_unmutated_network_and_on_what_ran_whole(suite):
    report = suite.run(FEW, TWO).report
    found = report["differential"]

    (baseline,) = found["baseline"]
    assert (baseline["a"], baseline["b"], baseline["inputs"]) == ("llvm-O0", "llvm-O2", 12)
    assert baseline["top1_dissimilar"] == []
    assert baseline["max_abs_diff"] < 1e-5
    assert [entry["cell"] for entry in found["cells"]] == ["llvm-O0", "llvm-O2"]
    assert len(found["cells"][0]["topk"]) == 12
    assert report["latency"]["off"] == "not measured: see --mutatenn-latency-repeats"
    assert {entry["mutant"] for entry in found["mutants"]} == {
        mutant["id"]
        for mutant in report["mutants"]
        if all(t["propagated"] is not None for t in mutant["cells"].values())
    }


def test_the_reference_is_compared_where_a_test_asks_for_it(suite):
    found = suite.run("--mutatenn-baseline-only").report["differential"]
    assert [(e["a"], e["b"]) for e in found["baseline"]] == [("llvm-O0", "llvm-O2")]


ASSERTING = (
    HEAD
    + """
from pytest_mutatenn import assert_max_abs_diff

def test_scores(predictions, reference):
    assert_max_abs_diff(predictions, reference, at_most=1e-4)
"""
)


def test_what_an_assertion_spares_is_compared_where_that_is_asked(project):
    project.write(test_scores=ASSERTING)
    # mutants that no other test has run whole
    mutants = "--mutatenn-mutants=kernel.mul_to_div@matmul#1,kernel.mul_to_add@matmul#1"
    spared = project.run(mutants, TWO).report
    whole = project.run(mutants, TWO, "--mutatenn-differential").report

    assert verdicts(whole) == verdicts(spared)
    assert len(whole["differential"]["mutants"]) == len(whole["mutants"])
    assert whole["differential"]["not_compared"] == {}
    count = sum(spared["differential"]["not_compared"].values())
    assert count == len(spared["mutants"]) - len(spared["differential"]["mutants"]) > 0


@pytest.mark.parametrize("apart", [False, True], ids=["alone", "two workers"])
def test_a_divergent_mutant_fails_the_run_where_that_is_asked(project, apart):
    project.write(
        test_one=HEAD
        + """
def test_one(predictions, mutant, opt_level):
    assert mutant != "kernel.max_to_min@softmax#1" or opt_level == 0
"""
    )
    mutants = "--mutatenn-mutants=kernel.max_to_min@softmax#1"
    options = [mutants, TWO, "--mutatenn-fail-on=divergent", *(["-n2"] if apart else [])]
    result = project.run(*options, apart=apart)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["*: llvm-O0 SURVIVED, llvm-O2 KILLED", "ERROR: --mutatenn-fail-on=divergent: cells *"]
    )
    (found,) = result.report["divergent"]
    assert (found["cells"], found["same_change"]) == (["llvm-O2", "llvm-O0"], True)
    assert found["between"]["inputs"] == 12
    assert found["between"]["top1_dissimilar"] == []
    assert set(found["figures"]["llvm-O0"]) >= {"infected", "propagated", "top1_changed"}
    if not apart:
        assert project.run(mutants, TWO).ret == pytest.ExitCode.OK


# -- latency ------------------------------------------------------------------------------------

TIMED = (
    HEAD
    + """
def test_time(predictions, mutant):
    if mutant is None:
        assert 0 < predictions.latency.min() < predictions.latency.max() + 1
"""
)


def test_latencies_are_measured_on_request_and_tested_between_cells(project):
    project.write(test_time=TIMED)
    options = ["--mutatenn-latency-repeats=3", "--mutatenn-latency-warmup=2"]
    result = project.run("--mutatenn-baseline-only", TWO, *options)

    found = result.report["latency"]
    assert found["off"] is None
    assert [(e["cell"], e["warmup"], e["repeats"]) for e in found["cells"]] == [
        ("llvm-O0", 2, 3),
        ("llvm-O2", 2, 3),
    ]
    assert all(len(e["seconds_per_input"]) == 12 for e in found["cells"])
    assert all(e["seconds_median"] > 0 for e in found["cells"])
    (tested,) = found["tests"]
    assert tested["cells"] == ["llvm-O0", "llvm-O2"]
    assert 0 <= tested["anova"]["eta_squared"] <= 1
    result.stdout.fnmatch_lines(["latency per input of the unmutated network (3 repeats):"])


def test_workers_share_the_machine_so_latencies_are_off(project):
    project.write(test_time=TIMED)
    result = project.run(
        "--mutatenn-baseline-only", "--mutatenn-latency-repeats=3", "-n1", apart=True
    )
    assert result.report["latency"]["cells"] == []
    assert "workers share the machine's cores" in result.report["latency"]["off"]
    result.stdout.fnmatch_lines(["latency: not measured under pytest-xdist*"])


def test_a_number_of_rounds_is_a_whole_number(suite):
    result = suite.run("--mutatenn-latency-repeats=1.5")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--mutatenn-latency-repeats must be a whole number of at least*"])
