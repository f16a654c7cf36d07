"""Stores and sums in narrow floats, against NumPy's and ml_dtypes' own."""

import ml_dtypes
import numpy as np
import pytest
from arrays import (
    STRANGE,
    STRICT,
    TARGETS,
    copy,
    elementwise,
    mutated,
    run,
    sites_of,
    stages,
    vector,
    vectorised,
)
from tvm import te, tirx

from pytest_mutatenn.compiler.kernel import to_device_stage

EDGES = [0, -0.0, 448, 463.9, 465, -1e6, 2**-9, 2**-10, 3 * 2**-10, 1.5 * 2**-9, 2**-6, 1e-40]


def bfloat16(x):
    return x.astype(ml_dtypes.bfloat16).astype(np.float32)


def float8(x):
    return np.clip(x, -448, 448).astype(ml_dtypes.float8_e4m3fn).astype(np.float32)


narrow_floats = pytest.mark.parametrize("narrow", [bfloat16, float8])


def many(size=4096):
    """Numbers of all magnitudes, halfway cases among them."""
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, size) * np.exp2(rng.integers(-14, 12, size))
    values[: size // 2] = rng.integers(-4096, 4096, size // 2) / 2.0**13
    return np.concatenate([values, STRANGE, EDGES]).astype(np.float32)


def long_copy(size):
    data = te.placeholder((size,), "float32", name="data")
    return te.create_prim_func([data, te.compute((size,), lambda i: data[i], name="out")])


@stages
@narrow_floats
@pytest.mark.parametrize("target", TARGETS)
def test_rounding_is_to_the_nearest_and_even(narrow, stage, target):
    values = many()
    func = mutated(long_copy(len(values)), f"store_float32_to_{narrow.__name__}", stage)
    with np.errstate(all="ignore"):
        expected = narrow(values)
    np.testing.assert_array_equal(run(func, values, target=target), expected)


@narrow_floats
def test_vectors_are_rounded_as_numbers_are(narrow):
    values = many()[:4096]
    func = mutated(vectorised(long_copy(4096)), f"store_float32_to_{narrow.__name__}", "device")
    assert "float32x8" in func.script()
    np.testing.assert_array_equal(run(func, values), narrow(values))


@narrow_floats
@pytest.mark.parametrize("value", [float(np.finfo(np.float32).min), 0.3, 1e-3, 0.0])
def test_a_literal_is_rounded_as_a_value_is(narrow, value):
    name = f"store_float32_to_{narrow.__name__}"
    if narrow(np.float32([value])) == np.float32(value):
        constant = elementwise(lambda x: tirx.const(value, "float32"), "float32")
        assert not sites_of(constant, name)
        return
    constant = elementwise(lambda x: tirx.const(value, "float32"), "float32")
    np.testing.assert_array_equal(
        run(mutated(constant, name), vector([0])), narrow(vector([value]))
    )


def summed(axes=(4, 300)):
    """A kernel that sums the rows of a matrix."""
    data = te.placeholder(axes, "float32", name="data")
    k = te.reduce_axis((0, axes[1]), "k")
    return te.create_prim_func([data, te.compute(axes[:1], lambda i: te.sum(data[i, k], k))])


def half(x):
    return np.float32(np.float16(x))


@stages
def test_a_sum_in_float16(stage):
    values = np.random.default_rng(5).uniform(0, 1, (4, 300)).astype(np.float32)
    total = np.zeros(4, np.float32)
    for column in values.T:
        total = half(total + half(column))
    result = run(mutated(summed(), "accumulate_float16", stage), values, shape=(4,))
    np.testing.assert_array_equal(result, total)
    # the update is the second store, after the initial value
    number = len(sites_of(summed(), "store_float32_to_float16", stage)) - 1
    stored = run(mutated(summed(), "store_float32_to_float16", stage, number), values, shape=(4,))
    assert not np.array_equal(result, stored)
    exact = run(to_device_stage(summed(), STRICT), values, shape=(4,))
    assert not np.array_equal(result, exact)


def test_what_is_no_sum_has_no_accumulator():
    assert not sites_of(elementwise(lambda x, y: x + y, "float32", "float32"), "accumulate_float16")
    assert not sites_of(copy(), "accumulate_float16")
    assert len(sites_of(summed(), "accumulate_float16")) == 1
