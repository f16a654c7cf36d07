"""Operator calls made kernels: each kind once, each call with a kernel of its own name."""

import pytest
from lowering import LEVELS, LLVM, network, small_network
from tvm import relax, tirx
from tvm_ffi import structural_equal

from pytest_mutatenn.compiler import legaliser
from pytest_mutatenn.compiler.fusion import Fusion
from pytest_mutatenn.compiler.legaliser import Legaliser, calls_by_layer
from pytest_mutatenn.compiler.line import bindings_of, operator_name
from pytest_mutatenn.compiler.passes import OptLevel, legalise, optimise

O0 = OptLevel(0)
BARE = {"op_pattern": 0, "global_symbol": "kernel"}


@pytest.fixture
def asked(monkeypatch):
    """The operators that are legalised, one name a call."""
    found = []

    def counting(module, opt, target):
        (binding,) = bindings_of(module["main"])
        found.append(operator_name(binding.value))
        return legalise(module, opt, target)

    monkeypatch.setattr(legaliser, "legalise", counting)
    return found


def with_a_helper(emit, x):
    # a name that is no layer's is a helper of the next one
    x = emit(relax.op.nn.relu(x), "first")
    return relax.op.nn.relu(emit(relax.op.exp(x), "part"))


def named(*layers):
    return Legaliser(O0, LLVM, layers)


def test_the_same_call_is_legalised_once(asked):
    module = small_network()
    layers = [b.var.name for b in bindings_of(module["main"])]
    made = Legaliser(O0, LLVM, layers)
    first = made(module)
    count = len(asked)
    assert count == len(layers)
    second = made(module)
    assert len(asked) == count
    ours, theirs = (
        {gv.name_hint: f for gv, f in each.module.functions.items()} for each in (first, second)
    )
    assert all(f.same_as(theirs[n]) for n, f in ours.items() if isinstance(f, tirx.PrimFunc))
    Legaliser(O0, LLVM, layers, remembers=False)(module)
    assert len(asked) == 2 * count


def test_another_shape_is_another_call(asked):
    made = named("result_0")
    for shape in [(2, 3), (3, 2), (2, 3)]:
        made(network(lambda emit, x: relax.op.nn.relu(x), [shape]))
    assert len(asked) == 2


def test_another_attribute_is_another_call(asked):
    made = named("result_0")
    for axis in (0, 1, 0):
        made(network(lambda emit, x, axis=axis: relax.op.nn.softmax(x, axis), [(2, 3)]))
    assert len(asked) == 2


def test_operands_that_are_one_are_not_two(asked):
    made = named("result_0")
    made(network(lambda emit, x, y: relax.op.add(x, y), [(2, 3)] * 2))
    same = made(network(lambda emit, x: relax.op.add(x, x), [(2, 3)]))
    assert len(asked) == 2
    assert len(same.module["main"].params) == 1


def test_names_and_layers():
    module = network(with_a_helper, [(2, 3)])
    legalised = named("first", "result_0")(module)
    assert legalised.kernels == {"first": ("first",), "result_0": ("result_0__1", "result_0__2")}
    called = [b.value.args[0].name_hint for b in bindings_of(legalised.module["main"])]
    assert called == ["first", "result_0__1", "result_0__2"]


@pytest.mark.parametrize("opt", LEVELS, ids=lambda opt: f"O{opt.level}")
def test_a_call_at_a_time_is_what_the_pass_makes_of_the_whole(opt):
    module = optimise(small_network(), opt)
    layers = [b.var.name for b in bindings_of(module["main"])]
    whole = legalise(module, opt, LLVM)
    ours = Legaliser(opt, LLVM, layers)(module).module
    lines = [list(bindings_of(each["main"])) for each in (ours, whole)]
    assert len(lines[0]) == len(lines[1])
    for one, other in zip(*lines, strict=True):
        assert structural_equal(one.var.ty, other.var.ty)
        assert operator_name(one.value) == operator_name(other.value)
        if operator_name(one.value) == "relax.call_tir":
            callee = one.value.args[0]
            untagged = Fusion(LLVM).fused(ours, callee).kernel
            pair = untagged, whole[other.value.args[0]]
            assert structural_equal(*(f.with_attrs(BARE) for f in pair))


def test_what_the_result_does_not_need_is_left_out():
    def build(emit, x):
        emit(relax.op.exp(x), "unused")
        return relax.op.nn.relu(x)

    legalised = named("unused", "result_0")(network(build, [(2, 3)]))
    assert legalised.kernels == {"result_0": ("result_0",)}


def test_changed_kernels_leave_the_network_as_it_was():
    legalised = named("first", "result_0")(network(with_a_helper, [(2, 3)]))
    plain = legalised.module["result_0__1"]
    other = legalised.changed({"result_0__1": plain.with_attr("mark", 1)})
    assert other.module["result_0__1"].attrs["mark"] == 1
    assert legalised.module["result_0__1"].same_as(plain)
    assert other.module["first"].same_as(legalised.module["first"])


def test_helpers_belong_to_the_next_layer_and_the_last_ones_to_the_last():
    line = [("part", True), ("a", True), ("view", False), ("part", True), ("b", False), ("c", True)]
    assert calls_by_layer(line, ["a", "b"]) == {
        0: ("a", 0, 2), 1: ("a", 1, 2), 3: ("b", 0, 2), 5: ("b", 1, 2),
    }  # fmt: skip
    assert calls_by_layer([("part", True)], ["a"]) == {}
