"""Stores and initial values that are left out."""

import numpy as np
import pytest
from arrays import STRICT, copy, mutated, run, sites_of, stages, vector
from tvm import te
from tvm.s_tir import Schedule

from pytest_mutatenn.compiler.kernel import to_device_stage


def summed(decomposed=False):
    data = te.placeholder((4, 8), "float32", name="data")
    k = te.reduce_axis((0, 8), "k")
    func = te.create_prim_func(
        [data, te.compute((4,), lambda i: te.sum(data[i, k], k), name="out")]
    )
    if not decomposed:
        return func
    schedule = Schedule(func)
    block = schedule.get_sblock("out")
    schedule.decompose_reduction(block, schedule.get_loops(block)[1])
    return schedule.mod["main"]


VALUES = np.random.default_rng(6).integers(1, 9, (4, 8)).astype(np.float32)


@stages
def test_a_store_left_out_leaves_what_was_there(stage):
    assert set(run(mutated(copy(), "drop_store", stage), vector([5.0]))) == {77}


@stages
@pytest.mark.parametrize("decomposed", [False, True])
def test_a_sum_without_its_initial_value_goes_on_from_what_was_there(stage, decomposed):
    func = summed(decomposed)
    assert len(sites_of(func, "drop_init", stage)) == 1
    result = run(mutated(func, "drop_init", stage), VALUES, shape=(4,))
    np.testing.assert_array_equal(result, VALUES.sum(1) + 77)
    np.testing.assert_array_equal(
        run(to_device_stage(func, STRICT), VALUES, shape=(4,)), VALUES.sum(1)
    )


@stages
def test_a_sum_without_its_update_is_its_initial_value(stage):
    func = summed()
    number = len(sites_of(func, "drop_store", stage)) - 1
    assert set(run(mutated(func, "drop_store", stage, number), VALUES, shape=(4,))) == {0}


@stages
@pytest.mark.parametrize("name", ["drop_store", "drop_init"])
def test_the_lines_show_the_store(name, stage):
    func = summed()
    body = (to_device_stage(func, STRICT) if stage == "device" else func).body
    before, after = sites_of(func, name, stage)[0].lines(body)
    assert before.endswith("= T.float32(0.0)")
    assert after == before.replace("T.float32(0.0)", before.partition(" = ")[0])


def test_what_fills_a_buffer_that_nothing_is_added_to_is_no_initial_value():
    zeros = te.create_prim_func([te.compute((4,), lambda i: te.const(0.0, "float32"), name="out")])
    assert not sites_of(zeros, "drop_init")
    assert not sites_of(zeros, "drop_init", "device")
    assert not sites_of(copy(), "drop_init")
