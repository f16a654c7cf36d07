"""Branches that are always or never taken, or swapped; thresholds; padding."""

import numpy as np
import pytest
from arrays import OPERATORS, elementwise, mutated, run, sites_of, stages, vectorised
from tvm import te, tirx
from tvm.ir import prim
from tvm_ffi import structural_equal
from tvm_ffi.structural import structural_map

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.operators import catalogue

ZERO, ONE = (tirx.const(value, "float32") for value in (0.0, 1.0))
X, Y = np.random.default_rng(9).integers(-3, 4, (2, 32)).astype(np.float32)


def chosen(form):
    """`y` where `x < 1`, else `x`: as a select, an expression or a statement."""
    if form != "branch":
        choose = prim.Select if form == "select" else tirx.if_then_else
        return elementwise(lambda x, y: choose(x < ONE, y, x), "float32", "float32")
    func = elementwise(lambda x, y: prim.Select(x < ONE, y, x), "float32", "float32")

    def branch(store):
        value = store.value
        then, otherwise = (
            tirx.BufferStore(store.buffer, part, store.indices)
            for part in (value.true_value, value.false_value)
        )
        return tirx.IfThenElse(value.condition, then, otherwise)

    return func.with_body(structural_map(func.body, [(tirx.BufferStore, branch)]))


@stages
@pytest.mark.parametrize("form", ["select", "if_then_else", "branch"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("condition_true", Y),
        ("condition_false", X),
        ("swap_branches", np.where(X < 1, X, Y)),
    ],
)
def test_every_form_of_a_choice(name, expected, form, stage):
    func = chosen(form)
    assert len(sites_of(func, name, stage)) == 1
    np.testing.assert_array_equal(run(mutated(func, name, stage), X, Y), expected)
    assert not np.array_equal(expected, np.where(X < 1, Y, X))


@pytest.mark.parametrize("name", ["condition_true", "condition_false", "swap_branches"])
def test_vectors_choose_as_numbers_do(name):
    func = chosen("select")
    vectors = mutated(vectorised(func), name, "device")
    assert "x8" in vectors.script() or "Ramp" in vectors.script()
    np.testing.assert_array_equal(run(vectors, X, Y), run(mutated(func, name), X, Y))


def test_a_decided_condition_is_no_site():
    decided = prim.Select(tirx.const(True, "bool"), ONE, ZERO)
    for name in ("condition_true", "condition_false"):
        assert not list(OPERATORS[name].replacements(decided))
    alone = tirx.IfThenElse(tirx.Var("i", "int32") < 3, tirx.Evaluate(tirx.const(0, "int32")), None)
    assert not list(OPERATORS["swap_branches"].replacements(alone))
    assert list(OPERATORS["condition_false"].replacements(alone))


@stages
@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [("and_to_or", prim.And, np.logical_or), ("or_to_and", prim.Or, np.logical_and)],
)
def test_conditions_of_two(name, kind, expected, stage):
    func = elementwise(
        lambda x, y: prim.Select(kind(x < ONE, y < ONE), ONE, ZERO), "float32", "float32"
    )
    result = run(mutated(func, name, stage), X, Y)
    np.testing.assert_array_equal(result, expected(X < 1, Y < 1).astype(np.float32))


def padded(value, form=tirx.if_then_else):
    data = te.placeholder((24,), "float32", name="data")

    def compute(i):
        return form(te.all(i >= 4, i < 28), data[i - 4], tirx.const(value, "float32"))

    return te.create_prim_func([data, te.compute((32,), compute, name="out")])


@stages
@pytest.mark.parametrize("value", [0.0, -3.0])
def test_padding_with_one(value, stage):
    values = np.arange(24, dtype=np.float32)
    assert len(sites_of(padded(value), "pad_value_nonzero", stage)) == 1
    result = run(mutated(padded(value), "pad_value_nonzero", stage), values, shape=(32,))
    np.testing.assert_array_equal(result, np.pad(values, 4, constant_values=1))


def test_padding_of_vectors():
    values = np.arange(24, dtype=np.float32)
    func = mutated(vectorised(padded(0.0), 4), "pad_value_nonzero", "device")
    np.testing.assert_array_equal(
        run(func, values, shape=(32,)), np.pad(values, 4, constant_values=1)
    )


def test_a_choice_by_value_is_no_padding():
    relu = elementwise(lambda x: prim.Select(x > ZERO, x, ZERO), "float32")
    assert not sites_of(relu, "pad_value_nonzero")
    assert not sites_of(padded(1.0), "pad_value_nonzero")


class TestThresholds:
    x, y = tirx.Var("x", "float32"), tirx.Var("y", "float32")
    half = tirx.const(0.5, "float32")

    def first(self, **parameters):
        (found,) = OPERATORS["threshold_plus_0_5"].replacements(self.x < self.y, **parameters)
        return found

    @pytest.mark.parametrize(
        ("operation", "made"),
        [
            ("add", lambda a, b: a + b),
            ("sub", lambda a, b: a - b),
            ("mul", lambda a, b: a * b),
            ("div", prim.Div),
        ],
    )
    def test_side_and_operation(self, operation, made):
        right = self.first(operation=operation)
        assert structural_equal(right, self.x < made(self.y, self.half), map_free_vars=True)
        left = self.first(operation=operation, side="left")
        assert structural_equal(left, made(self.x, self.half) < self.y, map_free_vars=True)

    def test_amount(self):
        assert structural_equal(
            self.first(amount=2.0), self.x < self.y + tirx.const(2.0, "float32"), map_free_vars=True
        )

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"side": "rihgt"}, r"side must be one of left, right, got 'rihgt'.* mean 'right'"),
            ({"operation": "power"}, r"operation must be one of add, sub, mul, div, got 'power'"),
        ],
    )
    def test_a_wrong_word(self, wrong, message):
        with pytest.raises(MutatennError, match=message):
            self.first(**wrong)

    def test_percent(self):
        (more,) = OPERATORS["threshold_percent"].replacements(self.x < self.y, percent=-50.0)
        assert structural_equal(more, self.x < self.y * self.half, map_free_vars=True)

    def test_the_user_sets_them(self):
        settings = [("threshold_plus_0_5", "side", "left"), ("threshold_percent", "percent", "-50")]
        operators = catalogue.load(settings=settings)
        (left,) = operators["threshold_plus_0_5"].replacements(self.x < self.y)
        assert structural_equal(left, self.x + self.half < self.y, map_free_vars=True)
        (less,) = operators["threshold_percent"].replacements(self.x < self.y)
        assert structural_equal(less, self.x < self.y * self.half, map_free_vars=True)
