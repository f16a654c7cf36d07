"""Slots of the host: one memory seen from both sides."""

import numpy as np
import pytest

from pytest_mutatenn.devices.host import HOST


def test_a_kernel_reads_the_array_itself():
    slot = HOST.copy(np.arange(6, dtype="float32").reshape(2, 3))
    slot.array[1, 2] = 70
    slot.push()
    assert slot.tensor.numpy()[1, 2] == 70


def test_what_a_kernel_writes_is_in_the_array():
    slot = HOST.slot((4,), "int32")
    slot.tensor.copyfrom(np.arange(4, dtype="int32"))
    slot.pull()
    assert slot.array.tolist() == [0, 1, 2, 3]


def test_what_is_not_written_is_poison():
    slot = HOST.copy(np.ones(5, np.float32))
    slot.poison()
    assert np.isnan(slot.array).all()


def test_the_tensors_of_a_block_begin_together():
    block = HOST.block(64)
    wide, narrow = block.slot((4, 4), "float32"), block.slot((2,), "float64")
    narrow.array[:] = 1.0
    assert wide.array.ravel()[:4].view("float64").tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="reshape"):
        block.slot((5, 4), "float32")
