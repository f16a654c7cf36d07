"""What the devices have in common that run a shared library in the host's own process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

    from pytest_mutatenn.devices.slots import Memory


class Native:
    """A device that loads shared libraries, and whose tensors lie in the host's memory."""

    forks = True
    exclusive = False
    suffix = ".so"

    @property
    def memory(self) -> Memory:
        """The host's memory, guarded."""
        from pytest_mutatenn.devices.host import HOST

        return HOST

    def open(self) -> None:
        """Do nothing: kernels run in this process, in its own memory."""

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
        slot = self.memory.copy(np.zeros(1, np.float32))

        def poison_stack() -> None:
            slot.array[0] = 0
            kernel(slot.tensor)

        self._poison_stack = poison_stack
