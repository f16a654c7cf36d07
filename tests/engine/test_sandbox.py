"""The engine and its processes: stored, reused, and gone when they should be."""

import dataclasses
import hashlib
import os
import signal
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from processes import sandboxes

from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.engine.evaluate import Engine
from pytest_mutatenn.engine.evaluation import Limits
from pytest_mutatenn.engine.outcome import Failure, Outcome
from pytest_mutatenn.engine.row import Row
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.model.shared import SharedArrays
from pytest_mutatenn.model.source import resolve_model

HOSTILE = Path(__file__).parents[1] / "plugin" / "hostile.py"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("engine"))


@pytest.fixture
def make_engine(tiny, store):
    made = []

    def make(**options):
        source = resolve_model("tiny.onnx", base=tiny, scratch=store.root)
        limits = Limits(timeout_factor=1, timeout_constant=1, memory=256 << 20)
        options = {"limits": limits, "operator_files": (HOSTILE,), **options}
        options = {"store": store, **options}
        made.append(Engine(source, Cell("llvm", 2), **options))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


@pytest.fixture(scope="module")
def images(tiny):
    return {"image": np.load(tiny / "tiny.npz")["arr_0"][:3, None]}


def digest_of(images):
    return hashlib.sha256(images["image"].tobytes()).hexdigest()


def test_what_was_evaluated_is_not_run_again(make_engine, images):
    first, second = make_engine(), make_engine()
    digest = digest_of(images)

    one = first.evaluate("graph.relu_to_sigmoid@clip#1", images, digest, keep=True)
    other = second.evaluate("graph.relu_to_sigmoid@clip#1", images, digest, keep=True)

    assert np.array_equal(one.outputs["probabilities"], other.outputs["probabilities"])
    assert first.counters.evaluations_run == 2  # the baseline's, too
    assert second.counters.evaluations_run == 0
    assert second.counters.evaluations_reused == 2
    assert second._zygote is None, "a process was started to read the store"


def test_a_damaged_evaluation_is_run_again(make_engine, images, store):
    engine, digest = make_engine(), digest_of(images)
    expected = engine.evaluate("canary", images, digest)
    for path in (store.root / "evaluations").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-9])

    again = make_engine()
    found = again.evaluate("canary", images, digest)

    assert np.array_equal(found.outputs["probabilities"], expected.outputs["probabilities"])
    assert again.counters.evaluations_run == 2


def test_a_mutant_that_ruins_the_weights_ruins_only_its_own(make_engine, images):
    engine, digest = make_engine(), digest_of(images)
    harmless = "graph.relu_to_sigmoid@clip#1"
    before = engine.evaluate(harmless, images, digest)

    ruined = engine.evaluate("device.ruins_weights@matmul#1", images, "other digest")
    after = engine.evaluate(harmless, images, "other digest")
    identity = engine.evaluate("identity", images, "other digest")

    assert np.isnan(ruined.outputs["probabilities"]).any()
    assert np.array_equal(after.outputs["probabilities"], before.outputs["probabilities"])
    baseline = engine.baseline(images, digest)
    assert np.array_equal(identity.outputs["probabilities"], baseline.outputs["probabilities"])


def test_a_mutant_that_writes_to_every_descriptor_changes_no_kept_tensor(make_engine, images):
    engine, digest = make_engine(), digest_of(images)
    harmless = "graph.relu_to_sigmoid@clip#1"
    for hostile in ("truncates", "scribbles"):
        engine.evaluate(f"device.{hostile}@softmax#1", images, digest, keep=True)

    kept = engine.evaluate(harmless, images, digest, keep=True)
    alone = make_engine().evaluate(harmless, images, "no tensors kept", keep=False)

    assert np.array_equal(kept.outputs["probabilities"], alone.outputs["probabilities"])


def test_given_more_time_a_mutant_that_was_late_is_tried_again(make_engine, images):
    digest, mutant = digest_of(images), "device.endless_loop@softmax#1"

    def seconds(constant):
        engine = make_engine(limits=Limits(timeout_factor=1, timeout_constant=constant))
        result = engine.evaluate(mutant, images, digest)
        assert isinstance(result, Failure)
        assert result.outcome is Outcome.TIMED_OUT
        return engine.counters.evaluations_run

    assert seconds(0.4) >= 1
    assert seconds(0.4) == 0
    assert seconds(0.8) == 1
    assert seconds(0.4) == 0


