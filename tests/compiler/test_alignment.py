"""What differs between two networks, if it is their kernels alone."""

import pytest
from lowering import LLVM, network
from tvm import relax

from pytest_mutatenn.compiler.alignment import kernels_that_differ
from pytest_mutatenn.compiler.legaliser import Legaliser
from pytest_mutatenn.compiler.passes import OptLevel, optimise


@pytest.fixture
def legalised():
    """Legalises a network by the legaliser that all of a test share."""
    made = Legaliser(OptLevel(1), LLVM, ("first", "second", "result_0"))

    def legalise(build, inputs=((2, 4),)):
        return made(optimise(network(build, inputs), OptLevel(1)))

    return legalise


def chain(first, second):
    def build(emit, x):
        return relax.op.exp(emit(second(emit(first(x), "first")), "second"))

    return build


relu, tanh, exp = relax.op.nn.relu, relax.op.tanh, relax.op.exp


def test_the_same_network_differs_in_nothing(legalised):
    assert kernels_that_differ(legalised(chain(relu, exp)), legalised(chain(relu, exp))) == {}


def test_another_layer_of_the_same_form_is_another_kernel(legalised):
    theirs, ours = legalised(chain(relu, exp)), legalised(chain(tanh, exp))
    found = kernels_that_differ(ours, theirs)
    assert set(found) == {"first"}
    (name,) = ours.kernels["first"]
    assert found["first"].same_as(ours.module[name])
    assert not found["first"].same_as(theirs.module["first"])


def test_a_kernel_that_fuses_otherwise_is_more_than_a_kernel(legalised):
    plain = legalised(chain(relu, exp))
    other = plain.changed({"first": plain.module["first"].with_attr("op_pattern", 7)})
    assert kernels_that_differ(other, plain) is None


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda emit, x: relax.op.exp(emit(relu(x), "first")), id="one fewer"),
        pytest.param(
            lambda emit, x: relax.op.exp(emit(exp(emit(relu(x), "second")), "first")),
            id="other names",
        ),
        pytest.param(
            lambda emit, x: [a := emit(relu(x), "first"), emit(exp(a), "second"), exp(a)][-1],
            id="other operand, and so one fewer",
        ),
        pytest.param(
            lambda emit, x: exp(emit(relax.op.reshape(emit(relu(x), "first"), (4, 2)), "second")),
            id="other shape",
        ),
    ],
)
def test_another_line_is_more_than_kernels(legalised, build):
    assert kernels_that_differ(legalised(build), legalised(chain(relu, exp))) is None


def test_other_operands_of_the_same_kernels(legalised):
    def build(left, right):
        def made(emit, *inputs):
            first = emit(relu(inputs[left]), "first")
            return relax.op.subtract(emit(relu(inputs[right]), "second"), first)

        return made

    two = ((2, 4), (2, 4))
    ours, theirs = legalised(build(0, 1), two), legalised(build(1, 0), two)
    assert kernels_that_differ(ours, theirs) is None
    assert kernels_that_differ(ours, legalised(build(0, 1), two)) == {}
    three = legalised(build(0, 1), (*two, (2, 4)))
    assert kernels_that_differ(ours, three) is None
