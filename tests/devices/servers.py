"""RPC servers that tests start, and end."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Server:
    """A process that serves on a port; it can be killed, and started again."""

    def __init__(self, *command, port=None):
        self.port = port or free_port()
        self._command = [sys.executable, "-m", *command, "--host=127.0.0.1", f"--port={self.port}"]
        self._command.append(f"--port-end={self.port + 1}")
        self.start()

    def start(self):
        path = os.pathsep.join(filter(None, sys.path))
        self.process = subprocess.Popen(
            self._command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def await_answer(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return self
            time.sleep(0.05)
        raise AssertionError("the server does not start")

    def sessions(self):
        """Processes that the server has started."""
        import psutil

        return psutil.Process(self.process.pid).children(recursive=True)

    def kill(self):
        """Kill it and its sessions, as a machine that loses power does."""
        import psutil

        with contextlib.suppress(psutil.Error):
            for child in self.sessions():
                child.kill()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


OURS = "pytest_mutatenn.devices.rpc_server"
