"""The folder that reproduces one mutant alone: files, expectations, and a script to run them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.report import export_scripts
from pytest_mutatenn.report.artefacts import safe_name, write_json

__all__ = ["EXPECTED", "Exported", "export_name", "write_export"]

EXPECTED = "expected.json"

_SCRIPTS = Path(export_scripts.__file__).parent
_NEEDS = {
    "llvm": "Python, apache-tvm and NumPy; with a linker (`ld`, or a C compiler) code is loaded as "
    "it was when the mutant was tested",
    "c": "Python, apache-tvm, NumPy and a C compiler",
    "opencl": "Python, NumPy, pyopencl and a driver of OpenCL: apache-tvm's package has no OpenCL "
    "runtime, so that the device's source is here as TVM generated it",
}
_README = """\
# {mutant}

A mutant of the network `{model}`, as pytest-mutatenn made it for {cell}, and all that it takes to
run it alone. `python run.py` compiles the unmutated network and the mutant, runs both on all
{count} inputs, and prints the best class of each beside the one that the report has. It exits with
0 where they are the same and with 1 where one differs. pytest-mutatenn is not needed, and no
ONNX file.

It needs {needs}. Tried with apache-tvm {tvm}.

    before  {before}
    after   {after}

When it was tested: {verdict}{reason}.

| file | is |
|---|---|
| {scripts} | the scripts |
| `program.json` | the steps of both networks, and what the kernels are compiled for |
| `kernels/baseline`, `kernels/mutant` | the kernels{kernels}; those of the mutant's own |
| `params.npz`, `changed.npz` | the weights and literals; those that the mutant has instead |
| `inputs.npz` | the inputs |
| `expected.json` | the report's best classes, and how the mutant ended |
| `read/before`, `read/after` | what changes, to be read: Relax, TIR and generated code |

The opt level's passes, the schedule and the mutation are in the kernels already.{notes}
"""
_KERNELS = {
    "llvm": " as TVM's IR, serialised by `tvm.ir.save_json`, after all passes but the last on TIR",
    "c": " as C",
    "opencl": " as OpenCL C; the first line says what is launched",
}
_UNDEFINED = """

This mutant reaches outside a buffer ({undefined}). What lies there is NaN here, as it was when it
was tested; what else it may meet (the stack, another driver's memory) need not be the same."""


@dataclass(frozen=True)
class Exported:
    """A mutant to be written.

    Attributes
    ----------
    about
        ``mutant``, ``model``, ``cell``, ``verdict``, ``before``, ``after``, ``tvm``,
        ``undefined``.
    program, arrays
        What :func:`pytest_mutatenn.engine.exporting.export` gave, and with it ``output`` (which is
        the classification), ``batch`` and ``memory`` (bytes it may take).
    inputs
        The inputs, in the network's order.
    expected
        ``names``, ``top1`` by role and input, ``outcome``, ``reason``, ``seconds``, ``code``.
    reading
        File -> text, below ``read``.
    """

    about: Mapping[str, str]
    program: Mapping[str, Any]
    arrays: Mapping[str, Any]
    inputs: Sequence[Any]
    expected: Mapping[str, Any]
    reading: Mapping[str, bytes]


def write_export(exported: Exported, folder: Path) -> None:
    """Write the folder; what an earlier export has left there goes.

    Raises
    ------
    MutatennError
        If it cannot be written, or holds something else.
    """
    try:
        if folder.is_dir() and any(folder.iterdir()):
            if not (folder / EXPECTED).is_file():
                raise MutatennError(
                    f"{folder} is not empty, and holds no exported mutant; name another folder."
                )
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        _write(exported, folder)
    except OSError as error:
        raise MutatennError(f"{folder} cannot be written: {error.strerror or error}.") from error


def _write(exported: Exported, folder: Path) -> None:
    import numpy as np

    program = dict(exported.program)
    kernels = program.pop("kernels")
    for name, text in kernels.items():
        path = folder / "kernels" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name, content in exported.reading.items():
        path = folder / "read" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    changed = {
        name.removeprefix("changed "): array
        for name, array in exported.arrays.items()
        if name.startswith("changed ")
    }
    own = {name: a for name, a in exported.arrays.items() if not name.startswith("changed ")}
    np.savez(folder / "params.npz", **own)
    np.savez(folder / "changed.npz", **changed)
    named = {f"input {i}": array for i, array in enumerate(exported.inputs)}
    np.savez_compressed(folder / "inputs.npz", **named)
    write_json(folder / "program.json", {**program, "kernels": sorted(kernels)})
    write_json(folder / EXPECTED, {**exported.about, **exported.expected})
    device = program["device"]
    for name, script in _files(device).items():
        shutil.copyfile(_SCRIPTS / script, folder / name)
    (folder / "README.md").write_text(_readme(exported, device), encoding="utf-8")


def _files(device: str) -> dict[str, str]:
    """What each script is called in the folder, and here."""
    of_cpus = {} if device == "opencl" else {"memory.py": "memory.py"}
    return {"run.py": "run.py", "device.py": f"{device}.py", **of_cpus}


def _readme(exported: Exported, device: str) -> str:
    about = exported.about
    notes = ""
    if about["undefined"]:
        notes = _UNDEFINED.format(undefined=about["undefined"])
    return _README.format(
        **{name: about[name] for name in ("mutant", "model", "cell", "tvm", "verdict")},
        before=about["before"],
        after=about["after"],
        reason=f" ({exported.expected['reason']})" if exported.expected["reason"] else "",
        count=len(exported.expected["names"]),
        needs=_NEEDS[device],
        scripts=", ".join(f"`{name}`" for name in _files(device)),
        kernels=_KERNELS[device],
        notes=notes,
    )


def export_name(mutant: str, cell: str) -> str:
    """What the folder of a mutant in a cell is called, whether its id names the cell or not."""
    return safe_name(mutant if mutant.endswith(f"@{cell}") else f"{mutant}@{cell}")
