"""Loops that run too far or not far enough, and loops run by many threads at once."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from arrays import STRICT, copy, mutated, run, sites_of, stages, vector
from tvm import te, tirx
from tvm.s_tir import Schedule
from tvm_ffi.structural import structural_map

from pytest_mutatenn.compiler import sites
from pytest_mutatenn.compiler.kernel import generate, to_device_stage
from pytest_mutatenn.operators import catalogue


@stages
def test_a_loop_leaves_out_its_last_round(stage):
    values = vector([5.0])
    result = run(mutated(copy(), "loop_extent_minus_one", stage), values)
    np.testing.assert_array_equal(result[:-1], values[:-1])
    assert result[-1] == 77


@stages
def test_a_loop_leaves_out_its_first_round(stage):
    values = vector([5.0])
    result = run(mutated(copy(), "loop_start_plus_one", stage), values)
    np.testing.assert_array_equal(result[1:], values[1:])
    assert result[0] == 77


@stages
def test_a_loop_runs_one_round_too_far(stage):
    # of the matrix that is summed, the next row's first element is added as well
    data = te.placeholder((4, 8), "float32", name="data")
    k = te.reduce_axis((0, 8), "k")
    func = te.create_prim_func([data, te.compute((3,), lambda i: te.sum(data[i, k], k))])
    values = np.random.default_rng(8).integers(1, 9, (4, 8)).astype(np.float32)
    number = len(sites_of(func, "loop_extent_plus_one", stage)) - 1
    result = run(mutated(func, "loop_extent_plus_one", stage, number), values, shape=(3,))
    np.testing.assert_array_equal(result, values[:3].sum(1) + values[1:, 0])


@pytest.mark.parametrize(
    "name", ["loop_extent_minus_one", "loop_extent_plus_one", "loop_start_plus_one"]
)
def test_a_loop_of_one_round_or_of_lanes_is_no_site(name):
    i = tirx.Var("i", "int32")
    nothing = tirx.Evaluate(tirx.const(0, "int32"))
    replacements = catalogue.load()[name].replacements
    for kind, extent in ((tirx.ForKind.SERIAL, 1), (tirx.ForKind.VECTORIZED, 8)):
        zero, rounds = tirx.const(0, "int32"), tirx.const(extent, "int32")
        assert not list(replacements(tirx.For(i, zero, rounds, kind, nothing)))


def total(size, rows=1):
    data = te.placeholder((rows, size), "float32", name="data")
    k = te.reduce_axis((0, size), "k")
    sums = te.compute((rows,), lambda i: te.sum(data[i, k], k), name="out")
    func = te.create_prim_func([data, sums])
    schedule = Schedule(func)
    block = schedule.get_sblock("out")
    schedule.decompose_reduction(block, schedule.get_loops(block)[1])
    return schedule.mod["main"]


RACE = """
import numpy as np
from test_loops import mutated, run, total
size = 1 << 20
values = np.ones((1, size), np.float32)
func = mutated(total(size), "parallel_race", "device")
assert any(run(func, values, shape=(1,))[0] < size for _ in range(50))
"""


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core runs one thread after the other")
def test_a_parallel_sum_loses_what_others_added():
    # in a process of its own: this one is to fork later, and has to have no pool of threads
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), *(path for path in sys.path if path)])
    environment = {**os.environ, "TVM_NUM_THREADS": "2", "PYTHONPATH": paths}
    command = [sys.executable, "-c", RACE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_parallel_sum_is_other_code():
    func = total(64)
    plain, racy = to_device_stage(func, STRICT), mutated(func, "parallel_race", "device")
    assert "ParallelLaunch" not in generate(plain, STRICT).inspect_source()
    assert "ParallelLaunch" in generate(racy, STRICT).inspect_source()


def test_no_loop_becomes_parallel_within_another():
    def outer(loop):
        kind = tirx.ForKind.PARALLEL if loop.loop_var.name == "i" else loop.kind
        return tirx.For(loop.loop_var, loop.min, loop.extent, kind, loop.body)

    func = total(64, rows=4)
    assert len(sites_of(func, "parallel_race", "device")) == 1
    parallel = func.with_body(structural_map(func.body, [(tirx.For, outer)]))
    assert "T.parallel(4)" in parallel.script()
    assert not sites_of(parallel, "parallel_race", "device")


def test_a_sweep_leaves_a_loop_around_one_that_became_parallel():
    data = te.placeholder((8, 8), "float32", name="data")
    k, m = te.reduce_axis((0, 8), "k"), te.reduce_axis((0, 8), "m")
    func = te.create_prim_func([data, te.compute((1,), lambda i: te.sum(data[k, m], [k, m]))])
    func = to_device_stage(func, STRICT)
    found = list(sites.changes(catalogue.load()["parallel_race"], func.body))
    assert len(found) == 2
    swept = sites.apply(func, found)
    assert swept.script().count("T.parallel(8)") == 1
    generate(swept, STRICT)


def test_loops_over_a_place_of_their_own_are_no_race():
    assert not sites_of(copy(), "parallel_race", "device")
    # each round of the loop over rows starts its sum anew, in the one place of a temporary
    data = te.placeholder((4, 8), "float32", name="data")
    k = te.reduce_axis((0, 8), "k")
    sums = te.compute((4,), lambda i: te.sum(data[i, k], k), name="sums")
    func = te.create_prim_func([data, te.compute((4,), lambda i: sums[i] * sums[i], name="out")])
    schedule = Schedule(func)
    schedule.compute_at(schedule.get_sblock("sums"), schedule.get_loops("out")[0])
    (change,) = sites_of(schedule.mod["main"], "parallel_race", "device")
    assert int(change.place.node.extent) == 8
