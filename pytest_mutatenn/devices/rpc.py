"""Processors of other machines, through a TVM RPC server: the way phones and boards are reached."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.devices.emitted import llvm_object, llvm_text
from pytest_mutatenn.devices.linker import code_of, link, object_file
from pytest_mutatenn.devices.llvm_target import llvm_target
from pytest_mutatenn.devices.remote import Address, Session, probe
from pytest_mutatenn.errors import MutatennError, nearest

if TYPE_CHECKING:
    from tvm.target import Target
    from tvm.tirx import PrimFunc

    from pytest_mutatenn.devices.slots import Memory

_NEEDED = ("tornado", "psutil", "cloudpickle")  # what tvm.rpc imports, and TVM does not install
_OPTIONS = ("target", "mtriple", "mcpu", "mattr", "cc", "session_timeout", "wait")
_FORM = "write rpc:HOST:PORT, rpc:HOST:PORT/KEY, or rpc:HOST:PORT/KEY?mtriple=TRIPLE,mcpu=NAME"


class Device:
    """``rpc:HOST:PORT[/KEY][?OPTIONS]``: the processor of another machine.

    Parameters
    ----------
    options
        The address of a TVM RPC server, or of a tracker; the key; and after a question mark

        - ``target=llvm``, the only one there is yet; ``mtriple=``, ``mcpu=``, ``mattr=`` of the
          other machine, by default any processor of this machine's kind;
        - ``cc=``: the compiler that links for it. Without, what is for this machine's kind is
          linked here, and other code by the server;
        - ``session_timeout=`` (120): seconds after which the server ends what hangs;
        - ``wait=`` (30): seconds to wait for a server that has gone, and may be starting again.

    Raises
    ------
    MutatennError
        If the address or an option is none.
    """

    kind = "rpc"
    forks = False
    exclusive = False  # it has a lock of its own: the session is what is had by one at a time
    remote = True
    memory: Memory

    def __init__(self, options: str) -> None:
        place, question, rest = options.partition("?")
        self.address = _address(place) if options else None
        self._given: dict[str, str] = {}
        attributes: list[str] = []
        for piece in re.split(r"[,;&\s]+", rest):
            key, _, value = piece.partition("=")
            if piece[:1] in ("+", "-") and attributes:
                attributes.append(piece)
            elif key == "mattr" and value[:1] in ("+", "-"):
                attributes.append(value)
            elif key in _OPTIONS and key != "mattr" and value and key not in self._given:
                self._given[key] = value
            elif question:
                raise MutatennError(
                    f"{piece!r} is no option of rpc, or is given twice.{nearest(key, _OPTIONS)} "
                    f"It takes {', '.join(f'{name}=' for name in _OPTIONS)}; {_FORM}."
                )
        self._attributes = tuple(attributes)
        if self._given.get("target", "llvm") != "llvm":
            raise MutatennError(
                f"target={self._given['target']}: only processors are reached by RPC so far, "
                "target=llvm."
            )
        self._timeout = self._seconds("session_timeout", 120.0)
        self._patience = self._seconds("wait", 30.0)
        self._session: Session | None = None
        self._uploaded: set[str] = set()
        self._loaded: dict[tuple[str, bool], Callable[..., Any]] = {}

    def _seconds(self, name: str, default: float) -> float:
        text = self._given.get(name, str(default))
        try:
            found = float(text)
        except ValueError:
            found = -1.0
        if not 1 <= found < 1e6:
            raise MutatennError(f"{name} must be a number of seconds of at least 1, got {text!r}.")
        return found

    # -- without a session --------------------------------------------------------------------

    def missing(self) -> str | None:
        """Say why the device is not here: a package, the server, or its key at the tracker."""
        lacking = self._lacking()
        if lacking:
            return lacking
        if self.address is None:
            return f"it is an address: {_FORM}"
        return probe(self.address)

    @staticmethod
    def _lacking() -> str:
        lacking = [name for name in _NEEDED if find_spec(name) is None]
        if not lacking:
            return ""
        return f"{', '.join(lacking)} not installed: pip install 'pytest-mutatenn[rpc]'"

    def about(self) -> str:
        """Where it is, in a phrase."""
        return f"RPC server {self.address}" if self.address else "RPC servers"

    def fingerprint(self) -> str:
        """The address and the code: another machine needs another address, or another store."""
        parts = [
            f"{name}={self._given[name]}" for name in ("mtriple", "mcpu") if name in self._given
        ]
        return " ".join(["rpc", str(self.address), *parts, *self._attributes])

    def target(self, *, fast_math: bool) -> Target:
        """Return the LLVM target of the other machine.

        Raises
        ------
        MutatennError
            If LLVM knows no such processor.
        """
        kind = {"mtriple": self._given["mtriple"]} if "mtriple" in self._given else {}
        self._check(llvm_target(kind, "", (), fast_math=False))
        cpu = self._given.get("mcpu", "")
        return llvm_target(kind, cpu, self._attributes, fast_math=fast_math)

    def _check(self, kind: Target) -> None:
        from tvm.target import codegen

        wanted = self._given.get("mcpu")
        known = sorted(map(str, codegen.llvm_get_cpu_archlist(kind)))
        if wanted and wanted not in known:
            where = self._given.get("mtriple", "this machine's kind")
            raise MutatennError(
                f"LLVM knows no processor {wanted!r} of {where}.{nearest(wanted, known)}"
            )

    @cached_property
    def suffix(self) -> str:
        """A library where it can be linked here; an object file for the server to link."""
        return ".so" if self._native or "cc" in self._given else ".o"

    @property
    def _native(self) -> bool:
        """Whether code is for this machine's kind of processor and system."""
        triple = self._given.get("mtriple")
        if triple is None:
            return True
        machine = os.uname().machine
        return triple.partition("-")[0] == machine and "linux" in triple

    def emitted(self, func: PrimFunc, target: Target) -> dict[str, str]:
        """LLVM's IR and assembly."""
        return llvm_text(func, target)

    def binary(self, func: PrimFunc, target: Target) -> dict[str, bytes]:
        """The object file."""
        return llvm_object(func, target)

    def compile(self, func: PrimFunc, target: Target) -> tuple[bytes, bytes]:
        """Generate an object file, and link it as the other machine needs it.

        Raises
        ------
        MutatennError
            If the compiler that is to link it is not there.
        """
        with object_file(func, target) as path:
            code = path.read_bytes()
            if "cc" in self._given:
                return code_of(code), _linked(self._given["cc"], path)
            return code_of(code), link(code, path.parent) if self._native else code

    # -- with a session -----------------------------------------------------------------------

    def open(self) -> None:
        """Connect, once a server can be had.

        Raises
        ------
        MutatennError
            If none can, or its key is another.
        """
        from pytest_mutatenn.devices.remote_memory import GuardedRemote, PlainRemote

        lacking = self._lacking()
        if lacking or self.address is None:
            raise MutatennError(f"rpc: {lacking or _FORM}.")
        self.close()
        self._session = session = Session(self.address, self._timeout, self._patience)
        self._guarded = session.has("mutatenn.load")
        self.memory = GuardedRemote(session) if self._guarded else PlainRemote(session)

    def close(self) -> None:
        """End the session, and forget what was loaded in it."""
        self._loaded.clear()
        self._uploaded.clear()
        if self._session is not None:
            self._session.close()
            self._session = None

    def over(self, *, idle: bool) -> bool:
        """Whether this process should give the device up before the next row."""
        return self._session is not None and self._session.over(idle=idle)

    def load(self, path: Path, *, guard: bool = False) -> Callable[..., Any]:
        """Upload a kernel, once a session, and load it there."""
        key = (path.name, guard and self._guarded)
        if key not in self._loaded:
            self._loaded[key] = self._load(path, guard=key[1])
        return self._loaded[key]

    def _load(self, path: Path, *, guard: bool) -> Callable[..., Any]:
        from pytest_mutatenn.compiler.kernel import ENTRY

        session = self._session
        assert session is not None
        self._upload(path)
        if self._guarded:
            kernel = session.ask("mutatenn.load", path.name, int(guard))
        else:
            # TVM's own server links an object file as it loads it
            kernel = session.call(lambda: session.remote.load_module(path.name)[ENTRY])

        def run(*tensors: Any) -> None:
            session.call(kernel, *tensors)

        return run

    def arm(self, build: Callable[[PrimFunc], Path]) -> None:
        """Have the server leave the stack the same before each kernel of a mutant."""
        from pytest_mutatenn.devices.stack import stack_poisoner

        if not self._guarded:
            return
        session, path = self._session, build(stack_poisoner())
        assert session is not None
        self._upload(path)
        session.ask("mutatenn.arm", path.name)

    def _upload(self, path: Path) -> None:
        """Send a file, once: one that is loaded must not be written over."""
        if path.name not in self._uploaded:
            assert self._session is not None
            self._session.call(self._session.remote.upload, str(path))
            self._uploaded.add(path.name)


def _address(text: str) -> Address:
    place, _, key = text.partition("/")
    host, _, port = place.rpartition(":")
    # a comma in the key is that of options which lack their question mark
    if not host or not port.isdecimal() or not 0 < int(port) < 65536 or re.search(r"[,;\s]", key):
        raise MutatennError(f"{text!r} is no address: {_FORM}.")
    return Address(host.strip("[]"), int(port), key)


def _linked(command: str, source: Path) -> bytes:
    """Link for another machine.

    Raises
    ------
    MutatennError
        If there is no such compiler, or it refuses.
    """
    if shutil.which(command) is None:
        raise MutatennError(
            f"cc={command}: there is no such command. Install the compiler for the other machine, "
            "such as Debian's gcc-aarch64-linux-gnu, or leave cc= out to have the server link."
        )
    library = source.with_suffix(".so")
    done = subprocess.run(
        [command, "-shared", "-fPIC", str(source), "-o", str(library)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MutatennError(f"cc={command} refuses a kernel: {done.stderr.strip()[-500:]}")
    return library.read_bytes()
