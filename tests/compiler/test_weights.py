"""Weights mutants: what each parameter is for, what is drawn of it, and what an id reads back."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from pytest_mutatenn.compiler.mutant import Mutant
from pytest_mutatenn.compiler.weights import (
    Weight,
    chosen_weights,
    weight_changes,
    weights_of,
    with_weights,
)
from pytest_mutatenn.model.onnx_import import import_onnx
from pytest_mutatenn.operators import catalogue, registry
from pytest_mutatenn.operators.parameter import Bit, BitPlane, Channel, Draw, Parameter, bits_of

OPERATORS = catalogue.load()
ON_WEIGHTS = sorted(name for name, op in OPERATORS.items() if "weights" in op.stages)
every_operator = pytest.mark.parametrize("name", ON_WEIGHTS)
DTYPES = (np.float16, np.float32, np.float64)

# weight of the network below -> its role, and the axis of its output channels
EXPECTED = {
    "conv": ("weight", 0),
    "conv_bias": ("bias", 0),
    "grouped": ("weight", 0),
    "scale": ("scale", 0),
    "shift": ("shift", 0),
    "mean": ("mean", 0),
    "variance": ("variance", 0),
    "gemm": ("weight", 1),
    "gemm_b": ("weight", 0),
    "gemm_b_bias": ("bias", 0),
    "left": ("weight", 0),
    "offset": ("bias", 0),
    "factor": ("other", 0),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Every kind of parameter, in the order of EXPECTED; in the file they stand the other way."""
    random = np.random.default_rng(3)
    shapes = {
        "conv": (4, 2, 3, 3),
        "conv_bias": (4,),
        "grouped": (6, 2, 1, 1),
        **dict.fromkeys(("scale", "shift", "mean", "variance"), (6,)),
        "gemm": (6, 5),
        "gemm_b": (3, 5),
        "gemm_b_bias": (3,),
        "left": (7, 1),
        "offset": (7, 1),
        "factor": (3,),
    }
    assert list(shapes) == list(EXPECTED)
    nodes = [
        ("Conv", ["image", "conv", "conv_bias"], "a", {}),
        ("Conv", ["a", "grouped"], "b", {"group": 2}),
        ("BatchNormalization", ["b", "scale", "shift", "mean", "variance"], "c", {}),
        ("GlobalAveragePool", ["c"], "d", {}),
        ("Flatten", ["d"], "e", {}),
        ("Gemm", ["e", "gemm"], "f", {}),
        ("Gemm", ["f", "gemm_b", "gemm_b_bias"], "g", {"transB": 1}),
        ("MatMul", ["left", "g"], "h", {}),
        ("Add", ["h", "offset"], "i", {}),
        ("Mul", ["i", "factor"], "j", {}),
        ("Gather", ["j", "rows"], "k", {}),
    ]
    graph = helper.make_graph(
        [helper.make_node(op, ins, [out], name=f"n_{out}", **more) for op, ins, out, more in nodes],
        "every_kind",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 2, 5, 5])],
        [helper.make_tensor_value_info("k", TensorProto.FLOAT, [2, 3])],
        [
            numpy_helper.from_array(np.array([0, 2]), "rows"),
            *(
                numpy_helper.from_array(
                    random.uniform(0.5, 2, shapes[name]).astype(np.float32), name
                )
                for name in reversed(shapes)
            ),
        ],
    )
    found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    found.ir_version = 8
    onnx.checker.check_model(found)
    file = tmp_path_factory.mktemp("weights") / "every_kind.onnx"
    onnx.save(found, file)
    return import_onnx(file)


def weight(values, name="w", role="weight", axis=0, index=0):
    values = np.array(values)
    values.setflags(write=False)
    return Weight(index, Parameter(name, role, axis, values), ("layer",), f"{name}.onnx")


def some(dtype=np.float32, shape=(3, 4), seed=0, **more):
    return weight(np.random.default_rng(seed).normal(0, 1, shape).astype(dtype), **more)


