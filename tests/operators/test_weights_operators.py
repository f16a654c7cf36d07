"""What the operators on weights do to an array, and that a network shows it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pytest_mutatenn.compiler.mutant import Mutant
from pytest_mutatenn.compiler.weights import weight_changes
from pytest_mutatenn.devices.host import HOST
from pytest_mutatenn.engine.executor import MutantRun, RunStats
from pytest_mutatenn.engine.prepare import prepare
from pytest_mutatenn.engine.workshop import Order, Workshop
from pytest_mutatenn.operators import catalogue
from pytest_mutatenn.operators.parameter import (
    Bit,
    BitPlane,
    Channel,
    Draw,
    Parameter,
    bits_of,
    bits_within,
    role_of_bit,
)

OPERATORS = {name: op for name, op in catalogue.load().items() if "weights" in op.stages}
every_operator = pytest.mark.parametrize("name", sorted(OPERATORS))
FORMATS = {np.float16: (10, 5), np.float32: (23, 8), np.float64: (52, 11)}
every_dtype = pytest.mark.parametrize("dtype", FORMATS)

tensors = st.sampled_from(list(FORMATS)).flatmap(
    lambda dtype: arrays.arrays(
        dtype, arrays.array_shapes(max_dims=4, max_side=4), elements=st.floats(width=16)
    )
)


def made(name, node, **parameters):
    """The one array that an operator makes of a node."""
    (new,) = OPERATORS[name].replacements(node, **parameters)
    return new


def whole(values, axis=0, name="w"):
    values = np.array(values)
    values.setflags(write=False)
    return Parameter(name, "weight", axis, values)


# -- bits -------------------------------------------------------------------------------------


@every_dtype
def test_bits_of_ieee_754(dtype):
    mantissa, exponent = FORMATS[dtype]
    dtype = np.dtype(dtype)
    roles = [role_of_bit(bit, dtype) for bit in range(8 * dtype.itemsize)]
    assert roles == ["mantissa"] * mantissa + ["exponent"] * exponent + ["sign"]
    assert bits_within(dtype, {"sign"}) == [mantissa + exponent]
    assert bits_within(dtype, {"exponent", "bias"}) == list(range(mantissa, mantissa + exponent))
    assert bits_within(dtype, {"weight"}) == list(range(8 * dtype.itemsize))


@pytest.mark.parametrize("role", ["sign", "exponent", "mantissa"])
@given(values=tensors, seed=st.integers(0, 9))
def test_a_flip_flips_exactly_one_bit_and_that_of_its_role(role, values, seed):
    node = next(Bit.draw(whole(values), seed, "op", frozenset([role])))
    new = made(f"bit_flip_{role}", node)
    assert new.dtype == values.dtype
    assert new.shape == values.shape
    # bits_of is not used: the bytes are compared
    old, changed = (int.from_bytes(a.tobytes(), "little") for a in (values, new))
    assert (old ^ changed).bit_count() == 1
    assert (old ^ changed).bit_length() - 1 == node.number * 8 * values.itemsize + node.bit
    assert role_of_bit(node.bit, values.dtype) == role


@every_dtype
def test_a_flip_of_the_sign_is_minus(dtype):
    values = np.array([[1.5, -2], [0, np.inf]], dtype)
    sign = 8 * values.itemsize - 1
    for i in range(4):
        new = made("bit_flip_sign", Bit.of(whole(values), i, sign))
        expected = values.copy()
        expected.flat[i] = -expected.flat[i]
        assert new.tobytes() == expected.tobytes()


@every_dtype
def test_a_flip_in_the_exponent_is_a_power_of_two(dtype):
    mantissa, exponent = FORMATS[dtype]
    # of 1 the exponent has all bits but the highest
    values = np.ones(3, dtype)
    for bit in range(exponent - 1):
        new = made("bit_flip_exponent", Bit.of(whole(values), 1, mantissa + bit))
        assert new[1] == 2.0 ** -(2**bit)
        assert new[0] == new[2] == 1


@given(values=tensors, seed=st.integers(0, 9), at=st.integers(0, 1))
def test_a_stuck_bit_is_the_same_in_every_element(values, seed, at):
    node = next(BitPlane.draw(whole(values), seed, "op", frozenset()))
    new = made(("stuck_at_zero", "stuck_at_one")[at], node)
    unsigned = np.uint64
    mask = unsigned(1) << unsigned(node.bit)
    old, now = (bits_of(a).astype(unsigned) for a in (values, new))
    assert ((now & mask) == (mask if at else 0)).all()
    assert ((now | mask) == (old | mask)).all()


# -- channels ---------------------------------------------------------------------------------

channels = tensors.flatmap(
    lambda values: st.tuples(
        st.just(values), st.integers(0, values.ndim - 1), st.integers(0, 50)
    ).map(lambda t: Channel.of(whole(t[0], t[1]), t[2] % t[0].shape[t[1]]))
)


def outside(node, array):
    """Everything but the node's channel."""
    return np.delete(array, node.number, node.axis)


