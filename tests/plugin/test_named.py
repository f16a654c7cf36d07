"""``--mutatenn-mutants`` with ids: what a report names can be run again as it stands."""

import pytest
from records import verdicts


@pytest.mark.parametrize(
    "name",
    [
        "device.boundary@conv2d#2@llvm-O2",
        "graph.sqrt_conv2d_0_before@conv2d#1",
        "weights.bit_flip_sign@dense#5b31",
        "weights.zero_channel@dense#3",
        "weights.bit_flip_sign@sweep~3",
        "kernel.boundary@sweep:0:2",
        "kernel.max_to_min@clip#1+softmax#1",
        "graph.relu_to_tanh@clip#1+weights.bit_flip_sign@dense#2b31",
        "device.boundary@conv2d#2+weights.bit_flip_sign@dense#2b31@llvm-O2",
    ],
)
def test_an_id_runs_whatever_is_selected_drawn_or_combined(suite, name):
    result = suite.run(f"--mutatenn-mutants={name}", "--mutatenn-opt-levels=0,2")

    assert result.ret == 0
    found = verdicts(result.report)
    cells = {"llvm-O2"} if name.endswith("@llvm-O2") else {"llvm-O0", "llvm-O2"}
    assert set(found) == {(name, cell) for cell in cells}
    assert set(found.values()) <= {"KILLED", "SURVIVED", "CRASHED"}


def test_what_a_run_reports_can_be_named(suite):
    first = suite.run("--mutatenn-order=2", "--mutatenn-sample=4")
    before = verdicts(first.report)

    again = suite.run("--mutatenn-mutants=" + ",".join(name for name, _ in before))

    assert verdicts(again.report) == before


@pytest.mark.parametrize(
    "name",
    [
        "weights.bit_flip_sign@dense#999999b31",
        "weights.bit_flip_sign@dense#5b99",
        "weights.zero_channel@dense#99",
        "kernel.boundary@nowhere#1",
        "kernel.no_such@conv2d#1",
        "noid",
    ],
)
def test_one_wrong_name_among_right_ones_is_an_error(suite, name):
    result = suite.run(f"--mutatenn-mutants=kernel.boundary@conv2d#1,{name}", report=False)

    assert result.ret != 0
    result.stdout.fnmatch_lines([f"*no cell has a mutant '{name}'.*"])
