"""Devices behind an RPC server, on loopback: sessions, memory, kernels and faults."""

import os
import signal
import socket
import time
from importlib.util import find_spec

import numpy as np
import pytest
from servers import OURS, Server, free_port

from pytest_mutatenn.devices import remote
from pytest_mutatenn.devices.base import is_remote, open_device
from pytest_mutatenn.devices.remote import Address, probe
from pytest_mutatenn.devices.rpc import Device
from pytest_mutatenn.devices.slots import DeviceError, DeviceTimeout
from pytest_mutatenn.errors import MutatennError

NEEDED = ("tornado", "psutil", "cloudpickle")
needs_rpc = pytest.mark.skipif(
    any(find_spec(name) is None for name in NEEDED), reason=f"needs {', '.join(NEEDED)}"
)


@pytest.fixture(scope="module")
def server():
    found = Server(OURS, "--key=board").await_answer()
    yield found
    found.kill()


@pytest.fixture
def opened(server):
    device = Device(f"127.0.0.1:{server.port}/board?wait=5")
    device.open()
    yield device
    device.close()


# -- what is written --------------------------------------------------------------------------


def test_it_is_a_device_of_another_machine():
    assert is_remote("rpc:host:9090")
    assert not is_remote("llvm")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("board.local:9090", Address("board.local", 9090, "")),
        ("10.0.0.7:9190/pixel", Address("10.0.0.7", 9190, "pixel")),
        ("[::1]:9090/a/b?target=llvm", Address("::1", 9090, "a/b")),
    ],
)
def test_an_address_is_read(text, address):
    assert Device(text).address == address


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("board", "is no address"),
        ("board:port", "is no address"),
        ("board:99999", "is no address"),
        ("board:1/key,mcpu=a", "is no address"),
        ("board:1?target=cuda", "only processors are reached by RPC"),
        ("board:1?mcpus=x", "Did you mean 'mcpu'"),
        ("board:1?mcpu=a,mcpu=b", "is given twice"),
        ("board:1?session_timeout=0", "seconds of at least 1"),
        ("board:1?wait=long", "seconds of at least 1"),
        ("board:1?mattr=neon", "'mattr=neon' is no option"),
    ],
)
def test_what_is_no_device_is_refused(text, said):
    with pytest.raises(MutatennError, match=said):
        Device(text)


def test_options_are_separated_as_in_lists_and_ids():
    wanted = Device("b:1/k?mtriple=aarch64-linux-gnu,mcpu=cortex-a72,mattr=+neon,-sve")
    for text in (
        "b:1/k?mtriple=aarch64-linux-gnu;mcpu=cortex-a72;mattr=+neon;-sve",
        "b:1/k?mtriple=aarch64-linux-gnu&mcpu=cortex-a72&mattr=+neon,-sve",
    ):
        assert Device(text).fingerprint() == wanted.fingerprint()
    assert wanted.fingerprint() == "rpc b:1/k mtriple=aarch64-linux-gnu mcpu=cortex-a72 +neon -sve"


def test_code_is_for_the_other_machine():
    from pytest_mutatenn.compiler.kernel import to_device_stage
    from pytest_mutatenn.devices.stack import stack_poisoner

    device = Device("b:1?mtriple=aarch64-linux-gnu,mcpu=cortex-a72")
    target = device.target(fast_math=False)
    emitted, loaded = device.compile(to_device_stage(stack_poisoner(), target), target)
    assert device.suffix == ".o"
    assert int.from_bytes(loaded[18:20], "little") == 183  # EM_AARCH64
    assert emitted
    with pytest.raises(MutatennError, match="no processor 'cortex-a720x' of aarch64"):
        Device("b:1?mtriple=aarch64-linux-gnu,mcpu=cortex-a720x").target(fast_math=False)
    crossed = Device("b:1?mtriple=aarch64-linux-gnu,cc=no-such-gcc")
    assert crossed.suffix == ".so"
    with pytest.raises(MutatennError, match="cc=no-such-gcc: there is no such command"):
        crossed.compile(to_device_stage(stack_poisoner(), target), target)


# -- what is missing --------------------------------------------------------------------------


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr("pytest_mutatenn.devices.rpc.find_spec", lambda name: None)
    found = open_device("rpc:127.0.0.1:9").missing()
    assert found == (
        "tornado, psutil, cloudpickle not installed: pip install 'pytest-mutatenn[rpc]'"
    )


def test_a_probe_of_nobody_and_of_somebody_who_is_silent_ends():
    assert "no RPC server at 127.0.0.1" in probe(Address("127.0.0.1", free_port(), ""))
    assert "no RPC server at no.such.host.invalid" in probe(Address("no.such.host.invalid", 1, ""))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        found = probe(Address("127.0.0.1", silent.getsockname()[1], ""), 0.2)
        assert "does not answer: it serves another client, or a kernel has broken it" in found
        assert time.monotonic() - start < 5


@needs_rpc
def test_a_server_that_is_there_is_not_missing(server):
    assert open_device(f"rpc:127.0.0.1:{server.port}/board").missing() is None


