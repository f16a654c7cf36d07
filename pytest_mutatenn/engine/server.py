"""The process that holds a whole network in another runtime, and runs it on what it is given.

Run as ``python -m pytest_mutatenn.engine.server FD``, with a socket to pytest's process under
that descriptor.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_mutatenn.devices.base import open_device
from pytest_mutatenn.engine import wire
from pytest_mutatenn.engine.failures import describe
from pytest_mutatenn.engine.zygote import die_with_parent
from pytest_mutatenn.model.shared import map_arrays

if TYPE_CHECKING:
    from pytest_mutatenn.devices.whole import Network, WholeKind

Arrays = dict[str, np.ndarray]


def main(fd: int) -> None:
    """Serve pytest's process until it closes the socket."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sock = socket.socket(fileno=fd)
    with contextlib.suppress(wire.Closed):
        order, _, _ = wire.receive(sock)
        try:
            network = _open(order)
        except Exception as error:
            wire.send(sock, describe(error))
            return
        wire.send(sock, _info(network))
        server = Server(network)
        while True:
            request, arrays, fds = wire.receive(sock)
            try:
                reply, out = server.run(request, arrays, fds)
            except Exception as error:
                reply, out = describe(error), {}
            wire.send(sock, reply, out)


def _open(order: Mapping[str, Any]) -> Network:
    device: WholeKind = open_device(order["device"])  # type: ignore[assignment]
    return device.open(
        Path(order["model"]), order["shapes"], int(order["opt_level"]), int(order["threads"])
    )


def _info(network: Network) -> dict[str, Any]:
    return {
        "target": network.target,
        "fingerprint": network.fingerprint,
        "inputs": [asdict(spec) for spec in network.inputs],
        "outputs": [asdict(spec) for spec in network.outputs],
    }


class Server:
    """Runs a network, input by input."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._mapped: dict[str, Arrays] = {}

    def run(
        self, request: Mapping[str, Any], arrays: Arrays, fds: list[int]
    ) -> tuple[dict[str, Any], Arrays]:
        """Run on the inputs whose numbers the request has in ``samples``, in that order.

        ``data`` names the dataset; with ``views`` and a descriptor its arrays are mapped, otherwise
        the message holds those inputs alone. The network's i-th input is called ``str(i)``.
        """
        samples: list[int] = request["samples"]
        numbers: list[int] = samples
        if arrays:
            data, numbers = arrays, list(range(len(samples)))
        else:
            if "views" in request:
                self._mapped[request["data"]] = map_arrays(fds[0], request["views"])
            data = self._mapped[request["data"]]
        for fd in fds:
            os.close(fd)
        specs = self.network.inputs
        outputs = [
            np.empty((len(samples), *spec.shape), spec.dtype) for spec in self.network.outputs
        ]
        latency = np.empty(len(samples), np.float64)
        start = time.perf_counter()
        for place, number in enumerate(numbers):
            given = [data[str(i)][number].reshape(spec.shape) for i, spec in enumerate(specs)]
            began = time.perf_counter()
            found = self.network.run(given)
            latency[place] = time.perf_counter() - began
            for output, array in zip(outputs, found, strict=True):
                output[place] = array
        reply = {"seconds": time.perf_counter() - start}
        return reply, {"latency": latency, **{str(i): out for i, out in enumerate(outputs)}}


if __name__ == "__main__":
    main(int(sys.argv[1]))
