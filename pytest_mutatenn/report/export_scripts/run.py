"""Run the mutant in this folder, and the network that it was made of, on all inputs.

    python run.py

For each input it prints the best class that the unmutated network and the mutant give, and the one
that the report has (-1 where an output is NaN). It exits with 0 where they are the same, with 1
where one differs, and with 2 where this machine lacks what it needs: apache-tvm and NumPy, and
for some devices what README.md says.
"""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
COMPILING = 600.0  # seconds
os.environ.setdefault("TVM_NUM_THREADS", "1")


def main() -> int:
    """Run a child, and compare."""
    expected = json.loads((HERE / "expected.json").read_text())
    print(f"{expected['mutant']} in {expected['cell']}: {expected['verdict']}")
    if expected["outcome"]:
        print(
            f"In the report it gave no answer ({expected['outcome']}: {expected['reason']}). It is "
            f"run all the same, in a child that has {expected['seconds']:.0f} s."
        )
    answers, ended, lacking = run_child(expected["seconds"])
    if lacking:
        print(f"This machine lacks {lacking}.")
        return 2
    names = expected["names"]
    print(f"{'input':>6}  {'unmutated':>9}  {'mutant':>6}  {'report':>6}")
    wrong = 0
    for i, name in enumerate(names):
        ours = [answers[role].get(i) for role in ("baseline", "mutant")]
        theirs = [expected["top1"][role].get(str(i)) for role in ("baseline", "mutant")]
        same = ours == theirs
        wrong += not same
        shown = ["" if value is None else value for value in (*ours, theirs[1])]
        told = "" if same else f"  differs; unmutated, the report has {theirs[0]}"
        label = "" if name == str(i) else f"  {name}"
        print(f"{i:>6}  {shown[0]:>9}  {shown[1]:>6}  {shown[2]:>6}{label}{told}")
    if ended:
        print(f"the mutant gave no more answers: {ended}")
    if bool(ended) != bool(expected["outcome"]):
        wrong += 1
        print("which is not what the report has" if ended else "the report has no such answers")
    print("as in the report" if not wrong else "not as in the report")
    return 1 if wrong else 0


def run_child(seconds: float) -> tuple[dict[str, dict[int, int]], str, str]:
    """Run both in a process of their own.

    Gives the best class of each input by role, how the mutant ended where it gave no answer, and
    what this machine lacks.
    """
    command = [sys.executable, "-u", str(HERE / "run.py"), "--child"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=HERE)
    assert child.stdout is not None
    answers: dict[str, dict[int, int]] = {"baseline": {}, "mutant": {}}
    deadline, late, complete = time.monotonic() + COMPILING, False, False
    waiting, lacking = b"", ""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([child.stdout], [], [], left)[0]:
            late = True
            child.kill()
            break
        data = os.read(child.stdout.fileno(), 1 << 16)
        if not data:
            break
        *lines, waiting = (waiting + data).split(b"\n")
        for line in lines:
            told = json.loads(line)
            if told["what"] == "ready":
                deadline = time.monotonic() + seconds
            elif told["what"] == "done":
                complete = True
            elif told["what"] == "lacks":
                lacking = told["reason"]
            else:
                answers[told["what"]].update({int(k): v for k, v in told["top1"].items()})
    code = child.wait()
    if late:
        return answers, f"none in {seconds:.0f} s", ""
    return answers, "" if complete and not code else f"its process ended with {code}", lacking


def child() -> None:
    """Build both, run both, and print what they give as it comes."""
    try:
        import device
        import numpy as np

        lacking = device.missing()
    except ImportError as error:
        lacking = f"a package: {error}"
    if lacking:
        print(json.dumps({"what": "lacks", "reason": lacking}), flush=True)
        return
    program = json.loads((HERE / "program.json").read_text())
    inputs = np.load(HERE / "inputs.npz")
    weights = dict(np.load(HERE / "params.npz"))
    changed = {**weights, **dict(np.load(HERE / "changed.npz"))}
    with tempfile.TemporaryDirectory() as scratch:
        there = device.Device(program, Path(scratch))
        kernels: dict[str, Any] = {}
        for name in program["kernels"]:
            kernels[name] = there.load(HERE / "kernels" / name)
        runs = {
            role: Network(there, program, program[role], tensors, kernels)
            for role, tensors in (("baseline", weights), ("mutant", changed))
        }
        arrays = [inputs[f"input {i}"] for i in range(len(program["inputs"]))]
        for role, network in runs.items():
            if role == "mutant":
                limit_memory(program["memory"])
                tell("ready", {})
            for number in range(len(arrays[0])):
                scores = network([array[number] for array in arrays])
                batch = program["batch"]
                best = best_classes(np.asarray(scores, np.float32).reshape(batch, -1))
                tell(role, {number * batch + i: int(found) for i, found in enumerate(best)})
        tell("done", {})
        sys.stdout.flush()
        # what a mutant has done to this process is not to be met on its way out
        os._exit(0)


def tell(what: str, top1: dict[int, int]) -> None:
    """Print a line for the parent."""
    print(json.dumps({"what": what, "top1": top1}), flush=True)


def best_classes(scores: Any) -> Any:
    """Best class of each row, -1 where there is a NaN in it."""
    import numpy as np

    best = scores.argmax(axis=1)
    best[np.isnan(scores).any(axis=1)] = -1
    return best


def limit_memory(size: int) -> None:
    """Let this process have so many bytes more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + size
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


class Network:
    """A line of steps, each a kernel applied to tensors."""

    def __init__(
        self,
        device: Any,
        program: dict[str, Any],
        part: dict[str, Any],
        weights: dict[str, Any],
        kernels: dict[str, Any],
    ) -> None:
        self.steps, self.results, self.kernels = part["steps"], part["results"], kernels
        self.leaves = {}
        for name, array in weights.items():
            self.leaves[name] = device.slot(array.shape, str(array.dtype))
            self.leaves[name].array[...] = array
            self.leaves[name].push()
        self.inputs = [device.slot(tuple(s["shape"]), s["dtype"]) for s in program["inputs"]]
        self.made = [
            [device.slot(tuple(shape), dtype) for shape, dtype in step["outputs"]]
            for step in self.steps
        ]
        self.first = True
        self.output = program["output"]

    def tensor(self, ref: list[Any]) -> Any:
        """The tensor that a step reads."""
        kind, index, output = ref
        if kind == "input":
            return self.inputs[index]
        return self.made[index][output] if kind == "step" else self.leaves[index]

    def __call__(self, arrays: list[Any]) -> Any:
        """Run on one input; give the output that is the classification."""
        for slot, array in zip(self.inputs, arrays, strict=True):
            slot.array[...] = array
            slot.push()
        for step, made in zip(self.steps, self.made, strict=True):
            # what depends on weights alone is computed once
            if step["constant"] and not self.first:
                continue
            if step["mutated"]:
                for slot in made:
                    slot.poison()
            read = [self.tensor(ref) for ref in step["args"]]
            self.kernels[step["kernel"]](*(slot.tensor for slot in (*read, *made)))
        self.first = False
        found = self.tensor(self.results[self.output])
        found.pull()
        return found.array


if __name__ == "__main__":
    if "--child" in sys.argv:
        child()
    else:
        sys.exit(main())
