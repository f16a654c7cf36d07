"""A mutant run from its first changed step gives what running everything gives, to the bit."""

from types import SimpleNamespace

import numpy as np
import pytest

from pytest_mutatenn.compiler.mutant import Mutant
from pytest_mutatenn.compiler.program import Ref, Step, TensorSpec
from pytest_mutatenn.devices.host import HOST
from pytest_mutatenn.engine.activations import choose_steps, layout
from pytest_mutatenn.engine.executor import MutantRun, RunStats
from pytest_mutatenn.engine.listing import list_mutants
from pytest_mutatenn.engine.prepare import prepare
from pytest_mutatenn.engine.tensors import Activations, same_bits, shared_places
from pytest_mutatenn.engine.workshop import Order, Workshop

# of every stage, early and late in the network; some change nothing that an input shows
MUTANTS = [
    "identity",
    "canary",
    "graph.relu_to_sigmoid@clip#1",
    "kernel.boundary@conv2d#1",
    "kernel.max_to_min@softmax#1",
    "kernel.store_float32_to_float16@mean#2",
    "kernel.store_float32_to_int8@softmax#1",
    "device.negate_condition@conv2d#2",
    "device.add_to_sub@matmul#1",
]


@pytest.fixture(scope="module")
def workshop(tiny, store_folder):
    order = Order(str(tiny / "tiny.onnx"), {}, "llvm", 2, (), (), (), (), str(store_folder))
    found = Workshop(order)
    found.load_baseline()
    return found


@pytest.fixture(scope="module")
def images(tiny):
    return list(np.load(tiny / "tiny.npz")["arr_0"][:4].reshape(4, 1, 1, 8, 8))


@pytest.fixture(scope="module")
def recorded(workshop, images):
    """Outputs of the baseline, and its tensors at every step."""
    return record(workshop, images)


def described(workshop):
    program = workshop.baseline.program
    return [
        {
            "sizes": [int(np.prod(spec.shape)) * 4 for spec in step.outputs],
            "args": [[ref.index, ref.output] for ref in step.args if ref.kind == "step"],
            "constant": constant,
        }
        for step, constant in zip(program.steps, program.constant_steps(), strict=True)
    ]


def activations(workshop, recorded, budget):
    steps = described(workshop)
    count = len(recorded[0])
    chosen = choose_steps(steps, [1.0] * len(steps), count, budget)
    offsets, size = layout(steps, chosen, count)
    kept = Activations(
        np.zeros(size, np.uint8), {(step, out): start for step, out, start in offsets}, count
    )
    for sample, made in enumerate(recorded[1]):
        for step, out, _ in offsets:
            kept.tensor(workshop.baseline.program, step, out, sample)[...] = made[step][out]
    return kept


def run(workshop, mutant, images, kept, everything=False):
    prepared = prepare(workshop, Mutant.parse(mutant))
    stats = RunStats()
    runner = MutantRun(workshop.run, prepared.loaded, kept, everything=everything)
    outputs = []
    for sample, image in enumerate(images):
        (output,) = runner.run([HOST.copy(image)], sample, stats)
        outputs.append(np.array(output))
    return outputs, stats


@pytest.mark.parametrize("mutant", MUTANTS)
@pytest.mark.parametrize("budget", [1 << 20, 2000, 0], ids=["all", "some", "none"])
def test_from_the_first_changed_step_or_from_scratch(budget, mutant, workshop, images, recorded):
    everything, _ = run(workshop, mutant, images, None, everything=True)

    kept = activations(workshop, recorded, budget) if budget else None
    spared, stats = run(workshop, mutant, images, kept)

    for one, other in zip(everything, spared, strict=True):
        assert same_bits(one, other)
    steps = sum(not constant for constant in workshop.baseline.program.constant_steps())
    if mutant != "graph.relu_to_sigmoid@clip#1":  # which has other steps than the baseline
        assert stats.steps_run + stats.steps_reused >= steps * len(images)
    if mutant == "identity":
        assert not any(stats.infected)
        assert all(map(same_bits, everything, recorded[0]))


