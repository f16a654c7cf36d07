"""Lowering what a mutant changes gives the program that lowering all of it gives."""

import pytest

from pytest_mutatenn.compiler.kernel import ir_digest
from pytest_mutatenn.compiler.lower import Lowering, mutant_program
from pytest_mutatenn.compiler.mutant import Mutant
from pytest_mutatenn.compiler.passes import OptLevel
from pytest_mutatenn.devices.base import open_device
from pytest_mutatenn.model.onnx_import import import_onnx
from pytest_mutatenn.operators import catalogue

OPERATORS = catalogue.load()
TARGET = open_device("llvm").target(fast_math=False)
MUTANTS = [
    "graph.relu_to_sigmoid@clip#1",  # of the same form: its kernel alone is another
    "graph.relu_to_identity@clip#1",  # a layer fewer
    "graph.conv_padding@conv2d#1",
    "graph.sqrt_conv2d_0_after@conv2d#1",  # a layer more
    "kernel.max_to_min@clip_2#1",  # serves two layers
    "kernel.boundary@conv2d#1",
    "kernel.store_minus_1e_8@matmul#2",
    "kernel.store_times_1_00000001@conv2d#2",  # of no effect
    "graph.relu_to_sigmoid@clip#1+kernel.boundary@conv2d#1",
]


@pytest.fixture(scope="module", params=[0, 2, 3], ids="O{}".format)
def lowerings(request, examples):
    model, opt = import_onnx(examples / "digits.onnx"), OptLevel(request.param)
    return [Lowering(model, opt, TARGET, incremental=how) for how in (True, False)]


def read(program):
    """What is computed, step by step, without the names of kernels."""
    code = {name: ir_digest(func, TARGET) for name, func in program.kernels.items()}
    steps = [(code[s.kernel], s.args, s.outputs, s.layers) for s in program.steps]
    return steps, program.results, program.inputs, program.outputs


def test_the_unmutated_network(lowerings):
    ours, theirs = (read(lowering.baseline()) for lowering in lowerings)
    assert ours == theirs


@pytest.mark.parametrize("text", MUTANTS)
def test_a_mutant(lowerings, text):
    parts = [(m, OPERATORS.find(m.operator)) for m in Mutant.parse(text).parts]
    (ours, lines), (theirs, others) = (mutant_program(each, parts) for each in lowerings)
    assert read(ours) == read(theirs)
    assert lines == others
    arrays = zip(ours.params + ours.constants, theirs.params + theirs.constants, strict=True)
    assert all(a.tobytes() == b.tobytes() for a, b in arrays)
