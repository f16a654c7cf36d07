"""Accepted survivors: not run, out of the sample, and looked at again in time."""

from datetime import date, timedelta

import pytest
from records import stable, verdicts

FEW = "--mutatenn-mutants=graph.relu_to_sigmoid@*,kernel.max_to_min@softmax#1,kernel.boundary@*"
RELU = "graph.relu_to_sigmoid@clip#1"
SOON = date.today() + timedelta(days=30)
ACCEPT = "--mutatenn-accept=accepted.toml"


@pytest.fixture
def accepting(suite):
    """The suite, with a file that accepts the mutants named."""

    def accepting(*mutants, expires=SOON, more=""):
        text = "".join(
            f'[[accepted]]\nmutant = "{mutant}"\nreason = "looked at"\n'
            f"expires = {expires}\n{more}\n"
            for mutant in mutants
        )
        (suite.path / "accepted.toml").write_text(text)
        return suite

    return accepting


def warned(result):
    return [line for line in result.outlines if line.startswith("WARNING")]


def says(result, text):
    assert text in " ".join((result.stdout.str() + result.stderr.str()).split())


def test_an_accepted_mutant_is_skipped_with_the_reason_and_not_run(accepting):
    without = accepting().run(FEW)
    result = accepting(RELU).run(FEW, ACCEPT, "-v")

    found = verdicts(result.report)
    assert found[RELU, "llvm-O2"] == "SKIPPED"
    there = next(m for m in result.report["mutants"] if m["id"] == RELU)["cells"]["llvm-O2"]
    assert there["reason"] == f"accepted until {SOON}: looked at"
    assert there["killed_by"] == there["survived"] == []
    assert there["outcome"] is None
    assert result.report["excluded"]["SKIPPED"] == 1
    # it counts neither way, and the others are as they were
    old = verdicts(without.report)
    assert {k: v for k, v in found.items() if k[0] != RELU} == {
        k: v for k, v in old.items() if k[0] != RELU
    }
    scores = [r.report["score"]["overall"]["detected"] for r in (without, result)]
    assert scores == [scores[1] + 1, scores[1]]
    assert result.ret == pytest.ExitCode.OK
    assert result.report["warnings"] == []
    result.stdout.no_fnmatch_line("*relu_to_sigmoid@clip#1? KILLED*")


def test_the_sample_is_drawn_from_the_others(accepting):
    names = ["--mutatenn-operators=max_to_min,boundary,relu_to_sigmoid", "--mutatenn-stages=kernel"]
    drawn = accepting().run(*names, "--mutatenn-sample=3")
    first = drawn.report["mutants"][0]["id"]
    result = accepting(first).run(*names, "--mutatenn-sample=3", ACCEPT)

    found = verdicts(result.report)
    assert found[first, "llvm-O2"] == "SKIPPED"
    assert len([v for v in found.values() if v != "SKIPPED"]) == 3
    assert result.report["excluded"]["sampled_out"] == (drawn.report["excluded"]["sampled_out"] - 1)


def test_a_device_mutant_is_accepted_in_one_cell_or_in_all(accepting):
    device = "device.add_to_sub@matmul#1"
    run = [f"--mutatenn-mutants={device}", "--mutatenn-opt-levels=0,2"]
    one = accepting(f"{device}@llvm-O2").run(*run, ACCEPT)
    both = accepting(device).run(*run, ACCEPT)
    cell = accepting(device, more='cell = "llvm-O0"').run(*run, ACCEPT)

    def skipped(result):
        return [key[1] for key, verdict in verdicts(result.report).items() if verdict == "SKIPPED"]

    assert skipped(one) == ["llvm-O2"]
    assert skipped(both) == ["llvm-O0", "llvm-O2"]
    assert skipped(cell) == ["llvm-O0"]


def test_the_file_may_be_named_in_the_ini_file(accepting):
    suite = accepting(RELU)
    suite.pytester.makeini("[pytest]\nmutatenn_accept = accepted.toml\n")
    assert verdicts(suite.run(FEW).report)[RELU, "llvm-O2"] == "SKIPPED"


# -- errors ----------------------------------------------------------------------------------------


