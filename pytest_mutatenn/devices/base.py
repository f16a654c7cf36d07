"""What a kind of device is, and how a device the user names is found.

A kind is one module of this package with a class called ``Device`` that keeps the interface of
:class:`Kind`. Nothing heavy is imported until a device is used: pytest's process asks for names
only.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pytest_mutatenn.errors import MutatennError, nearest

if TYPE_CHECKING:
    from tvm.target import Target
    from tvm.tirx import PrimFunc

    from pytest_mutatenn.devices.slots import Memory


class Kind(Protocol):
    """One kind of device: compile a kernel, load it, and hold its tensors.

    A kind may have more: what :func:`about`, :func:`variants`, :func:`check`,
    :func:`environment` and :func:`why_not_compiled` ask it for.

    Attributes
    ----------
    kind
        The name people type.
    forks
        Whether its runtime survives a fork, so that a child a mutant is possible.
    exclusive
        Whether parallel workers take turns on it: its memory is its own, or a mutant that hangs
        there stops all.
    suffix
        File suffix of what :meth:`compile` gives to be loaded.
    memory
        Where its tensors lie; there once the device is open.
    """

    kind: str
    forks: bool
    exclusive: bool
    suffix: str
    memory: Memory

    def __init__(self, options: str) -> None: ...

    def missing(self) -> str | None:
        """Say why the device is not here; ``None`` where it is. Never raises."""
        ...

    def fingerprint(self) -> str:
        """All that decides which numbers the device computes from the same code."""
        ...

    def target(self, *, fast_math: bool) -> Target:
        """Return the TVM target, with its host."""
        ...

    def open(self) -> None:
        """Make ready to load and run kernels, in the process that does so and after any fork.

        Raises
        ------
        MutatennError
            If the device cannot be opened.
        """
        ...

    def compile(self, func: PrimFunc, target: Target) -> tuple[bytes, bytes]:
        """Generate code from a kernel at the device stage.

        Returns
        -------
        tuple of bytes
            The emitted code, the same bytes for the same kernel, and what :meth:`load` loads.
        """
        ...

    def load(self, path: Path, *, guard: bool = False) -> Callable[..., Any]:
        """Load a compiled kernel: a function of its tensors, outputs last.

        With ``guard`` its temporary buffers are guarded, and the same on every run; the device
        must have been armed.
        """
        ...

    def arm(self, build: Callable[[PrimFunc], Path]) -> None:
        """Build what guarded kernels need; ``build`` compiles a kernel to what is loaded."""
        ...


@cache
def kinds() -> dict[str, str]:
    """Name of each kind of device -> its module, sorted.

    A kind is a module of this package that defines ``Device``. That is read, not imported: a
    helper beside it may need what is not installed.
    """
    package = importlib.import_module("pytest_mutatenn.devices")
    found = {}
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        name = f"{package.__name__}.{info.name}"
        spec = importlib.util.find_spec(name)
        source = Path(spec.origin).read_text("utf-8") if spec and spec.origin else ""
        if re.search(r"^class Device\b", source, re.MULTILINE):
            found[info.name] = name
    return found


def check_device(spec: str, option: str = "--mutatenn-devices") -> Kind:
    """Make a device and look at nothing: neither TVM nor a driver is loaded.

    Raises
    ------
    MutatennError
        If there is no kind of that name, or its options are wrong, naming the option they were
        given by and the nearest name.
    """
    kind, colon, options = spec.partition(":")
    if kind not in kinds():
        raise MutatennError(
            f"{option}: unknown device {spec!r}.{nearest(kind, kinds())} "
            f"Known: {', '.join(kinds())}."
        )
    if colon and not options.strip():
        raise MutatennError(f"{option}: {spec!r} has no options after its colon; leave it out.")
    try:
        device: Kind = importlib.import_module(kinds()[kind]).Device(options.strip())
    except MutatennError as error:
        raise MutatennError(f"{option}: {spec!r}: {error}") from None
    return device


def is_remote(spec: str) -> bool:
    """Whether a device is another machine's, which may go away and come back by itself."""
    return bool(getattr(open_device(spec), "remote", False))


def is_over(device: Kind, *, idle: bool) -> bool:
    """Whether a process should give an open device up, by its ``over()``.

    ``idle`` says that it has nothing to do there at the moment.
    """
    function = getattr(device, "over", None)
    return False if function is None else bool(function(idle=idle))


def takes(spec: str) -> str:
    """What a device takes: ``kernels``, a whole ``network``, or nothing, being a ``recording``."""
    return str(getattr(open_device(spec), "takes", "kernels"))


@cache
def open_device(spec: str) -> Kind:
    """Make the device a user named: a kind, and after a colon its options; one a process.

    Raises
    ------
    MutatennError
        If the kind or an option is unknown.
    """
    return check_device(spec)


def about(spec: str) -> str:
    """What a device is, in a phrase for people; empty where its kind has no ``about()``."""
    return str(_ask(spec, "about", ""))


def variants(kind: str) -> tuple[str, ...]:
    """The ready-made options of a kind, its attribute ``variants``: ``sse2``, ``avx2``."""
    return tuple(getattr(open_device(kind), "variants", ()))


def check(spec: str) -> None:
    """See that the options of a device mean something to its compiler, by ``check()``.

    Raises
    ------
    MutatennError
        If they do not.
    """
    _ask(spec, "check", None)


def environment(spec: str) -> dict[str, str]:
    """Variables that the processes of a device are started with, by ``environment()``."""
    return dict(_ask(spec, "environment", {}))


def why_not_compiled(spec: str) -> str | None:
    """Say why no code can be compiled for a device that is not here; None where some can.

    A kind whose code can be has ``check_compiles(code)``, which says why a kernel of
    :meth:`Kind.compile` is refused, or gives None; and, where that needs more than Python's
    packages, ``why_not_compiled()``.
    """
    if not hasattr(open_device(spec), "check_compiles"):
        return "its code cannot be compiled without it"
    try:
        found: str | None = _ask(spec, "why_not_compiled", None)
    except Exception as error:
        return f"its compiler cannot be asked: {type(error).__name__}: {error}"
    return found


def check_compiles(device: Kind, code: bytes) -> str | None:
    """Say why a device's compiler refuses a kernel's code; None where it does not."""
    found: str | None = getattr(device, "check_compiles")(code)  # noqa: B009  not all have it
    return found


def _ask(spec: str, what: str, default: Any) -> Any:
    function = getattr(open_device(spec), what, None)
    return default if function is None else function()


def why_missing(spec: str) -> str | None:
    """Say why a device is not here; None where it is. Neither raises nor hangs.

    What a probe of a driver raises is a reason, too: it is the driver that is not right.
    """
    try:
        return open_device(spec).missing()
    except Exception as error:
        return f"its probe failed: {type(error).__name__}: {error}"
