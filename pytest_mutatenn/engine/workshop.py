"""One network on one cell, inside a child process: compiled once, mutated many times."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import tvm_ffi
from tvm.target import Target

from pytest_mutatenn.compiler import sites
from pytest_mutatenn.compiler.digest import combine
from pytest_mutatenn.compiler.kernel import ir_digest, to_device_stage, without_names, without_units
from pytest_mutatenn.compiler.lower import Lowering
from pytest_mutatenn.compiler.mutant import Mutant
from pytest_mutatenn.compiler.passes import OptLevel
from pytest_mutatenn.compiler.program import Leaves, Program
from pytest_mutatenn.compiler.schedules import schedule
from pytest_mutatenn.compiler.shown import text_before
from pytest_mutatenn.compiler.weights import Weight, weights_of
from pytest_mutatenn.devices.base import check_compiles, open_device
from pytest_mutatenn.devices.slots import Refused
from pytest_mutatenn.engine.baseline import BaselineRun
from pytest_mutatenn.engine.loaded import Loaded
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.errors import InternalError, MutatennError
from pytest_mutatenn.model.onnx_import import import_onnx
from pytest_mutatenn.operators import catalogue


@dataclass(frozen=True)
class Order:
    """What a workshop is asked to make; plain data, it crosses processes.

    Attributes
    ----------
    model
        Path of the ONNX file.
    shapes
        Input shapes that the file leaves open.
    device, opt_level, disabled_passes, required_passes
        The cell.
    operator_files, settings
        The user's own operators, and values of operators' parameters.
    store
        Folder of the store.
    incremental
        Whether work of the baseline or of another mutant may stand for a mutant's own.
    compile_only
        Whether the device is not here: code is compiled for it, and nothing is loaded or run.
    """

    model: str
    shapes: Mapping[str, list[int]]
    device: str
    opt_level: int
    disabled_passes: tuple[str, ...]
    required_passes: tuple[str, ...]
    operator_files: tuple[str, ...]
    settings: tuple[tuple[str, str, str], ...]
    store: str
    incremental: bool = True
    compile_only: bool = False


@dataclass
class Counters:
    """Work done and work spared."""

    kernels_compiled: int = 0
    kernels_reused: int = 0


@dataclass(frozen=True, eq=False)
class Compiled:
    """The baseline as code.

    Attributes
    ----------
    program
        The program.
    code
        Kernel name -> digest of its code.
    files
        Kernel name -> where to load it from.
    leaves
        Digests of weights and literals.
    """

    program: Program
    code: Mapping[str, str]
    files: Mapping[str, Path]
    leaves: Leaves


@dataclass(eq=False)
class DeviceKernel:
    """A kernel of the baseline as the device stage names it: once per code, by its first layer."""

    name: str
    kernels: tuple[str, ...]
    layers: tuple[str, ...]


@dataclass(eq=False)
class Workshop:
    """Compiles and loads the baseline; then makes mutants of it.

    Raises
    ------
    MutatennError
        If the model, the cell or an operator cannot be used.
    """

    order: Order
    counters: Counters = field(default_factory=Counters)

    def __post_init__(self) -> None:
        order = self.order
        self.store = Store(Path(order.store))
        files = (Path(file) for file in order.operator_files)
        self.operators = catalogue.load(files, ((a, b, c) for a, b, c in order.settings))
        self.device = open_device(order.device)
        opt = OptLevel(
            order.opt_level, frozenset(order.disabled_passes), frozenset(order.required_passes)
        )
        self.target = self.device.target(fast_math=opt.includes("FastMath"))
        self.opt = opt.on(self.target)
        self.model = import_onnx(Path(order.model), shapes=order.shapes or None)
        self.lowering = Lowering(self.model, self.opt, self.target, order.incremental)
        self._device_stage: dict[str, Any] = {}
        self._codes: dict[Any, str] = {}
        self._ir_digests: dict[int, list[tuple[Any, str]]] = {}
        self._first: dict[str, Any] = {}  # digest -> the first kernel that was met with it
        self._code: dict[str, tuple[str, Path]] = {}
        self._refused: dict[str, str] = {}  # kernel of the baseline -> why, where nothing is run

    @cached_property
    def canonical(self) -> Lowering:
        """The lowering that numbers kernel mutants, the same for every cell: O0, for the host."""
        return Lowering(self.model, OptLevel(0), Target("llvm"))

    @cached_property
    def weights(self) -> tuple[Weight, ...]:
        """The parameters that can be mutated."""
        return weights_of(self.model)

    def load_baseline(self) -> None:
        """Compile the baseline and load it, in this process."""
        self.compile_baseline()
        self.open()

    def compile_baseline(self) -> None:
        """Lower the baseline and compile what the store does not have of it; no kernel is run."""
        program = self.lowering.baseline()
        leaves = Leaves.of_program(program)
        compiled = self._compile_shared(program)
        self.baseline = Compiled(
            program,
            {name: code for name, (code, _) in compiled.items()},
            {name: path for name, (_, path) in compiled.items()},
            leaves,
        )
        self.digest = program.digest(self.baseline.code, leaves)
        if self.order.incremental:
            self._codes = {func: self.baseline.code[name] for name, func in program.kernels.items()}
        self.lowering.ready()  # every child would compute it anew

    def _compile_shared(self, program: Program) -> dict[str, tuple[str, Path]]:
        """Compile every kernel; processes that compile the same network share the work."""
        compiled: dict[str, tuple[str, Path]] = {}
        # first those that no other process is at, then what the others have made of theirs
        for wait in (False, True):
            for name in program.kernels:
                if name in compiled:
                    continue
                with self.store.lock(self._key(program.kernels[name])[:32], wait=wait) as held:
                    if held:
                        compiled[name] = self._compiled(name, program)
        return {name: compiled[name] for name in program.kernels}

    def _compiled(self, name: str, program: Program) -> tuple[str, Path]:
        try:
            return self.compile(name, None, program)
        except Refused as error:
            if not self.order.compile_only:
                raise self._refusal(name, program, error) from error
            self._refused[name] = str(error)
            return f"refused {name}", Path()

    def _refusal(self, kernel: str, program: Program, error: Refused) -> MutatennError:
        step = next(step for step in program.steps if step.kernel == kernel)
        return MutatennError(
            f"The device {self.order.device} refuses a kernel of the unmutated network, "
            f"that of {step.name}: {error}."
        )

    def refused(self) -> dict[str, str]:
        """Layer -> why the device's compiler refuses a kernel of the unmutated network."""
        found = {}
        for name, path in self.baseline.files.items():
            reason = self._refused.get(name) or self.why_refused(path)
            if reason is not None:
                step = next(s for s in self.baseline.program.steps if s.kernel == name)
                found[step.name] = reason
        return found

    def why_refused(self, file: Path) -> str | None:
        """Say why the device's compiler refuses a kernel; None where it does not."""
        key = combine(file.name, self.device.fingerprint())
        known = self.store.get_json("compiles", key)
        if known is None:
            reason = check_compiles(self.device, file.read_bytes())
            known = {"reason": reason}
            self.store.put_json("compiles", key, known)
        found: str | None = known["reason"]
        return found

    def open(self) -> None:
        """Open the device, load the baseline and run what depends on weights alone.

        Raises
        ------
        MutatennError
            If the device cannot be opened, or refuses a kernel of the unmutated network.
        """
        self.device.open()
        with self.store.lock(combine("tools", str(self.target))[:32]):
            self.device.arm(self._build_tool)
        program = self.baseline.program
        kernels = {}
        for name, path in self.baseline.files.items():
            try:
                kernels[name] = self.device.load(path)
            except Refused as error:
                raise self._refusal(name, program, error) from error
        self.loaded = Loaded(
            program, self.baseline.code, kernels, self.baseline.leaves, self.device.memory
        )
        self.run = BaselineRun(self.loaded)
        self.run.ready()

    def known_code(self, func: Any) -> str | None:
        """Digest of the code of a kernel that is one of the baseline's, the very object."""
        return self._codes.get(func)

    def compile(
        self, name: str, changes: list[sites.Change] | None, program: Program
    ) -> tuple[str, Path]:
        """Compile one kernel, unless the store has it.

        Returns
        -------
        code, path
            Digest of the emitted code, and where to load it from.
        """
        key = self._key(program.kernels[name])
        if changes is None:
            return self._built(key, lambda: self.device_stage(name, program))
        mutated = self.final(name, changes, program)
        return self._built(combine(key, ir_digest(mutated, self.target)), lambda: mutated)

    def _key(self, func: Any) -> str:
        """What the code of a kernel is stored under."""
        return combine(self.digest_of(func), str(self.opt), self.device.fingerprint())

    def final(self, name: str, changes: list[sites.Change] | None, program: Program) -> Any:
        """A kernel as code is generated from it, at the device stage."""
        lowered = self.device_stage(name, program)
        return lowered if changes is None else without_units(sites.apply(lowered, changes))

    def digest_of(self, func: Any) -> str:
        """Digest of a kernel; kernels met before are found by comparing, which is cheaper."""
        func = without_names(func)
        met = self._ir_digests.setdefault(tvm_ffi.structural_hash(func), [])
        for other, digest in met:
            if tvm_ffi.structural_equal(func, other):
                return digest
        digest = ir_digest(func, self.target)
        met.append((func, digest))
        self._first.setdefault(digest, func)
        return digest

    def _built(self, key: str, lowered: Callable[[], Any]) -> tuple[str, Path]:
        if not self.order.incremental and hasattr(self, "baseline"):
            return self._generate(key, lowered)
        if key not in self._code:
            self._code[key] = self._build(key, lowered)
        else:
            self.counters.kernels_reused += 1
        return self._code[key]

    def _build(self, key: str, lowered: Callable[[], Any]) -> tuple[str, Path]:
        entry = self.store.get_json("kernels", key)
        if entry is not None:
            path = self.store.file("code", entry["file"])
            if path is not None:
                self.counters.kernels_reused += 1
                return entry["code"], path
        return self._generate(key, lowered)

    def _generate(self, key: str, lowered: Callable[[], Any]) -> tuple[str, Path]:
        emitted, library = self.device.compile(lowered(), self.target)
        file = self.store.put_file("code", library, self.device.suffix)
        code = hashlib.sha256(emitted).hexdigest()
        self.store.put_json("kernels", key, {"code": code, "file": file})
        self.counters.kernels_compiled += 1
        path = self.store.file("code", file)
        if path is None:
            raise InternalError(f"the store lost {file} as soon as it was written")
        return code, path

    def _build_tool(self, func: Any) -> Path:
        """Compile a kernel that is no part of the network."""
        key = combine("tool", ir_digest(func, self.target), self.device.fingerprint())
        return self._built(key, lambda: to_device_stage(func, self.target))[1]

    def expect(self, text: str) -> None:
        """Do what other mutants of a kernel need too, before a child is forked for one of them.

        Nothing of the mutant is made, and nothing that it could go wrong with.
        """
        mutant = Mutant.parse(text)
        named = {kernel.name: kernel.kernels[0] for kernel in self.device_kernels}
        for part in mutant.parts:
            if part.stage == "weights":
                _ = self.weights
            self.lowering.print_before(part)
            for site in part.sites if part.stage == "device" and self.order.incremental else ():
                if site.place in named:
                    text_before(self.device_stage(named[site.place], self.baseline.program))

    def lower(self, func: Any) -> Any:
        """Schedule a kernel and lower it to the device stage."""
        return to_device_stage(schedule(func, self.opt, self.target), self.target)

    def device_stage(self, name: str, program: Program) -> Any:
        """A kernel at the device stage; the same object each time, since changes are of it."""
        func = program.kernels[name]
        key = self.digest_of(func)
        if key not in self._device_stage:
            # the first of the network's: its variables' names are those that reports show
            self._device_stage[key] = self.lower(self._first[key])
        return self._device_stage[key]

    @cached_property
    def device_kernels(self) -> list[DeviceKernel]:
        """The baseline's kernels, one for each code, in the order in which they first run."""
        program = self.baseline.program
        by_code: dict[str, list[Any]] = {}
        for step in program.steps:
            by_code.setdefault(self.baseline.code[step.kernel], []).append(step)
        taken: set[str] = set()
        found = []
        for steps in by_code.values():
            base = steps[0].layers[0] if steps[0].layers else steps[0].kernel
            name, number = base, 1
            while name in taken:
                number += 1
                name = f"{base}__{number}"
            taken.add(name)
            kernels = tuple(dict.fromkeys(step.kernel for step in steps))
            layers = tuple(dict.fromkeys(layer for step in steps for layer in step.layers))
            found.append(DeviceKernel(name, kernels, layers))
        return found
