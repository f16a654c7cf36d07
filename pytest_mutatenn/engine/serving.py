"""The process in which a mutant runs: for one row, or for one row after another.

A device whose runtime survives a fork has a process a row, forked with everything loaded. Any
other has a *server*: it opens the device after the fork and serves many rows. Between two of them
it runs the unmutated network on an input of its own. Unless every bit comes out as it did when the
server was new, it is ended, and the next row gets a new one.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import socket
import time
import traceback
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from pytest_mutatenn.devices.base import is_over
from pytest_mutatenn.devices.slots import DeviceError
from pytest_mutatenn.engine import wire
from pytest_mutatenn.engine.bench import Bench
from pytest_mutatenn.engine.failures import describe
from pytest_mutatenn.engine.tensors import same_bits

if TYPE_CHECKING:
    from pytest_mutatenn.engine.workshop import Workshop

__all__ = ["Check", "serve_row", "serve_rows"]

_FILE_LIMIT = 256 << 20


def serve_row(fd: int, errors: int, workshop: Workshop, memory_limit: int) -> NoReturn:
    """Become the process of one row: serve it until its socket closes, then exit."""
    code = 70
    try:
        _detach()
        _write_to(errors)
        _answer(socket.socket(fileno=fd), Bench(workshop), memory_limit)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def serve_rows(control: socket.socket, errors: int, workshop: Workshop) -> NoReturn:
    """Become a server: open the device, and serve the rows that ``control`` brings.

    It says ``ready``, or what is wrong, once the unmutated network has run. A message then brings
    a row's socket and where its errors go; the answer is whether the device is ``sound``. When the
    row is over, and nothing of it is left, the server says that it is ``done``.
    """
    code = 70
    try:
        _detach()
        _write_to(errors)
        try:
            workshop.open()
            check = Check(workshop)
        except Exception as error:
            wire.send(control, describe(error))
            os._exit(0)
        wire.send(control, {"ready": True, "seconds": check.seconds})
        suspect = False

        def give_up() -> None:
            if is_over(workshop.device, idle=True):
                raise wire.Closed("the device is wanted elsewhere")

        with contextlib.suppress(wire.Closed):
            while True:
                request, _, (row, errors) = wire.receive(control, watch=give_up)
                over = is_over(workshop.device, idle=False)
                sound = not over and (not suspect or check.passes())
                wire.send(control, {"sound": sound})
                if not sound:
                    break
                _write_to(errors)
                suspect = _serve(row, workshop, request["memory_limit"])
                os.close(errors)
                gc.collect()  # what the row had mapped or loaded goes now
                wire.send(control, {"done": True})
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _serve(fd: int, workshop: Workshop, memory_limit: int) -> bool:
    """Serve one row; give whether it has run a mutant."""
    bench = Bench(workshop)
    with socket.socket(fileno=fd) as sock:
        _answer(sock, bench, memory_limit)
    return bench.mutant is not None


def _detach() -> None:
    """Lead a session of its own, without input and without a core file."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_LIMIT, _FILE_LIMIT))


def _write_to(errors: int) -> None:
    os.dup2(errors, 1)
    os.dup2(errors, 2)


def _answer(sock: socket.socket, bench: Bench, memory_limit: int) -> None:
    """Answer one row's requests until its socket closes."""
    pid = os.getpid()
    limit = _address_space() + memory_limit
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))
    with contextlib.suppress(wire.Closed):
        while True:
            message, arrays, fds = wire.receive(sock)
            # what it is given to map is not what it allocates
            limit += sum(os.fstat(fd).st_size for fd in fds)
            resource.setrlimit(resource.RLIMIT_AS, (limit, most))
            try:
                reply, out = bench.do(message, arrays, fds)
            except Exception as error:
                reply, out = describe(error), {}
            if os.getpid() != pid:
                os._exit(70)  # a kernel that forks comes back twice: only one answers
            wire.send(sock, reply, out)


def _address_space() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[0]) * resource.getpagesize()


class Check:
    """What the unmutated network gives for one input, to be asked again later.

    Attributes
    ----------
    seconds
        How long it takes.
    """

    def __init__(self, workshop: Workshop) -> None:
        self._run = workshop.run
        memory = workshop.device.memory
        random = np.random.default_rng(0)
        self._inputs = [
            (memory.slot(spec.shape, spec.dtype), _sample(random, spec.shape, spec.dtype))
            for spec in workshop.baseline.program.inputs
        ]
        self._outputs()  # a driver may compile on the first launch
        start = time.perf_counter()
        self._expected = self._outputs()
        self.seconds = time.perf_counter() - start

    def passes(self) -> bool:
        """Whether every bit of the outputs is what it was at first."""
        try:
            found = self._outputs()
        except (DeviceError, MemoryError):
            return False
        return all(map(same_bits, found, self._expected))

    def _outputs(self) -> list[np.ndarray]:
        for slot, array in self._inputs:
            slot.array[...] = array
            slot.push()
        return [np.array(output) for output in self._run.run([slot for slot, _ in self._inputs])]


def _sample(random: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """An input that any network takes: numbers around zero; zero where it may be an index."""
    if np.dtype(dtype).kind == "f":
        return random.standard_normal(shape).astype(dtype)
    return np.zeros(shape, dtype)
