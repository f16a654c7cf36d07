"""Measures the time of one inference at O3 against onnxruntime's, and compares the outputs.

    python benchmarks/inference.py --models ../shared/models --light --threads 1,2 --json FILE

Each network and number of threads has a process of its own. In it both programs run in turns, some
runs each, with a pause before each turn, for both keep their threads spinning for a while. A
turn's figure is the median of its runs; a network's, the median over the turns of ours divided by
onnxruntime's. The difference is the largest of any output, over the largest magnitude in it.

``--light`` takes the graphs of full size that come with the onnx package. Their weights are one
constant throughout, so seeded random ones are put in, of a scale that keeps activations near one.
``--steps`` also says where our time goes.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test
import onnxruntime
from onnx import numpy_helper

from pytest_mutatenn.engine.version import cpu_name, package_version

TURNS, REPEATS, PAUSE = 7, 15, 0.06
TURN_SECONDS = 0.5
"""A turn of a slow network has fewer runs than asked for, so that it takes about as long."""
TOLERANCE = 1e-4


def measure(
    models: Sequence[Path], threads: int, repeats: int = REPEATS, *, steps: int = 0
) -> list[dict[str, Any]]:
    """Measure some networks.

    Parameters
    ----------
    models
        ONNX files.
    threads
        Threads of both programs.
    repeats
        Runs a turn.
    steps
        How many of our slowest steps to name.

    Returns
    -------
    list of dict
        For each network: ``model`` (the file's stem), ``threads``, ``seconds_ours`` and
        ``seconds_onnxruntime`` (of one inference), ``ratio``, ``ratios`` (of each turn),
        ``ratio_best`` (of each one's fastest run, which other work on the machine disturbs least),
        ``difference`` (of the outputs, relative), ``seconds_load`` (compilation and weights)
        and ``steps`` (layer, output shape, seconds).
    """
    found = []
    context = multiprocessing.get_context("spawn")
    before = os.environ.get("TVM_NUM_THREADS")
    os.environ["TVM_NUM_THREADS"] = str(threads)
    try:
        for model in models:
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                found.append(pool.submit(_measure, model, threads, repeats, steps).result())
    finally:
        if before is None:
            del os.environ["TVM_NUM_THREADS"]
        else:
            os.environ["TVM_NUM_THREADS"] = before
    return found


def _measure(model: Path, threads: int, repeats: int, steps: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="mutatenn-") as store:
        start = time.perf_counter()
        workshop = _workshop(model, Path(store))
        seconds_load = time.perf_counter() - start
    program = workshop.baseline.program
    random = np.random.default_rng(1)
    arrays = [random.normal(size=spec.shape).astype(spec.dtype) for spec in program.inputs]

    from pytest_mutatenn.devices.host import HOST

    tensors = [HOST.copy(array) for array in arrays]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    feed = {given.name: array for given, array in zip(session.get_inputs(), arrays, strict=True)}

    def ours() -> list[np.ndarray]:
        return list(workshop.run.run(tensors))

    def theirs() -> list[np.ndarray]:
        return list(session.run(None, feed))

    difference = max(_difference(a, b) for a, b in zip(ours(), theirs(), strict=True))
    turns = [(_turn(ours, repeats), _turn(theirs, repeats)) for _ in range(TURNS)]
    ratios = [a[0] / b[0] for a, b in turns]
    slowest = []
    if steps:
        slowest = sorted(_step_seconds(workshop, tensors, repeats), key=lambda s: -s[-1])[:steps]
    return {
        "model": model.stem,
        "threads": threads,
        "seconds_ours": statistics.median(a[0] for a, _ in turns),
        "seconds_onnxruntime": statistics.median(b[0] for _, b in turns),
        "ratio": statistics.median(ratios),
        "ratio_best": min(a[1] for a, _ in turns) / min(b[1] for _, b in turns),
        "ratios": ratios,
        "difference": difference,
        "seconds_load": seconds_load,
        "steps": slowest,
    }


def _workshop(model: Path, store: Path) -> Any:
    """The network compiled by the package's own path, without a sandbox: no mutant is made."""
    from pytest_mutatenn.engine.workshop import Order, Workshop

    shapes = {}
    for given in onnxruntime.InferenceSession(str(model)).get_inputs():
        shapes[given.name] = [e if isinstance(e, int) else 1 for e in given.shape]
    workshop = Workshop(Order(str(model), shapes, "llvm", 3, (), (), (), (), str(store)))
    workshop.load_baseline()
    return workshop


def _step_seconds(workshop: Any, tensors: Sequence[Any], runs: int) -> list[tuple[Any, ...]]:
    """Layer, output shape and median seconds of each of our steps."""
    steps = workshop.baseline.program.steps
    seconds = []
    for _ in range(runs):
        seconds.append([0.0] * len(steps))
        workshop.run.run(tensors, seconds=seconds[-1])
    medians = [statistics.median(run) for run in zip(*seconds, strict=True)]
    return [(s.name, s.outputs[0].shape, m) for s, m in zip(steps, medians, strict=True)]


def _turn(run: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Median and least seconds of a run, after one to warm up."""
    time.sleep(PAUSE)
    start = time.perf_counter()
    run()
    count = max(3, min(repeats, int(TURN_SECONDS / (time.perf_counter() - start))))
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), min(seconds)


def _difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max() / max(float(np.abs(theirs).max()), 1e-30))


def light_models(folder: Path) -> Iterator[Path]:
    """Write the onnx package's light graphs, with random weights, to a folder, one at a time.

    A file is removed when the next is asked for.
    """
    package = Path(onnx.backend.test.__file__).parent
    for source in sorted(package.glob("data/light/*.onnx")):
        path = folder / source.name
        model = with_random_weights(onnx.load(source))
        soften(model, path)
        onnx.save(model, path)
        yield path
        path.unlink()


def with_random_weights(model: onnx.ModelProto, seed: int = 0) -> onnx.ModelProto:
    """Put seeded random weights in the place of every ``ConstantOfShape``.

    Matrices and filters are normal with variance 2 / fan-in (He et al., 2015), so that activations
    keep their scale under ReLU; vectors are uniform in 0.8 to 1.2, for some are variances.
    """
    random = np.random.default_rng(seed)
    graph = model.graph
    given = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes, made = [], []
    for node in graph.node:
        if node.op_type != "ConstantOfShape" or node.input[0] not in given:
            nodes.append(node)
            continue
        shape = tuple(int(extent) for extent in given[node.input[0]])
        if len(shape) < 2:
            values = random.uniform(0.8, 1.2, shape)
        else:
            values = random.normal(0, math.sqrt(2 / math.prod(shape[1:])), shape)
        made.append(numpy_helper.from_array(values.astype(np.float32), node.output[0]))
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used] + made
    weights = {tensor.name for tensor in kept}
    inputs = [i for i in graph.input if i.name in used and i.name not in weights]
    for field, values in ((graph.node, nodes), (graph.initializer, kept), (graph.input, inputs)):
        values = list(values)
        del field[:]
        field.extend(values)
    return model


def soften(model: onnx.ModelProto, scratch: Path) -> None:
    """Scale the last layer so that a final softmax is given numbers of about one.

    With random weights it would have one class at 1 and the others at 0, which hides every error.
    """
    graph = model.graph
    if graph.node[-1].op_type != "Softmax":
        return
    outputs = list(graph.output)
    logits = graph.node[-1].input[0]
    del graph.output[:]
    graph.output.append(onnx.helper.make_tensor_value_info(logits, onnx.TensorProto.FLOAT, None))
    onnx.save(model, scratch)
    del graph.output[:]
    graph.output.extend(outputs)
    session = onnxruntime.InferenceSession(str(scratch), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    image = np.random.default_rng(1).normal(size=given.shape).astype(np.float32)
    (values,) = session.run(None, {given.name: image})
    last = next(n for n in reversed(graph.node) if n.op_type in ("Gemm", "Conv"))
    for tensor in graph.initializer:
        if tensor.name in last.input[1:]:
            scaled = numpy_helper.to_array(tensor) / np.float32(values.std())
            tensor.CopyFrom(numpy_helper.from_array(scaled, tensor.name))


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of positive numbers."""
    return math.exp(statistics.fmean(math.log(value) for value in values))


def table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line for each row, and one for each number of threads."""
    width = max(len(row["model"]) for row in rows)
    yield f"{'model':{width}}  threads   ours ms    ort ms  ratio  (turns)       best  difference"
    for row in rows:
        yield (
            f"{row['model']:{width}}  {row['threads']:7}  {row['seconds_ours'] * 1e3:8.3f}  "
            f"{row['seconds_onnxruntime'] * 1e3:8.3f}  {row['ratio']:5.2f}  "
            f"({min(row['ratios']):.2f}-{max(row['ratios']):.2f})  {row['ratio_best']:5.2f}  "
            f"{row['difference']:.1e}"
            + ("" if row["difference"] <= TOLERANCE else "  outputs differ")
        )
        for name, shape, seconds in row["steps"]:
            yield f"    {seconds * 1e6:9.1f} us  {name} {tuple(shape)}"
    for threads in sorted({row["threads"] for row in rows}):
        ratios = {row["model"]: row["ratio"] for row in rows if row["threads"] == threads}
        worst = max(ratios, key=lambda model: ratios[model])
        yield (
            f"{threads} thread{'s' * (threads > 1)}: geometric mean "
            f"{geometric_mean(list(ratios.values())):.3f}, worst {ratios[worst]:.2f} ({worst})"
        )


def main() -> None:
    """Measure and print; exit with 1 where an output differs by more than the tolerance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, help="folder of ONNX files")
    parser.add_argument("--light", action="store_true", help="also the onnx package's light graphs")
    parser.add_argument("--only", default="", help="only models whose names contain one of these")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="runs a turn")
    parser.add_argument("--steps", type=int, default=0, help="name so many of our slowest steps")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    threads = [int(number) for number in options.threads.split(",")]
    words = options.only.split(",")
    with tempfile.TemporaryDirectory(prefix="mutatenn-") as folder:
        paths = sorted(options.models.glob("*.onnx")) if options.models else []
        light = light_models(Path(folder)) if options.light else iter(())
        for path in (path for source in (paths, light) for path in source):
            if not any(word in path.stem for word in words):
                continue
            for number in threads:
                rows += measure([path], number, options.repeats, steps=options.steps)
                print("\n".join(list(table(rows[-1:]))[1:-1]), flush=True)
    print(f"\n{cpu_name()}, apache-tvm {package_version('apache-tvm')}, llvm-O3\n")
    print("\n".join(table([{**row, "steps": []} for row in rows])))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    if any(not row["difference"] <= TOLERANCE for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