# -- which parameters there are ---------------------------------------------------------------


def test_roles_and_axes(model):
    found = {w.onnx_name: (w.whole.role, w.whole.axis) for w in weights_of(model)}
    assert found == EXPECTED  # and no parameter of whole numbers


def test_they_come_in_the_order_in_which_layers_read_them(model):
    assert [w.onnx_name for w in weights_of(model)] == list(EXPECTED)


def test_they_are_the_parameters_of_the_network_and_cannot_be_written(model):
    for one in weights_of(model):
        assert np.array_equal(model.params[one.index], one.whole.values)
        assert model.param_names[one.index] == one.onnx_name
        with pytest.raises(ValueError, match="read-only"):
            one.whole.values[...] = 0


def test_their_layers_are_those_that_read_them(model):
    ops = {layer.name: layer.onnx_node for layer in model.layers}
    readers = {w.onnx_name: [ops[name] for name in w.layers] for w in weights_of(model)}
    assert readers["conv"] == readers["conv_bias"] == ["n_a"]
    assert readers["gemm_b"] == ["n_g"]
    assert readers["factor"] == ["n_j"]


# -- what is drawn ----------------------------------------------------------------------------


def ids(name, weights, seed):
    return [str(change.site) for change in weight_changes(OPERATORS[name], weights, seed)]


@every_operator
def test_a_draw_depends_on_seed_operator_and_name_alone(name, model):
    weights = weights_of(model)
    assert ids(name, weights, 1) == ids(name, weights, 1)
    # neither on the other parameters nor on their order
    assert sorted(ids(name, weights[::-1], 1)) == sorted(ids(name, weights, 1))
    alone = [text for one in weights for text in ids(name, [one], 1)]
    assert alone == ids(name, weights, 1)
    # nor on the values, as long as the operator changes those too
    other = [
        replace(w, whole=replace(w.whole, values=np.asarray(w.whole.values * np.float32(-1.37))))
        for w in weights
    ]
    if OPERATORS[name].on != (BitPlane,):  # whether a bit is already stuck is in the values
        assert ids(name, other, 1) == ids(name, weights, 1)


@pytest.mark.parametrize("name", [n for n in ON_WEIGHTS if OPERATORS[n].on != (Parameter,)])
def test_another_seed_draws_others(name, model):
    weights = weights_of(model)
    assert len({tuple(ids(name, weights, seed)) for seed in range(6)}) > 1


def test_another_operator_and_another_name_draw_others():
    one = some(shape=(40, 40))
    drawn = {tuple(ids(name, [one], 0)) for name in ("zero_channel", "scale_channel")}
    assert len(drawn) == 2
    renamed = replace(one, whole=replace(one.whole, name="v"))
    (here,), (there,) = ids("bit_flip_sign", [one], 0), ids("bit_flip_sign", [renamed], 0)
    assert here.partition("#")[2] != there.partition("#")[2]


@every_operator
def test_only_parameters_of_its_roles_are_drawn(name, model):
    roles = {"weight", "bias", "scale", "shift", "mean", "variance", "other"}
    wanted = OPERATORS[name].within & roles
    drawn = {c.weight.whole.role for c in weight_changes(OPERATORS[name], weights_of(model), 0)}
    assert drawn == (wanted or roles)


def test_a_change_that_changes_no_bit_is_no_site():
    zero = weight(np.zeros((2, 3), np.float32))
    bias = weight(np.zeros(3, np.float32), role="bias")
    for name in ("zero_channel", "scale_channel", "swap_channels", "shuffle_channel"):
        # times -1 a zero gets another sign: that is a change of bits
        assert len(ids(name, [zero], 0)) == (name == "scale_channel")
    assert ids("drop_bias", [bias], 0) == []
    assert ids("stuck_at_zero", [zero], 0) == []
    assert len(ids("stuck_at_one", [zero], 0)) == 1


