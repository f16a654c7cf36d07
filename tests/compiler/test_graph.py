"""Graph mutants: one layer of the Relax function changes, and its kind, shape and name stay."""

import numpy as np
import pytest
from lowering import LEVELS, arrays, load_module, lower, names, network
from tvm import relax
from tvm_ffi import structural_equal

from pytest_mutatenn.compiler.graph import apply_graph, graph_changes, negate_output
from pytest_mutatenn.compiler.line import bindings_of, operator_name
from pytest_mutatenn.operators import catalogue, registry
from pytest_mutatenn.operators.graph.operand import depth, producer

op = relax.op
OPERATORS = catalogue.load()
GRAPH = sorted(name for name, op in OPERATORS.items() if "graph" in op.stages)


def changes(name, module):
    return list(graph_changes(OPERATORS[name], module))


def lines(module):
    """Layer -> its line of TVMScript."""
    text = [line.strip() for line in module["main"].script().splitlines()]
    found = (line.partition(" = ") for line in text if " = " in line)
    return {head.split(":")[0]: value for head, equals, value in found}


def everything(image=(1, 2, 6, 6), kernel=(4, 2, 3, 3)):
    def build(emit, x, weight, dense, *norm):
        value = emit(op.nn.conv2d(x, weight, padding=1), "conv2d_0")
        value = emit(op.nn.batch_norm(value, *norm, axis=1, training=False), "batch_norm_0")
        value = emit(relax.TupleGetItem(value, 0), "item_0")
        short = emit(op.clip(value, 0.0, 6.0), "clip_0")
        value = emit(op.add(value, short), "add_0")
        value = emit(op.nn.relu(value), "relu_0")
        value = emit(op.mean(value, [2, 3]), "mean_0")
        return op.matmul(value, dense)

    return network(build, [image], [kernel, (4, 4), *[(4,)] * 4])


def square():
    return network(lambda emit, x, w: op.matmul(x, w), [(4, 4)], [(4, 4)])


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("relu_to_sigmoid", {"clip_0": "R.sigmoid(item_0)", "relu_0": "R.sigmoid(add_0)"}),
        ("add_to_subtract", {"add_0": "R.subtract(item_0, clip_0)"}),
    ],
)
def test_layers_replaced(name, after):
    module = everything()
    found = changes(name, module)
    assert [change.layer for change in found] == list(after)
    for change in found:
        mutated = lines(apply_graph(module, [change]))
        assert {k: v for k, v in mutated.items() if lines(module).get(k) != v} == {
            change.layer: after[change.layer]
        }
        assert change.after == f"{change.layer} = {after[change.layer]}"
        assert change.before != change.after


@pytest.mark.parametrize(
    ("name", "layer", "part"),
    [
        ("transpose_conv2d_0_before", "conv2d_0", "R.permute_dims(x0, axes=[0, 1, 3, 2])"),
        ("transpose_conv2d_dense_0_before", "conv2d_0", "R.permute_dims(x0, axes=[0, 1, 3, 2])"),
        ("transpose_conv2d_dense_1_before", "conv2d_0", "R.permute_dims(w0, axes=[0, 1, 3, 2])"),
        (
            "transpose_batch_norm_0_before",
            "batch_norm_0",
            "R.permute_dims(conv2d_0, axes=[0, 1, 3, 2])",
        ),
        ("exp_conv2d_dense_0_before", "conv2d_0", "R.exp(x0)"),
        ("exp_batch_norm_0_before", "batch_norm_0", "R.exp(conv2d_0)"),
        ("round_batch_norm_0_before", "batch_norm_0", "R.round(conv2d_0)"),
    ],
)  # fmt: skip
def test_what_goes_into_a_layer(name, layer, part):
    module = everything()
    change = changes(name, module)[0]
    assert (change.layer, change.number) == (layer, 1)
    mutated = lines(apply_graph(module, [change]))
    assert mutated[f"{layer}_part1"] == part
    old = part.split("(")[1].split(",")[0].rstrip(")")
    assert mutated[layer] == lines(module)[layer].replace(f"({old},", f"({layer}_part1,").replace(
        f" {old},", f" {layer}_part1,"
    )


def test_what_comes_out_of_a_layer():
    module = everything()
    found = changes("exp_conv2d_dense_0_after", module)
    assert [change.layer for change in found] == ["conv2d_0", "result_0"]
    mutated = lines(apply_graph(module, found[:1]))
    assert mutated["conv2d_0_part1"] == lines(module)["conv2d_0"]
    assert mutated["conv2d_0"] == "R.exp(conv2d_0_part1)"
    assert mutated["batch_norm_0"] == lines(module)["batch_norm_0"]


def test_the_dense_layer_s_argument_is_transposed_where_it_is_square():
    (change,) = changes("transpose_dense_0_before", square())
    mutated = lines(apply_graph(square(), [change]))
    assert mutated["result_0_part1"] == "R.permute_dims(x0, axes=[1, 0])"
    assert not changes("transpose_dense_0_before", everything())


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((1, 6, 6, 6), [0, 1, 3, 2]),
        ((1, 6, 6, 5), [0, 2, 1, 3]),
        ((1, 6, 5, 6), [0, 3, 2, 1]),
        ((1, 1, 6, 5), None),
    ],
)
def test_the_last_two_equal_axes_longer_than_one_are_swapped(shape, axes):
    module = network(
        lambda emit, x, *n: emit(op.nn.batch_norm(x, *n, axis=1, training=False), "norm_0")[0],
        [shape],
        [(shape[1],)] * 4,
    )
    found = changes("transpose_batch_norm_0_before", module)
    assert bool(found) == (axes is not None)
    if found:
        line = lines(apply_graph(module, found))["norm_0_part1"]
        assert line == f"R.permute_dims(x0, axes={axes})"


