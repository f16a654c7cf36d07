"""The opt levels: what each adds, that layers keep their names, and that the numbers stay right."""

from itertools import pairwise

import numpy as np
import pytest
from lowering import (
    LEVELS,
    LLVM,
    SHARED,
    arrays,
    digests,
    fused,
    kernels,
    load_module,
    lower,
    names,
    network,
)
from tvm import relax
from tvm.relax import op
from tvm_ffi.structural import structural_equal

from pytest_mutatenn.compiler.line import bindings_of, operator_name
from pytest_mutatenn.compiler.passes import PASSES, OptLevel, legalise, optimise
from pytest_mutatenn.errors import MutatennError

MODELS = SHARED / "models"


def level(number, disabled=(), required=()):
    return OptLevel(number, frozenset(disabled), frozenset(required))


def operators(module):
    return [operator_name(binding.value) for binding in bindings_of(module["main"])]


def convolution_and_batch_norm(bias):
    def build(emit, x, weight, *rest):
        value = emit(op.nn.conv2d(x, weight, padding=1), "conv2d_0")
        *norm, offset = rest
        if bias:
            value = emit(
                op.add(value, emit(op.reshape(offset, (1, 8, 1, 1)), "reshape_0")), "add_0"
            )
        value = emit(op.nn.batch_norm(value, *norm, axis=1, training=False), "batch_norm_0")
        return op.nn.relu(emit(relax.TupleGetItem(value, 0), "item_0"))

    return network(build, [(1, 3, 6, 6)], [(8, 3, 3, 3), *[(8,)] * 5])


def weights_of(module):
    shapes = [[int(extent) for extent in p.ty.shape] for p in module["main"].params]
    # a variance must not be negative
    return [np.abs(array) for array in arrays(shapes, seed=1)]


def assert_levels_agree(module, inputs=1):
    values = weights_of(module)
    data, weights = values[:inputs], values[inputs:]
    expected = load_module(lower(module, LEVELS[0]), weights)(*data)
    for opt in LEVELS[1:]:
        actual = load_module(lower(module, opt), weights)(*data)
        tolerance = 1e-2 if opt.level == 4 else 1e-4
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


class TestOptLevel:
    def test_levels_only_add(self):
        for below, higher in pairwise(LEVELS):
            added = {p for p in PASSES if higher.includes(p)} - {
                p for p in PASSES if below.includes(p)
            }
            assert added == {n for n, p in PASSES.items() if p.level == higher.level}
            assert added

    def test_single_passes_are_taken_out_and_in(self):
        opt = level(3, disabled=["ChannelsLast"], required=["FastMath"])
        assert not opt.includes("ChannelsLast")
        assert opt.includes("FastMath")
        assert opt.includes("FuseOps")

    def test_an_unknown_pass_names_the_nearest(self):
        with pytest.raises(MutatennError, match=r"'ChanelsLast'\. Did you mean 'ChannelsLast'"):
            level(2, disabled=["ChanelsLast"])

    @pytest.mark.parametrize("number", [-1, 5])
    def test_an_unknown_level(self, number):
        with pytest.raises(MutatennError, match="between 0 and 4"):
            OptLevel(number)

    def test_a_pass_cannot_be_both(self):
        with pytest.raises(MutatennError, match="both"):
            level(2, disabled=["FuseOps"], required=["FuseOps"])


class TestBatchNorm:
    @pytest.mark.parametrize("bias", [True, False])
    def test_levels_agree(self, bias):
        assert_levels_agree(convolution_and_batch_norm(bias))

    def test_is_arithmetic_under_its_name_below_o3(self):
        module = optimise(convolution_and_batch_norm(True), level(0))
        # what ends the layer has its name; the tuple and the item taken from it are gone
        assert [n for n in names(module) if not n.startswith("lv")] == [
            "conv2d_0",
            "reshape_0",
            "add_0",
            "batch_norm_0",
            "result_0",
        ]

    def test_is_folded_into_convolution_and_bias(self):
        module = optimise(convolution_and_batch_norm(True), level(3))
        assert [n for n in names(module) if "__" not in n] == [
            "conv2d_0",
            "reshape_0",
            "add_0",
            "result_0",
        ]
        opt = level(3)
        folded = fused(legalise(module, opt, LLVM), opt)
        assert len(list(bindings_of(folded["main"]))) == 3  # to NHWC, the network, back

    def test_becomes_the_bias_where_there_is_none(self):
        module = optimise(convolution_and_batch_norm(False), level(3))
        found = [n for n in names(module) if "__" not in n]
        assert found == ["conv2d_0", "batch_norm_0", "result_0"]

    def test_after_anything_else_is_a_scale_and_a_shift(self):
        def build(emit, x, *norm):
            value = emit(op.nn.relu(x), "relu_0")
            value = emit(op.nn.batch_norm(value, *norm, axis=1, training=False), "batch_norm_0")
            return op.sigmoid(emit(relax.TupleGetItem(value, 0), "item_0"))

        module = network(build, [(2, 5, 4, 4)], [(5,)] * 4)
        assert "batch_norm_0" in names(optimise(module, level(3)))
        assert_levels_agree(module)

    def test_a_convolution_read_twice_is_left_alone(self):
        def build(emit, x, weight, *norm):
            conv = emit(op.nn.conv2d(x, weight), "conv2d_0")
            value = emit(op.nn.batch_norm(conv, *norm, axis=1, training=False), "batch_norm_0")
            return op.add(emit(relax.TupleGetItem(value, 0), "item_0"), conv)

        assert_levels_agree(network(build, [(1, 3, 5, 5)], [(8, 3, 1, 1), *[(8,)] * 4]))