def test_the_first_channel_that_changes_is_taken():
    values = np.zeros((8, 2), np.float32)
    values[5] = 1
    for seed in range(8):
        assert ids("zero_channel", [weight(values)], seed) == ["w#5"]


def test_one_channel_cannot_be_swapped():
    assert ids("swap_channels", [some(shape=(1, 4))], 0) == []


def test_parameters_without_axes():
    assert ids("zero_channel", [some(shape=())], 0) == []
    assert len(ids("bit_flip_sign", [some(shape=())], 0)) == 1


# -- ids --------------------------------------------------------------------------------------


@every_operator
@given(seed=st.integers(0, 99), dtype=st.sampled_from(DTYPES), values=st.integers(0, 9))
def test_an_id_reads_back_to_the_same_array(name, seed, dtype, values):
    op = OPERATORS[name]
    role = "bias" if "bias" in op.within else "weight"
    weights = [some(dtype, seed=values, role=role), some(dtype, (2, 3, 4), role=role, name="v")]
    for change in weight_changes(op, weights, seed):
        text = Mutant("weights", name, (change.site,)).id
        (again,) = chosen_weights(Mutant.parse(text), op, weights)
        assert again.values.tobytes() == change.values.tobytes()
        assert again.values.dtype == change.weight.whole.values.dtype
        assert again.lines() == change.lines()


sites = st.one_of(
    st.tuples(st.just(Bit), st.integers(0, 11), st.integers(0, 63)),
    st.tuples(st.just(BitPlane), st.just(-1), st.integers(0, 63)),
    st.tuples(st.just(Channel), st.integers(0, 2), st.just(-1)),
    st.tuples(st.just(Draw), st.integers(0, 2**40), st.just(-1)),
)
_FOR = {
    Bit: "bit_flip_sign",  # an id may name any bit
    BitPlane: "stuck_at_one",
    Channel: "scale_channel",
    Draw: "gaussian_noise",
}


@given(site=sites, dtype=st.sampled_from(DTYPES))
def test_any_site_that_exists_can_be_named(site, dtype):
    kind, number, bit = site
    assume(bit < 8 * np.dtype(dtype).itemsize)
    one = some(dtype)
    name = _FOR[kind]
    text = f"weights.{name}@w#{number if number >= 0 else ''}{f'b{bit}' if bit >= 0 else ''}"
    found = chosen_weights(Mutant.parse(text), OPERATORS[name], [one])
    if kind is not BitPlane:
        assert len(found) == 1
    for change in found:
        assert Mutant("weights", name, (change.site,)).id == text
        old, new = bits_of(one.whole.values), bits_of(change.values)
        if kind is Bit:
            expected = old.copy()
            expected[number] ^= old.dtype.type(1 << bit)
            assert np.array_equal(new, expected)
        elif kind is BitPlane:
            assert np.array_equal(new, old | old.dtype.type(1 << bit))
        elif kind is Channel:
            expected = one.whole.values.copy()
            expected[number] *= -1
            assert np.array_equal(change.values, expected)
        else:
            assert not np.array_equal(new, old)


@pytest.mark.parametrize(
    "site",
    ["w#12b3", "w#0b32", "w#0", "w#b3", "v#0b3"],
    ids=["no element", "no bit", "an element without a bit", "a plane", "no parameter"],
)
def test_what_is_not_there_is_not_chosen(site):
    mutant = Mutant.parse(f"weights.bit_flip_sign@{site}")
    assert chosen_weights(mutant, OPERATORS["bit_flip_sign"], [some()]) == []


@pytest.mark.parametrize(
    ("name", "site"), [("zero_channel", "w#3"), ("stuck_at_one", "w#3b4"), ("drop_bias", "w#2")]
)
def test_a_site_of_another_kind_is_not_chosen(name, site):
    one = some(role="bias" if name == "drop_bias" else "weight")
    assert chosen_weights(Mutant.parse(f"weights.{name}@{site}"), OPERATORS[name], [one]) == []


