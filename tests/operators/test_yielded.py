"""What an operator yields, and how it is declared: wrong ones are named in one sentence."""

import numpy as np
import pytest
from tvm import relax, tirx
from tvm.ir import prim

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.operators import registry
from pytest_mutatenn.operators.parameter import Channel, Parameter
from pytest_mutatenn.operators.registry import operator

WHOLE = Parameter("w", "weight", 0, np.ones((2, 3), np.float32))
X = tirx.Var("x", "float32")
STORE = tirx.BufferStore(tirx.decl_buffer((8,), "float32"), X, [tirx.const(0, "int32")])
LAYER = relax.op.nn.relu(relax.Var("t", relax.TensorType((4,), "float32")))

WEIGHTS = {"category": "weights", "stages": ["weights"], "on": Parameter}
TIR = {"category": "stores", "on": prim.Add}
GRAPH = {"category": "layer", "stages": ["graph"], "on": "relax.nn.relu"}


@pytest.fixture(autouse=True)
def _private(monkeypatch):
    monkeypatch.setattr(registry, "REGISTRY", {})


def defined(result, **settings):
    @operator("mine", **settings)
    def mine(node):
        """Do something."""
        yield result

    return registry.REGISTRY["mine"]


@pytest.mark.parametrize(
    ("node", "settings", "result", "said"),
    [
        (WHOLE, WEIGHTS, WHOLE.values.T, r"array of float32 of the shape \(3, 2\), not an array"),
        (WHOLE, WEIGHTS, WHOLE.values + 1j, r"an array of complex64 of the shape \(2, 3\)"),
        (WHOLE, WEIGHTS, [1, 2], r"a list, not an array of floats of the shape \(2, 3\)"),
        (WHOLE, WEIGHTS, None, r"a NoneType, not an array"),
        (X + X, TIR, 1.5, "a float, not an expression"),
        (X + X, TIR, tirx.const(1, "float16"), "an expression of float16, not of float32"),
        (STORE, {**TIR, "on": tirx.BufferStore}, X, "a Var, not a statement"),
        (LAYER, GRAPH, np.ones(4), "a ndarray, not an expression of Relax"),
    ],
)
def test_what_cannot_stand_in_its_place_is_refused(node, settings, result, said):
    op = defined(result, **settings)
    with pytest.raises(MutatennError, match=rf"'mine' \(.*test_yielded\.py\) yields .*{said}"):
        list(op.replacements(node))


@pytest.mark.parametrize(
    ("node", "settings", "result"),
    [(WHOLE, WEIGHTS, WHOLE.values * 2), (X + X, TIR, X * X), (LAYER, GRAPH, LAYER.args[0])],
)
def test_what_can_is_passed_on(node, settings, result):
    (passed,) = defined(result, **settings).replacements(node)
    assert passed is result


@pytest.mark.parametrize("name", ["my-op", "x@y", "", "1st", "ö", "all", "weights", "conditional"])
def test_a_name_that_could_stand_in_no_id_or_is_a_group(name):
    with pytest.raises(MutatennError, match=f"Operator {name!r}: (an id is|that is the name)"):
        operator(name, **TIR)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({**WEIGHTS, "on": prim.Add}, "one class of pytest_mutatenn.operators.parameter"),
        ({**WEIGHTS, "on": [Parameter, Channel]}, "one class of"),
        ({**WEIGHTS, "stages": ["graph", "weights"]}, "nodes of different kinds"),
    ],
)
def test_declarations_that_fit_no_stage(settings, said):
    with pytest.raises(MutatennError, match=said):
        defined(None, **settings)


def test_two_of_one_name_in_a_file():
    defined(None, **TIR)
    with pytest.raises(MutatennError, match=r"defines two operators 'mine'"):

        @operator("mine", **TIR)
        def other(node):
            """Do something else."""
            yield node.a


def test_a_group_may_be_given_as_a_word():
    assert defined(None, **TIR, groups="default").groups == {"default"}


def test_a_parameter_cannot_be_a_bool():
    with pytest.raises(MutatennError, match="'flag' needs a default, a number or a word"):

        @operator("mine", **TIR)
        def mine(node, *, flag=True):
            """Do something."""
            yield node.a