def test_a_clip_that_does_not_start_at_zero_is_no_relu():
    module = network(lambda emit, x: emit(op.clip(x, -1.0, 1.0), "clip_0") * x, [(2, 2)])
    assert not changes("relu_to_sigmoid", module)


def test_a_result_of_another_shape_is_no_site(monkeypatch):
    monkeypatch.setattr(registry, "REGISTRY", {})

    @registry.operator("shapes", category="layer", stages=["graph"], on="relax.nn.relu")
    def shapes(call):
        """Offer what does not fit, and what does."""
        yield op.reshape(call.args[0], (36, 4))
        yield op.astype(call.args[0], "float16")
        yield op.tanh(call.args[0])

    module = everything()
    found = list(graph_changes(registry.REGISTRY["shapes"], module))
    assert [(change.number, change.choice) for change in found] == [(1, 2)]
    assert lines(apply_graph(module, found))["relu_0"] == "R.tanh(add_0)"


@pytest.mark.parametrize("name", GRAPH)
def test_a_mutant_keeps_names_types_and_the_other_layers(name):
    module = everything() if changes(name, everything()) else square()
    for change in changes(name, module):
        mutated = apply_graph(module, [change])
        assert not structural_equal(mutated["main"], module["main"])
        assert [n for n in names(mutated) if "_part" not in n] == names(module)
        old, new = lines(module), lines(mutated)
        assert {k for k in old if old[k] != new[k]} <= {change.layer}
        types = {b.var.name: b.var.ty for b in bindings_of(mutated["main"])}
        for binding in bindings_of(module["main"]):
            assert structural_equal(types[binding.var.name], binding.var.ty)


@pytest.mark.parametrize("level", LEVELS, ids=lambda opt: f"O{opt.level}")
@pytest.mark.parametrize("last", [False, True])
def test_a_layer_left_out_is_another_name_of_what_it_was_given(monkeypatch, level, last):
    monkeypatch.setattr(registry, "REGISTRY", {})

    @registry.operator("left_out", category="layer", stages=["graph"], on="relax.nn.relu")
    def left_out(call):
        """Leave a ReLU out."""
        yield call.args[0]

    def build(emit, x):
        value = emit(op.nn.relu(emit(op.negative(x), "negative_0")), "relu_0")
        return value if last else op.exp(value)

    module = network(build, [(2, 3)])
    found = list(graph_changes(registry.REGISTRY["left_out"], module))
    assert [change.after for change in found] == ["relu_0 = negative_0"]
    mutated = apply_graph(module, found)
    assert names(mutated) == names(module)
    (data,) = arrays([(2, 3)])
    result = load_module(lower(mutated, level))(data)
    np.testing.assert_allclose(result, -data if last else np.exp(-data), rtol=1e-5)


def test_an_operator_sees_what_computed_an_operand(monkeypatch):
    monkeypatch.setattr(registry, "REGISTRY", {})
    seen = []

    @registry.operator("look", category="layer", stages=["graph"], on=["relax.add", "relax.exp"])
    def look(call):
        """Look at the operands."""
        seen.append([(depth(arg), operator_name(producer(arg))) for arg in call.args])
        yield from ()

    def build(emit, x, weight, bias):
        value = emit(op.matmul(x, weight), "matmul_0")
        value = emit(op.add(value, emit(op.reshape(bias, (1, 4)), "reshape_0")), "add_0")
        value = emit(op.exp(value), "exp_0")
        return op.add(value, x)

    module = network(build, [(1, 4)], [(4, 4), (4,)])
    assert not list(graph_changes(registry.REGISTRY["look"], module))
    assert seen == [
        [(1, "relax.matmul"), (None, "relax.reshape")],
        [(1, "relax.add")],
        [(1, "relax.exp"), (0, "")],
    ]


def test_several_changes_at_once():
    module = everything()
    found = changes("relu_to_sigmoid", module)
    mutated = lines(apply_graph(module, found))
    assert (mutated["clip_0"], mutated["relu_0"]) == ("R.sigmoid(item_0)", "R.sigmoid(add_0)")


def test_nothing_chosen_changes_nothing():
    assert lines(apply_graph(everything(), [])) == lines(everything())


class TestCanary:
    def test_it_negates_the_output(self):
        module = square()
        mutated = lines(negate_output(module))
        assert mutated == {**lines(module), "canary_0": "R.negative(result_0)"}

    def test_its_answer_is_the_negative_to_the_bit(self):
        data, weight = arrays([(4, 4), (4, 4)])
        plain, mutant = (
            load_module(lower(module, LEVELS[0], scheduled=False), [weight])(data)
            for module in (square(), negate_output(square()))
        )
        np.testing.assert_array_equal(mutant, -plain)

    def test_every_output_of_several(self):
        x = relax.Var("x", relax.TensorType((2, 2), "float32"))
        builder = relax.BlockBuilder()
        with builder.function("main", [x]):
            with builder.dataflow():
                one = builder.emit(op.exp(x), "exp_0")
                two = builder.emit(op.nn.relu(one), "relu_0")
                outputs = [builder.emit_output(one, "one_0"), builder.emit_output(two, "two_0")]
            builder.emit_func_output(relax.Tuple(outputs))
        mutated = lines(negate_output(builder.get()))
        assert mutated["canary_0"] == "R.negative(one_0)"
        assert mutated["canary_1"] == "R.negative(two_0)"
        # what the layers themselves compute stays
        assert mutated["relu_0"] == "R.nn.relu(exp_0)"
