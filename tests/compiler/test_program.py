"""Digests of programs: the same for the same computation, another for any other."""

from dataclasses import replace

import numpy as np
import pytest
import tvm
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from pytest_mutatenn.compiler.lower import Lowering
from pytest_mutatenn.compiler.mutant import Mutant
from pytest_mutatenn.compiler.passes import OptLevel
from pytest_mutatenn.compiler.program import (
    Leaves,
    Program,
    Ref,
    Step,
    TensorSpec,
    array_digest,
    combine,
)
from pytest_mutatenn.devices.base import open_device
from pytest_mutatenn.engine.prepare import prepare
from pytest_mutatenn.engine.workshop import Order, Workshop
from pytest_mutatenn.model.onnx_import import import_onnx

SPEC = TensorSpec((4,), "float32")
WEIGHTS = (np.arange(4, dtype=np.float32), np.ones(4, np.float32))
CODE = {"scale": "1", "add": "2", "exp": "3"}


def small():
    """`exp(x + scale(w0)) + w1`, with a step on weights alone."""
    steps = (
        Step("scale", (Ref("param", 0),), (SPEC,), ("scale_0",)),
        Step("add", (Ref("input", 0), Ref("step", 0)), (SPEC,), ("add_0",)),
        Step("exp", (Ref("step", 1),), (SPEC,), ("exp_0",)),
        Step("add", (Ref("step", 2), Ref("param", 1)), (SPEC,), ("norm_0", "add_1")),
    )
    return Program(steps, dict.fromkeys(CODE), WEIGHTS, (), (SPEC,), (SPEC,), (Ref("step", 3),))


def digest(program, code=CODE):
    return program.digest(code, Leaves.of_program(program))


def with_step(program, index, **changed):
    steps = list(program.steps)
    steps[index] = replace(steps[index], **changed)
    return replace(program, steps=tuple(steps))


class TestDigest:
    def test_the_same_computation(self):
        assert digest(small()) == digest(small())
        assert len(bytes.fromhex(digest(small()))) == 32

    def test_names_are_of_no_matter(self):
        program = with_step(small(), 2, kernel="another", layers=("else_0",))
        assert digest(program, {**CODE, "another": "3"}) == digest(small())

    def test_the_code_of_a_kernel(self):
        assert digest(small(), {**CODE, "exp": "4"}) != digest(small())

    def test_a_weight(self):
        for index in range(2):
            params = list(WEIGHTS)
            params[index] = params[index] + np.float32(1e-6)
            assert digest(replace(small(), params=tuple(params))) != digest(small())

    def test_the_order_of_arguments(self):
        program = with_step(small(), 1, args=(Ref("step", 0), Ref("input", 0)))
        assert digest(program) != digest(small())

    def test_what_is_given_out(self):
        assert digest(replace(small(), results=(Ref("step", 2),))) != digest(small())
        assert digest(replace(small(), results=(Ref("step", 3), Ref("step", 2)))) != digest(small())

    def test_a_step_that_nothing_reads_is_no_part(self):
        steps = (*small().steps, Step("exp", (Ref("input", 0),), (SPEC,), ("dead_0",)))
        assert digest(replace(small(), steps=steps)) == digest(small())

    def test_the_shape_of_an_output(self):
        program = with_step(small(), 2, outputs=(TensorSpec((2, 2), "float32"),))
        assert digest(program) != digest(small())

    def test_which_input_and_which_output(self):
        assert digest(with_step(small(), 1, args=(Ref("input", 1), Ref("step", 0)))) != digest(
            small()
        )
        assert digest(with_step(small(), 2, args=(Ref("step", 1, 1),))) != digest(small())

    def test_a_literal_counts_by_its_value(self):
        def literal(value):
            program = with_step(small(), 3, args=(Ref("step", 2), Ref("const", 0)))
            return replace(program, constants=(np.float32([value]),))

        assert digest(literal(1)) == digest(literal(1)) != digest(literal(2))

    def test_steps_after_a_change_change_and_those_before_stay(self):
        leaves = Leaves.of_program(small())
        plain = small().step_digests(CODE, leaves)
        changed = small().step_digests({**CODE, "exp": "4"}, leaves)
        assert [a == b for a, b in zip(plain, changed, strict=True)] == [True, True, False, False]


def test_steps_on_weights_alone_are_constant():
    assert small().constant_steps() == (True, False, False, False)
    weights_only = with_step(small(), 1, args=(Ref("const", 0), Ref("step", 0)))
    assert weights_only.constant_steps() == (True, True, True, True)


def test_a_step_is_named_by_the_layer_it_ends():
    assert [step.name for step in small().steps] == ["scale_0", "add_0", "exp_0", "add_1"]
    assert Step("kernel", (), (), ()).name == "kernel"


