"""A mutant made: lowered, what is new of it compiled, and loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_mutatenn.compiler import sites
from pytest_mutatenn.compiler.bounds import outside
from pytest_mutatenn.compiler.lower import (
    NoSuchSite,
    Part,
    canary_program,
    choose,
    mutant_program,
    wanted_places,
)
from pytest_mutatenn.compiler.mutant import Mutant
from pytest_mutatenn.compiler.program import Leaves, Program, array_digest, digests_of
from pytest_mutatenn.compiler.shown import Shown
from pytest_mutatenn.compiler.weight_text import shown_parameters
from pytest_mutatenn.compiler.weights import chosen_weights, with_weights
from pytest_mutatenn.devices.slots import Refused
from pytest_mutatenn.engine.loaded import Loaded
from pytest_mutatenn.engine.workshop import DeviceKernel, Workshop
from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.operators.registry import Operator

Lines = tuple[str, str]
"""A line of code before and after a change."""


OnDevice = dict[str, tuple[str, list[sites.Change]]]
"""Kernel -> the kernel whose body is changed for it, and how."""


class Rejected(Exception):
    """The compiler refused a mutant."""


@dataclass(eq=False)
class Prepared:
    """A mutant whose code is there.

    Attributes
    ----------
    digest
        Digest of its program.
    before, after
        The lines that change.
    mutated
        The kernels whose code is not the baseline's.
    loaded
        Its program and kernels; None where code is compiled and not run.
    undefined
        Which access of it is outside its buffer; empty where none is.
    """

    digest: str
    before: list[str]
    after: list[str]
    mutated: frozenset[str]
    loaded: Loaded | None = None
    undefined: str = ""


@dataclass(frozen=True, eq=False)
class Made:
    """A mutant lowered, and no code of it generated yet.

    Attributes
    ----------
    program
        Its program.
    lines
        For every change its line before and after.
    changes
        What is to be changed in the program's kernels at the device stage.
    """

    program: Program
    lines: list[Lines]
    changes: OnDevice


def prepare(workshop: Workshop, mutant: Mutant, shown: list[Shown] | None = None) -> Prepared:
    """Make a mutant: lower it and compile what is new of it.

    Parameters
    ----------
    workshop
        The cell.
    mutant
        The recipe.
    shown
        Where to put the texts that it changes, each as soon as it is known: also of what the
        compiler then refuses. None prints none.

    Raises
    ------
    NoSuchSite
        If this cell's lowering has no such site.
    Rejected
        If the compiler refuses it.
    MutatennError
        If there is no such operator.
    """
    made = make(workshop, mutant, shown)
    return _compiled(workshop, made.program, made.lines, made.changes)


def make(workshop: Workshop, mutant: Mutant, shown: list[Shown] | None = None) -> Made:
    """Lower a mutant; takes and raises what :func:`prepare` does."""
    if mutant.operator == "identity":
        return Made(workshop.baseline.program, [("output", "identity")], {})
    if mutant.operator == "canary":
        program = _compiler(canary_program, workshop.lowering)
        return Made(program, [("output", "canary")], {})
    parts = [(part, _operator(workshop, part)) for part in mutant.parts]
    program, lines = workshop.baseline.program, list[Lines]()
    if any(part.stage in ("graph", "kernel") for part, _ in parts):
        program, lines = _compiler(mutant_program, workshop.lowering, parts, shown)
    changes = _device_changes(workshop, program, parts, lines, shown)
    program = _with_weights(workshop, program, parts, lines, shown)
    return Made(program, lines, changes)


def _operator(workshop: Workshop, mutant: Mutant) -> Operator:
    op = workshop.operators.find(mutant.operator)
    if op is None:
        raise MutatennError(f"{mutant}: there is no mutation operator {mutant.operator!r}.")
    return op


def _with_weights(
    workshop: Workshop,
    program: Program,
    parts: list[Part],
    lines: list[Lines],
    shown: list[Shown] | None,
) -> Program:
    """The program with the parameters changed that the parts name."""
    changes = []
    for mutant, op in parts:
        if mutant.stage == "weights":
            found = chosen_weights(mutant, op, workshop.weights)
            if len(found) < max(1, len(mutant.sites)):
                raise NoSuchSite("the network has no such parameter, or it would not change")
            changes += found
    lines += [change.lines() for change in changes]
    if shown is not None:
        shown += shown_parameters(changes)
    if not changes:
        return program
    return replace(program, params=with_weights(program.params, changes))


def _device_changes(
    workshop: Workshop,
    program: Program,
    parts: list[Part],
    lines: list[Lines],
    shown: list[Shown] | None,
) -> OnDevice:
    """What the parts change in the kernels of a program at the device stage."""
    by_kernel: OnDevice = {}
    called: dict[str, str] = {}  # kernel that changes -> what ids call it
    of_device = [part for part in parts if part[0].stage == "device"]
    named = {kernel.name: kernel for kernel in workshop.device_kernels} if of_device else {}
    for mutant, op in of_device:
        everything = []
        for name in wanted_places(mutant, named):
            kernels = _kernels_of(workshop, program, named[name])
            for number, change in enumerate(_offered(workshop, op, program, kernels), 1):
                everything.append((name, number, kernels, change))
        for name, _, kernels, change in choose(mutant, everything, lambda c: (c[0], c[1])):
            lines.append(change.lines(workshop.device_stage(kernels[0], program).body))
            # the others have the first one's code, and variables of their own
            _, changes = by_kernel.setdefault(kernels[0], (kernels[0], []))
            changes.append(change)
            by_kernel.update(dict.fromkeys(kernels, (kernels[0], changes)))
            called.setdefault(kernels[0], name)
    if shown is not None:
        for kernel, name in called.items():
            before = workshop.device_stage(kernel, program)
            after = _compiler(sites.apply, before, by_kernel[kernel][1])
            shown.append(Shown.of("device", name, before, after))
    return by_kernel


def _offered(workshop: Workshop, op: Operator, program: Program, kernels: tuple[str, ...]) -> Any:
    if not kernels:
        return ()
    return sites.changes(op, _compiler(workshop.device_stage, kernels[0], program).body)


def _kernels_of(workshop: Workshop, program: Program, kernel: DeviceKernel) -> tuple[str, ...]:
    """The same kernels in another program: those of the same layers with the same code.

    A layer may have several kernels, and one that another change is in is another kernel.
    """
    base = workshop.baseline.program
    if program.kernels is base.kernels:
        return kernel.kernels
    layers = {step.layers for step in base.steps if step.kernel in kernel.kernels}
    code = {workshop.digest_of(base.kernels[name]) for name in kernel.kernels}
    names = dict.fromkeys(s.kernel for s in program.steps if s.layers in layers)
    return tuple(name for name in names if workshop.digest_of(program.kernels[name]) in code)


def _compiled(
    workshop: Workshop,
    program: Program,
    lines: Sequence[Lines],
    changes: OnDevice,
) -> Prepared:
    compiled = {}
    for name, func in program.kernels.items():
        known = workshop.known_code(func) if name not in changes else None
        compiled[name] = (
            (known, Path())
            if known is not None
            else _compiler(workshop.compile, *changes.get(name, (name, None)), program)
        )
    prepared = _loaded(workshop, program, compiled, [b for b, _ in lines], [a for _, a in lines])
    prepared.undefined = _undefined(workshop, program, changes, prepared.mutated)
    return prepared


def _undefined(
    workshop: Workshop, program: Program, changes: OnDevice, mutated: Iterable[str]
) -> str:
    """The first access of the mutated kernels that is certain to be outside its buffer."""
    seen = set()
    for name in sorted(mutated):
        source, changed = changes.get(name, (name, None))
        key = (workshop.digest_of(program.kernels[source]), id(changed))
        if key in seen:
            continue
        seen.add(key)
        stray = outside(_compiler(workshop.final, source, changed, program))
        if stray is not None and stray.certain:
            step = next(step for step in program.steps if step.kernel == name)
            return f"{step.name} {stray.text}"
    return ""


def _loaded(
    workshop: Workshop,
    program: Program,
    compiled: Mapping[str, tuple[str, Path]],
    before: list[str],
    after: list[str],
) -> Prepared:
    code = {name: digest for name, (digest, _) in compiled.items()}
    base = workshop.baseline.code
    there = set(base.values())
    mutated = frozenset(name for name, digest in code.items() if digest not in there)
    leaves = _leaves(workshop, program)
    prepared = Prepared(program.digest(code, leaves), before, after, mutated)
    if workshop.order.compile_only:
        for name in sorted(mutated):
            reason = workshop.why_refused(compiled[name][1])
            if reason is not None:
                raise Rejected(reason)
        return prepared
    ours = {digest: workshop.loaded.kernels[name] for name, digest in base.items()}
    shared = ours if workshop.order.incremental else {}
    kernels = {
        name: shared.get(digest) or _load(workshop, path)
        for name, (digest, path) in compiled.items()
    }
    memory = workshop.loaded.memory
    prepared.loaded = Loaded(program, code, kernels, leaves, memory, mutated, sharing=True)
    return prepared


def _load(workshop: Workshop, path: Path) -> Any:
    try:
        return workshop.device.load(path, guard=True)
    except Refused as error:
        raise Rejected(str(error)) from error


def _leaves(workshop: Workshop, program: Program) -> Leaves:
    """Digests of weights and literals; what is the baseline's has its digest already."""
    ours = workshop.baseline.program
    params = tuple(
        known if array is old else array_digest(array)
        for array, old, known in zip(
            program.params, ours.params, workshop.baseline.leaves.params, strict=True
        )
    )
    if program.constants is ours.constants:
        return replace(workshop.baseline.leaves, params=params)
    return Leaves(params, digests_of(program.constants))


def _compiler(function: Any, *args: Any) -> Any:
    """Call into the compiler with mutated IR; what TVM refuses is the mutant's fault."""
    try:
        return function(*args)
    except Refused as error:
        raise Rejected(str(error)) from error
    except OSError:
        raise  # the machine's: a full disk, a folder that is gone
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
