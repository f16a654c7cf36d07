"""Indices that move, wrap and change places, and stay inside their buffers."""

import numpy as np
import pytest
from arrays import OPERATORS, STRICT, mutated, run, sites_of, stages, vectorised
from tvm import te, tirx
from tvm.ir.expr import TensorLoad

from pytest_mutatenn.compiler.kernel import to_device_stage


def shifted(size, offset=0, result=None):
    data = te.placeholder((size,), "float32", name="data")
    shape = (size if result is None else result,)
    return te.create_prim_func([data, te.compute(shape, lambda i: data[i + offset], name="out")])


def number_of(func, name, stage, kind):
    found = sites_of(func, name, stage)
    return next(n for n, change in enumerate(found) if isinstance(change.place.node, kind))


@stages
@pytest.mark.parametrize("size", [33, 32])
def test_a_load_reads_the_next_element_and_the_last_one_twice(stage, size):
    func = shifted(size, result=32)
    values = np.arange(size, dtype=np.float32)
    number = number_of(func, "index_plus_one", stage, TensorLoad)
    result = run(mutated(func, "index_plus_one", stage, number), values, shape=(32,))
    np.testing.assert_array_equal(result, np.append(values[1:], values[-1])[:32])


@stages
def test_a_store_writes_the_next_element(stage):
    func = shifted(32)
    values = np.arange(32, dtype=np.float32)
    number = number_of(func, "index_plus_one", stage, tirx.BufferStore)
    result = run(mutated(func, "index_plus_one", stage, number), values)
    np.testing.assert_array_equal(result, [77, *values[:30], 31])


def test_a_vector_moves_as_a_whole_and_stays_inside():
    func = vectorised(shifted(32))
    values = np.arange(32, dtype=np.float32)
    number = number_of(func, "index_plus_one", "device", TensorLoad)
    mutant = mutated(func, "index_plus_one", "device", number)
    assert "T.Ramp(T.min(" in mutant.script()
    np.testing.assert_array_equal(run(mutant, values), [*values[1:25], *values[24:]])
    # one vector that fills its buffer has no next place
    assert not sites_of(vectorised(shifted(8)), "index_plus_one", "device")


def test_an_axis_of_one_element_has_no_next():
    data = te.placeholder((1, 8), "float32", name="data")
    func = te.create_prim_func([data, te.compute((1, 8), lambda i, j: data[i, j], name="out")])
    assert len(sites_of(func, "index_plus_one")) == 2


@stages
def test_swapped_indices_read_the_transpose(stage):
    data = te.placeholder((6, 6, 2), "float32", name="data")
    func = te.create_prim_func(
        [data, te.compute((6, 6, 2), lambda i, j, k: data[i, j, k], name="out")]
    )
    if stage == "device":
        # lowered buffers have one axis
        assert not sites_of(func, "index_swap", "device")
        return
    assert len(sites_of(func, "index_swap")) == 1
    values = np.random.default_rng(7).normal(0, 1, (6, 6, 2)).astype(np.float32)
    result = run(mutated(func, "index_swap"), values)
    np.testing.assert_array_equal(result, values.transpose(1, 0, 2))
    assert not np.array_equal(result, values)


@stages
@pytest.mark.parametrize("lanes", [1, 8])
def test_an_index_of_int16_wraps(stage, lanes):
    size = 40000
    func = shifted(size) if lanes == 1 else vectorised(shifted(size), lanes)
    values = np.arange(size, dtype=np.float32)
    number = number_of(func, "index_int32_to_int16", stage, TensorLoad)
    result = run(mutated(func, "index_int32_to_int16", stage, number), values)
    base = np.arange(size) // lanes * lanes if stage == "device" else np.arange(size)
    wrapped = np.maximum(base.astype(np.int16), 0) + np.arange(size) - base
    np.testing.assert_array_equal(result, values[wrapped])
    assert not np.array_equal(result, values)


def test_an_axis_that_int16_can_count_is_left_alone():
    assert not sites_of(shifted(2**15), "index_int32_to_int16")
    assert len(sites_of(shifted(2**15 + 1), "index_int32_to_int16")) == 2


@stages
def test_what_the_mutants_read_is_inside(stage):
    # a load at a distance, whose last place is the buffer's last
    func = shifted(40, offset=8, result=32)
    values = np.arange(40, dtype=np.float32)
    number = number_of(func, "index_plus_one", stage, TensorLoad)
    result = run(mutated(func, "index_plus_one", stage, number), values, shape=(32,))
    np.testing.assert_array_equal(result, [*values[9:], 39])
    baseline = run(to_device_stage(func, STRICT), values, shape=(32,))
    np.testing.assert_array_equal(baseline, values[8:])


def test_literal_indices_move_too():
    buffer = tirx.decl_buffer((32,), "float32", "data")
    replacements = OPERATORS["index_plus_one"].replacements
    (moved,) = replacements(tirx.BufferLoad(buffer, [tirx.const(30, "int32")]))
    assert int(moved.indices[0]) == 31
    assert not list(replacements(moved))
