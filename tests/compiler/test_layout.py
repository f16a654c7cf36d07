"""Channels last: the same numbers, transposes only at the borders, and names that stay."""

import numpy as np
import pytest
from lowering import arrays, load_module, lower, names, network
from tvm import relax
from tvm.relax import op

from pytest_mutatenn.compiler.layout import channels_last
from pytest_mutatenn.compiler.line import bindings_of, operator_name
from pytest_mutatenn.compiler.passes import OptLevel


def operators(module):
    return [operator_name(b.value).removeprefix("relax.") for b in bindings_of(module["main"])]


def assert_same(module, inputs):
    values = arrays([[int(e) for e in p.ty.shape] for p in module["main"].params])
    data, weights = values[:inputs], values[inputs:]
    opt = OptLevel(0)
    expected = load_module(lower(module, opt), weights)(*data)
    required = OptLevel(0, required=frozenset({"ChannelsLast"}))
    actual = load_module(lower(module, required), weights)(*data)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


def network_of(middle, weights=(), size=(6, 8)):
    """Two convolutions with `middle` between them."""

    def build(emit, x, first, second, *rest):
        value = emit(op.nn.conv2d(x, first, padding=1), "conv2d_0")
        value = middle(emit, value, *rest)
        return op.nn.conv2d(value, second)

    return network(build, [(1, 3, *size)], [(4, 3, 3, 3), (5, 4, 1, 1), *weights])


MIDDLES = {
    "relu": lambda emit, v: emit(op.nn.relu(v), "relu_0"),
    "clip": lambda emit, v: emit(op.clip(v, 0, 6), "clip_0"),
    "max-pool": lambda emit, v: emit(op.nn.max_pool2d(v, (2, 2), (2, 2)), "max_pool2d_0"),
    "average": lambda emit, v: emit(
        op.nn.avg_pool2d(v, (3, 3), (2, 2), (1, 1, 1, 1)), "avg_pool2d_0"
    ),
    "adaptive": lambda emit, v: emit(op.nn.adaptive_avg_pool2d(v, (2, 2)), "adaptive_0"),
    "mean": lambda emit, v: emit(op.mean(v, [2, 3], keepdims=True), "mean_0"),
    "mean-of-channels": lambda emit, v: emit(
        op.add(v, emit(op.mean(v, [1], keepdims=True), "mean_0")), "add_0"
    ),
    "branches": lambda emit, v: emit(
        op.add(emit(op.nn.relu(v), "relu_0"), emit(op.sigmoid(v), "sigmoid_0")), "add_0"
    ),
    "concat": lambda emit, v: emit(
        op.strided_slice(
            emit(op.concat([v, emit(op.nn.relu(v), "relu_0")], axis=1), "concat_0"),
            axes=[1],
            begin=[2],
            end=[6],
        ),
        "slice_0",
    ),
    "constant": lambda emit, v: emit(op.multiply(v, relax.const(2.0)), "multiply_0"),
}


@pytest.mark.parametrize("middle", MIDDLES)
def test_numbers_and_names_stay(middle):
    module = network_of(MIDDLES[middle])
    assert set(names(module)) <= set(names(channels_last(module)))
    assert names(channels_last(module))[-1] == "result_0"
    assert_same(module, 1)


@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (4, 1, 1), (6, 8), (1, 4, 6, 8), ()], ids=str)
def test_operands_of_lower_rank_broadcast_as_before(shape):
    module = network_of(lambda emit, v, w: emit(op.add(w, v), "add_0"), [shape])
    assert_same(module, 1)


@pytest.mark.parametrize("middle", ["relu", "clip", "max-pool", "branches", "constant"])
def test_transposes_stand_only_at_the_borders(middle):
    assert operators(channels_last(network_of(MIDDLES[middle]))).count("permute_dims") == 2


def test_an_operator_that_does_not_know_the_layout_gets_the_old_one():
    module = network_of(lambda emit, v: emit(op.nn.softmax(v, axis=1), "softmax_0"))
    found = operators(channels_last(module))
    assert found.count("permute_dims") == 4
    assert_same(module, 1)


