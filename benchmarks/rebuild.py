"""The whole network rebuilt for every mutant, with nothing of pytest-mutatenn in it.

This is how MutateNN does it, on today's TVM: the stock importer with the parameters bound as
constants, one change to the Relax module or to one PrimFunc, the whole module compiled by a
default pipeline of TVM's (there are two), and every input run through the virtual machine. In its
favour: it is one process, and imports, the first lowering, and the comparison of outputs are not
counted.

Run as a worker: the first request names the ``model`` and the ``inputs``, an .npy of shape
``(n, *shape)``, and the answer has the unmutated network's ``scores`` of the first input; each
further one has a ``seed`` and ``folded``, and the answer is what that mutant took.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tvm
from tvm import relax, tirx
from tvm.relax.expr_functor import PyExprMutator, mutator
from tvm.relax.frontend.onnx import from_onnx
from tvm_ffi.structural import structural_map, structural_walk

from benchmarks.worker import serve

LAYERS = {
    "relax.add": "relax.subtract",
    "relax.subtract": "relax.add",
    "relax.multiply": "relax.add",
    "relax.divide": "relax.multiply",
    "relax.maximum": "relax.minimum",
    "relax.minimum": "relax.maximum",
    "relax.nn.relu": "relax.sigmoid",
}
"""Changes of a layer that have the same arguments and the same type."""


@mutator
class OneLayer(PyExprMutator):  # type: ignore[misc]
    """Another operator in the n-th call that there is one for; counts those calls."""

    def __init__(self, module: Any, wanted: int) -> None:
        super().__init__(module)
        self.wanted, self.seen = wanted, 0

    def visit_call_(self, call: Any) -> Any:
        """Exchange the operator of the wanted call."""
        call = super().visit_call_(call)
        other = LAYERS.get(getattr(call.op, "name", ""))
        if other is None:
            return call
        self.seen += 1
        if self.seen - 1 != self.wanted:
            return call
        return relax.Call(tvm.ir.Op.get(other), call.args)


class Rebuild:
    """A network that is rebuilt for every mutant.

    Parameters
    ----------
    model
        The ONNX file.
    inputs
        Shape ``(n, *shape)``, in the network's dtype.
    """

    def __init__(self, model: Path, inputs: np.ndarray) -> None:
        proto = onnx.load(str(model))
        weights = {tensor.name for tensor in proto.graph.initializer}
        # old files list weights as inputs, too, and the importer would take them for such
        for value in [value for value in proto.graph.input if value.name in weights]:
            proto.graph.input.remove(value)
        imported = from_onnx(proto, keep_params_in_input=False)
        self.module = relax.transform.DecomposeOpsForInference()(imported)
        self.lowered = relax.transform.LegalizeOps()(self.module)
        self.target = tvm.target.Target("llvm")
        self.inputs = [tvm.runtime.tensor(np.ascontiguousarray(sample)) for sample in inputs]
        walk = OneLayer(self.module, -1)
        walk.visit_expr(self.module["main"])
        self.mutants: list[tuple[str, int]] = [("", n) for n in range(walk.seen)]
        for variable, func in self.lowered.functions.items():
            if isinstance(func, tirx.PrimFunc):
                name = variable.name_hint
                self.mutants += [(name, n) for n in range(len(self._products(func)))]
        self.run(None)

    @staticmethod
    def _products(func: Any) -> list[Any]:
        found: list[Any] = []

        def look(node: Any) -> None:
            if "float" in str(node.ty.dtype):
                found.append(node)

        structural_walk(func.body, [(tirx.Mul, look)])
        return found

    def changed(self, mutant: tuple[str, int]) -> Any:
        """The module with one layer exchanged, or with a sum for a product in one PrimFunc."""
        name, number = mutant
        if not name:
            walk = OneLayer(self.module, number)
            walk.builder_.update_func(
                self.module.get_global_var("main"), walk.visit_expr(self.module["main"])
            )
            return walk.builder_.get()
        func = self.lowered[name]
        seen = 0

        def exchange(node: Any) -> Any:
            nonlocal seen
            if "float" not in str(node.ty.dtype):
                return node
            seen += 1
            return tirx.Add(node.a, node.b) if seen - 1 == number else node

        module = tvm.IRModule(dict(self.lowered.functions.items()))
        module[name] = func.with_body(structural_map(func.body, [(tirx.Mul, exchange)]))
        return module

    def run(self, mutant: tuple[str, int] | None, folded: bool = False) -> dict[str, Any]:
        """Change, compile and run the network; ``compile``, ``run`` and ``total`` in seconds.

        ``folded`` takes TVM's default pipeline for the target, which folds constants, as MutateNN's
        opt levels from 2 on do; the pipeline that ``relax.build`` takes by itself does not.
        ``differs`` says whether any output is not what the unmutated network gives.
        """
        start = time.perf_counter()
        module = self.module if mutant is None else self.changed(mutant)
        pipeline = relax.get_default_pipeline(self.target) if folded else "default"
        executable = relax.build(module, target=self.target, relax_pipeline=pipeline)
        machine = relax.VirtualMachine(executable, tvm.cpu())
        built = time.perf_counter()
        results = [machine["main"](sample) for sample in self.inputs]
        done = time.perf_counter()
        outputs = np.stack([(r if hasattr(r, "numpy") else r[0]).numpy() for r in results])
        if mutant is None:
            self.outputs = outputs
        return {
            "mutant": "none" if mutant is None else f"{mutant[0] or 'graph'}#{mutant[1]}",
            "compile": built - start,
            "run": done - built,
            "total": done - start,
            "differs": not np.array_equal(outputs, self.outputs),
            "folded": folded,
        }

    def drawn(self, seed: int) -> tuple[str, int]:
        """One of the mutants, as often of the graph as of a kernel."""
        draw = random.Random(seed)
        graph = [mutant for mutant in self.mutants if not mutant[0]]
        kernel = [mutant for mutant in self.mutants if mutant[0]]
        return draw.choice((graph if seed % 2 else kernel) or self.mutants)


def main() -> None:
    """Answer requests."""
    found: list[Rebuild] = []

    def answer(request: dict[str, Any]) -> Any:
        if "model" in request:
            rebuild = Rebuild(Path(request["model"]), np.load(request["inputs"]))
            found[:] = [rebuild]
            return {"mutants": len(rebuild.mutants), "scores": rebuild.outputs[0].tolist()}
        return found[0].run(found[0].drawn(request["seed"]), request["folded"])

    serve(answer)


if __name__ == "__main__":
    main()