def inside(node, array):
    return np.take(array, node.number, node.axis)


@given(node=channels)
def test_zero_channel(node):
    new = made("zero_channel", node)
    assert not inside(node, new).any()
    assert outside(node, new).tobytes() == outside(node, node.values).tobytes()


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # infinity times 0
@given(node=channels, factor=st.sampled_from([-1.0, 0.5, 0.0, 3.0]))
def test_scale_channel(node, factor):
    new = made("scale_channel", node, factor=factor)
    assert np.allclose(inside(node, new), inside(node, node.values) * factor, equal_nan=True)
    assert outside(node, new).tobytes() == outside(node, node.values).tobytes()


@given(node=channels)
def test_shuffle_channel(node):
    new = made("shuffle_channel", node)
    one, other = (np.sort(inside(node, a), axis=None) for a in (new, node.values))
    assert np.array_equal(one, other, equal_nan=True)
    assert outside(node, new).tobytes() == outside(node, node.values).tobytes()
    assert made("shuffle_channel", node).tobytes() == new.tobytes()


@given(node=channels)
def test_swap_channels(node):
    count = node.values.shape[node.axis]
    if count == 1:
        assert list(OPERATORS["swap_channels"].replacements(node)) == []
        return
    new = made("swap_channels", node)
    moved = np.moveaxis(new, node.axis, 0)
    old = np.moveaxis(node.values, node.axis, 0)
    swapped = []
    for other in set(range(count)) - {node.number}:
        order = list(range(count))
        order[node.number], order[other] = other, node.number
        swapped.append(old[order].tobytes())
    assert moved.tobytes() in swapped


# -- the whole tensor -------------------------------------------------------------------------


@every_dtype
def test_noise_is_as_strong_as_it_says(dtype):
    values = np.random.default_rng(0).normal(3, 2, (40, 50)).astype(dtype)
    node = Draw.of(whole(values), 4)
    for parameters, strength in (({}, 0.5), ({"strength": 0.1}, 0.1)):
        new = made("gaussian_noise", node, **parameters)
        noise = (new - values).astype(np.float64)
        assert new.dtype == values.dtype
        assert noise.std() == pytest.approx(strength * 2, rel=0.1)
        assert abs(noise.mean()) < 0.1 * strength
        assert made("gaussian_noise", node, **parameters).tobytes() == new.tobytes()
    another = made("gaussian_noise", Draw.of(whole(values), 5))
    assert not np.array_equal(another, made("gaussian_noise", node))


@every_dtype
def test_a_bias_is_dropped_whole(dtype):
    new = made("drop_bias", whole(np.array([1, -2, 3], dtype)))
    assert new.dtype == dtype
    assert np.array_equal(new, [0, 0, 0])


