"""Rows over pytest-xdist's workers: all tests of one mutant go to one."""

from itertools import pairwise
from types import SimpleNamespace

import pytest

from pytest_mutatenn.engine.cell import Cell, CellGroup
from pytest_mutatenn.place import place_of

scheduling = pytest.importorskip("pytest_mutatenn.scheduling", reason="needs pytest-xdist")

ROWS = [
    "baseline",
    "identity",
    "canary",
    "graph.relu_to_sigmoid@clip#1",
    "kernel.boundary@conv2d_1#12",
    "kernel.boundary@conv2d_1#1",
    "kernel.boundary@conv2d#1+conv2d_1#2",
    "kernel.boundary@conv2d#1+conv2d_1#3",
    "kernel.boundary@conv2d#1+device.boundary@conv2d#1",
    "kernel.boundary@conv2d#1+weights.bit_flip_sign@w#3b31",
    "kernel.boundary@sweep",
    "kernel.boundary@sweep:1:3",
    "kernel.boundary@sweep:1:",
    "weights.bit_flip_sign@sweep~5",
    "weights.bit_flip_sign@w#3b31",
    "weights.bit_flip_sign@w#3b3",
    "weights.stuck_at_one@w#b3",
    "weights.stuck_at_one@w#b31",
    "weights.zero_channel@w#0",
]


def scope(test, row):
    return place_of(f"tests/test_it.py::{test}[{row}]").row


