"""What a second run does again: only what depends on that which has changed."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

OPERATORS = "--mutatenn-operators=relu_to_sigmoid,store_plus_one,drop_bias"
MUTANTS = "--mutatenn-mutants=*relu_to_sigmoid@*,kernel.store_plus_one@*,*drop_bias*"
RUN = (OPERATORS, MUTANTS)

OWN = '''
import numpy as np
from pytest_mutatenn import operator
from pytest_mutatenn.operators.parameter import Parameter

@operator("NAME", category="weights", stages=["weights"], on=Parameter, within=["bias"])
def scaled(bias):
    """Scale the bias of a layer."""
    yield bias.values * np.float32(FACTOR)
'''


def counters(result):
    found = result.report["run"]["counters"]
    assert found["steps_run"] > 0 or found["evaluations_run"] == 0
    return found


def nothing_ran(result):
    found = counters(result)
    return found["kernels_compiled"] == found["steps_run"] == found["evaluations_run"] == 0


def recipes(project):
    """Keys of all recipes in the store."""
    segments = (project.cache / "recipes").rglob("*.log")
    return {line.split(b" ")[1] for path in segments for line in path.read_bytes().splitlines()}


@pytest.fixture
def warm(suite):
    """The suite after a first run."""
    assert suite.run(*RUN).ret == pytest.ExitCode.OK
    return suite


def test_a_second_run_executes_nothing_and_starts_no_process(warm, monkeypatch):
    def started(*args):
        raise AssertionError("a process was started")

    monkeypatch.setattr("pytest_mutatenn.engine.evaluate.Zygote", started)
    result = warm.run(*RUN)
    assert nothing_ran(result)
    assert result.report["run"]["counters"]["evaluations_reused"] > 0
    assert result.report["score"]["overall"]["detected"] > 0


def test_a_changed_assertion_executes_nothing(warm):
    test = warm.path / "test_tiny.py"
    strict = warm.run(*RUN).report["score"]["overall"]
    test.write_text(test.read_text().replace("<= 1e-4", "<= 1e9").replace(">= 0.9", ">= 0"))
    result = warm.run(*RUN)
    assert nothing_ran(result)
    assert result.report["score"]["overall"]["detected"] < strict["detected"]


def test_changed_inputs_compile_no_kernel(warm):
    known = recipes(warm)
    images = np.random.default_rng(5).normal(0, 1, (9, 1, 8, 8)).astype(np.float32)
    np.savez(warm.path / "tiny.npz", images)
    found = counters(warm.run(*RUN))
    assert found["kernels_compiled"] == 0
    assert found["evaluations_run"] > 0
    assert recipes(warm) == known


def test_changed_weights_reuse_the_kernels(warm):
    model = onnx.load(warm.path / "tiny.onnx")
    (dense,) = (w for w in model.graph.initializer if w.name == "dense")
    dense.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(dense) * np.float32(1.5), "dense"))
    onnx.save(model, warm.path / "tiny.onnx")
    found = counters(warm.run(*RUN))
    assert found["kernels_compiled"] == 0
    assert found["kernels_reused"] > 0
    assert found["evaluations_run"] > 0


def test_a_changed_operator_makes_its_own_mutants_anew_and_no_others(suite):
    run = ("--mutatenn-operators=*scaled,relu_to_sigmoid", "--mutatenn-mutants=*")
    for name, factor in (("scaled", 2), ("other_scaled", 3)):
        text = OWN.replace("NAME", name).replace("FACTOR", str(factor))
        (suite.path / f"own_{name}.py").write_text(text)
    suite.pytester.makeconftest("import own_scaled, own_other_scaled")
    suite.pytester.syspathinsert()
    first = suite.run(*run, apart=True)
    ids = [mutant["id"] for mutant in first.report["mutants"]]
    assert len(ids) == 5
    before = recipes(suite)

    changed = suite.path / "own_scaled.py"
    changed.write_text(changed.read_text().replace("float32(2)", "float32(5)"))
    second = suite.run(*run, apart=True)

    assert [mutant["id"] for mutant in second.report["mutants"]] == ids
    mine = [name for name in ids if name.startswith("weights.scaled@")]
    assert len(recipes(suite) - before) == len(mine) == 2
    assert counters(second)["kernels_compiled"] == 0
    assert 0 < counters(second)["evaluations_run"] <= len(mine)


TOLD = """
import sys
from pathlib import Path

def pytest_unconfigure(config):
    Path("modules.txt").write_text(" ".join(sys.modules))
"""


def loaded(project):
    return {name.partition(".")[0] for name in (project.path / "modules.txt").read_text().split()}


def test_collecting_again_loads_neither_tvm_nor_onnx_nor_numpy(project):
    project.pytester.makeconftest(TOLD)
    project.write(
        test_plain="""
        import pytest

        @pytest.mark.mutatenn(model="tiny.onnx", inputs="tiny.npz")
        def test_it(predictions):
            assert len(predictions) == 12
        """
    )
    list_it = ("--collect-only", "-q", OPERATORS, "-p", "no:hypothesispytest")
    project.run(*list_it, report=False, apart=True)
    result = project.run(*list_it, report=False, apart=True)
    result.stdout.fnmatch_lines(["*graph.relu_to_sigmoid@clip#1*"])
    assert not loaded(project) & {"tvm", "tvm_ffi", "onnx", "numpy", "scipy"}


def test_running_again_loads_neither_tvm_nor_onnx(warm):
    warm.pytester.makeconftest(TOLD)
    result = warm.run(*RUN, apart=True)
    assert nothing_ran(result)
    assert not loaded(warm) & {"tvm", "tvm_ffi", "onnx"}
