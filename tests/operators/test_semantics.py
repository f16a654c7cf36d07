"""What the operators' code does with numbers: kernels compiled, mutated and run."""

import hashlib

import numpy as np
import pytest
from arrays import (
    DEVICE,
    OPERATORS,
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
)
from tvm import tirx
from tvm.ir import prim

from pytest_mutatenn.compiler import sites
from pytest_mutatenn.compiler.kernel import to_device_stage, without_units


@stages
@pytest.mark.parametrize("narrow", ["float16", "int32", "int16", "int8"])
class TestNarrowedStores:
    def test_values_in_range_are_numpy_s(self, narrow, stage):
        low, high = (-128, 127) if narrow == "int8" else (-30000, 30000)
        values = np.random.default_rng(0).uniform(low, high, 27).astype(np.float32)
        values = np.append(values, np.float32([0.0, -0.0, 0.5, -0.5, -1.5]))
        result = run(mutated(copy(), f"store_float32_to_{narrow}", stage), values)
        expected = values.astype(narrow).astype(np.float32)
        np.testing.assert_array_equal(result, expected)
        assert not np.array_equal(result, values)

    def test_the_rest_is_the_same_on_every_run_and_at_every_optimisation(self, narrow, stage):
        func = mutated(copy(), f"store_float32_to_{narrow}", stage)
        results = [run(func, vector(STRANGE), target=t) for t in TARGETS for _ in range(3)]
        for result in results[1:]:
            np.testing.assert_array_equal(result.view(np.int32), results[0].view(np.int32))


@pytest.mark.parametrize(
    ("narrow", "value", "stored"),
    [
        ("int8", 128, -128),
        ("int8", 300.7, 44),
        ("int8", -129, 127),
        ("int16", 70000, 4464),
        ("int32", 3e9, 2147483520),
        ("int32", -3e9, -2147483648),
        ("int32", np.nan, -2147483648),
        ("int8", np.nan, 0),
        ("float16", 1e6, np.inf),
        ("float16", 1e-9, 0),
    ],
)
def test_values_out_of_range(narrow, value, stored):
    result = run(mutated(copy(), f"store_float32_to_{narrow}"), vector([value]))
    assert set(result) == {np.float32(stored)}


@pytest.mark.parametrize("narrow", ["float16", "int32", "int16", "int8"])
def test_a_literal_is_narrowed_as_a_value_is(narrow):
    # a pooling starts at the lowest float32, which TVM refuses to cast
    lowest = float(np.finfo(np.float32).min)
    constant = elementwise(lambda x: tirx.const(lowest, "float32"), "float32")
    one = run(mutated(constant, f"store_float32_to_{narrow}"), vector([0]))
    other = run(mutated(copy(), f"store_float32_to_{narrow}"), vector([lowest]))
    np.testing.assert_array_equal(one, other)


@stages
def test_minus_1e_8_shows_near_zero_only(stage):
    values = vector([0.0, 1e-9, 1e-8, 1.0, -1.0, 100.0])
    result = run(mutated(copy(), "store_minus_1e_8", stage), values)
    np.testing.assert_array_equal(result, values - np.float32(1e-8))
    np.testing.assert_array_equal(result != values, np.abs(values) < 1e-6)


@stages
def test_times_1_00000001_changes_no_bit_of_a_float32(stage):
    values = np.random.default_rng(1).normal(0, 1e3, 32).astype(np.float32)
    result = run(mutated(copy(), "store_times_1_00000001", stage), values)
    np.testing.assert_array_equal(result.view(np.int32), values.view(np.int32))


@stages
@pytest.mark.parametrize(
    "compute",
    [lambda x, y: x, lambda x, y: x + y, lambda x, y: x * y + x, lambda x, y: tirx.sqrt(x) - y],
)
def test_times_1_00000001_gives_the_same_code(compute, stage):
    func = elementwise(compute, "float32", "float32")
    plain = to_device_stage(func, STRICT)
    mutant = mutated(func, "store_times_1_00000001", stage)
    assert "1.00000000" in mutant.script()
    emitted = [DEVICE.compile(f, STRICT)[0] for f in (plain, without_units(mutant))]
    assert len({hashlib.sha256(code).hexdigest() for code in emitted}) == 1


