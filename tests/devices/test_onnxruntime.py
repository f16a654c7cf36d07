"""ONNX Runtime as a device: baseline and reference rows, in a process of its own."""

import os
import subprocess
from importlib.util import find_spec

import numpy as np
import pytest
from processes import sandboxes

from pytest_mutatenn.devices import onnxruntime as device_module
from pytest_mutatenn.devices.base import kinds, open_device, takes
from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.engine.evaluation import Job, Limits
from pytest_mutatenn.engine.outcome import Failure, Outcome
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.engine.whole import WholeEngine
from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.model.shared import SharedArrays
from pytest_mutatenn.model.source import resolve_model

needs_onnxruntime = pytest.mark.skipif(
    find_spec("onnxruntime") is None, reason="needs onnxruntime: pip install onnxruntime"
)

SUITE = """
import pytest
from pytest_mutatenn import max_abs_diff, top1_agreement

pytestmark = pytest.mark.mutatenn(model="tiny.onnx", inputs="tiny.npz")

def test_labels(predictions, reference):
    assert top1_agreement(predictions, reference) == 1

def test_scores(predictions, reference):
    assert max_abs_diff(predictions, reference) <= 1e-5

def test_calls(model, predictions):
    import numpy as np
    assert abs(model(np.load("tiny.npz")["arr_0"][0]) - predictions.scores[0]).max() <= 1e-6
"""


@pytest.fixture
def network(tiny, tmp_path):
    return resolve_model(tiny / "tiny.onnx", base=tiny, scratch=tmp_path)


@pytest.fixture
def images(tiny):
    return np.load(tiny / "tiny.npz")["arr_0"][:, np.newaxis]


def engine_of(network, store, device="onnxruntime", level=2, **more):
    return WholeEngine(network, Cell(device, level), Store(store), **more)


def test_it_is_a_device_that_takes_networks():
    assert "onnxruntime" in kinds()
    assert takes("onnxruntime:CUDAExecutionProvider") == "network"
    assert takes("llvm") == "kernels"


def test_an_option_that_is_no_provider_is_refused():
    with pytest.raises(MutatennError, match="execution provider, such as"):
        open_device("onnxruntime:provider=CUDA")


@pytest.mark.parametrize(
    ("level", "name"),
    [(0, "DISABLE_ALL"), (1, "ENABLE_BASIC"), (2, "ENABLE_EXTENDED"), (3, "ENABLE_ALL")],
)
@needs_onnxruntime
def test_a_level_is_the_runtimes_own(network, level, name):
    found = open_device("onnxruntime").open(network.path, {}, level, 1)
    assert f"ORT_{name} threads=1" in found.target
    assert found.outputs[0].shape == (1, 5)


def test_there_is_no_level_of_fast_math():
    with pytest.raises(MutatennError, match=r"no opt level 4.*fast math"):
        open_device("onnxruntime").check_level(4)


@needs_onnxruntime
def test_it_gives_what_onnxruntime_gives(network, images, store_folder):
    import onnxruntime

    session = onnxruntime.InferenceSession(network.path, providers=["CPUExecutionProvider"])
    wanted = np.array([session.run(None, {"image": image})[0] for image in images])
    engine = engine_of(network, store_folder)
    try:
        found = engine.baseline({"image": images}, "some images")
    finally:
        engine.close()
    assert found.outputs["probabilities"].shape == (12, 1, 5)
    np.testing.assert_allclose(found.outputs["probabilities"], wanted, atol=1e-6)
    assert found.latency.shape == (12,)
    assert (found.latency > 0).all()


@needs_onnxruntime
def test_a_second_engine_starts_nothing(network, images, tmp_path, monkeypatch):
    first = engine_of(network, tmp_path)
    arrays = SharedArrays(
        {"image": (images.shape, "float32")}, lambda to: to["image"].__setitem__(..., images)
    )
    ran = first.baseline(arrays, "these")
    first.close()
    assert not sandboxes(tmp_path)

    def started(*args):
        raise AssertionError("a process was started")

    monkeypatch.setattr("pytest_mutatenn.engine.whole.Process", started)
    second = engine_of(network, tmp_path)
    read = second.baseline(arrays, "these")
    np.testing.assert_array_equal(read.outputs["probabilities"], ran.outputs["probabilities"])
    assert second.info == first.info
    with pytest.raises(AssertionError, match="started"):
        engine_of(network, tmp_path, threads=2).baseline(arrays, "these")