@given(st.lists(st.text(max_size=5), max_size=5), st.lists(st.text(max_size=5), max_size=5))
def test_combine_tells_sequences_apart(one, other):
    assert (combine(*one) == combine(*other)) == (one == other)


@given(
    arrays_of.arrays(
        st.sampled_from(["float32", "int32", "uint8", "bool"]), arrays_of.array_shapes(min_dims=0)
    )
)
def test_an_array_s_digest_is_of_dtype_shape_and_bits(array):
    assert array_digest(array) == array_digest(array.copy(order="F"))
    assert array_digest(array) != array_digest(array[np.newaxis])
    assert array_digest(array) != array_digest(array.astype("float64"))
    if array.size:
        other = array.copy()
        other.reshape(-1).view(np.uint8)[-1] ^= 1
        assert array_digest(array) != array_digest(other)


def test_minus_zero_and_nan_count_by_their_bits():
    zero, nan = np.float32([0.0]), np.float32([np.nan])
    assert array_digest(zero) != array_digest(-zero)
    assert array_digest(nan) == array_digest(nan.copy())


def test_an_empty_array():
    assert array_digest(np.empty((0, 3), np.float32)) != array_digest(np.empty((3, 0), np.float32))


@pytest.fixture(scope="module")
def lowering(tiny):
    target = open_device("llvm").target(fast_math=False)
    return Lowering(import_onnx(tiny / "tiny.onnx"), OptLevel(2), target)


def test_a_lowered_network(lowering):
    program = lowering.baseline()
    assert program.inputs == (TensorSpec((1, 1, 8, 8), "float32"),)
    assert program.outputs == (TensorSpec((1, 5), "float32"),)
    assert set(program.kernels) == {step.kernel for step in program.steps}
    assert program.results == (Ref("step", len(program.steps) - 1),)
    for index, step in enumerate(program.steps):
        assert all(ref.index < index for ref in step.args if ref.kind == "step")
    constant = program.constant_steps()
    assert any(constant)
    assert not all(constant)


def test_lowering_again_gives_the_same_program(lowering):
    again = Lowering(lowering.model, lowering.opt, lowering.target)
    one, other = (each.baseline() for each in (lowering, again))
    assert one.steps == other.steps
    assert one.results == other.results


@pytest.fixture(scope="module")
def workshop(tiny, tmp_path_factory):
    store = tmp_path_factory.mktemp("code")
    order = Order(str(tiny / "tiny.onnx"), {}, "llvm", 2, (), (), (), (), str(store))
    workshop = Workshop(order)
    workshop.load_baseline()
    return workshop


class TestEmittedCode:
    """What a mutant's digest says once its code is generated."""

    def prepared(self, workshop, text):
        return prepare(workshop, Mutant.parse(text))

    @pytest.mark.parametrize(
        "text",
        [
            "identity",
            "kernel.store_times_1_00000001@conv2d#1",
            "kernel.store_times_1_00000001@conv2d#2",
            "kernel.store_times_1_00000001@batch_norm#8",
            "kernel.store_times_1_00000001@matmul#1",
            "kernel.store_times_1_00000001@sweep",
            "device.store_times_1_00000001@sweep",
        ],
    )
    def test_a_mutant_without_effect_has_the_baseline_s_digest(self, workshop, text):
        assert self.prepared(workshop, text).digest == workshop.digest

    @pytest.mark.parametrize(
        "text",
        [
            "canary",
            "graph.relu_to_sigmoid@clip#1",
            "kernel.boundary@conv2d#1",
            "kernel.store_minus_1e_8@conv2d#1",
            "device.boundary@sweep",
            "device.store_minus_1e_8@sweep",
        ],
    )
    def test_a_mutant_with_one_has_another(self, workshop, text):
        assert self.prepared(workshop, text).digest != workshop.digest

    def test_one_kernel_is_compiled_for_a_kernel_mutant(self, workshop):
        before = workshop.counters.kernels_compiled
        self.prepared(workshop, "kernel.max_to_min@clip#1")
        assert workshop.counters.kernels_compiled == before + 1
        self.prepared(workshop, "kernel.max_to_min@clip#1")
        assert workshop.counters.kernels_compiled == before + 1

    def test_names_are_no_code(self, workshop):
        program = workshop.baseline.program
        name = next(iter(program.kernels))
        func = workshop.lower(program.kernels[name])
        other = tiny_renamed(func)
        assert other.script() != func.script()
        emitted = [workshop.device.compile(f, workshop.target)[0] for f in (func, other)]
        assert emitted[0] == emitted[1]


def tiny_renamed(func):
    """The kernel with other names for its parameters, which debugging information keeps."""
    text = func.script(show_meta=False)
    for number, param in enumerate(func.params):
        text = text.replace(f"{param.name}_1", f"flat_{number}").replace(
            f"{param.name}", f"renamed_{number}"
        )
    return tvm.script.from_source(text).with_attr(dict(func.attrs))
