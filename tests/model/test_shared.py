"""Arrays that other processes map: they are there once, and nobody changes them."""

import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from pytest_mutatenn.model.shared import SharedArrays, map_arrays


@pytest.fixture
def shared():
    def fill(arrays):
        arrays["image"][:] = np.arange(24).reshape(4, 2, 3)
        arrays["mask"][:] = [True, False, True, True]

    specs = {"image": ((4, 2, 3), "float32"), "mask": ((4,), "bool"), "none": ((0, 3), "int8")}
    return SharedArrays(specs, fill)


def test_what_was_written_is_read_here_and_through_the_descriptor(shared):
    assert list(shared) == ["image", "mask", "none"]
    mapped = map_arrays(shared.memory.fd, shared.views)
    for arrays in (shared, mapped):
        assert arrays["image"].dtype == np.float32
        assert arrays["image"].tolist() == np.arange(24.0).reshape(4, 2, 3).tolist()
        assert arrays["mask"].tolist() == [True, False, True, True]
        assert arrays["none"].shape == (0, 3)


def test_nobody_writes_it_any_more(shared):
    fd = shared.memory.fd
    with pytest.raises(ValueError, match="read-only"):
        shared["image"][0] = 1
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)
    with pytest.raises(PermissionError):
        mmap.mmap(fd, shared.memory.size)
    with pytest.raises(ValueError, match="read-only"):
        map_arrays(fd, shared.views)["image"][0] = 1


def test_the_descriptor_goes_with_the_memory(shared):
    fd, image = shared.memory.fd, shared["image"]
    shared.memory.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    assert image[3, 1, 2] == 23, "what is mapped stays"


def test_an_error_while_it_is_filled_leaves_nothing():
    before = len(list(Path("/proc/self/fd").iterdir()))

    def fill(arrays):
        raise ValueError("no such photo")

    with pytest.raises(ValueError, match="no such photo"):
        SharedArrays({"x": ((2,), "float32")}, fill)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
