"""Shared memory: less of it than tensors, and never under one that is still to be read."""

from pytest_mutatenn.compiler.program import Program, Ref, Step, TensorSpec
from pytest_mutatenn.devices.host import HOST
from pytest_mutatenn.engine.tensors import memory_of, shared_places

WIDE, NARROW = TensorSpec((1, 64, 64), "float32"), TensorSpec((1, 8, 64), "float32")


def program(*steps, results=()):
    """A program of steps (arguments, output); an argument is a step, or None: the input."""
    made = [
        Step(
            f"k{i}",
            tuple(Ref("input", 0) if a is None else Ref("step", a) for a in args),
            (output,),
            (),
        )
        for i, (args, output) in enumerate(steps)
    ]
    return Program(tuple(made), {}, (), (), (WIDE,), (), tuple(Ref("step", r) for r in results))


def shared_outputs(made):
    return memory_of(made, shared_places(made, of_one_size=False), HOST)


def places(made):
    return {index: slot.array.ctypes.data for index, (slot,) in shared_outputs(made).items()}


def test_a_chain_takes_two_places():
    found = places(program(*[([i - 1] if i else [None], WIDE) for i in range(6)], results=[5]))
    assert len(set(found.values())) == 2
    assert all(found[i] != found[i + 1] for i in range(5))


def test_a_skip_is_kept_until_it_is_read():
    made = program(
        ([None], WIDE), ([0], WIDE), ([1], WIDE), ([0, 2], WIDE), ([3], WIDE), results=[4]
    )
    found = places(made)
    assert found[0] not in (found[1], found[2], found[3])
    assert found[4] in (found[0], found[1], found[2])


def test_results_are_never_written_over():
    found = places(program(([None], WIDE), ([0], WIDE), ([1], WIDE), ([2], WIDE), results=[0, 3]))
    assert found[0] not in (found[1], found[2], found[3])


def test_a_small_tensor_may_lie_in_a_large_piece_but_not_the_reverse():
    made = program(([None], WIDE), ([0], NARROW), ([1], NARROW), ([2], WIDE), results=[3])
    found = shared_outputs(made)
    assert [slot.array.shape for (slot,) in found.values()] == [
        s.outputs[0].shape for s in made.steps
    ]
    where = places(made)
    assert where[2] == where[0] or where[3] == where[0]


def test_what_depends_on_no_input_has_no_place():
    made = program(([], WIDE), ([0, None], WIDE), results=[1])
    assert list(shared_outputs(made)) == [1]
