"""The host's own CPU, through C and the machine's C compiler."""

from __future__ import annotations

import platform
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.devices.c_compiler import (
    compile_c,
    find_compiler,
    library_file,
    tried,
    version_of,
)
from pytest_mutatenn.devices.linker import code_of, link
from pytest_mutatenn.devices.native import Native
from pytest_mutatenn.devices.processor import LEVELS, processor_level
from pytest_mutatenn.devices.specs import pieces
from pytest_mutatenn.errors import MutatennError

if TYPE_CHECKING:
    from tvm.target import Target
    from tvm.tirx import PrimFunc

    from pytest_mutatenn.devices.slots import Memory

_FLAG = re.compile(r"-(O\w*|[mfDUW][^=]+(=.*)?|std=\w+|g\w*)")
# what of the undefined a mutant can do and no allocation shows
_UNDEFINED = "bounds,integer-divide-by-zero,signed-integer-overflow,shift,float-cast-overflow"
_SANITIZE = (
    f"-fsanitize=address,{_UNDEFINED}",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
    "-g",
)
_ASAN = {
    "detect_leaks": "0",
    "detect_odr_violation": "0",  # every kernel has the same symbols
    "alloc_dealloc_mismatch": "0",
    "allocator_may_return_null": "1",
    # beside each tensor, so that what strays a little does not land in another one; with more,
    # TVM's own small objects take the compiler five times as long
    "redzone": "256",
    "max_redzone": "2048",
    "max_malloc_fill_size": "0",  # tensors and temporaries are filled where they are made
    "malloc_context_size": "0",
    "print_legend": "0",
    "stack_trace_format": '"#%n %f %S [%m]"',
}