def test_an_entry_that_has_expired_is_a_usage_error(accepting):
    yesterday = date.today() - timedelta(days=1)
    result = accepting(RELU, expires=yesterday).run(FEW, ACCEPT)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    says(result, f"accepted.toml: {RELU} expired on {yesterday} (looked at). Kill it with a test")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[accepted]", "ERROR: --mutatenn-accept: "),
        ("[other]", "has 'other'; it takes tables [[accepted]] and nothing else."),
        ("[[accepted]]\nmutants = 'x'", "unknown key 'mutants'. Did you mean 'mutant'?"),
    ],
)
def test_a_wrong_file_is_a_usage_error(text, said, suite):
    (suite.path / "accepted.toml").write_text(text)
    result = suite.run(FEW, ACCEPT)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    says(result, said)
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


# -- what matches nothing --------------------------------------------------------------------------

GONE = "kernel.boundary@conv2d#99"


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["plain", "xdist"])
def test_an_entry_without_a_mutant_is_a_warning(workers, accepting):
    suite = accepting(RELU, GONE)
    result = suite.run(FEW, ACCEPT, *workers, apart=bool(workers))

    text = f"--mutatenn-accept: no mutant is {GONE} any more; remove the entry."
    assert warned(result) == [f"WARNING: {text}"]
    assert result.report["warnings"] == [text]
    assert result.ret == pytest.ExitCode.OK


def test_two_workers_accept_as_none_do(accepting):
    suite = accepting(RELU, GONE)
    alone = suite.run(FEW, ACCEPT, apart=True)
    shared = suite.run(FEW, ACCEPT, "-n2", apart=True)
    assert stable(alone.report) == stable(shared.report)


@pytest.mark.parametrize(
    "args",
    [
        ["--mutatenn-operators=relu_to_sigmoid"],
        ["--mutatenn-operators=boundary,relu_to_sigmoid", "--mutatenn-stages=graph"],
        ["--mutatenn-operators=kernel.boundary", "--mutatenn-order=sweep"],
    ],
    ids=["operator", "stage", "sweep"],
)
def test_no_warning_where_its_operator_was_not_asked_site_by_site(args, accepting):
    result = accepting(GONE).run(*args, ACCEPT)
    assert warned(result) == []
    assert result.report["warnings"] == []


def test_no_warning_for_another_network_or_cell(accepting):
    assert warned(accepting(GONE, more='model = "other"').run(FEW, ACCEPT)) == []
    assert warned(accepting(GONE, more='cell = "llvm-O3"').run(FEW, ACCEPT)) == []


def test_no_warning_where_another_cell_has_the_mutant(accepting):
    # at O2 the addition of the bias is part of the convolution's kernel, at O0 it is not
    device = "device.store_float32_to_float16@add#1"
    run = ["--mutatenn-operators=device.store_float32_to_float16", "--mutatenn-sample=1", ACCEPT]
    alone = accepting(device).run(*run)
    both = accepting(device).run(*run, "--mutatenn-opt-levels=0,2")
    assert len(warned(alone)) == 1
    assert warned(both) == []


def test_no_warning_where_single_mutants_were_asked_for(accepting):
    result = accepting("kernel.boundary@conv2d#3").run(
        "--mutatenn-mutants=kernel.boundary@conv2d#1", ACCEPT
    )
    assert result.report["warnings"] == []


def test_what_has_the_code_of_an_accepted_mutant_is_no_survivor_either(accepting):
    # `1 <= i and i < 9` has its `<` moved by both
    accepted, twin = "kernel.LT_to_LE@conv2d#1", "kernel.boundary@conv2d#2"
    weak = """
import pytest

pytestmark = pytest.mark.mutatenn(model="tiny.onnx", inputs="tiny.npz")

def test_it(predictions):
    assert len(predictions) == 12
"""
    suite = accepting(accepted)
    suite.write(test_tiny=weak)
    both = f"--mutatenn-mutants={accepted},{twin}"

    without = verdicts(suite.run(both).report)
    found = suite.run(both, ACCEPT).report

    assert sorted(without.values()) == ["DUPLICATE", "SURVIVED"]
    assert verdicts(found) == {
        (accepted, "llvm-O2"): "SKIPPED",
        (twin, "llvm-O2"): "DUPLICATE",
    }
    reasons = [mutant["cells"]["llvm-O2"]["reason"] for mutant in found["mutants"]]
    assert f"the same code as {accepted}, which is accepted" in reasons
