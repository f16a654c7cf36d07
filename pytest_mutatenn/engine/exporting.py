"""A mutant as plain files that run without this package: its steps, kernels and tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tvm

from pytest_mutatenn.compiler.lower import NoSuchSite
from pytest_mutatenn.compiler.mutant import Mutant
from pytest_mutatenn.compiler.program import Program
from pytest_mutatenn.compiler.vector_math import expand_vector_functions
from pytest_mutatenn.devices.emitted import emitted_by
from pytest_mutatenn.engine.prepare import Made, Rejected, make
from pytest_mutatenn.engine.workshop import Workshop

__all__ = ["EXPORTED", "export"]

EXPORTED = ("llvm", "c", "opencl")
"""Kinds of device that there is a script for."""


def export(workshop: Workshop, request: Mapping[str, Any]) -> tuple[Any, dict[str, np.ndarray]]:
    """Give a mutant and the baseline as data.

    Parameters
    ----------
    workshop
        The cell; its device is one of :data:`EXPORTED`.
    request
        ``mutant``, an id.

    Returns
    -------
    value
        ``status`` and ``reason``, as of a derived mutant; ``kernels`` (name -> text), ``baseline``
        and ``mutant`` (``steps`` and ``results``), ``inputs``, and what the device needs to know.
    arrays
        ``param i`` and ``const i`` of the baseline; ``changed param i`` and ``changed const i``,
        where the mutant's are others.
    """
    try:
        made = make(workshop, Mutant.parse(request["mutant"]))
        base = workshop.baseline.program
        kernels: dict[str, str] = {}
        value = {
            "status": "made",
            "reason": "",
            "baseline": _part(workshop, base, None, kernels),
            "mutant": _part(workshop, made.program, made, kernels),
            "kernels": kernels,
            "inputs": [{"shape": s.shape, "dtype": s.dtype} for s in base.inputs],
            **_about(workshop),
        }
    except NoSuchSite as error:
        return {"status": "no_site", "reason": str(error)}, {}
    except Rejected as error:
        return {"status": "rejected", "reason": str(error)}, {}
    arrays = {f"param {i}": np.asarray(a) for i, a in enumerate(base.params)}
    arrays |= {f"const {i}": np.asarray(a) for i, a in enumerate(base.constants)}
    for kind, ours, theirs in (
        ("param", made.program.params, base.params),
        ("const", made.program.constants, base.constants),
    ):
        for i, array in enumerate(ours):
            if i >= len(theirs) or array is not theirs[i]:
                arrays[f"changed {kind} {i}"] = np.asarray(array)
    return value, arrays


def _part(
    workshop: Workshop, program: Program, made: Made | None, kernels: dict[str, str]
) -> dict[str, Any]:
    names: dict[str, str] = {}
    for kernel, func in program.kernels.items():
        own = made is not None and (kernel in made.changes or workshop.known_code(func) is None)
        if own or made is None:
            source, changes = (
                (kernel, None) if made is None else made.changes.get(kernel, (kernel, None))
            )
            suffix, text = _kernel(workshop, workshop.final(source, changes, program))
            names[kernel] = f"{'baseline' if made is None else 'mutant'}/{len(names)}{suffix}"
            kernels[names[kernel]] = text
        else:
            names[kernel] = _baseline_name(workshop, func, kernels)
    return {
        "steps": [
            {
                "name": step.name,
                "kernel": names[step.kernel],
                "args": [_ref(ref) for ref in step.args],
                "outputs": [[output.shape, output.dtype] for output in step.outputs],
                "constant": constant,
                "mutated": names[step.kernel].startswith("mutant/"),
            }
            for step, constant in zip(program.steps, program.constant_steps(), strict=True)
        ],
        "results": [_ref(ref) for ref in program.results],
    }


def _baseline_name(workshop: Workshop, func: Any, kernels: Mapping[str, str]) -> str:
    """The file of a kernel that is one of the baseline's, the very object."""
    names = list(workshop.baseline.program.kernels.values())
    number = next(i for i, other in enumerate(names) if other.same_as(func))
    return next(name for name in kernels if name.startswith(f"baseline/{number}."))


def _ref(ref: Any) -> list[Any]:
    if ref.kind in ("input", "step"):
        return [ref.kind, ref.index, ref.output]
    return ["leaf", f"{ref.kind} {ref.index}", 0]


def _kernel(workshop: Workshop, func: Any) -> tuple[str, str]:
    """A kernel as the script takes it: TVM's IR, or the device's own language."""
    if workshop.device.kind == "llvm":
        module = tvm.IRModule({"main": expand_vector_functions(func)})
        return ".json", str(tvm.ir.save_json(module))
    emitted = emitted_by(workshop.device, func, workshop.target)
    assert emitted is not None
    suffix = next(iter(emitted))
    return suffix, emitted[suffix]


def _about(workshop: Workshop) -> dict[str, Any]:
    """What the device of the script is told."""
    kind = workshop.device.kind
    _, _, options = workshop.order.device.partition(":")
    if kind == "llvm":
        return {"device": kind, "target": _plain(workshop.target.export(), without="host")}
    if kind == "c":
        from pytest_mutatenn.devices.specs import pieces

        named = [p.partition("=")[2] for p in pieces(options) if p.startswith("cc=")]
        flags = str(workshop.target.attrs["model"]).split()
        return {"device": kind, "compiler": named[0] if named else "", "flags": flags}
    return {"device": kind, "number": options.strip()}


def _plain(value: Any, without: str = "") -> Any:
    """TVM's containers as Python's."""
    if isinstance(value, str | int | float | bool):
        return value
    if hasattr(value, "items"):
        return {str(k): _plain(v) for k, v in value.items() if str(k) != without}
    return [_plain(item) for item in value]
