"""One network on one cell, inside a child process: compiled once, mutated many times."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import tvm_ffi
from tvm.target import Target

from pytest_mutatenn.compiler import sites
from pytest_mutatenn.compiler.digest import combine
from pytest_mutatenn.compiler.kernel import ir_digest, to_device_stage, without_names, without_units
from pytest_mutatenn.compiler.lower import (
    Lowering,
    NoSuchSite,
    Part,
    baseline_program,
    canary_program,
    choose,
    mutant_program,
    wanted_places,
)
from pytest_mutatenn.compiler.mutant import Mutant
from pytest_mutatenn.compiler.passes import OptLevel
from pytest_mutatenn.compiler.program import Leaves, Program, array_digest, digests_of
from pytest_mutatenn.compiler.schedules import schedule
from pytest_mutatenn.compiler.weights import Weight, chosen_weights, weights_of, with_weights
from pytest_mutatenn.devices.base import open_device
from pytest_mutatenn.engine.executor import BaselineRun, Loaded
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.errors import InternalError
from pytest_mutatenn.model.onnx_import import import_onnx
from pytest_mutatenn.operators import catalogue
from pytest_mutatenn.operators.registry import Operator


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


Lines = tuple[str, str]
"""A line of code before and after a change."""


OnDevice = dict[str, tuple[str, list[sites.Change]]]
"""Kernel -> the kernel whose body is changed for it, and how."""


class Rejected(Exception):
    """The compiler refused a mutant."""


@dataclass
class Counters:
    """Work done and work spared."""

    kernels_compiled: int = 0
    kernels_reused: int = 0


@dataclass(eq=False)
class Prepared:
    """A mutant whose code is there.

    Attributes
    ----------
    loaded
        Its program and kernels.
    digest
        Digest of its program.
    before, after
        The lines that change.
    """

    loaded: Loaded
    digest: str
    before: list[str]
    after: list[str]


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
        self.opt = OptLevel(
            order.opt_level, frozenset(order.disabled_passes), frozenset(order.required_passes)
        )
        self.target = self.device.target(fast_math=self.opt.includes("FastMath"))
        self.model = import_onnx(Path(order.model), shapes=order.shapes or None)
        self.lowering = Lowering(self.model, self.opt, self.target)
        self._device_stage: dict[str, Any] = {}
        self._of_mutant: tuple[Any, dict[str, Any]] = (None, {})
        self._ir_digests: dict[int, list[tuple[Any, str]]] = {}
        self._code: dict[str, tuple[str, Path]] = {}

    @cached_property
    def canonical(self) -> Lowering:
        """The lowering that numbers kernel mutants, the same for every cell: O0, for the host."""
        return Lowering(self.model, OptLevel(0), Target("llvm"))

    @cached_property
    def weights(self) -> tuple[Weight, ...]:
        """The parameters that can be mutated."""
        return weights_of(self.model)

    def load_baseline(self) -> None:
        """Compile what the store does not have, load it, and run what depends on weights alone."""
        program = baseline_program(self.lowering)
        leaves = Leaves.of_program(program)
        with self.store.lock(combine(self.order.model, str(self.opt), str(self.target))[:32]):
            compiled = {name: self.compile(name, None, program) for name in program.kernels}
            self.device.arm(self._build_tool)
        self.baseline = Loaded(
            program,
            {name: code for name, (code, _) in compiled.items()},
            {name: self.device.load(path) for name, (_, path) in compiled.items()},
            leaves,
        )
        self.digest = program.digest(self.baseline.code, leaves)
        self.run = BaselineRun(self.baseline)
        self.run.load_constants()
        self.lowering.groups()  # every child would compute them anew

    def compile(
        self, name: str, changes: list[sites.Change] | None, program: Program
    ) -> tuple[str, Path]:
        """Compile one kernel, unless the store has it.

        Returns
        -------
        code, path
            Digest of the emitted code, and where to load it from.
        """
        func = program.kernels[name]
        key = combine(self._ir_digest(func), str(self.opt), self.device.fingerprint())
        if changes is None:
            return self._built(key, lambda: self.lower(func))
        mutated = without_units(sites.apply(self.device_stage(name, program), changes))
        return self._built(combine(key, ir_digest(mutated, self.target)), lambda: mutated)

    def _ir_digest(self, func: Any) -> str:
        """Digest of a kernel; kernels met before are found by comparing, which is cheaper."""
        func = without_names(func)
        met = self._ir_digests.setdefault(tvm_ffi.structural_hash(func), [])
        for other, digest in met:
            if tvm_ffi.structural_equal(func, other):
                return digest
        digest = ir_digest(func, self.target)
        met.append((func, digest))
        return digest

    def _built(self, key: str, lowered: Callable[[], Any]) -> tuple[str, Path]:
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
        emitted, library = self.device.compile(lowered(), self.target)
        file = self.store.put_file("code", library, ".so")
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

    def lower(self, func: Any) -> Any:
        """Schedule a kernel and lower it to the device stage."""
        return to_device_stage(schedule(func, self.opt, self.target), self.target)

    def device_stage(self, name: str, program: Program) -> Any:
        """A kernel at the device stage; the baseline's are kept, and those of the last mutant.

        A change holds variables of the kernel it was found in: it can be made in no other.
        """
        kept = self._device_stage
        if program.kernels is not self.baseline.program.kernels:
            if self._of_mutant[0] is not program.kernels:
                self._of_mutant = program.kernels, {}
            kept = self._of_mutant[1]
        if name not in kept:
            kept[name] = self.lower(program.kernels[name])
        return kept[name]

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

    def device_changes(self, op: Operator, kernel: DeviceKernel) -> list[sites.Change]:
        """What the operator offers in a kernel of the baseline at the device stage."""
        body = self.device_stage(kernel.kernels[0], self.baseline.program).body
        return list(sites.changes(op, body))

    def prepare(self, mutant: Mutant) -> Prepared:
        """Make a mutant: lower it and compile what is new of it.

        Raises
        ------
        NoSuchSite
            If this cell's lowering has no such site.
        Rejected
            If the compiler refuses it.
        """
        if mutant.operator == "identity":
            return self._compiled(self.baseline.program, [("output", "identity")])
        if mutant.operator == "canary":
            return self._compiled(
                self._compiler(canary_program, self.lowering), [("output", "canary")]
            )
        parts = [(part, self.operators[part.operator]) for part in mutant.parts]
        program, lines = self.baseline.program, list[Lines]()
        if any(part.stage in ("graph", "kernel") for part, _ in parts):
            program, lines = self._compiler(mutant_program, self.lowering, parts)
        changes = self._device_changes(program, parts, lines)
        program = self._with_weights(program, parts, lines)
        return self._compiled(program, lines, changes)

    def _with_weights(self, program: Program, parts: list[Part], lines: list[Lines]) -> Program:
        """The program with the parameters changed that the parts name."""
        changes = []
        for mutant, op in parts:
            if mutant.stage == "weights":
                found = chosen_weights(mutant, op, self.weights)
                if len(found) < max(1, len(mutant.sites)):
                    raise NoSuchSite("the network has no such parameter, or it would not change")
                changes += found
        lines += [change.lines() for change in changes]
        if not changes:
            return program
        return replace(program, params=with_weights(program.params, changes))

    def _device_changes(self, program: Program, parts: list[Part], lines: list[Lines]) -> OnDevice:
        """What the parts change in the kernels of a program at the device stage."""
        by_kernel: OnDevice = {}
        named = {kernel.name: kernel for kernel in self.device_kernels()}
        for mutant, op in parts:
            if mutant.stage != "device":
                continue
            everything = []
            for name in wanted_places(mutant, named):
                kernels = self._kernels_of(program, named[name])
                for number, change in enumerate(self._offered(op, program, kernels), 1):
                    everything.append((name, number, kernels, change))
            for _, _, kernels, change in choose(mutant, everything, lambda c: (c[0], c[1])):
                lines.append(change.lines(self.device_stage(kernels[0], program).body))
                # the others have the first one's code, and variables of their own
                _, changes = by_kernel.setdefault(kernels[0], (kernels[0], []))
                changes.append(change)
                by_kernel.update(dict.fromkeys(kernels, (kernels[0], changes)))
        return by_kernel

    def _offered(self, op: Operator, program: Program, kernels: tuple[str, ...]) -> Any:
        return sites.changes(op, self.device_stage(kernels[0], program).body) if kernels else ()

    def _kernels_of(self, program: Program, kernel: DeviceKernel) -> tuple[str, ...]:
        """The same kernels in another program: those of the same layers with the same code.

        A layer may have several kernels, and one that another change is in is another kernel.
        """
        base = self.baseline.program
        if program.kernels is base.kernels:
            return kernel.kernels
        layers = {step.layers for step in base.steps if step.kernel in kernel.kernels}
        code = {self._ir_digest(base.kernels[name]) for name in kernel.kernels}
        names = dict.fromkeys(s.kernel for s in program.steps if s.layers in layers)
        return tuple(name for name in names if self._ir_digest(program.kernels[name]) in code)

    def _compiled(
        self,
        program: Program,
        lines: Sequence[Lines],
        changes: OnDevice | None = None,
    ) -> Prepared:
        changes = changes or {}
        ours = self.baseline.program.kernels
        compiled = {
            name: (self.baseline.code[name], Path())
            if program.kernels is ours and name not in changes
            else self._compiler(self.compile, *changes.get(name, (name, None)), program)
            for name in program.kernels
        }
        return self._loaded(program, compiled, [b for b, _ in lines], [a for _, a in lines])

    def _loaded(
        self,
        program: Program,
        compiled: Mapping[str, tuple[str, Path]],
        before: list[str],
        after: list[str],
    ) -> Prepared:
        code = {name: digest for name, (digest, _) in compiled.items()}
        ours = {digest: self.baseline.kernels[name] for name, digest in self.baseline.code.items()}
        kernels = {
            name: ours.get(digest) or self.device.load(path, guard=True)
            for name, (digest, path) in compiled.items()
        }
        leaves = self._leaves(program)
        mutated = frozenset(name for name, digest in code.items() if digest not in ours)
        loaded = Loaded(program, code, kernels, leaves, mutated)
        return Prepared(loaded, program.digest(code, leaves), before, after)

    def _leaves(self, program: Program) -> Leaves:
        """Digests of weights and literals; what is the baseline's has its digest already."""
        ours = self.baseline.program
        params = tuple(
            known if array is old else array_digest(array)
            for array, old, known in zip(
                program.params, ours.params, self.baseline.leaves.params, strict=True
            )
        )
        if program.constants is ours.constants:
            return replace(self.baseline.leaves, params=params)
        return Leaves(params, digests_of(program.constants))

    @staticmethod
    def _compiler(function: Any, *args: Any) -> Any:
        """Call into the compiler with mutated IR; what TVM refuses is the mutant's fault."""
        try:
            return function(*args)
        except Exception as error:
            if is_ours(error):
                raise
            raise Rejected(last_line(error)) from error


def last_line(error: BaseException) -> str:
    """What an error of TVM's says, without its trace."""
    text = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return text[-1][:500] if text else type(error).__name__


def is_ours(error: BaseException) -> bool:
    """Whether an error was raised by this package's own code, not by TVM under it."""
    last = None
    trace = error.__traceback__
    while trace is not None:
        last, trace = trace.tb_frame.f_code.co_filename, trace.tb_next
    ours = Path(__file__).resolve().parent.parent
    return last is not None and Path(last).resolve().is_relative_to(ours) and not _from_tvm(error)


def _from_tvm(error: BaseException) -> bool:
    """TVM's C++ errors surface in the frame that called it."""
    return type(error).__module__.split(".")[0] in ("tvm", "tvm_ffi") or bool(
        getattr(error, "__tvm_ffi_error__", None)
    )