def test_a_server_that_stays_away_is_the_users(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    device = Device(f"127.0.0.1:{free_port()}/board?wait=1")
    start = time.monotonic()
    with pytest.raises(MutatennError, match=r"Is the server still there\? Start it as python -m"):
        device.open()
    assert time.monotonic() - start >= 1
    # once it has been given up, the next row does not wait for it as long
    start = time.monotonic()
    with pytest.raises(MutatennError, match="Is the server still there"):
        device.open()
    assert time.monotonic() - start < 1


@needs_rpc
def test_another_key_is_the_users(server):
    with pytest.raises(MutatennError, match="does not go by the key 'phone'"):
        Device(f"127.0.0.1:{server.port}/phone?wait=1").open()


# -- a session --------------------------------------------------------------------------------


@needs_rpc
def test_a_tensor_has_two_sides(opened):
    slot = opened.memory.copy(np.arange(6, dtype=np.float32).reshape(2, 3))
    slot.array[...] = 0
    slot.pull()
    np.testing.assert_array_equal(slot.array, [[0, 1, 2], [3, 4, 5]])
    slot.array[...] = 7
    slot.push()
    slot.array[...] = 0
    slot.pull()
    assert (slot.array == 7).all()
    slot.poison()
    slot.pull()
    assert np.isnan(slot.array).all()
    block = opened.memory.block(64)
    large, small = block.slot((4, 4), "float32"), block.slot((2,), "int64")
    large.array[...] = 0
    large.push()
    small.pull()
    assert (small.array == 0).all()


@needs_rpc
def test_a_kernel_runs_there_and_is_timed_there(opened, kernel):
    opened.arm(lambda func: kernel)
    plain, guarded = opened.load(kernel), opened.load(kernel, guard=True)
    slot = opened.memory.copy(np.zeros(1, np.float32))
    before = opened.memory.clock()
    plain(slot.tensor)
    slot.pull()
    assert np.isnan(slot.array).all()
    assert opened.memory.clock() > before
    slot.array[...] = 0
    slot.push()
    guarded(slot.tensor)
    slot.pull()
    assert np.isnan(slot.array).all()


@pytest.fixture
def kernel(tmp_path):
    """A kernel that makes NaN of its one number, 0."""
    from pytest_mutatenn.compiler.kernel import to_device_stage
    from pytest_mutatenn.devices.stack import stack_poisoner

    device = Device("here:1")
    target = device.target(fast_math=False)
    _, library = device.compile(to_device_stage(stack_poisoner(), target), target)
    path = tmp_path / "stack.so"
    path.write_bytes(library)
    return path


@needs_rpc
def test_a_session_that_dies_is_a_fault_and_the_next_one_is_well(server, opened):
    slot = opened.memory.slot((2,), "float32")
    (session,) = server.sessions()
    session.kill()
    with pytest.raises(DeviceError, match=r"on 127\.0\.0\.1"):
        slot.pull()
    opened.open()
    assert opened.memory.copy(np.ones(2, np.float32)).array.sum() == 2


@needs_rpc
def test_a_session_that_lasts_too_long_is_late(server):
    device = Device(f"127.0.0.1:{server.port}/board?session_timeout=1,wait=5")
    device.open()
    slot = device.memory.slot((2,), "float32")
    assert not device.over(idle=False)
    deadline = time.monotonic() + 20
    while server.sessions() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert device.over(idle=False)
    with pytest.raises(DeviceTimeout, match="within the session's 1 s"):
        slot.pull()
    device.close()


@needs_rpc
def test_a_session_ends_with_its_server_and_leaves_the_port_to_the_next():
    server = Server(OURS).await_answer()
    device = Device(f"127.0.0.1:{server.port}?wait=30")
    device.open()
    try:
        sessions = server.sessions()
        assert sessions
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        deadline = time.monotonic() + 20
        while any(session.is_running() for session in sessions):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        server.start()
        server.await_answer()
    finally:
        device.close()
        server.kill()


@needs_rpc
def test_a_client_that_says_nothing_keeps_no_other_out(server):
    with socket.create_connection(("127.0.0.1", server.port)):
        device = Device(f"127.0.0.1:{server.port}/board?wait=5")
        device.open()
        device.close()


@needs_rpc
def test_who_holds_a_session_sees_who_waits(opened, server):
    assert not opened.over(idle=True)
    queue = remote._lock(opened.address, "queue")
    with queue:
        assert opened.over(idle=True)
        assert not opened.over(idle=False)
    # a device that is in use is there
    assert probe(opened.address, 0.2) is None


@needs_rpc
def test_a_tracker_hands_out_servers():
    tracker = Server("tvm.exec.rpc_tracker").await_answer()
    server = Server(OURS, "--key=pixel", f"--tracker=127.0.0.1:{tracker.port}")
    address = Address("127.0.0.1", tracker.port, "pixel")
    try:
        deadline = time.monotonic() + 20
        while probe(address) is not None and time.monotonic() < deadline:
            time.sleep(0.1)
        said = probe(Address("127.0.0.1", tracker.port, "phone"))
        assert "has no server of the key 'phone'; it has pixel" in said
        device = Device(f"{address}?wait=5")
        device.open()
        assert device.memory.copy(np.ones(3, np.float32)).array.sum() == 3
        device.close()
    finally:
        server.kill()
        tracker.kill()


@needs_rpc
def test_tvms_own_server_serves_with_plain_memory(kernel):
    server = Server("tvm.exec.rpc_server", "--key=plain").await_answer()
    try:
        device = Device(f"127.0.0.1:{server.port}/plain?wait=5")
        device.open()
        device.arm(lambda func: kernel)
        slot = device.memory.copy(np.zeros(1, np.float32))
        device.load(kernel, guard=True)(slot.tensor)
        slot.pull()
        assert np.isnan(slot.array).all()
        slot.array[...] = 0
        slot.push()
        slot.poison_around()
        slot.pull()
        assert (slot.array == 0).all()
        device.close()
    finally:
        server.kill()


def test_a_session_is_of_one_process_at_a_time():
    address = Address("127.0.0.1", 1, "")
    with remote._lock(address, "session"):
        assert remote._held(address)
    assert not remote._held(address)
