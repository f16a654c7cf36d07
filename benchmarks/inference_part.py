"""Part inference: what :mod:`benchmarks.inference` measures, as lines of the table."""

from __future__ import annotations

import tempfile
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks import inference
from benchmarks.common import Bench, Line, Result

MEAN, WORST = 1.15, 1.5


def run(bench: Bench, result: Result) -> None:
    """Measure every network of the folder, and the onnx package's light graphs."""
    threads = bench.pick([1, 2], [1])
    settings = {"threads": list(threads), "repeats": bench.pick(inference.REPEATS, 3)}
    result.settings.update(settings)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="mutatenn-") as scratch:
        light = iter(()) if bench.quick else inference.light_models(Path(scratch))
        # a light graph lies there only until the next is asked for
        for model in chain(sorted(bench.models.glob("*.onnx")), light):
            for count in settings["threads"]:
                bench.say(f"inference: {model.stem}, {count} thread{'s' * (count > 1)}")
                (row,) = inference.measure([model], count, settings["repeats"])
                rows.append(row)
                result.samples.append(row)
    for row in rows:
        name = f"{row['model']}, {row['threads']} thread{'s' * (row['threads'] > 1)}"
        result.lines += [
            Line(f"{name}: ours / onnxruntime", row["ratio"], "x"),
            Line(f"{name}: ours", row["seconds_ours"] * 1000, "ms"),
        ]
    for count in settings["threads"]:
        ratios = [row["ratio"] for row in rows if row["threads"] == count]
        what = f"{len(ratios)} networks, {count} thread{'s' * (count > 1)}"
        result.lines += [
            Line(f"{what}: geometric mean", inference.geometric_mean(ratios), "x", MEAN),
            Line(f"{what}: worst", max(ratios), "x", WORST),
        ]
    differences = [row["difference"] for row in rows]
    result.lines.append(
        Line("largest difference of an output", max(differences), "", inference.TOLERANCE)
    )
