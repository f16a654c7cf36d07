import os
import socket
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pytest_mutatenn.engine import wire

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
tensors = st.dictionaries(
    st.text(max_size=5),
    st.sampled_from(["f4", "f8", "i1", "u8", "f2"]).flatmap(
        lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
    ),
    max_size=3,
)


@pytest.fixture
def pair():
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()


@given(value=plain, given_arrays=tensors)
@settings(max_examples=80, deadline=None)
def test_what_is_sent_arrives(value, given_arrays):
    a, b = socket.socketpair()
    with a, b:
        wire.send(a, value, given_arrays)
        found, found_arrays, fds = wire.receive(b)
    assert found == value
    assert fds == []
    assert {n: (x.dtype, x.shape, x.tobytes()) for n, x in found_arrays.items()} == {
        n: (x.dtype, x.shape, x.tobytes()) for n, x in given_arrays.items()
    }


def test_descriptors_ride_along(pair, tmp_path):
    with (tmp_path / "file").open("w+") as file:
        wire.send(pair[0], "look", fds=[file.fileno()])
        value, _, (fd,) = wire.receive(pair[1])
        os.write(fd, b"through the other end")
        os.close(fd)
        assert value == "look"
        file.seek(0)
        assert file.read() == "through the other end"


def test_a_large_message_arrives_in_pieces(pair):
    big = np.arange(3_000_000, dtype=np.float32)
    sender = threading.Thread(target=wire.send, args=(pair[0], None, {"big": big}))
    sender.start()
    _, found, _ = wire.receive(pair[1], deadline=time.monotonic() + 30)
    sender.join()
    assert np.array_equal(found["big"], big)


def message(value, given_arrays=None):
    a, b = socket.socketpair()
    with a, b:
        wire.send(a, value, given_arrays)
        return b.recv(1 << 16)


WHOLE = message({"do": "run"}, {"x": np.ones(5, np.float32)})


@pytest.mark.parametrize("place", range(0, len(WHOLE), 7))
def test_a_message_with_a_wrong_byte_is_none(place, pair):
    wrong = bytearray(WHOLE)
    wrong[place] ^= 0x41
    pair[0].sendall(wrong)
    pair[0].shutdown(socket.SHUT_WR)

    # a wrong length may also ask for more than there is
    with pytest.raises((wire.Garbled, wire.Closed)):
        wire.receive(pair[1])


def test_garbage_is_garbled(pair):
    pair[0].sendall(b"x" * 200)
    with pytest.raises(wire.Garbled):
        wire.receive(pair[1], deadline=time.monotonic() + 5)


@pytest.mark.parametrize("sent", [b"", WHOLE[:10], WHOLE[:-1]], ids=["nothing", "head", "part"])
def test_what_does_not_come_in_time_is_late(sent, pair):
    pair[0].sendall(sent)
    start = time.monotonic()
    with pytest.raises(wire.Late):
        wire.receive(pair[1], deadline=start + 0.2)
    assert 0.15 < time.monotonic() - start < 2


@pytest.mark.parametrize("sent", [b"", WHOLE[:10], WHOLE[:-1]], ids=["nothing", "head", "part"])
def test_an_end_that_goes_away_is_closed(sent, pair):
    pair[0].sendall(sent)
    pair[0].close()
    with pytest.raises(wire.Closed):
        wire.receive(pair[1], deadline=time.monotonic() + 5)
    with pytest.raises(wire.Closed):
        wire.send(pair[1], "anyone there?")


def test_the_watch_is_called_while_waiting_and_may_raise(pair):
    calls = []

    def watch():
        calls.append(time.monotonic())
        if len(calls) == 3:
            raise MemoryError

    with pytest.raises(MemoryError):
        wire.receive(pair[1], watch=watch)
    assert calls[-1] - calls[0] < 2