def test_what_stands_before_the_fault_is_not_run(workshop, images, recorded):
    kept = activations(workshop, recorded, 1 << 20)

    _, late = run(workshop, "kernel.max_to_min@softmax#1", images, kept)
    _, early = run(workshop, "kernel.boundary@conv2d#1", images, kept)

    assert late.steps_run == len(images)  # the softmax, which is the last
    assert early.steps_run > late.steps_run
    assert np.isnan(late.latency).all()


def record(workshop, images):
    """Outputs of the baseline, and its tensors at every step."""
    outputs, tensors = [], []
    for image in images:
        made = {}

        def keep(index, out, made=made):
            made[index] = [np.array(slot.array) for slot in out]

        (output,) = workshop.run.run([HOST.copy(image)], keep)
        outputs.append(np.array(output))
        tensors.append(made)
    return outputs, tensors


def test_an_input_that_does_not_infect_stops_at_the_first_changed_step(workshop, images):
    # a convolution that subtracts where it should add: a blank image shows nothing of it
    inputs = [images[0], np.zeros_like(images[0])]
    kept = activations(workshop, record(workshop, inputs), 1 << 20)

    _, both = run(workshop, "kernel.add_to_sub@conv2d#1", inputs, kept)
    _, first = run(workshop, "kernel.add_to_sub@conv2d#1", inputs[:1], kept)

    assert both.infected == [True, False]
    assert both.steps_run == first.steps_run + 1


def test_every_mutant_of_the_list_can_be_made_again(workshop):
    request = {
        "operators": "default",
        "stages": ["graph", "kernel", "device", "weights"],
        "order": "site",
        "count": 1,
        "positions": [0, None],
        "seed": 0,
    }
    listed = list_mutants(workshop, request)["mutants"]
    assert len(listed) == len({entry["id"] for entry in listed})
    for entry in listed[:: max(1, len(listed) // 12)]:
        prepared = prepare(workshop, Mutant.parse(entry["id"]))
        assert prepared.after == [entry["after"]], entry["id"]


def test_same_bits_are_bits():
    nan, zero = np.array([np.nan], np.float32), np.array([0.0], np.float32)
    assert same_bits(nan, nan.copy())
    assert not same_bits(zero, -zero)
    assert not same_bits(zero, zero.astype(np.float64))
    assert not same_bits(zero, zero.reshape(1, 1))
    other = np.array([0x7FC00001], np.uint32).view(np.float32)
    assert np.isnan(other).all()
    assert not same_bits(nan, other)


def test_what_is_needed_at_the_same_time_lies_apart(workshop):
    program = workshop.baseline.program
    places = shared_places(program)
    constant = program.constant_steps()
    results = {(r.index, r.output) for r in program.results if r.kind == "step"}
    for index, step in enumerate(program.steps):
        later = {
            (r.index, r.output) for s in program.steps[index:] for r in s.args if r.kind == "step"
        }
        made = {tensor for tensor in places if tensor[0] <= index}
        kept = {tensor for tensor in made if constant[tensor[0]]}
        needed = (made & (later | results)) | kept | {(index, o) for o in range(len(step.outputs))}
        assert len({places[tensor] for tensor in needed}) == len(needed), step.name


def test_a_chain_of_equal_tensors_lies_in_two_places():
    spec = TensorSpec((3, 4), "float32")
    steps = [
        Step("kernel", (Ref("step", i - 1) if i else Ref("input", 0),), (spec,), ())
        for i in range(6)
    ]
    program = SimpleNamespace(
        steps=steps, results=(Ref("step", 5),), constant_steps=lambda: (False,) * 6
    )
    places = shared_places(program)
    assert len(set(places.values())) == 2
    assert all(places[i, 0] != places[i + 1, 0] for i in range(5))


def test_infection_does_not_depend_on_what_is_kept(workshop, images, recorded):
    for mutant in MUTANTS[1:]:
        found = {
            tuple(
                run(workshop, mutant, images, activations(workshop, recorded, budget))[1].infected
            )
            for budget in (1 << 20, 2000, 64)
        }
        assert len(found) == 1, mutant
