"""The host's own CPU, through TVM's LLVM code generator."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.devices.host import HOST
from pytest_mutatenn.devices.linker import code_of, link
from pytest_mutatenn.errors import MutatennError

if TYPE_CHECKING:
    from tvm.target import Target
    from tvm.tirx import PrimFunc

# what each x86-64 level asks of a processor beyond the level before it (the psABI's table)
_LEVELS = {
    "x86-64-v2": ("sse3", "ssse3", "sse4.1", "sse4.2", "popcnt"),
    "x86-64-v3": ("avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"),
    "x86-64-v4": ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
}


class Device:
    """``llvm``: the CPU this process runs on."""

    kind = "llvm"
    forks = True
    suffix = ".so"
    memory = HOST

    def __init__(self, options: str) -> None:
        if options:
            raise MutatennError(
                f"--mutatenn-devices: the device llvm takes no options, got 'llvm:{options}'."
            )

    def missing(self) -> str | None:
        """Say why the device is not here; the host's CPU always is."""
        return None

    def fingerprint(self) -> str:
        """The processor's level: kernels compiled for it compute the same everywhere it is."""
        return f"{self.kind} {platform.machine()} {self._level()}"

    def _level(self) -> str:
        """The highest x86-64 level this processor has; the plain CPU on another machine."""
        return processor_level()

    def target(self, *, fast_math: bool) -> Target:
        """Return the LLVM target at this processor's level.

        The level, and not the processor's own name, so that the code is the same on every machine
        of the level. LLVM's own optimisation stays low: above 1 it costs time and brings none. Nor
        does its loop strength reduction, which is an eighth of code generation.
        """
        from tvm.target import Target

        config: dict[str, Any] = {
            "kind": "llvm",
            "opt-level": 1,
            "cl-opt": ["-unroll-threshold:uint=0", "-disable-lsr:bool=1"],
        }
        level = self._level()
        if level != "generic":
            config["mcpu"] = level
        if fast_math:
            config["fast-math"] = True
        target = Target(config)
        return target.with_host(target)

    def open(self) -> None:
        """Do nothing: kernels run in this process, in its own memory."""

    def compile(self, func: PrimFunc, target: Target) -> tuple[bytes, bytes]:
        """Generate an object file, and link it."""
        from pytest_mutatenn.compiler.kernel import generate

        module = generate(func, target)
        # it lies in the store, which may be removed at any time
        Path(tempfile.gettempdir()).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="mutatenn-") as scratch:
            path = Path(scratch, "kernel.o")
            module.write_to_file(str(path), "o")
            code = path.read_bytes()
            return code_of(code), link(code, Path(scratch))

    def load(self, path: Path, *, guard: bool = False) -> Callable[..., Any]:
        """Load a linked kernel."""
        import tvm

        from pytest_mutatenn.compiler.kernel import ENTRY

        function = tvm.runtime.load_module(str(path))[ENTRY]
        if not guard:
            return function
        from pytest_mutatenn.devices.memory import guard_workspace, poison_workspace

        guard_workspace(path)
        poison_stack = self._poison_stack

        def guarded(*tensors: Any) -> None:
            poison_stack()
            poison_workspace()
            function(*tensors)

        return guarded

    def arm(self, build: Callable[[PrimFunc], Path]) -> None:
        """Build what guarded kernels need, before any child is forked."""
        import numpy as np

        from pytest_mutatenn.devices.stack import stack_poisoner

        kernel = self.load(build(stack_poisoner()))
        slot = HOST.copy(np.zeros(1, np.float32))

        def poison_stack() -> None:
            slot.array[0] = 0
            kernel(slot.tensor)

        self._poison_stack = poison_stack


def _host_features(tvm: Any) -> list[str]:
    """What LLVM says of this processor; nothing where it does not say."""
    ask = tvm.get_global_func("tvm.codegen.llvm.GetHostCPUFeatures", allow_missing=True)
    found = ask() if ask is not None else None
    return [str(name) for name, has in dict(found).items() if int(has)] if found else []


@cache
def processor_level() -> str:
    """The highest x86-64 level this processor has; ``generic`` on any other kind."""
    import tvm

    if platform.machine().lower() not in ("x86_64", "amd64"):
        return "generic"
    features = set(_host_features(tvm))
    level = "x86-64"
    for name, needed in _LEVELS.items():
        if not features.issuperset(needed):
            break
        level = name
    return level