def test_no_process_and_no_temporary_file_is_left(make_engine, images, store):
    engine = make_engine()
    engine.evaluate("device.forks_away@softmax#1", images, "another digest")
    deadline = time.monotonic() + 5
    while len(sandboxes(store.root)) > 1:  # the zygote, and nothing that its child forked
        assert time.monotonic() < deadline
        time.sleep(0.01)

    engine.evaluate("device.forks_away@softmax#1", images, "and another")
    engine.close()  # before the zygote has waited for the child

    assert sandboxes(store.root) == []
    assert list((store.root / "tmp").iterdir()) == []


def test_a_zygote_that_is_gone_is_an_error_of_the_machinery_and_no_verdict(make_engine, images):
    from pytest_mutatenn.errors import InternalError

    engine = make_engine()
    pid = engine.zygote()._process.pid
    os.kill(pid, signal.SIGKILL)

    with pytest.raises(InternalError, match="died of SIGKILL"):
        engine.evaluate("canary", images, "a third digest")
    assert not psutil.pid_exists(pid)


def test_a_child_dies_with_its_zygote(make_engine):
    engine = make_engine()
    child = engine.fork()
    process = psutil.Process(child._pid)
    os.kill(engine.zygote()._process.pid, signal.SIGKILL)

    deadline = time.monotonic() + 5
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "it outlived its zygote"
        time.sleep(0.01)


def test_an_unknown_mutant_is_the_users_to_mend(make_engine):
    for mutant in ("kernel.no_such@conv2d#1", "nonsense", "graph.relu_to_sigmoid@"):
        with pytest.raises(MutatennError, match=mutant):
            make_engine().recipe(mutant)


def test_a_site_that_is_not_there_is_no_recipe(make_engine):
    recipe = make_engine().recipe("graph.relu_to_sigmoid@clip#2")
    assert recipe.status == "no_site"
    assert recipe.reason.startswith("this cell's lowering has no such site")


def test_inputs_are_run_as_they_are_asked_for_and_once(make_engine, tiny, tmp_path):
    pictures = np.load(tiny / "tiny.npz")["arr_0"][:6, None]

    def fill(arrays):
        arrays["image"][...] = pictures

    shared = SharedArrays({"image": (pictures.shape, pictures.dtype)}, fill)
    mutant, output = "graph.relu_to_sigmoid@clip#1", "probabilities"
    whole = make_engine().evaluate(mutant, {"image": pictures}, "sent")

    engine = make_engine(store=Store(tmp_path))
    first = engine.open(mutant, shared, "mapped", keep=True)
    assert first.ask([4, 1]) is None
    assert first.done == {1, 4}
    assert np.array_equal(first.outputs(output, [1, 4]), whole.outputs[output][[1, 4]])
    assert first.save() == 2

    again = make_engine(store=Store(tmp_path)).open(mutant, shared, "mapped", keep=True)
    assert again.ask([1]) is None
    assert again.save() == 0
    assert again.ask([1, 5, 0]) is None
    assert again.save() == 2
    rest = again.whole()
    assert again.complete
    for name, array in rest.outputs.items():
        assert np.array_equal(array, whole.outputs[name])
    assert again.save() == 2


def test_what_was_run_before_a_death_is_kept(make_engine, images, tmp_path):
    store = Store(tmp_path)
    engine = make_engine(store=store)
    progress = engine.open("graph.relu_to_sigmoid@clip#1", images, "some")
    assert progress.ask([0]) is None
    # from here on it dies
    progress._job = dataclasses.replace(progress._job, mutant="device.aborts@softmax#1")
    failure = progress.ask([1])
    assert failure.outcome is Outcome.CRASHED
    progress.save()

    again = make_engine(store=store).open("graph.relu_to_sigmoid@clip#1", images, "some")
    assert again.ask([0]) is None
    assert again.ask([0, 1]) == failure
    assert again.save() == 0


def test_with_many_inputs_the_baseline_is_run_once_and_kept(make_engine, tmp_path, monkeypatch):
    pictures = np.random.default_rng(5).normal(size=(70, 1, 1, 8, 8)).astype(np.float32)
    ran = []
    ask = Row.run

    def counted(self, arrays, digest, samples, *rest):
        ran.append(len(samples))
        return ask(self, arrays, digest, samples, *rest)

    monkeypatch.setattr(Row, "run", counted)
    engine = make_engine(store=Store(tmp_path))
    kept = engine.evaluate("canary", {"image": pictures}, "many", keep=True)
    assert ran == [8, 70, 70]

    alone = make_engine(store=Store(tmp_path / "other"))
    whole = alone.evaluate("canary", {"image": pictures}, "many")
    assert ran[3:] == [70, 70]
    for name, array in kept.outputs.items():
        assert np.array_equal(array, whole.outputs[name])
    assert kept.infected == whole.infected
