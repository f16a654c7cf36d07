"""The IR and the code of a mutant, or of the baseline, for people and other programs to read.

It is derived in a child that runs no mutant, and derived again each time: the way down gives the
same every time, and what a run has stored of a mutant is only what running it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pytest_mutatenn.compiler.lower import NoSuchSite, Part
from pytest_mutatenn.compiler.mutant import Mutant
from pytest_mutatenn.compiler.program import Program
from pytest_mutatenn.compiler.weights import chosen_weights
from pytest_mutatenn.devices.emitted import LANGUAGES, NO_OBJECT, binary_of, emitted_by
from pytest_mutatenn.devices.slots import Refused
from pytest_mutatenn.engine.prepare import Made, Rejected, is_ours, last_line, make
from pytest_mutatenn.engine.workshop import Workshop

__all__ = ["derive"]

_NO_TEXT = "devices of this kind do not say what they generate"


@dataclass
class _Files:
    """Files as they come up.

    Attributes
    ----------
    texts
        One a file: ``name``, ``kind``, ``stage``, ``place``, ``language``, ``text`` (empty where
        its bytes are in ``arrays``) and ``before``, the baseline's file of the same.
    arrays
        Name of a binary file -> its bytes.
    missing
        Kind -> why there is nothing of it, or not all.
    """

    texts: list[dict[str, Any]] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def add(
        self,
        name: str,
        kind: str,
        stage: str,
        place: str,
        content: str | bytes,
        *,
        language: str = "tvmscript",
        before: str = "",
    ) -> None:
        """Take a file."""
        if isinstance(content, bytes):
            self.arrays[name] = np.frombuffer(content, np.uint8)
            content = ""
        self.texts.append(
            {
                "name": name,
                "kind": kind,
                "stage": stage,
                "place": place,
                "language": language,
                "text": content,
                "before": before,
            }
        )


def derive(workshop: Workshop, request: Mapping[str, Any]) -> tuple[Any, dict[str, np.ndarray]]:
    """Derive what a request asks for.

    Parameters
    ----------
    workshop
        The cell.
    request
        ``mutant``, an id or None for the baseline, and ``kinds``: of ``ir``, ``source`` and
        ``object`` those that are wanted.

    Returns
    -------
    value
        ``status`` (``made``, ``no_site`` or ``rejected``), ``reason``, ``files`` and ``missing``,
        as :class:`_Files` has them.
    arrays
        Name of a binary file -> its bytes, uint8.
    """
    files, kinds = _Files(), frozenset(request["kinds"])
    status, reason = "made", ""
    try:
        if request["mutant"] is None:
            _baseline(workshop, kinds, files)
        else:
            _mutant(workshop, Mutant.parse(request["mutant"]), kinds, files)
    except NoSuchSite as error:
        status, reason = "no_site", str(error)
    except Rejected as error:
        status, reason = "rejected", str(error)
    if status != "made":
        files.missing.update(dict.fromkeys(sorted(kinds), reason))
    value = {"status": status, "reason": reason, "files": files.texts, "missing": files.missing}
    return value, files.arrays


def _baseline(workshop: Workshop, kinds: frozenset[str], files: _Files) -> None:
    lowering, program = workshop.lowering, workshop.baseline.program
    if "ir" in kinds:
        files.add("relax.py", "ir", "graph", "main", str(lowering.model.module["main"].script()))
        files.add("steps.txt", "ir", "program", "main", _steps(program), language="text")
        for name, func in _kernels(lowering.legalised().module):
            files.add(f"{name}.legalised.py", "ir", "kernel", name, str(func.script()))
    for name in program.kernels:
        _kernel(workshop, program, name, None, kinds, files)


def _mutant(workshop: Workshop, mutant: Mutant, kinds: frozenset[str], files: _Files) -> None:
    parts = [(p, op) for p in mutant.parts if (op := workshop.operators.find(p.operator))]
    if "ir" in kinds:
        _weights(workshop, parts, files)
        _refusable(lambda: _above_kernels(workshop, parts, files))
    made = make(workshop, mutant)
    base = workshop.baseline.program
    if "ir" in kinds and made.program.steps != base.steps:
        steps = _steps(made.program)
        files.add("steps.txt", "ir", "program", "main", steps, language="text", before="steps.txt")
    for name, func in made.program.kernels.items():
        source, _ = made.changes.get(name, (name, None))
        # another that the same change is in has the same code
        if source == name and (name in made.changes or workshop.known_code(func) is None):
            _kernel(workshop, made.program, name, made, kinds, files)


def _weights(workshop: Workshop, parts: list[Part], files: _Files) -> None:
    for mutant, op in parts:
        if mutant.stage != "weights":
            continue
        for change in chosen_weights(mutant, op, workshop.weights):
            whole = change.weight.whole
            for name, values in (
                (f"{whole.name}.before.npy", whole.values),
                (f"{whole.name}.npy", change.values),
            ):
                before = f"{whole.name}.before.npy" if name != f"{whole.name}.before.npy" else ""
                data = _npy(values)
                files.add(name, "ir", "weights", whole.name, data, language="npy", before=before)


def _npy(values: np.ndarray) -> bytes:
    import io

    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


def _above_kernels(workshop: Workshop, parts: list[Part], files: _Files) -> None:
    """The Relax function, and the kernels before they are fused, where they differ."""
    lowering = workshop.lowering
    of_graph, of_kernels = (
        [part for part in parts if part[0].stage == stage] for stage in ("graph", "kernel")
    )
    legalised = None
    if of_graph:
        module, _ = lowering.mutate_graph(of_graph)
        text = str(module["main"].script())
        files.add("relax.py", "ir", "graph", "main", text, before="relax.py")
        legalised = lowering.to_kernels(module)
    if of_kernels:
        changed, _ = lowering.mutate_kernels(of_kernels, legalised)
        for name, func in changed.items():
            file = f"{name}.legalised.py"
            files.add(file, "ir", "kernel", name, str(func.script()), before=file)


def _kernels(module: Any) -> Iterator[tuple[str, Any]]:
    from tvm.tirx import PrimFunc

    for variable, func in module.functions.items():
        if isinstance(func, PrimFunc):
            yield variable.name_hint, func


def _kernel(
    workshop: Workshop,
    program: Program,
    name: str,
    made: Made | None,
    kinds: frozenset[str],
    files: _Files,
) -> None:
    """A kernel of a program: fused, at the device stage, as source and as an object file."""
    was = _before(workshop, program, name) if made is not None else ""
    place = next(step.name for step in program.steps if step.kernel == name)

    def add(suffix: str, kind: str, stage: str, content: str | bytes, language: str) -> None:
        before = f"{was}{suffix}" if was else ""
        files.add(name + suffix, kind, stage, place, content, language=language, before=before)

    source, changes = (name, None) if made is None else made.changes.get(name, (name, None))
    if "ir" in kinds and changes is None:
        add(".kernel.py", "ir", "kernel", str(program.kernels[name].script()), "tvmscript")
    final = _refusable(lambda: workshop.final(source, changes, program))
    if "ir" in kinds:
        add(".device.py", "ir", "device", str(final.script()), "tvmscript")
    if "source" in kinds:
        emitted = _refusable(lambda: emitted_by(workshop.device, final, workshop.target))
        if emitted is None:
            files.missing["source"] = _NO_TEXT
        for suffix, text in (emitted or {}).items():
            add(suffix, "source", "code", text, LANGUAGES.get(suffix, "tvmscript"))
    if "object" in kinds:
        binary = _refusable(lambda: binary_of(workshop.device, final, workshop.target))
        if binary is None:
            files.missing["object"] = NO_OBJECT
        for suffix, data in (binary or {}).items():
            add(suffix, "object", "code", data, "binary")


def _before(workshop: Workshop, program: Program, name: str) -> str:
    """The baseline's kernel in the place of a mutant's; empty where there is none."""
    base = workshop.baseline.program
    if name in base.kernels:
        return name
    layers = {step.name for step in program.steps if step.kernel == name}
    return next((step.kernel for step in base.steps if step.name in layers), "")


def _steps(program: Program) -> str:
    """The program, a step a line."""

    def tensor(ref: Any) -> str:
        output = f".{ref.output}" if ref.output else ""
        return f"{ref.kind} {ref.index}{output}"

    lines = [
        f"{i}: {step.name} = {step.kernel}({', '.join(map(tensor, step.args))})"
        f" -> {', '.join(f'{o.dtype}{list(o.shape)}' for o in step.outputs)}"
        f"  # {', '.join(step.layers)}"
        for i, step in enumerate(program.steps)
    ]
    lines.append(f"outputs: {', '.join(map(tensor, program.results))}")
    return "\n".join(lines) + "\n"


def _refusable(work: Callable[[], Any]) -> Any:
    """Do what the compiler may refuse."""
    try:
        return work()
    except (Rejected, NoSuchSite, OSError):
        raise
    except Refused as error:
        raise Rejected(str(error)) from error
    except Exception as error:
        if is_ours(error):
            raise
        raise Rejected(last_line(error)) from error
