"""Processes that measure in themselves, apart from each other and from the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from benchmarks.common import BenchmarkError, environment


class Worker:
    """``python -m benchmarks.MODULE`` as a process that answers requests of JSON, a line each."""

    def __init__(self, module: str) -> None:
        self.module = module
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment(),
        )

    def ask(self, **request: Any) -> Any:
        """Send a request and wait for its answer.

        Raises
        ------
        BenchmarkError
            If the process ends instead.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait()
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace")[-3000:]
            raise BenchmarkError(f"benchmarks.{self.module} ended:\n{said}")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()


def serve(answer: Callable[[dict[str, Any]], Any]) -> None:
    """Be such a process: answer until there are no more requests."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the compiler prints is no reply
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=replies, flush=True)
