"""A device that does not survive a fork: one process serves many mutants, and none of another's."""

import contextlib
import hashlib
import os
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest
from opencl_here import needs_opencl
from processes import sandboxes

from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.engine.child import Child
from pytest_mutatenn.engine.evaluate import Engine
from pytest_mutatenn.engine.evaluation import Limits
from pytest_mutatenn.engine.outcome import Failure, Outcome
from pytest_mutatenn.engine.row import Row
from pytest_mutatenn.engine.serving import Check
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.engine.turns import turn
from pytest_mutatenn.engine.workshop import Order, Workshop
from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.model.source import resolve_model

HOSTILE = Path(__file__).parents[1] / "plugin" / "hostile.py"
HARMLESS = "graph.relu_to_sigmoid@clip#1"
ENDLESS = "device.endless_loop@softmax#1"
FAR = "device.far_write@softmax#1"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("servers"))


@pytest.fixture(scope="module")
def engine(tiny, store):
    """One engine for all tests: its servers have served what the tests before asked for."""
    needs_opencl()
    source = resolve_model("tiny.onnx", base=tiny, scratch=store.root)
    limits = Limits(timeout_factor=1, timeout_constant=5, memory=512 << 20)
    made = Engine(source, Cell("opencl", 2), store, limits=limits, operator_files=(HOSTILE,))
    yield made
    made.close()


@pytest.fixture(scope="module")
def images(tiny):
    return {"image": np.load(tiny / "tiny.npz")["arr_0"][:3, None]}


@pytest.fixture
def run(engine, images, request):
    """Evaluate a mutant on inputs that are known by this test's name, so that nothing is stored."""

    def evaluate(mutant, number=0):
        digest = hashlib.sha256(f"{request.node.name} {number}".encode()).hexdigest()
        return engine.evaluate(mutant, images, digest, keep=True)

    return evaluate


@pytest.fixture
def expected(engine, images):
    """What the harmless mutant gives in a process of its own."""
    row = Row(engine, HARMLESS)
    row._fresh = True
    assert row.prepare().status == "prepared"
    result = row.run(images, "alone", range(3), None)
    row.close()
    return result.outputs["probabilities"]


def servers(engine):
    """Process ids of the zygote's children."""
    children = psutil.Process(engine.zygote()._process.pid).children()
    return {child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE}


def probabilities(evaluation):
    assert not isinstance(evaluation, Failure), evaluation
    return evaluation.outputs["probabilities"]


def test_the_numbers_are_those_of_the_cpu(engine, images, run, tiny, store):
    source = resolve_model("tiny.onnx", base=tiny, scratch=store.root)
    other = Engine(source, Cell("llvm", 2), store)
    try:
        for mutant in (None, HARMLESS, "canary"):
            theirs = probabilities(other.evaluate(mutant, images, "on the CPU"))
            np.testing.assert_allclose(probabilities(run(mutant)), theirs, rtol=1e-4, atol=1e-6)
    finally:
        other.close()


def test_one_process_serves_row_after_row(engine, run):
    run(HARMLESS)
    before = servers(engine)
    for number in range(1, 4):
        run(HARMLESS, number)
    assert servers(engine) == before


@pytest.mark.parametrize(
    ("mutant", "outcome"),
    [(ENDLESS, Outcome.TIMED_OUT), (FAR, Outcome.CRASHED)],
    ids=["hang", "crash"],
)
def test_a_process_that_is_lost_costs_no_other_mutant(engine, run, expected, mutant, outcome):
    result = run(mutant)
    assert isinstance(result, Failure)
    assert result.outcome is outcome
    assert np.array_equal(probabilities(run(HARMLESS)), expected)


def test_a_mutant_that_ruins_the_weights_ruins_only_its_own(engine, run, expected):
    before = servers(engine)
    ruined = probabilities(run("device.ruins_weights@matmul#1"))
    assert np.isnan(ruined).any()
    assert np.array_equal(probabilities(run(HARMLESS, 1)), expected)
    assert servers(engine) != before, "the process with the ruined weights still serves"
    identity, baseline = run("identity", 2), run(None, 2)
    assert np.array_equal(probabilities(identity), probabilities(baseline))


def test_a_server_that_died_between_two_rows_is_replaced(engine, run, expected):
    run(HARMLESS)
    for pid in servers(engine):
        os.kill(pid, signal.SIGKILL)
    assert np.array_equal(probabilities(run(HARMLESS, 1)), expected)


