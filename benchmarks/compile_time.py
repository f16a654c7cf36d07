"""Measures how long the compilation of one kernel takes: what a mutant of it pays.

    python benchmarks/compile_time.py --models ../shared/models --levels 2,3 --json FILE

Every different kernel of every network is scheduled, lowered, looked at for its bounds, generated
and linked, several times; its figure is the median, in milliseconds. ``--cpu`` measures the time of
the processor instead of the clock's, for a machine that has other work to do.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from pytest_mutatenn.compiler.bounds import outside
from pytest_mutatenn.compiler.kernel import generate, ir_digest, to_device_stage
from pytest_mutatenn.compiler.lower import Lowering, baseline_program
from pytest_mutatenn.compiler.passes import OptLevel
from pytest_mutatenn.compiler.schedules import schedule
from pytest_mutatenn.devices.linker import link
from pytest_mutatenn.devices.llvm import Device
from pytest_mutatenn.engine.version import cpu_name, package_version
from pytest_mutatenn.model.onnx_import import import_onnx

STAGES = ("schedule", "lower", "bounds", "code", "link")


def measure(
    models: Sequence[Path],
    levels: Sequence[int],
    repeats: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> list[dict[str, Any]]:
    """Measure the kernels of some networks.

    Parameters
    ----------
    models
        ONNX files.
    levels
        Opt levels.
    repeats
        Compilations of each kernel.
    clock
        What tells the time, in seconds.

    Returns
    -------
    list of dict
        For each kernel: ``model``, ``level``, ``kernel``, ``milliseconds`` in all, and those of
        each of :data:`STAGES`.
    """
    device, found = Device(""), []
    for model in models:
        imported = import_onnx(model)
        for level in levels:
            opt = OptLevel(level)
            target = device.target(fast_math=opt.includes("FastMath"))
            program = baseline_program(Lowering(imported, opt, target))
            kernels = {ir_digest(f, target): (n, f) for n, f in program.kernels.items()}
            for name, func in kernels.values():
                runs = [_compile(func, opt, target, clock) for _ in range(repeats)]
                stages = {
                    stage: statistics.median(run[i] for run in runs) * 1e3
                    for i, stage in enumerate(STAGES)
                }
                total = statistics.median(sum(run) for run in runs) * 1e3
                found.append(
                    {"model": model.stem, "level": level, "kernel": name, "milliseconds": total}
                    | stages
                )
    return found


def _compile(func: Any, opt: OptLevel, target: Any, clock: Callable[[], float]) -> list[float]:
    """Seconds of each stage."""
    times = [clock()]
    scheduled = schedule(func, opt, target)
    times.append(clock())
    lowered = to_device_stage(scheduled, target)
    times.append(clock())
    outside(lowered)
    times.append(clock())
    with tempfile.TemporaryDirectory(prefix="mutatenn-") as scratch:
        path = Path(scratch, "kernel.o")
        generate(lowered, target).write_to_file(str(path), "o")
        code = path.read_bytes()
        times.append(clock())
        link(code, Path(scratch))
        times.append(clock())
    return [after - before for before, after in pairwise(times)]


def _processor_seconds() -> float:
    kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


def table(rows: Sequence[dict[str, Any]], slowest: int) -> Iterator[str]:
    """The slowest kernels, then a line for each level and one for all."""
    for row in sorted(rows, key=lambda r: -r["milliseconds"])[:slowest]:
        stages = ", ".join(f"{stage} {row[stage]:.0f}" for stage in STAGES)
        name = f"{row['model']} O{row['level']} {row['kernel']}"
        yield f"{row['milliseconds']:6.0f} ms  {name} ({stages})"
    for level in [*sorted({row["level"] for row in rows}), None]:
        chosen = [row for row in rows if level in (row["level"], None)]
        times = sorted(row["milliseconds"] for row in chosen)
        stages = ", ".join(
            f"{stage} {statistics.median(row[stage] for row in chosen):.0f}" for stage in STAGES
        )
        yield (
            f"{'all' if level is None else f'O{level}'}: {len(times)} kernels, median "
            f"{statistics.median(times):.0f} ms, 95 % within "
            f"{times[min(len(times) - 1, int(0.95 * len(times)))]:.0f} ms ({stages})"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="folder of ONNX files")
    parser.add_argument("--only", default="", help="only models whose names contain one of these")
    parser.add_argument("--levels", default="2,3")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--slowest", type=int, default=12, help="kernels to name")
    parser.add_argument("--cpu", action="store_true", help="the processor's time, not the clock's")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    words = options.only.split(",")
    paths = sorted(options.models.glob("*.onnx"))
    paths = [path for path in paths if any(word in path.stem for word in words)]
    levels = [int(level) for level in options.levels.split(",")]
    clock = _processor_seconds if options.cpu else time.perf_counter
    rows = measure(paths, levels, options.repeats, clock)
    print(f"{cpu_name()}, apache-tvm {package_version('apache-tvm')}")
    print("\n".join(table(rows, options.slowest)))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