@every_operator
@every_dtype
def test_every_operator_serves_every_type(dtype, name):
    values = np.random.default_rng(1).normal(0, 1, (4, 3)).astype(dtype)
    (kind,) = OPERATORS[name].on
    drawn = list(kind.draw(whole(values), 0, name, OPERATORS[name].within))
    assert drawn
    for node in drawn:
        assert node.exists()
        for new in OPERATORS[name].replacements(node):
            assert new.shape == values.shape
            assert new.dtype == values.dtype
            assert not values.flags.writeable or new is not values


# -- in a network -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workshop(tiny, store_folder):
    order = Order(str(tiny / "tiny.onnx"), {}, "llvm", 2, (), (), (), (), str(store_folder))
    found = Workshop(order)
    found.load_baseline()
    return found


@pytest.fixture(scope="module")
def images(tiny):
    return list(np.load(tiny / "tiny.npz")["arr_0"][:4].reshape(4, 1, 1, 8, 8))


def outputs(workshop, images, mutant):
    prepared = prepare(workshop, Mutant.parse(mutant))
    runner = MutantRun(workshop.run, prepared.loaded, None, everything=True)
    made = []
    for number, image in enumerate(images):
        (output,) = runner.run([HOST.copy(image)], number, RunStats())
        made.append(np.array(output))
    return np.concatenate(made)


@every_operator
def test_a_network_has_a_site_and_shows_the_change(name, workshop, images):
    ids = [
        Mutant("weights", name, (change.site,)).id
        for change in weight_changes(OPERATORS[name], workshop.weights, 1)
    ]
    assert ids
    baseline = outputs(workshop, images, "identity")
    found = [outputs(workshop, images, mutant) for mutant in ids]
    # a low bit of a mantissa may be lost on the way
    assert any(not np.array_equal(baseline, new, equal_nan=True) for new in found)


def test_the_network_computes_with_the_changed_numbers(workshop, images, tiny):
    """Its last bias dropped, the logits are what NumPy says: the softmax divides by its factors."""
    offset = next(w for w in workshop.weights if w.onnx_name == "offset").whole.values
    baseline = outputs(workshop, images, "identity")
    dropped = outputs(workshop, images, "weights.drop_bias@offset#1")
    expected = baseline / np.exp(offset)
    expected /= expected.sum(1, keepdims=True)
    assert np.allclose(dropped, expected, atol=1e-6)
    assert not np.allclose(dropped, baseline, atol=1e-6)


@pytest.mark.parametrize(
    "mutant",
    [
        "weights.scale_channel@kernel_#3",
        "weights.drop_bias@bias#1",
        "weights.bit_flip_sign@scale#2b31",
        "weights.bit_flip_sign@mean_#0b31",
        "weights.bit_flip_mantissa@variance#1b22",
        "weights.zero_channel@dense#4",
    ],
)
def test_what_is_folded_into_weights_is_folded_into_the_changed_ones(
    mutant, images, tiny, store_folder
):
    """O3 folds the batch norm into the convolution; the mutant is the same network as at O0."""
    found = []
    for level in (0, 3):
        order = Order(str(tiny / "tiny.onnx"), {}, "llvm", level, (), (), (), (), str(store_folder))
        made = Workshop(order)
        made.load_baseline()
        found.append([outputs(made, images, name) for name in (mutant, "identity")])
    (here, baseline), (there, _) = found
    assert np.allclose(here, there, atol=1e-5)
    assert not np.allclose(here, baseline, atol=1e-5)


def test_nothing_is_compiled_for_it(workshop):
    before = vars(workshop.counters).copy()
    prepared = prepare(workshop, Mutant.parse("weights.drop_bias@offset#1"))
    assert vars(workshop.counters) == before
    assert prepared.loaded.mutated == frozenset()
    assert prepared.digest != workshop.digest
    assert prepared.loaded.program.kernels is workshop.baseline.program.kernels