@pytest.fixture(scope="module")
def unoptimised():
    """A network, its weights, an input, and what it computes of that."""
    module = convolution_and_batch_norm(True)
    data, *weights = weights_of(module)
    return module, weights, data, load_module(lower(module, level(0)), weights)(data)


class TestFusionAndFolding:
    def test_nothing_is_fused_or_folded_at_o0(self):
        module = lower(convolution_and_batch_norm(True), level(0))
        assert "main_transform_params" not in {g.name_hint for g in module.get_global_vars()}
        assert not any("fused" in name for name in kernels(module))

    def test_fusion_comes_at_o1_and_folding_at_o2(self):
        grouped = lower(convolution_and_batch_norm(True), level(1))
        assert any("fused_conv2d" in name for name in kernels(grouped))
        assert "main_transform_params" not in {g.name_hint for g in grouped.get_global_vars()}
        folded = lower(convolution_and_batch_norm(True), level(2))
        assert "main_transform_params" in {g.name_hint for g in folded.get_global_vars()}
        assert len(names(folded)) < len(names(grouped))

    def test_main_is_a_line_of_kernels(self):
        for opt in LEVELS:
            module = lower(convolution_and_batch_norm(True), opt)
            assert set(operators(module)) == {"relax.call_tir"}

    def test_weights_are_packed_at_o3(self):
        packed = level(3, disabled=["LiftTransformParams"])
        assert any("pack" in n for n in kernels(lower(convolution_and_batch_norm(True), packed)))
        plain = level(3, disabled=["PackWeights"])
        assert not any("pack" in n for n in kernels(lower(convolution_and_batch_norm(True), plain)))

    @pytest.mark.parametrize("name", PASSES)
    def test_each_pass_by_itself_keeps_the_numbers(self, name, unoptimised):
        module, weights, data, expected = unoptimised
        for opt in (level(0, required=[name]), level(4, disabled=[name])):
            actual = load_module(lower(module, opt), weights)(data)
            np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


class TestHighestLevel:
    def test_parallel_products_become_one(self):
        def build(emit, x, first, second):
            left = emit(op.matmul(x, first), "matmul_0")
            right = emit(op.matmul(x, second), "matmul_1")
            return op.add(emit(op.nn.relu(left), "relu_0"), right)

        module = network(build, [(3, 8)], [(8, 16), (8, 16)])
        combined = optimise(module, level(4))
        assert operators(combined).count("relax.matmul") == 1
        assert operators(optimise(module, level(3))).count("relax.matmul") == 2
        assert {"relu_0", "result_0"} <= set(names(combined))
        assert_levels_agree(module)

    @pytest.mark.parametrize("function", [op.sigmoid, op.tanh, op.exp, op.erf, op.nn.softmax])
    def test_fast_math(self, function):
        module = network(lambda emit, x: function(emit(op.nn.relu(x), "relu_0")), [(4, 9)])
        assert digests(lower(module, level(3))) != digests(lower(module, level(4)))
        assert "result_0" in names(optimise(module, level(4)))
        assert_levels_agree(module)

    def test_equal_expressions_are_computed_once(self):
        def build(emit, x):
            return op.add(emit(op.exp(x), "exp_0"), emit(op.exp(x), "exp_1"))

        module = network(build, [(4, 9)])
        assert operators(optimise(module, level(2))).count("relax.exp") == 2
        assert operators(optimise(module, level(3))).count("relax.exp") == 1
        assert names(optimise(module, level(3)))[0] == "exp_0"


def test_an_alias_does_not_rename_what_it_stands_for():
    def build(emit, x):
        value = emit(op.exp(x), "exp_0")
        return op.nn.relu(emit(value, "dropout_0"))

    for opt in LEVELS:
        kept = set(names(optimise(network(build, [(4, 9)]), opt)))
        assert {"exp_0", "result_0"} <= kept


def imported(name):
    onnx_import = pytest.importorskip("pytest_mutatenn.model.onnx_import")
    path = MODELS / f"{name}.onnx"
    if not path.exists():
        pytest.skip(f"{path.name} is not here; the shared models are no part of the repository")
    return onnx_import.import_onnx(path)


# what they compute is held against onnxruntime in tests/test_shared_models.py
@pytest.mark.parametrize(
    "name",
    [
        "ms_mnist8",
        "mlperf_resnet8_bn",
        "mlperf_resnet8_folded",
        "abcrown_conv_sigmoid",
        "coral_mobilenetv1_025_128",
        "coral_mobilenetv2_100_224",
    ],
)
def test_real_models_keep_their_layers(name):
    model = imported(name)
    layers = {layer.name for layer in model.layers}
    for opt in LEVELS:
        optimised = optimise(model.module, opt)
        legalised = legalise(optimised, opt, LLVM)
        assert set(names(optimised)) & layers == set(names(legalised)) & layers
        assert names(legalised)[-1] in layers
        assert len(set(names(legalised))) == len(names(legalised))


def test_levels_give_different_code():
    model = imported("mlperf_resnet8_bn")
    found = [digests(lower(model.module, opt)) for opt in LEVELS]
    for first, second in pairwise(found):
        assert first != second


def test_lowering_is_deterministic():
    first, second = (lower(convolution_and_batch_norm(True), level(3)) for _ in range(2))
    assert structural_equal(first, second)
