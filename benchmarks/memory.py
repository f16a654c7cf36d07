"""Part memory: the most that all of pytest's processes hold together, with many large inputs.

What counts is the sum of the proportional set sizes (PSS) of pytest's process and all below it:
pages that several share count once. It must not grow with the number of mutants. Memory that no
process maps is not in it.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import (
    NETWORKS,
    Bench,
    BenchmarkError,
    Line,
    Result,
    environment,
    has_module,
    varied,
)
from benchmarks.runs import Project, Run

NETWORK = "coral_mobilenetv2_100_224"
SIDE = 224
TARGET_GB = 2.0


def run(bench: Bench, result: Result) -> None:
    """Measure."""
    if not has_module("PIL"):
        raise BenchmarkError("it needs Pillow: pip install '.[images]'")
    settings = {
        "network": NETWORK,
        "inputs": bench.pick(1000, 30),
        "mutants": list(bench.pick((10, 60), (2, 6))),
        "samples a second": 15,
    }
    result.settings.update(settings)
    pictures = bench.folder("pictures")
    write_pictures(bench.place("{images}/photos"), pictures, settings["inputs"])
    project = Project(bench, NETWORKS[NETWORK], inputs=pictures)
    peaks = []
    for mutants in settings["mutants"]:
        bench.say(f"memory: {mutants} mutants on {settings['inputs']} inputs")
        done, peak = watched(project, f"--mutatenn-sample={mutants}", settings["samples a second"])
        peaks.append(peak["bytes"] / 1e9)
        result.samples.append({"mutants": mutants, "peak": peak, **done.summary()})
        what = f"{mutants} mutants, {done.executed()} run: most, all processes together"
        result.lines += [
            Line(what, peaks[-1], "GB", None if bench.quick else TARGET_GB),
            Line(f"{mutants} mutants: of that pytest's own process", peak["pytest"] / 1e9, "GB"),
        ]
    result.lines.append(
        # a tenth is left for where the samples happen to fall
        Line("more mutants / few mutants", peaks[-1] / peaks[0], "x", 1.1)
    )


def write_pictures(photos: Path, folder: Path, count: int) -> None:
    """So many pictures as files, since a folder is read one picture at a time.

    An array of them would be in memory as it is read, and once more as the network takes it.
    """
    from PIL import Image

    files = sorted(photos.glob("*.jpg"))
    small = [np.asarray(Image.open(file).convert("RGB").resize((SIDE, SIDE))) for file in files]
    array = np.stack(small)[:, None]
    for number, picture in enumerate(varied(array, count, (1, SIDE, SIDE, 3))):
        Image.fromarray(picture[0]).save(folder / f"{number:05}.png", compress_level=1)


def watched(project: Project, option: str, rate: float) -> tuple[Run, dict[str, Any]]:
    """Run pytest with an empty store, and look at its memory all the while.

    Returns
    -------
    run, peak
        ``peak`` has the ``bytes`` of the largest sum, when it was in ``seconds``, what ``pytest``
        itself held then and what each of the ``others`` did, and the number of ``samples``.
    """
    store = project.store()
    written = project.folder / "report.json"
    written.unlink(missing_ok=True)
    command = project.command(store, f"--mutatenn-report=json:{written}", option)
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=project.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak: dict[str, Any] = {"bytes": 0, "seconds": 0.0, "pytest": 0, "others": [], "samples": 0}
    over = threading.Event()

    def look() -> None:
        while not over.wait(1 / rate):
            held = {pid: pss(pid) for pid in tree(process.pid)}
            peak["samples"] += 1
            total = sum(held.values())
            if total > peak["bytes"]:
                peak["bytes"] = total
                peak["seconds"] = time.perf_counter() - start
                peak["pytest"] = held.pop(process.pid)
                peak["others"] = sorted(held.values(), reverse=True)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        output, errors = process.communicate()
    finally:
        over.set()
        watcher.join()
        if process.poll() is None:
            process.kill()
            process.wait()
    seconds = time.perf_counter() - start
    return project.finished(seconds, process.returncode, output, errors), peak


def tree(root: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, list[int]] = {}
    for pid, parent in _parents():
        parents.setdefault(parent, []).append(pid)
    found, ahead = [], [root]
    while ahead:
        pid = ahead.pop()
        found.append(pid)
        ahead.extend(parents.get(pid, ()))
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                # the name, in parentheses, may hold anything
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                yield int(folder.name), int(fields[1])


def pss(pid: int) -> int:
    """Proportional set size of a process in bytes; 0 once it is gone."""
    with contextlib.suppress(OSError):
        for line in Path("/proc", str(pid), "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
