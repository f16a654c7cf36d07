"""Tensors lie far apart, in poison; a kernel that strays dies, and a limit on memory holds."""

import ctypes
import faulthandler
import gc
import os
import resource
import signal
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest

from pytest_mutatenn.devices import memory
from pytest_mutatenn.devices.memory import guarded, guarded_copy, poison

MIB = 1 << 20

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of Linux")


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def address_space():
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def in_a_child(work):
    """How a child that does the work ends: 0, or the signal it died of, or 70 on an exception."""
    pid = os.fork()
    if pid == 0:
        try:
            faulthandler.disable()  # dying is what is asked of it
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(70)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return signal.Signals(-status) if status < 0 else status


def touch(address, write=False):
    """Read or write one byte, as a kernel would."""
    byte = ctypes.c_uint8.from_address(address)
    if write:
        byte.value = 1
    return byte.value


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "bool"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (1, 64, 64)])
def test_a_tensor_is_what_was_asked_for(shape, dtype):
    tensor = guarded(shape, dtype)
    assert tensor.shape == shape
    assert tensor.dtype == np.dtype(dtype)
    assert tensor.flags.c_contiguous
    assert tensor.flags.writeable
    assert tensor.ctypes.data % 64 == 0


def test_what_is_not_written_is_poison():
    tensor = guarded((7, 9), "float32")
    assert np.isnan(tensor).all()
    tensor[...] = 1
    poison(tensor)
    assert np.isnan(tensor).all()


def test_a_copy_is_equal():
    array = np.arange(10, dtype=np.float32)
    assert np.array_equal(guarded_copy(array), array)


def test_poison_just_outside():
    tensor = guarded((100,), "float32")
    for offset in (-4096, -1, 400, 4096):
        assert touch(tensor.ctypes.data + offset) == 0xFF


@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
@pytest.mark.parametrize("elements", [8_000, 100_000, 1_000_000, 15_000_000])
@pytest.mark.parametrize("sign", [-1, 1])
def test_further_outside_is_death(elements, sign, write):
    # others around it, that are not to be reached
    tensors = [guarded((1000,), "float32") for _ in range(5)]
    address = tensors[2].ctypes.data + sign * elements * 4
    assert in_a_child(lambda: touch(address, write)) == signal.SIGSEGV


def test_a_limit_on_memory_counts_tensors():
    guarded((1,), "float32")

    def work():
        limit = address_space() + 100 * MIB
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        held = [guarded((10 * MIB,), "uint8") for _ in range(8)]
        with pytest.raises(MemoryError):
            guarded((30 * MIB,), "uint8")
        # what is let go of can be had again
        del held
        gc.collect()
        held = [guarded((10 * MIB,), "uint8") for _ in range(8)]
        assert held

    assert in_a_child(work) == 0


def test_what_is_let_go_of_is_given_back():
    tensor = guarded((50 * MIB,), "uint8")
    address, held = tensor.ctypes.data, resident()
    del tensor
    gc.collect()
    assert resident() < held - 40 * MIB
    again = guarded((50 * MIB,), "uint8")
    assert again.ctypes.data == address
    assert (again == 0xFF).all()


def test_many_tensors():
    # beyond what a network has, with few mappings each
    tensors = [guarded((1000,), "float32") for _ in range(1500)]
    mappings = len(Path("/proc/self/maps").read_text().splitlines())
    assert mappings < 6000
    addresses = sorted(tensor.ctypes.data for tensor in tensors)
    assert min(np.diff(addresses)) >= 64 * MIB


def test_a_tensor_outlives_what_made_it():
    view = guarded((100,), "float32")[10:20]
    view[...] = 3
    gc.collect()
    assert (view == 3).all()


def test_without_address_space_a_page_guards_each_side(monkeypatch):
    monkeypatch.setattr(memory, "_SPACE", 1 << 60)
    memory._space.cache_clear()
    try:
        tensor = guarded((1000,), "float32")
        assert np.isnan(tensor).all()
        assert touch(tensor.ctypes.data - 1) == 0xFF
        edge = tensor.ctypes.data + 4096 + 4 * 4096
        assert in_a_child(lambda: touch(edge)) == signal.SIGSEGV
        del tensor
        gc.collect()
    finally:
        memory._space.cache_clear()
