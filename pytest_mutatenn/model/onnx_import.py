"""From an ONNX file to a Relax module: one straight ``main``, every binding named by its layer.

Imports TVM: only child processes import this module.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import onnx_frontend

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.model.converters import CONVERTERS, PADDED, explicit_pads
from pytest_mutatenn.model.onnx_graph import Node, Prepared, TensorSpec, is_weight, prepare
from pytest_mutatenn.model.straighten import Layer, straighten

__all__ = ["ImportedModel", "Layer", "TensorSpec", "import_onnx"]

_WAY_OUT = (
    "mutatenn tests what TVM compiles: export the network without it, or at another opset; onnxsim"
    " often folds such nodes away"
)

# TVM's printer puts this into the middle of its messages
_NOISE = "# Metadata omitted. Use show_meta=True in script() method to show it."


@dataclass(frozen=True)
class ImportedModel:
    """A network in Relax, before any optimisation.

    Attributes
    ----------
    module
        Its ``main`` takes the inputs, then the weights, and is one dataflow block; beside it only
        the kernels of operators that Relax has no name for.
    params
        The weights, in the order of ``main``'s parameters after the inputs.
    param_names
        Their ONNX names.
    inputs, outputs
        The network's tensors, by their ONNX names.
    layers
        Every binding of ``main``, in order.
    """

    module: tvm.IRModule
    params: tuple[np.ndarray, ...]
    param_names: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    layers: tuple[Layer, ...]


def import_onnx(path: Path, *, shapes: Mapping[str, Sequence[int]] | None = None) -> ImportedModel:
    """Import an ONNX file.

    Parameters
    ----------
    path
        The ``.onnx`` file; its external data beside it.
    shapes
        Input name to shape, where the file leaves a dimension other than the batch open. An open
        first dimension is the batch and becomes 1.

    Returns
    -------
    ImportedModel

    Raises
    ------
    MutatennError
        The file is damaged, a dimension is open, or TVM cannot import an operator.
    """
    path = Path(path)
    prepared = prepare(path, shapes or {})
    with _quiet():
        importer = _Importer(prepared, path.name)
        module = importer.run()
        straight = straighten(module, importer.owners, prepared, path.name)
    tensors = importer.tensors
    return ImportedModel(
        module=straight.module,
        params=tuple(tensors[name] for name in straight.params),
        param_names=tuple(prepared.names[name] for name in straight.params),
        inputs=prepared.inputs,
        outputs=straight.outputs,
        layers=straight.layers,
    )


class _Importer(onnx_frontend.ONNXGraphImporter):
    """TVM's importer, one node at a time, with converters of our own before TVM's."""

    def __init__(self, prepared: Prepared, file: str) -> None:
        super().__init__({}, None, keep_params_in_input=True, sanitize=False)
        self.owners: dict[Any, Node] = {}
        self._prepared = prepared
        self._file = file

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        """Identifier to value, of every weight."""
        return {name: tensor.numpy() for name, (_, tensor) in self._params.items()}

    def run(self) -> tvm.IRModule:
        """Import the graph."""
        try:
            return self.from_onnx(self._prepared.graph, self._prepared.opset)
        except Exception as error:
            # TVM warns on the terminal of a builder that is destroyed with open blocks
            with contextlib.suppress(Exception):
                for _ in range(4):
                    self.bb._end_block()
            if isinstance(error, MutatennError):
                raise
            raise MutatennError(
                f"{self._file}: TVM cannot import it: {_last_line(error)}; onnx.checker may know"
                " more; export it again"
            ) from error

    def _parse_graph_initializers(self, graph: onnx.GraphProto) -> None:
        for proto in graph.initializer:
            try:
                array = onnx.numpy_helper.to_array(proto)
            except Exception as error:
                name = self._prepared.names[proto.name]
                raise MutatennError(
                    f"{self._file}: the initialiser {name!r} is damaged ({_last_line(error)});"
                    " export or download the file again"
                ) from error
            if is_weight(array):
                tensor = tvm.runtime.tensor(array)
                var = self._new_var(proto.name, shape=tensor.shape, dtype=tensor.dtype)
                self._nodes[proto.name] = var
                self._params[proto.name] = (var, tensor)
            else:
                self._nodes[proto.name] = relax.const(array, array.dtype.name)

    def _check_for_unsupported_ops(self, graph: onnx.GraphProto) -> None:
        known = onnx_frontend._get_convert_map()
        for node in self._prepared.nodes:
            if node.op not in known:
                raise MutatennError(f"{self._file}: TVM cannot import {node}; {_WAY_OUT}")

    def _construct_nodes(self, graph: onnx.GraphProto) -> None:
        for proto, node in zip(graph.node, self._prepared.nodes, strict=True):
            try:
                super()._construct_nodes(SimpleNamespace(node=[proto]))
            except Exception as error:
                raise MutatennError(
                    f"{self._file}: TVM cannot import {node}: {_last_line(error)}; {_WAY_OUT}"
                ) from error
            for output in proto.output:
                value = self._nodes.get(output)
                if isinstance(value, relax.Var):
                    self.owners.setdefault(value, node)

    def _convert_operator(
        self, op_name: str, inputs: Any, attrs: dict[str, Any], opset: int
    ) -> Any:
        if op_name in PADDED:
            explicit_pads(inputs, attrs)
        own = CONVERTERS.get(op_name)
        value = own(self.bb, inputs, attrs, self._params) if own is not None else None
        if value is None:
            value = self._convert_by_tvm(op_name, inputs, attrs, opset)
        if not isinstance(value, relax.Call):
            return value
        value = self.bb.normalize(value)
        if isinstance(value.ty, relax.TensorType):
            # bound once here: TVM would repeat the expression in each node that reads it
            value = self.bb.emit(value)
        return value

    def _convert_by_tvm(self, op_name: str, inputs: Any, attrs: dict[str, Any], opset: int) -> Any:
        try:
            return super()._convert_operator(op_name, inputs, dict(attrs), opset)
        except Exception:
            # some converters want the values of what we hand them as weights (scales, pads)
            plain = onnx_frontend.onnx_input(self._value(one) for one in inputs)
            if all(a is b for a, b in zip(plain, inputs, strict=True)):
                raise
            return super()._convert_operator(op_name, plain, dict(attrs), opset)

    def _value(self, expr: Any) -> Any:
        if isinstance(expr, relax.Var) and expr.name in self._params:
            return relax.const(self._params[expr.name][1])
        return expr


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep TVM's prints and warnings about names and shapes from the user's terminal."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _last_line(error: BaseException) -> str:
    said = str(error).replace(_NOISE, "")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    text = lines[-1][:300].rstrip(".") if lines else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
