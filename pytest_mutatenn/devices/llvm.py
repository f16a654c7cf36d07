"""The host's own CPU, through TVM's LLVM code generator."""

from __future__ import annotations

import platform
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.devices.emitted import llvm_object, llvm_text
from pytest_mutatenn.devices.linker import code_of, link, linker, object_file
from pytest_mutatenn.devices.llvm_target import llvm_target
from pytest_mutatenn.devices.native import Native
from pytest_mutatenn.devices.processor import facts, features_missing, processor_level
from pytest_mutatenn.devices.specs import pieces
from pytest_mutatenn.errors import MutatennError, nearest

if TYPE_CHECKING:
    from tvm.target import Target
    from tvm.tirx import PrimFunc

_LEVELS = {"sse2": "x86-64", "avx2": "x86-64-v3", "avx512": "x86-64-v4"}
_CHOICES = {
    "opt-level": ("0", "1", "2", "3"),
    "vector-width": ("128", "256", "512"),
}
_TAKES = "sse2, avx2, avx512, mcpu=, mattr=, fast-math, opt-level=, vector-width="


class Device(Native):
    """``llvm``: the CPU this process runs on.

    Parameters
    ----------
    options
        ``sse2``, ``avx2`` or ``avx512`` (the x86-64 levels 1, 3 and 4), or ``mcpu=NAME`` and
        ``mattr=+FEATURE,-FEATURE`` as LLVM calls them (``mcpu=native``: this processor's own
        name); ``fast-math``; ``opt-level=0`` to ``3``, LLVM's own; ``vector-width=`` 128, 256 or
        512 bits, of schedules and of code. Without any: code for this processor's x86-64 level.

    Raises
    ------
    MutatennError
        If an option is unknown, or its value is not one of those it can have.
    """

    kind = "llvm"
    variants = tuple(_LEVELS)

    def __init__(self, options: str = "") -> None:
        self._options: dict[str, Any] = {}
        attributes: list[str] = []
        self._level = ""
        last = ""
        for piece in pieces(options):
            key, equals, value = piece.partition("=")
            if last == "mattr" and piece[0] in "+-" and not equals:
                key, value = "mattr", piece
            elif piece in _LEVELS or piece == "fast-math":
                equals = "="
            if key in _LEVELS:
                self._set("mcpu", _LEVELS[key])
                self._level = key
            elif key == "mattr" and value[:1] in ("+", "-") and len(value) > 1:
                attributes.append(value)
            elif key == "mcpu" and value:
                self._set("mcpu", value)
            elif key in _CHOICES:
                if value not in _CHOICES[key]:
                    raise MutatennError(
                        f"{key} is one of {', '.join(_CHOICES[key])}, not {value!r}."
                    )
                self._set(key, int(value))
            elif piece == "fast-math":
                self._set(key, True)
            else:
                known = (*_LEVELS, "mcpu", "mattr", "fast-math", *_CHOICES)
                raise MutatennError(
                    f"{piece!r} is no option of llvm.{nearest(key, known)} It takes {_TAKES}; "
                    "mattr= takes features with + or - before them."
                )
            last = key
        self._attributes = tuple(attributes)

    def _set(self, key: str, value: Any) -> None:
        if key in self._options:
            raise MutatennError(f"{key} is given twice; sse2, avx2 and avx512 each set mcpu.")
        self._options[key] = value

    @property
    def _asks(self) -> bool:
        """Whether LLVM has to be asked about what the user named."""
        return bool(self._attributes) or ("mcpu" in self._options and not self._level)

    def check(self) -> None:
        """See that LLVM knows the processor and the features, which TVM does not check.

        Raises
        ------
        MutatennError
            With the nearest name.
        """
        if not self._asks:
            return
        said = facts(self._options.get("mcpu", ""), self._attributes)
        if said.cpu and said.cpu not in said.cpus:
            raise MutatennError(
                f"LLVM knows no processor {said.cpu!r} of this machine's kind."
                f"{nearest(said.cpu, said.cpus)} It knows {', '.join(said.cpus)}."
            )
        for text in self._attributes:
            if text[1:] not in said.attributes:
                raise MutatennError(
                    f"LLVM knows no feature {text[1:]!r} of this machine's processors."
                    f"{nearest(text[1:], said.attributes)}"
                )

    def missing(self) -> str | None:
        """Say what this processor lacks of the one that code is wanted for, or the machine."""
        try:
            linker()
        except MutatennError as error:
            return str(error)
        if self._level:
            if processor_level() == "generic":
                return f"{self._level} is code for x86-64, and this is {platform.machine()}"
            lacking = features_missing(_LEVELS[self._level])
        elif self._asks:
            lacking = list(facts(self._options.get("mcpu", ""), self._attributes).lacking)
        else:
            return None
        if not lacking:
            return None
        return f"this processor has no {', '.join(lacking)}"

    def about(self) -> str:
        """What code it generates, in a phrase."""
        cpu = self._options.get("mcpu", processor_level())
        return " ".join(["code for", cpu, *self._attributes])

    @cached_property
    def _cpu(self) -> str:
        """What LLVM calls the processor; empty for any of the machine's kind."""
        name = self._options.get("mcpu")
        if name == "native":
            return facts("native", self._attributes).cpu
        if name is None and not self._attributes:
            name = processor_level()
        return "" if name in (None, "generic") else str(name)

    def fingerprint(self) -> str:
        """The processor's level: kernels compiled for it compute the same everywhere it is."""
        named = {key: value for key, value in self._options.items() if key != "mcpu"}
        parts = [f"{key}={value}" for key, value in sorted(named.items())]
        return " ".join(
            [self.kind, platform.machine(), self._cpu or "generic", *self._attributes, *parts]
        )

    def target(self, *, fast_math: bool) -> Target:
        """Return the LLVM target at this processor's level, or as the options say.

        The level, and not the processor's own name, so that the code is the same on every machine
        of the level.
        """
        self.check()
        options = {key: value for key, value in self._options.items() if key != "mcpu"}
        return llvm_target(options, self._cpu, self._attributes, fast_math=fast_math)

    def check_compiles(self, _code: bytes) -> None:
        """Nothing: what LLVM has generated is compiled."""

    def emitted(self, func: PrimFunc, target: Target) -> dict[str, str]:
        """LLVM's IR and assembly."""
        return llvm_text(func, target)

    def binary(self, func: PrimFunc, target: Target) -> dict[str, bytes]:
        """The object file."""
        return llvm_object(func, target)

    def compile(self, func: PrimFunc, target: Target) -> tuple[bytes, bytes]:
        """Generate an object file, and link it."""
        with object_file(func, target) as path:
            code = path.read_bytes()
            return code_of(code), link(code, path.parent)