def test_a_role_that_the_operator_does_not_serve_is_not_chosen():
    mutant = Mutant.parse("weights.zero_channel@w#0")
    assert chosen_weights(mutant, OPERATORS["zero_channel"], [some(role="bias")]) == []
    assert len(chosen_weights(mutant, OPERATORS["zero_channel"], [some()])) == 1


def test_a_sweep_is_one_change_of_every_parameter_drawn_with_its_own_seed(model):
    op, weights = OPERATORS["bit_flip_sign"], weights_of(model)
    for text in ("weights.bit_flip_sign@sweep~5", "weights.bit_flip_sign@sweep:2:4~5"):
        mutant = Mutant.parse(text)
        sites = [str(change.site) for change in chosen_weights(mutant, op, weights)]
        assert sites == ids("bit_flip_sign", weights, 5)[slice(*mutant.window)]
    default = chosen_weights(Mutant.parse("weights.bit_flip_sign@sweep"), op, weights)
    assert [str(change.site) for change in default] == ids("bit_flip_sign", weights, 0)


# -- what is shown, and what is exchanged -----------------------------------------------------


def lines(text, *weights):
    mutant = Mutant.parse(text)
    (change,) = chosen_weights(mutant, OPERATORS[mutant.operator], weights)
    return change.lines()


def test_lines_name_parameter_index_and_bit():
    one = weight(np.array([[0.5, -1, 2], [4, -8, 16]], np.float32))
    assert lines("weights.bit_flip_exponent@w#4b23", one) == (
        "w.onnx[1, 1] = -8, bit 23: 0",
        "w.onnx[1, 1] = -16, bit 23: 1",
    )
    assert lines("weights.zero_channel@w#1", one) == (
        "w.onnx[1, 0] = 4 (and 2 more)",
        "w.onnx[1, 0] = 0 (and 2 more)",
    )
    assert lines("weights.stuck_at_zero@w#b31", one) == (
        "w.onnx[0, 1] = -1, bit 31: 1 (and 1 more)",
        "w.onnx[0, 1] = 1, bit 31: 0 (and 1 more)",
    )


def test_lines_show_a_change_to_nan():
    one = weight(np.array([1.5, 2], np.float32))
    before, after = lines("weights.bit_flip_exponent@w#0b30", one)
    assert before == "w.onnx[0] = 1.5, bit 30: 0"
    assert after == "w.onnx[0] = nan, bit 30: 1"


def test_lines_show_what_differs_in_its_sign_alone():
    one = weight(np.array([0.0, 3], np.float32))
    assert lines("weights.bit_flip_sign@w#0b31", one)[1] == "w.onnx[0] = -0, bit 31: 1"


def test_the_others_are_the_very_same_arrays(model):
    weights = weights_of(model)
    op = OPERATORS["gaussian_noise"]
    before = [array.copy() for array in model.params]
    changes = list(weight_changes(op, weights, 0))[1:3]
    new = with_weights(model.params, changes)
    changed = {change.weight.index for change in changes}
    assert len(changed) == 2
    for i, (was, now) in enumerate(zip(model.params, new, strict=True)):
        assert (now is was) == (i not in changed)
        assert np.array_equal(was, before[i])
    for change in changes:
        assert new[change.weight.index] is change.values


def test_a_value_of_another_type_is_cast_to_the_parameters(monkeypatch):
    monkeypatch.setattr(registry, "REGISTRY", {})

    @registry.operator("double", category="weights", stages=["weights"], on=Parameter)
    def double(parameter):
        """Twice as much, in double precision."""
        yield parameter.values.astype(np.float64) * 2

    one = some(np.float16)
    (change,) = weight_changes(registry.REGISTRY["double"], [one], 0)
    assert change.values.dtype == np.float16
    assert np.array_equal(change.values, one.whole.values * np.float16(2))