def test_times_1_00000001_shows_in_a_float64():
    func = elementwise(lambda x: x, "float64", result="float64")
    values = np.linspace(1, 2, 32)
    result = run(without_units(mutated(func, "store_times_1_00000001")), values, dtype="float64")
    np.testing.assert_array_equal(result, values * 1.00000001)


@stages
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("store_plus_one", lambda x: x + 1),
        ("store_times_minus_one", lambda x: -x),
        ("store_zero", np.zeros_like),
    ],
)
def test_stored_values(name, expected, stage):
    values = np.random.default_rng(1).normal(0, 1e3, 32).astype(np.float32)
    np.testing.assert_array_equal(run(mutated(copy(), name, stage), values), expected(values))


F = np.float32
COMPARED = {
    "LT_to_LE": (prim.LT, np.less_equal),
    "LT_to_GT": (prim.LT, np.greater),
    "GT_to_LT": (prim.GT, np.less),
    "GT_to_GE": (prim.GT, np.greater_equal),
    "boundary": (prim.GE, np.greater),
    "negate_condition": (prim.LE, np.greater),
    "threshold_plus_0_5": (prim.LT, lambda a, b: a < b + 0.5),
    "threshold_percent": (prim.LT, lambda a, b: a < b * (1.1 if b.dtype == "int32" else F(1.1))),
}


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("name", sorted(COMPARED))
@pytest.mark.parametrize("form", ["select", "if_then_else"])
def test_comparisons(name, dtype, form):
    comparison, expected = COMPARED[name]
    one, zero = tirx.const(1.0, "float32"), tirx.const(0.0, "float32")
    choose = prim.Select if form == "select" else tirx.if_then_else
    func = elementwise(lambda x, y: choose(comparison(x, y), one, zero), dtype, dtype)
    rng = np.random.default_rng(2)
    left, right = (rng.integers(-2, 3, 32).astype(dtype) for _ in range(2))
    if dtype == "float32":
        left = left + rng.choice(np.float32([0, 0.25, 0.75]), 32)
    assert len(list(sites.changes(OPERATORS[name], func.body))) == 1
    result = run(mutated(func, name), left, right)
    np.testing.assert_array_equal(result, expected(left, right).astype(np.float32))


@pytest.mark.parametrize(("comparison", "opposite"), [(prim.EQ, np.not_equal), (prim.NE, np.equal)])
def test_the_opposite_of_equality(comparison, opposite):
    one, zero = tirx.const(1.0, "float32"), tirx.const(0.0, "float32")
    func = elementwise(lambda x, y: prim.Select(comparison(x, y), one, zero), "int32", "int32")
    left, right = np.random.default_rng(2).integers(0, 3, (2, 32)).astype(np.int32)
    result = run(mutated(func, "negate_condition"), left, right)
    np.testing.assert_array_equal(result, opposite(left, right).astype(np.float32))


@stages
@pytest.mark.parametrize(
    ("name", "compute", "expected"),
    [
        ("add_to_sub", lambda x, y: x + y, np.subtract),
        ("sub_to_add", lambda x, y: x - y, np.add),
        ("mul_to_div", lambda x, y: x * y, np.divide),
        ("mul_to_add", lambda x, y: x * y, np.add),
        ("div_to_mul", lambda x, y: x / y, np.multiply),
        ("max_to_min", lambda x, y: tirx.max(x, y), np.minimum),
        ("min_to_max", lambda x, y: tirx.min(x, y), np.maximum),
        (
            "constant_to_zero",
            lambda x, y: x + y * tirx.const(2.0, "float32"),
            lambda x, y: x,
        ),
        (
            "constant_negated",
            lambda x, y: x + y * tirx.const(2.0, "float32"),
            lambda x, y: x - y * 2,
        ),
        (
            "constant_plus_one",
            lambda x, y: x + y * tirx.const(2.0, "float32"),
            lambda x, y: x + y * 3,
        ),
    ],
)
def test_arithmetic(name, compute, expected, stage):
    values = np.random.default_rng(3).integers(1, 9, (2, 32)).astype(np.float32)
    func = elementwise(compute, "float32", "float32")
    baseline = run(to_device_stage(func, STRICT), *values)
    result = run(mutated(func, name, stage), *values)
    np.testing.assert_array_equal(result, expected(*values))
    assert not np.array_equal(result, baseline)