@needs_onnxruntime
def test_a_process_that_dies_or_is_late_is_no_answer_and_the_next_one_is(
    network, images, store_folder
):
    engine = engine_of(network, store_folder, limits=Limits(compile_timeout=60))
    try:
        os.kill(engine.zygote()._process.pid, 9)
        died = engine.run(Job(None, {"image": images}, ""), 10, [0])
        assert isinstance(died, Failure)
        assert (died.outcome, died.reason) == (Outcome.CRASHED, "its process died of SIGKILL")
        os.kill(engine.zygote()._process.pid, 19)
        late = engine.run(Job(None, {"image": images}, ""), 0.2, [0])
        assert isinstance(late, Failure)
        assert late.outcome is Outcome.TIMED_OUT
        assert engine.run(Job(None, {"image": images}, ""), 10, [3]).latency.size == 1
    finally:
        engine.close()


@needs_onnxruntime
def test_what_the_runtime_refuses_is_the_users(tmp_path, store_folder, tiny):
    import onnx

    model = onnx.load(tiny / "tiny.onnx")
    model.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(model, tmp_path / "odd.onnx")
    engine = engine_of(resolve_model("odd.onnx", base=tmp_path, scratch=tmp_path), store_folder)
    with pytest.raises(MutatennError, match=r"ONNX Runtime does not load odd\.onnx"):
        engine.zygote()
    engine.close()


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(device_module.importlib.util, "find_spec", lambda name: None)
    found = open_device("onnxruntime").missing()
    assert "pip install 'pytest-mutatenn[onnxruntime]'" in found


def test_a_probe_that_hangs_or_dies_is_a_reason(monkeypatch):
    def hang(*args, timeout, **more):
        raise subprocess.TimeoutExpired("python", timeout)

    monkeypatch.setattr(device_module.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(device_module.subprocess, "run", hang)
    device_module._missing.cache_clear()
    assert "within 60 s" in open_device("onnxruntime:Odd").missing()
    dead = subprocess.CompletedProcess([], -11, "", "Fatal: libcuda\n")
    monkeypatch.setattr(device_module.subprocess, "run", lambda *a, **k: dead)
    device_module._missing.cache_clear()
    assert open_device("onnxruntime:Odd").missing() == "ONNX Runtime does not load: Fatal: libcuda"
    device_module._missing.cache_clear()


@needs_onnxruntime
def test_a_provider_that_is_not_there_is_missing_with_what_is():
    found = open_device("onnxruntime:CPUExecutionProviders").missing()
    assert "Did you mean 'CPUExecutionProvider'?" in found
    assert open_device("onnxruntime").missing() is None


@needs_onnxruntime
def test_rows_have_no_mutants_and_the_report_says_why(project):
    project.write(test_tiny=SUITE).pytester.makeconftest(
        """
        import sys
        def pytest_unconfigure():
            assert "onnxruntime" not in sys.modules
        """
    )
    result = project.run(
        "--mutatenn-devices=onnxruntime,llvm",
        "--mutatenn-reference=onnxruntime",
        "--mutatenn-mutants=graph.relu_to_sigmoid@*",
        apart=True,
    )
    assert result.ret == pytest.ExitCode.OK
    outcomes = {(e["cell"], e["test"].partition("::")[2]): e["outcome"]
                for e in result.report["baseline"]}  # fmt: skip
    assert set(outcomes.values()) == {"passed"}
    assert len(outcomes) == 6
    (mutant,) = result.report["mutants"]
    assert mutant["cells"]["llvm-O2"]["verdict"] == "KILLED"
    here = mutant["cells"]["onnxruntime-O2"]
    assert (here["verdict"], here["reason"]) == ("SKIPPED", "whole model: no mutants")
    assert [cell["id"] for cell in result.report["cells"]] == [
        "llvm-O2", "onnxruntime-O0", "onnxruntime-O2"
    ]  # fmt: skip
    assert "conv2d" in str(result.report["models"][0]["layers"])


@needs_onnxruntime
def test_alone_it_tests_nothing_and_says_so(project):
    project.write(test_tiny=SUITE)
    result = project.run("--mutatenn-devices=onnxruntime")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["ERROR: No mutants: onnxruntime-O2 (whole model: no mutants)*"])
    refused = project.run("--mutatenn-devices=onnxruntime", "--mutatenn-opt-levels=4")
    refused.stdout.fnmatch_lines(["onnxruntime has no opt level 4*"])