def test_a_failure_in_a_process_that_others_used_counts_only_if_it_comes_again(
    engine, run, expected, monkeypatch
):
    run(HARMLESS)
    asked = []
    ask = Child.ask

    def dying(child, request, *args, **options):
        if request["do"] == "run" and child.used and not asked:
            asked.append(child)
            os.kill(child._pid, signal.SIGKILL)
        return ask(child, request, *args, **options)

    monkeypatch.setattr(Child, "ask", dying)
    assert np.array_equal(probabilities(run(HARMLESS, 1)), expected)
    assert asked


def test_two_rows_at_a_time_have_a_process_each(engine, images, expected):
    rows = [Row(engine, HARMLESS), Row(engine, None), Row(engine, HARMLESS)]
    try:
        for row in (rows[0], rows[2]):
            assert row.prepare().status == "prepared"
        results = [row.run(images, "together", range(3), None) for row in rows]
        assert len({row._child._pid for row in rows}) == 3
        assert np.array_equal(probabilities(results[0]), expected)
        assert np.array_equal(probabilities(results[2]), expected)
    finally:
        for row in rows:
            row.close()


def test_listing_asks_nothing_of_the_device(engine):
    def opened():
        maps = {pid: Path("/proc", str(pid), "maps") for pid in servers(engine)}
        return {pid for pid, path in maps.items() if path.exists() and "OpenCL" in path.read_text()}

    before = opened()
    assert engine.list_mutants("thread_extent", ["device"], ("site", 1), (0, None), 1)["mutants"]
    assert opened() == before
    row = Row(engine, None)
    with contextlib.closing(row), contextlib.closing(Row(engine, None)) as other:
        for each in (row, other):
            each._child = engine.fork()
        assert opened() > before or len(before) > 1


def test_mutants_of_threads_are_made_and_run(engine, run):
    """Half the threads: the other half of the output is what no kernel has written."""
    baseline = probabilities(run(None))
    found = engine.list_mutants("thread_extent", ["device"], ("site", 1), (0, None), 0)["mutants"]
    results = [probabilities(run(mutant["id"])) for mutant in found]
    assert results
    assert any(np.isnan(result).any() for result in results)
    assert all(not np.array_equal(result, baseline) for result in results)
    again = [probabilities(run(mutant["id"], 1)) for mutant in found]
    for one, other in zip(results, again, strict=True):
        assert np.array_equal(one, other, equal_nan=True)


def test_the_check_sees_a_weight_that_has_changed(tiny, store):
    needs_opencl()
    order = Order(str(tiny / "tiny.onnx"), {}, "llvm", 2, (), (), (), (), str(store.root))
    workshop = Workshop(order)
    workshop.load_baseline()
    check = Check(workshop)
    assert check.passes()
    *_, (slot,) = workshop.run.constants.values()
    kept = np.array(slot.array)
    slot.array.ravel()[0] += 1e-3
    assert not check.passes()
    slot.array[...] = kept
    assert check.passes()


def test_a_device_that_cannot_be_opened_is_the_users_to_mend(tiny, tmp_path, monkeypatch):
    needs_opencl()
    monkeypatch.setenv("PYTHONPATH", "")
    folder = tmp_path / "broken"
    folder.mkdir()
    # imports as the real one does, and fails where a context is made
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "import pyopencl\n"
        "def refuse(*args, **options):\n"
        "    raise pyopencl.LogicError('clCreateContext failed: OUT_OF_RESOURCES')\n"
        "pyopencl.Context = refuse\n"
    )
    monkeypatch.syspath_prepend(folder)
    source = resolve_model("tiny.onnx", base=tiny, scratch=tmp_path)
    made = Engine(source, Cell("opencl", 2), Store(tmp_path / "store"))
    try:
        with pytest.raises(MutatennError, match=r"refuses a context: .*OUT_OF_RESOURCES"):
            made.fork()
    finally:
        made.close()


def test_nothing_is_left(tiny, tmp_path):
    needs_opencl()
    source = resolve_model("tiny.onnx", base=tiny, scratch=tmp_path)
    store = Store(tmp_path / "store")
    made = Engine(source, Cell("opencl", 2), store)
    made.fork().close()
    assert len(sandboxes(store.root)) == 2
    made.close()
    assert not sandboxes(store.root)


def test_turns_are_taken_by_processes_and_freed_by_the_dead():
    mine = turn("a device of this test")
    with mine, mine:
        pid = os.fork()
        if pid == 0:
            other = turn("a device of this test")
            try:
                other.acquire(timeout=0.05)
            except TimeoutError:
                os._exit(3)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    with turn("a device of this test").acquire(timeout=1):
        pass