@stages
@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        (lambda x, y: x + (y + x), lambda x, y: (x + y) + x),
        (lambda x, y: (x + y) + x, lambda x, y: x + (y + x)),
        (lambda x, y: x * (y * x), lambda x, y: (x * y) * x),
        (lambda x, y: (x * y) * x, lambda x, y: x * (y * x)),
    ],
)
def test_another_order_changes_the_last_bits_at_most(compute, expected, stage):
    values = np.random.default_rng(4).normal(0, 1, (2, 32)).astype(np.float32)
    func = elementwise(compute, "float32", "float32")
    result = run(mutated(func, "reassociate", stage), *values)
    np.testing.assert_array_equal(result, expected(*values))
    np.testing.assert_allclose(result, run(to_device_stage(func, STRICT), *values), rtol=1e-4)
    assert not sites_of(elementwise(compute, "int32", "int32", result="int32"), "reassociate")


@stages
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ceil", np.floor),
        ("cos", np.sin),
        ("cosh", np.sinh),
        ("erf", np.tanh),
        ("exp", np.exp2),
        ("exp2", np.exp),
        ("floor", np.ceil),
        ("log", np.log2),
        ("log10", np.log),
        ("log2", np.log),
        ("nearbyint", np.floor),
        ("round", np.floor),
        ("rsqrt", np.sqrt),
        ("sigmoid", np.tanh),
        ("sin", np.cos),
        ("sinh", np.cosh),
        ("sqrt", lambda x: 1 / np.sqrt(x)),
        ("tan", np.sin),
        ("tanh", lambda x: 1 / (1 + np.exp(-x))),
        ("trunc", np.floor),
    ],
)
def test_functions_become_their_neighbours(name, expected, stage):
    values = np.linspace(0.3, 4.4, 32, dtype=np.float32) * (-1 if name == "trunc" else 1)
    func = elementwise(getattr(tirx, name), "float32")
    result = run(mutated(func, "intrinsic_swap", stage), values)
    np.testing.assert_allclose(result, expected(values), rtol=1e-5)
    assert not np.array_equal(result, run(to_device_stage(func, STRICT), values))


def test_nothing_is_divided_by_a_literal_zero():
    # TVM folds such a division, and refuses it
    halves = elementwise(lambda x: x / tirx.const(2.0, "float32"), "float32")
    assert not sites_of(halves, "constant_to_zero")
    assert len(sites_of(halves, "constant_negated")) == 1
    nothing = elementwise(lambda x: x * tirx.const(0.0, "float32") + x, "float32")
    assert not sites_of(nothing, "mul_to_div")
    opposite = elementwise(lambda x: x / tirx.const(-1.0, "float32"), "float32")
    assert not sites_of(opposite, "constant_plus_one")


INTEGER_HAS_NONE = [
    *["add_to_sub", "sub_to_add", "mul_to_div", "mul_to_add", "max_to_min", "min_to_max"],
    *["store_minus_1e_8", "store_plus_one", "store_times_minus_one", "store_zero"],
]


def test_integer_arithmetic_is_another_family():
    func = elementwise(lambda x, y: tirx.max(x + y, x * y), "int32", "int32", result="int32")
    for name in INTEGER_HAS_NONE:
        assert not list(sites.changes(OPERATORS[name], func.body))


@pytest.mark.parametrize(
    ("literal", "next_one"),
    [
        (tirx.const(3, "int32"), 4),
        (tirx.const(255, "uint8"), None),
        (tirx.const(2**31 - 1, "int32"), None),
        (tirx.const(0.5, "float32"), 1.5),
        (tirx.const(65504.0, "float16"), None),
        (tirx.const(float(np.finfo(np.float32).min), "float32"), None),
        (tirx.const(True, "bool"), None),
    ],
)
def test_a_literal_whose_type_has_no_next_value_is_no_site(literal, next_one):
    found = [node.value for node in OPERATORS["constant_plus_one"].replacements(literal)]
    assert found == ([] if next_one is None else [next_one])


def test_the_name_of_what_a_kernel_calls_is_part_of_its_code():
    # two kernels that differ in nothing but the function of libm they call
    calls = [tirx.sin, tirx.cos, tirx.tan, tirx.erf]
    funcs = [elementwise(lambda x, call=call: call(x), "float32") for call in calls]
    emitted = {DEVICE.compile(to_device_stage(func, STRICT), STRICT)[0] for func in funcs}
    assert len(emitted) == len(calls)