@pytest.mark.parametrize(
    "cell", ["llvm-O2", "cuda:0-O3", "llvm:mattr=+avx2;mcpu=x-O1", "llvm-O0~c-O2", "a-O0~4~c-O2"]
)
def test_every_row_has_a_scope_of_its_own(cell):
    assert len({scope("test_a", f"{cell}-{row}") for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_all_tests_of_a_row_have_one(row):
    named = {
        scope("test_a", f"llvm-O2-{row}"),
        scope("test_b", f"llvm-O2-{row}"),
        # parameters of the user's before and behind
        scope("test_c", f"0.5-llvm-O2-{row}"),
        scope("test_c", f"llvm-O2-{row}-0.5"),
        scope("test_c", f"llvm-O2-{row}-a-b"),
    }
    assert len(named) == 1
    assert scope("test_a", f"llvm-O3-{row}") not in named


def test_cells_that_are_compared_are_a_place_of_their_own():
    cells = [Cell("llvm", 0), Cell("llvm:mcpu=skylake-avx512", 2), Cell("c", 3), Cell("c", 4)]
    for group in (cells[:2], cells[:3], cells):
        name = CellGroup(tuple(group)).id
        assert place_of(f"test_it.py::test_a[{name}-kernel.boundary@conv2d#1]").cell == name
    assert CellGroup(tuple(cells)).id == "llvm-O0~2~c-O4"


def test_other_tests_are_rows_of_their_own():
    one = place_of("test_it.py::test_a")
    assert one == ("", "", "test_it.py::test_a", False)
    assert scope("test_a", "x") != scope("test_a", "y")


@pytest.mark.parametrize(
    ("row", "kernel"),
    [
        ("graph.relu_to_sigmoid@clip_1#1", "clip_1"),
        ("kernel.boundary@conv2d_1#1+conv2d_2#2", "conv2d_1"),
        ("device.boundary@conv2d_1__3#2", "conv2d_1"),
        ("weights.bit_flip_sign@conv_w#3b31", "conv_w"),
        ("kernel.boundary@sweep:1:3", "sweep"),
        ("baseline", "llvm-O2-baseline"),
    ],
)
def test_a_row_has_the_kernel_of_its_first_site(row, kernel):
    found = place_of(f"a/test_it.py::test_it[0.5-llvm-O2-{row}-0.5]")
    assert (found.cell, found.kernel) == ("llvm-O2", kernel)


class Worker:
    """What a scheduler sees of a worker; `run` does the test at hand, as pytest-xdist's does."""

    def __init__(self, name):
        self.gateway = SimpleNamespace(id=name)
        self.queue = []
        self.done = []
        self.shutting_down = False

    def send_runtest_some(self, numbers):
        assert not self.shutting_down
        self.queue.extend(numbers)

    def shutdown(self):
        self.shutting_down = True

    def run(self):
        """The number of a test, if it may be run: the next is known, or there will be none."""
        if len(self.queue) > 1 or (self.queue and self.shutting_down):
            self.done.append(self.queue.pop(0))
            return self.done[-1]
        return None


@pytest.fixture
def scheduler(pytester):
    config = pytester.parseconfig("--tx", "2*popen")
    return scheduling.RowScheduling(config)


def start(scheduler, tests, workers=2):
    found = [Worker(f"gw{i}") for i in range(workers)]
    for worker in found:
        scheduler.add_node(worker)
    for worker in found:
        scheduler.add_node_collection(worker, tests)
    assert scheduler.collection_is_completed
    assert not scheduler.has_pending
    scheduler.schedule()
    return found


def finish(scheduler, workers, speeds=(1, 1)):
    for step in range(100_000):
        moved = False
        for worker, speed in zip(workers, speeds, strict=True):
            if step % speed == 0 and (number := worker.run()) is not None:
                scheduler.mark_test_complete(worker, number)
                moved = True
            moved |= bool(worker.queue)
        if not moved:
            return
    raise AssertionError("it does not end")


def collection_of(cells, kernels=4, mutants=10):
    rows = [
        f"{cell}-{row}"
        for cell in cells
        for row in (
            "baseline",
            "canary",
            *(f"kernel.boundary@conv{k}#{i + 1}" for i in range(mutants) for k in range(kernels)),
        )
    ]
    return [f"test_it.py::{test}[{row}]" for row in rows for test in ("test_a", "test_b")]


@pytest.mark.parametrize("speeds", [(1, 1), (1, 7)])
def test_every_test_is_run_once_and_rows_stay_together(scheduler, speeds):
    tests = [*(f"test_it.py::test_{i}" for i in range(3)), *collection_of(["llvm-O2"])]
    workers = start(scheduler, tests)
    assert scheduler.has_pending
    assert not scheduler.tests_finished
    finish(scheduler, workers, speeds)

    assert sorted(workers[0].done + workers[1].done) == list(range(len(tests)))
    assert not scheduler.has_pending
    assert scheduler.tests_finished
    assert all(worker.shutting_down for worker in workers)
    rows = [{place_of(tests[i]).row for i in worker.done} for worker in workers]
    assert not rows[0] & rows[1]
    # a slow worker has had less, and both were busy to the end
    share = len(workers[1].done) / len(tests)
    assert abs(share - 1 / (1 + speeds[1])) < 0.1


def test_kernels_stay_together(scheduler):
    tests = collection_of(["llvm-O2"], kernels=6)
    workers = start(scheduler, tests)
    finish(scheduler, workers)
    for worker in workers:
        kernels = [place_of(tests[i]).kernel for i in worker.done]
        changes = sum(a != b for a, b in pairwise(kernels))
        assert changes <= len(set(kernels))


def test_workers_take_cells_of_their_own_and_share_the_last(scheduler):
    cells = ["llvm-O0", "llvm-O2", "llvm-O3"]
    tests = collection_of(cells)
    workers = start(scheduler, tests)
    finish(scheduler, workers)
    at = [[place_of(tests[i]).cell for i in worker.done] for worker in workers]
    assert [set(cell) for cell in at] == [{"llvm-O0", "llvm-O3"}, {"llvm-O2", "llvm-O3"}]
    assert [len(set(pairwise(cell))) for cell in at] == [3, 3]


def test_a_worker_that_dies_leaves_its_work_but_for_what_it_died_of(scheduler):
    tests = collection_of(["llvm-O2"])
    one, two = start(scheduler, tests)
    scheduler.mark_test_complete(one, one.run())
    died_of = one.queue[0]

    assert scheduler.remove_node(one) == tests[died_of]
    new = Worker("gw2")
    scheduler.add_node(new)
    scheduler.add_node_collection(new, tests)
    scheduler.schedule()
    finish(scheduler, [two, new])

    done = one.done + two.done + new.done
    assert sorted([*done, died_of]) == list(range(len(tests)))
    assert new.done
    assert scheduler.remove_node(two) is None


def test_workers_that_collect_different_tests_end_the_run(scheduler):
    one, two = Worker("gw0"), Worker("gw1")
    for worker, tests in ((one, ["test_a"]), (two, ["test_b"])):
        scheduler.add_node(worker)
        assert not scheduler.tests_finished
        scheduler.add_node_collection(worker, tests)
    scheduler.schedule()
    assert scheduler.tests_finished
    assert not scheduler.has_pending
    assert one.queue == two.queue == []


def test_a_worker_without_work_is_sent_home(scheduler):
    one, two = start(scheduler, ["test_it.py::test_a"])
    finish(scheduler, [one, two])
    assert sorted(one.done + two.done) == [0]
    assert one.shutting_down
    assert two.shutting_down


def test_thousands_of_rows_take_no_square_of_their_number(scheduler):
    compared = 0

    class Id(str):
        __slots__ = ()

        def __eq__(self, other):
            nonlocal compared
            compared += 1
            return str(self) == other

        __hash__ = str.__hash__

    tests = [Id(test) for test in collection_of(["llvm-O2"], kernels=20, mutants=100)]
    workers = start(scheduler, tests)
    compared = 0
    finish(scheduler, workers)
    assert compared < len(tests)