def test_transposes_of_the_network_cancel():
    def build(emit, x, weight):
        first = emit(op.permute_dims(x, [0, 3, 1, 2]), "permute_dims_0")
        value = emit(op.nn.conv2d(first, weight), "conv2d_0")
        value = emit(op.nn.relu(value), "relu_0")
        back = emit(op.permute_dims(value, [0, 2, 3, 1]), "permute_dims_1")
        return op.exp(back)

    module = network(build, [(1, 5, 5, 3)], [(4, 3, 1, 1)])
    opt = OptLevel(1, required=frozenset({"ChannelsLast"}))
    assert not any("transpose" in name for name in names(lower(module, opt)))
    assert_same(module, 1)


def test_one_pixel_is_flattened_without_a_transpose():
    def build(emit, x, weight):
        value = emit(op.nn.conv2d(x, weight), "conv2d_0")
        value = emit(op.mean(value, [2, 3], keepdims=True), "mean_0")
        return op.reshape(value, (1, 4))

    module = network(build, [(1, 3, 5, 5)], [(4, 3, 1, 1)])
    assert operators(channels_last(module)) == ["permute_dims", "nn.conv2d", "mean", "reshape"]
    assert_same(module, 1)


def test_a_flattened_image_keeps_its_order():
    def build(emit, x, weight):
        return op.reshape(emit(op.nn.conv2d(x, weight), "conv2d_0"), (1, 100))

    assert_same(network(build, [(1, 3, 5, 5)], [(4, 3, 1, 1)]), 1)


def test_a_network_without_convolutions_stays_as_it_is():
    module = network(lambda emit, x: op.nn.relu(x), [(1, 3, 5, 5)])
    assert channels_last(module).same_as(module)


def response(emit, x, before=2, after=2, squeezed=1, size=5):
    """What an LRN of ONNX is imported as."""
    square = emit(op.multiply(x, x), "multiply_0")
    expanded = emit(op.expand_dims(square, 1), "expand_dims_0")
    padding = (before, 0, 0, after, 0, 0)
    pooled = op.nn.avg_pool3d(expanded, (size, 1, 1), padding=padding, count_include_pad=True)
    pooled = emit(op.squeeze(emit(pooled, "avg_pool3d_0"), [squeezed]), "squeeze_0")
    scaled = emit(op.multiply(pooled, relax.const(0.01, "float32")), "multiply_1")
    shifted = emit(op.add(scaled, relax.const(2.0, "float32")), "add_0")
    return emit(op.divide(x, emit(op.power(shifted, relax.const(0.75, "float32")), "p")), "lrn_0")


@pytest.mark.parametrize(("before", "after", "size"), [(2, 2, 5), (1, 2, 4), (1, 1, 3)])
def test_local_response_normalisation_stays_channels_last(before, after, size):
    module = network_of(lambda emit, v: response(emit, v, before, after, size=size))
    assert_same(module, 1)
    found = operators(channels_last(module))
    assert "nn.avg_pool2d" in found
    assert not {"nn.avg_pool3d", "expand_dims", "squeeze"} & set(found)
    # one transpose of the input, one of the result
    assert found.count("permute_dims") == 2


def test_a_window_that_something_else_reads_is_left_alone():
    def middle(emit, v):
        normalised = response(emit, v)
        return emit(op.add(normalised, normalised), "add_1")

    def read_twice(emit, v):
        expanded = emit(op.expand_dims(v, 1), "expand_dims_0")
        pooled = op.nn.avg_pool3d(
            expanded, (3, 1, 1), padding=(1, 0, 0, 1, 0, 0), count_include_pad=True
        )
        pooled = emit(pooled, "avg_pool3d_0")
        first = emit(op.squeeze(pooled, [1]), "squeeze_0")
        return emit(op.add(first, emit(op.squeeze(expanded, [1]), "squeeze_1")), "add_0")

    assert "nn.avg_pool2d" in operators(channels_last(network_of(middle)))
    module = network_of(read_twice)
    assert_same(module, 1)
    assert "nn.avg_pool3d" in operators(channels_last(module))