class Device(Native):
    """``c``: the CPU this process runs on, by way of C.

    Parameters
    ----------
    options
        ``cc=NAME`` for another compiler than ``cc``; flags for it, such as ``-O2``,
        ``-march=haswell`` or ``-ffast-math``; ``sanitize`` for AddressSanitizer, and those parts of
        UndefinedBehaviorSanitizer that apply to kernels. Where no ``-O`` or ``-march`` is given,
        it is ``-O3`` (``-O1`` with ``sanitize``) and this processor's x86-64 level.

    Raises
    ------
    MutatennError
        If an option is unknown.
    """

    kind = "c"
    variants = ("sanitize",)

    def __init__(self, options: str = "") -> None:
        self._cc = ""
        self._sanitize = False
        flags: list[str] = []
        for piece in pieces(options):
            key, _, value = piece.partition("=")
            if piece == "sanitize":
                self._sanitize = True
            elif key == "cc" and value:
                self._cc = value
            elif _FLAG.fullmatch(piece) and not piece.startswith("-fsanitize"):
                flags.append(piece)
            else:
                raise MutatennError(
                    f"{piece!r} is no option of c. It takes sanitize, cc=COMPILER, and flags of "
                    "the compiler that begin with -O, -m, -f, -g, -std=, -D, -U or -W."
                )
        if not any(flag.startswith("-O") for flag in flags):
            flags.insert(0, "-O1" if self._sanitize else "-O3")
        if processor_level() != "generic" and not any(f.startswith("-march") for f in flags):
            flags.insert(1, f"-march={processor_level()}")
        self._flags = tuple(flags)

    def check(self) -> None:
        """See that the compiler takes the flags.

        Raises
        ------
        MutatennError
            With what it says.
        """
        compiler = find_compiler(self._cc)
        if compiler is None or tried(compiler, ()):
            return
        said = tried(compiler, self._flags)
        if said:
            raise MutatennError(f"{compiler} refuses {' '.join(self._flags)}: {said}")

    def missing(self) -> str | None:
        """Say which package is lacking: the compiler's, the C library's or the sanitizer's."""
        compiler = find_compiler(self._cc)
        if compiler is None and self._cc:
            return f"no C compiler {self._cc!r} is in the PATH; install it, or leave out cc="
        if compiler is None:
            return (
                "no C compiler (cc, gcc or clang) is in the PATH; install one, such as Debian's "
                "packages gcc and libc6-dev"
            )
        said = tried(compiler, ())
        if said:
            return (
                f"{compiler} does not compile a program of one line: {said}; the C library's "
                "headers are Debian's package libc6-dev"
            )
        if self._sanitize and self._preloaded(compiler) is None:
            return (
                f"{compiler} has no AddressSanitizer (libasan.so and libubsan.so, or clang's "
                "libclang_rt.asan); install it: with gcc it is Debian's package libgcc-N-dev, "
                "Fedora's packages libasan and libubsan, with clang Debian's libclang-rt-N-dev"
            )
        return None

    def about(self) -> str:
        """Which compiler, and its flags."""
        compiler = find_compiler(self._cc)
        version = version_of(compiler) if compiler else "no compiler"
        return f"{version}, {' '.join(self._flags)}"

    def fingerprint(self) -> str:
        """The compiler and its flags."""
        what = "c:sanitize" if self._sanitize else "c"
        return f"{what} {platform.machine()} {self.about()}"

    @staticmethod
    def _preloaded(compiler: str) -> tuple[str, ...] | None:
        """The libraries that a process must have from its start, to have memory watched."""
        machine = platform.machine()
        clang = library_file(compiler, (f"libclang_rt.asan-{machine}.so", "libclang_rt.asan.so"))
        if clang is not None:
            found: tuple[str | None, ...] = (clang,)
        else:
            found = (
                library_file(compiler, ("libasan.so",)),
                library_file(compiler, ("libubsan.so",)),
            )
        # without it the sanitizer does not find what C++'s exceptions need
        found = (*found, library_file(compiler, ("libstdc++.so.6",)))
        return None if None in found else tuple(path for path in found if path)

    @property
    def memory(self) -> Memory:
        """The host's memory: guarded, or where the sanitizer watches it."""
        if not self._sanitize:
            return super().memory
        from pytest_mutatenn.devices.watched import WATCHED

        return WATCHED

    def environment(self) -> dict[str, str]:
        """What a process that runs sanitized kernels must be started with."""
        compiler = find_compiler(self._cc)
        if not self._sanitize or compiler is None:
            return {}
        return {
            "LD_PRELOAD": " ".join(self._preloaded(compiler) or ()),
            "ASAN_OPTIONS": ":".join(f"{name}={value}" for name, value in _ASAN.items()),
            "UBSAN_OPTIONS": "print_stacktrace=1:stack_trace_format=" + _ASAN["stack_trace_format"],
        }

    def target(self, *, fast_math: bool) -> Target:
        """Return the target ``c``; its ``model`` holds what the compiler is told."""
        from tvm.target import Target

        self.check()
        flags = [*self._flags, "-ffast-math"] if fast_math else list(self._flags)
        if self._sanitize:
            flags += _SANITIZE
        else:
            flags += self._tuning()
        config: dict[str, Any] = {"kind": "c", "model": " ".join(flags)}
        level = next((f[7:] for f in self._flags if f.startswith("-march=")), "")
        level = processor_level() if level == "native" else level
        if level in LEVELS:
            config["mcpu"] = level  # which schedules follow
        target = Target(config)
        return target.with_host(target)

    def _tuning(self) -> list[str]:
        """What GCC needs to be told to make vectors of the loops that schedules mean as such.

        It would unroll loops of 16 rounds before it looks for vectors, and a convolution is 25
        times as slow then; and it prefers vectors of 256 bits. Clang needs neither.
        """
        compiler = find_compiler(self._cc) or ""
        flags = ("--param=max-completely-peel-times=8", "-mprefer-vector-width=512")
        return [flag for flag in flags if not tried(compiler, ("-Werror", flag))]

    def emitted(self, func: PrimFunc, target: Target) -> dict[str, str]:
        """The C."""
        from pytest_mutatenn.compiler.c_source import c_source

        return {".c": c_source(func, target, heap=self._sanitize)}

    def binary(self, func: PrimFunc, target: Target) -> dict[str, bytes]:
        """The object file."""
        with tempfile.TemporaryDirectory(prefix="mutatenn-") as scratch:
            return {".o": self._object(func, target, Path(scratch))[1]}

    def _object(self, func: PrimFunc, target: Target, folder: Path) -> tuple[str, bytes]:
        """The C and the object file."""
        compiler = find_compiler(self._cc)
        assert compiler is not None
        flags = str(target.attrs["model"]).split()
        name = f"{func.params[-1].name}.c"
        source = self.emitted(func, target)[".c"]
        if self._sanitize:
            from pytest_mutatenn.devices.sanitizer import with_itself

            source = with_itself(source, name)
        return source, compile_c(compiler, flags, source, name, folder)

    def compile(self, func: PrimFunc, target: Target) -> tuple[bytes, bytes]:
        """Generate C, compile it, and link it.

        Raises
        ------
        Refused
            If the compiler refuses the C.
        """
        from pytest_mutatenn.compiler.c_source import uses_half

        compiler = find_compiler(self._cc)
        assert compiler is not None
        Path(tempfile.gettempdir()).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="mutatenn-") as scratch:
            folder = Path(scratch)
            source, code = self._object(func, target, folder)
            # a linker alone leaves out the compiler's library, and is three times as fast
            command = (compiler, "-shared") if uses_half(source) else None
            return code_of(code), link(code, folder, command)

    def load(self, path: Path, *, guard: bool = False) -> Callable[..., Any]:
        """Load a linked kernel; sanitized, it takes its temporaries from the heap by itself."""
        return super().load(path, guard=guard and not self._sanitize)
