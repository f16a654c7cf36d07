"""Tensors in the memory of another machine."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_mutatenn.devices.blocks import BlockMemory

if TYPE_CHECKING:
    from pytest_mutatenn.devices.remote import Session

__all__ = ["GuardedRemote", "PlainRemote"]

_POISON = 0xFF  # NaN as float16, float32 and float64; -1 as a signed integer


class RemoteSlot:
    """A tensor in the server's memory, and an array of the host's to copy from and to."""

    def __init__(
        self, session: Session, tensor: Any, poison: Callable[[], None], around: Callable[[], None]
    ) -> None:
        self._session = session
        self.tensor = tensor
        self.array = np.zeros(tuple(map(int, tensor.shape)), str(tensor.dtype))
        self._poison, self._around = poison, around

    def push(self) -> None:
        """Send the array."""
        self._session.call(self.tensor.copyfrom, self.array)

    def pull(self) -> None:
        """Fetch the tensor."""
        if self.array.size:
            self.array[...] = self._session.call(self.tensor.numpy)

    def poison(self) -> None:
        """Make the tensor what it is before any kernel has written to it."""
        self._poison()

    def poison_around(self) -> None:
        """Make what lies beside the tensor what it was."""
        self._around()


class _Remote(BlockMemory):
    """What both kinds of remote memory do: a call comes back when its kernel is done."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def synchronise(self) -> None:
        """Do nothing: a call comes back when its kernel is done."""


class GuardedRemote(_Remote):
    """Guarded memory of :mod:`pytest_mutatenn.devices.rpc_server`."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.clock = lambda: float(session.ask("mutatenn.clock"))

    def block(self, size: int) -> GuardedBlock:
        """Allocate so many bytes between poison and addresses that cannot be touched."""
        return GuardedBlock(self._session, size)


class GuardedBlock:
    """Guarded bytes of the server."""

    def __init__(self, session: Session, size: int) -> None:
        self._session = session
        self._number = int(session.ask("mutatenn.block", max(1, size)))
        weakref.finalize(self, session.forget, self._number).atexit = False

    def slot(self, shape: tuple[int, ...], dtype: str) -> RemoteSlot:
        """The tensor that begins where the block does."""
        session = self._session
        number = int(
            session.ask("mutatenn.slot", self._number, np.dtype(dtype).name, *map(int, shape))
        )
        slot = RemoteSlot(
            session,
            session.ask("mutatenn.tensor", number),
            lambda: session.ask("mutatenn.poison", number),
            lambda: session.ask("mutatenn.poison_around", number),
        )
        weakref.finalize(slot, session.forget, number).atexit = False
        return slot


class PlainRemote(_Remote):
    """Memory as any TVM server gives it: nothing lies around a tensor."""

    def block(self, size: int) -> PlainBlock:
        """Allocate what is asked for, later: a tensor has memory of its own."""
        return PlainBlock(self._session)


class PlainBlock:
    """Tensors of a place, each in memory of its own: such a server has no other."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def slot(self, shape: tuple[int, ...], dtype: str) -> RemoteSlot:
        """Allocate a tensor."""
        import tvm

        session = self._session
        kind = np.dtype(dtype)
        tensor = session.call(
            tvm.runtime.empty, tuple(map(int, shape)), kind.name, session.remote.cpu(0)
        )
        wild = np.full(math.prod(shape) * kind.itemsize, _POISON, np.uint8)
        poison = wild.view(kind).reshape(shape)

        def fill() -> None:
            session.call(tensor.copyfrom, poison)

        fill()
        return RemoteSlot(session, tensor, fill, lambda: None)
