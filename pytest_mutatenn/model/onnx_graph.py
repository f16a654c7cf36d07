"""An ONNX file made ready for TVM: checked, shapes pinned, constants gathered, names made plain.

Imports ONNX, no TVM.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx.external_data_helper
import onnx.inliner
import onnx.numpy_helper

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.model.source import external_files
from pytest_mutatenn.model.spec import nearest

_DEFAULT_DOMAINS = ("", "ai.onnx")

# TVM prints tensor names into C and OpenCL C as they are, where these mean something else
_RESERVED = re.compile(
    r"auto|bool|break|case|char|const|constant|continue|default|do|double|else|enum|extern|float|for"
    r"|global|goto|half|if|image|inline|int|kernel|local|long|main|private|register|restrict|return"
    r"|short|signed|sizeof|static|struct|switch|typedef|uchar|uint|ulong|union|unsigned|ushort|void"
    r"|volatile|while|(a?(sin|cos|tan)h?|atan2|exp|exp2|exp10|log|log2|log10|log1p|sqrt|rsqrt|pow"
    r"|f?abs|fmod|erf|ceil|floor|round|trunc|nearbyint|rint|f?min|f?max|copysign|hypot|ldexp"
    r"|select)f?"
)


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that goes into or comes out of a network.

    Attributes
    ----------
    name
        Its ONNX name.
    shape
        All dimensions, the batch's too.
    dtype
        NumPy's name of the type, ``"float32"``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Node:
    """An ONNX node as its file calls it: ``/features/conv/Conv``, or its first output's name."""

    name: str
    op: str

    def __str__(self) -> str:
        return f"{self.op} (node {self.name!r})"


@dataclass(frozen=True)
class Prepared:
    """A graph that TVM can read.

    Attributes
    ----------
    graph
        Only live nodes, no Constant nodes, every name an identifier.
    opset
        Version of the default operator set.
    names
        Identifier to ONNX name, of every tensor.
    nodes
        What the file calls ``graph.node[i]``.
    inputs
        The network's inputs, in order, their shapes pinned.
    outputs
        ONNX names of the outputs, in order.
    """

    graph: onnx.GraphProto
    opset: int
    names: Mapping[str, str]
    nodes: tuple[Node, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]


def prepare(path: Path, shapes: Mapping[str, Sequence[int]]) -> Prepared:
    """Read an ONNX file and rewrite its graph so that TVM's importer gives plain layers.

    Raises
    ------
    MutatennError
        The file cannot be read, an input's shape stays open, or a node needs what is not there.
    """
    model = load(path)
    graph = model.graph
    if model.functions:
        graph = onnx.inliner.inline_local_functions(model).graph
    if not graph.node:
        raise MutatennError(
            f"{path.name}: the graph has no nodes, so there is nothing to mutate; export it again"
        )
    _strip_initialisers_from_inputs(graph)
    _keep_live_nodes(graph)
    _check_defined(graph, path.name)
    _constants_to_initialisers(graph, path.name)
    inputs = _pin_inputs(graph, shapes, path.name)
    outputs = tuple(one.name for one in graph.output)
    nodes = tuple(Node(node.name or node.output[0], node.op_type) for node in graph.node)
    names = _rename(graph)
    return Prepared(graph, _opset(model), names, nodes, inputs, outputs)


def input_specs(path: Path, shapes: Mapping[str, Sequence[int]]) -> tuple[TensorSpec, ...]:
    """The inputs that a network has once all shapes are given, as :func:`prepare` pins them.

    Raises
    ------
    MutatennError
        The file cannot be read, or an input's shape stays open.
    """
    graph = load(path).graph
    _strip_initialisers_from_inputs(graph)
    return _pin_inputs(graph, shapes, path.name)


def load(path: Path) -> onnx.ModelProto:
    """Read an ONNX file with its external data.

    Raises
    ------
    MutatennError
        It is not there, truncated, no ONNX file, or its external data are missing or elsewhere.
    """
    again = "; export or download it again"
    try:
        # the format given: onnx would otherwise guess another one from an unusual suffix
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except FileNotFoundError as error:
        raise MutatennError(f"{path}: there is no such file") from error
    except OSError as error:
        raise MutatennError(f"{path}: cannot read it, {error.strerror or error}") from error
    except Exception as error:  # protobuf's DecodeError, whichever implementation it has
        raise MutatennError(
            f"{path.name}: not an ONNX file, or a truncated one ({path.stat().st_size} bytes)"
            + again
        ) from error
    if not model.HasField("graph") or (not model.ir_version and not model.opset_import):
        raise MutatennError(f"{path.name}: not an ONNX file, it holds no graph" + again)
    files = external_files(model, folder=path.parent, file=path.name)
    if files:
        try:
            onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
        except Exception as error:
            what = str(error).strip().splitlines() or [type(error).__name__]
            listed = ", ".join(one.name for one in files)
            raise MutatennError(
                f"{path.name}: cannot read its external data ({listed}): {what[0][:200]}" + again
            ) from error
    return model


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """Give every name an identifier of its own, in C, OpenCL C and Python.

    Returns
    -------
    dict
        Name to identifier; a name that is one already keeps it, where no earlier one has it.
    """
    given: dict[str, str] = {}
    used: set[str] = set()
    for name in names:
        if name in given:
            continue
        stem = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "tensor"
        if stem[0].isdigit():
            stem = f"t_{stem}"
        if keyword.iskeyword(stem) or _RESERVED.fullmatch(stem):
            stem += "_"
        unique, count = stem, 0
        while unique in used:
            count += 1
            unique = f"{stem}_{count}"
        used.add(unique)
        given[name] = unique
    return given


def is_weight(array: np.ndarray) -> bool:
    """Whether an initialiser is a weight, a parameter of the network.

    Shapes, axes, indices and single numbers (a bound, a divisor) are constants of the program.
    """
    floating = array.dtype.kind == "f" or "float" in array.dtype.name
    quantised = array.dtype.itemsize == 1 and array.dtype.kind in "iu" and array.ndim >= 2
    return (floating and array.ndim >= 1) or quantised


def _opset(model: onnx.ModelProto) -> int:
    return next((o.version for o in model.opset_import if o.domain in _DEFAULT_DOMAINS), 1)


def _strip_initialisers_from_inputs(graph: onnx.GraphProto) -> None:
    """Files of IR version 3 list every initialiser as an input too; TVM would import it twice."""
    known = {one.name for one in graph.initializer}
    keep = [one for one in graph.input if one.name not in known]
    del graph.input[:]
    graph.input.extend(keep)


def _keep_live_nodes(graph: onnx.GraphProto) -> None:
    needed = {one.name for one in graph.output}
    live = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            live.append(node)
            needed.update(node.input)
    keep = live[::-1]
    del graph.node[:]
    graph.node.extend(keep)


def _check_defined(graph: onnx.GraphProto, file: str) -> None:
    known = {"", *(one.name for one in graph.input), *(one.name for one in graph.initializer)}
    for node in graph.node:
        label = Node(node.name or node.output[0], node.op_type)
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            raise MutatennError(
                f"{file}: {label} holds a graph of its own, and control flow cannot be mutated;"
                " export the network with fixed shapes and without branches and loops (onnxsim"
                " folds those whose condition is a constant)"
            )
        for name in node.input:
            if name not in known:
                raise MutatennError(
                    f"{file}: {label} reads {name!r}, which nothing before it gives; the file is"
                    " damaged or its nodes are out of order, export it again"
                )
        known.update(node.output)
    for one in graph.output:
        if one.name not in known:
            raise MutatennError(f"{file}: nothing gives the output {one.name!r}; export it again")


def _constants_to_initialisers(graph: onnx.GraphProto, file: str) -> None:
    """Make every Constant node an initialiser: exporters use either for the same thing."""
    keep = []
    for node in graph.node:
        if node.op_type != "Constant" or node.domain not in _DEFAULT_DOMAINS:
            keep.append(node)
            continue
        array = _constant(node)
        if array is None:
            raise MutatennError(
                f"{file}: Constant (node {node.name or node.output[0]!r}) is no dense numeric"
                " tensor, which TVM cannot hold; export the network without it"
            )
        graph.initializer.append(onnx.numpy_helper.from_array(array, node.output[0]))
    del graph.node[:]
    graph.node.extend(keep)


def _constant(node: onnx.NodeProto) -> np.ndarray | None:
    for attribute in node.attribute:
        match attribute.name:
            case "value":
                return onnx.numpy_helper.to_array(attribute.t)
            case "value_float":
                return np.array(attribute.f, np.float32)
            case "value_floats":
                return np.array(attribute.floats, np.float32)
            case "value_int":
                return np.array(attribute.i, np.int64)
            case "value_ints":
                return np.array(attribute.ints, np.int64)
    return None


def _pin_inputs(
    graph: onnx.GraphProto, shapes: Mapping[str, Sequence[int]], file: str
) -> tuple[TensorSpec, ...]:
    """Give every input a shape without open dimensions, and write it into the graph."""
    names = [one.name for one in graph.input]
    for name in shapes:
        if name not in names:
            raise MutatennError(f"shapes: {file} has no input {name!r}{nearest(name, names)}")
    symbols: dict[str, int] = {}
    for value in graph.input:
        _bind_symbols(value, shapes.get(value.name), symbols, file)
    return tuple(_pin(value, shapes.get(value.name), symbols, file) for value in graph.input)


def _bind_symbols(
    value: onnx.ValueInfoProto, given: Sequence[int] | None, symbols: dict[str, int], file: str
) -> None:
    """Check a given shape against the file's; what it says of a named dimension holds for all."""
    if given is None:
        return
    where = f"shapes: {given!r} for the input {value.name!r} of {file}"
    if isinstance(given, str) or not all(
        isinstance(n, int | np.integer) and not isinstance(n, bool) and n > 0 for n in given
    ):
        raise MutatennError(f"{where} is not a sequence of positive integers")
    if not value.type.tensor_type.HasField("shape"):
        return
    dims = value.type.tensor_type.shape.dim
    if len(dims) != len(given):
        raise MutatennError(
            f"{where} has {len(given)} dimensions, but the file has {len(dims)}: {_written(value)}"
        )
    for i, (dim, n) in enumerate(zip(dims, given, strict=True)):
        if dim.dim_value > 0 and dim.dim_value != n:
            raise MutatennError(
                f"{where}: the file fixes dimension {i} to {dim.dim_value}: {_written(value)};"
                " export it with that dimension open, or give the file's"
            )
        if dim.dim_param and symbols.setdefault(dim.dim_param, int(n)) != n:
            raise MutatennError(
                f"{where}: dimension {i} is {dim.dim_param!r}, which is"
                f" {symbols[dim.dim_param]} elsewhere; give both the same size"
            )


def _pin(
    value: onnx.ValueInfoProto, given: Sequence[int] | None, symbols: dict[str, int], file: str
) -> TensorSpec:
    kind = value.type.WhichOneof("value")
    tensor = value.type.tensor_type
    if kind != "tensor_type" or tensor.elem_type in (0, onnx.TensorProto.STRING):
        what = "string" if tensor.elem_type == onnx.TensorProto.STRING else kind or "untyped"
        raise MutatennError(
            f"{file}: the input {value.name!r} is no numeric tensor ({what}), which TVM cannot"
            " compile; cut it off before exporting"
        )
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name
    if given is not None:
        shape = [int(n) for n in given]
    elif not tensor.HasField("shape"):
        raise MutatennError(
            f"{file}: the input {value.name!r} has no shape at all; give it, all dimensions of"
            f' it: shapes={{"{value.name}": (1, 3, 224, 224)}}'
        )
    else:
        shape = []
        for i, dim in enumerate(tensor.shape.dim):
            size = dim.dim_value if dim.dim_value > 0 else symbols.get(dim.dim_param, 0)
            if not size and i:
                example = tuple(
                    d.dim_value if d.dim_value > 0 else symbols.get(d.dim_param, 224 if j else 1)
                    for j, d in enumerate(tensor.shape.dim)
                )
                named = f" ({dim.dim_param!r})" if dim.dim_param else ""
                raise MutatennError(
                    f"{file}: dimension {i}{named} of the input {value.name!r}, {_written(value)},"
                    f' is open; say how large it is, e.g. shapes={{"{value.name}": {example}}}'
                )
            shape.append(size or 1)
    tensor.shape.CopyFrom(
        onnx.TensorShapeProto(dim=[onnx.TensorShapeProto.Dimension(dim_value=n) for n in shape])
    )
    return TensorSpec(value.name, tuple(shape), dtype)


def _written(value: onnx.ValueInfoProto) -> str:
    """Return an input's shape as the file has it: ``(N, 3, ?, ?)``."""
    dims = value.type.tensor_type.shape.dim
    return (
        f"({', '.join(str(d.dim_value) if d.dim_value > 0 else d.dim_param or '?' for d in dims)})"
    )


def _rename(graph: onnx.GraphProto) -> dict[str, str]:
    """Rename all tensors of the graph to identifiers; return identifier to ONNX name."""
    tensors = [*graph.input, *graph.initializer, *graph.output]
    every = [one.name for one in tensors]
    for node in graph.node:
        every += [*node.input, *node.output]
    given = identifiers(name for name in every if name)
    given[""] = ""  # an optional input left out
    for one in tensors:
        one.name = given[one.name]
    for node in graph.node:
        node.input[:] = [given[name] for name in node.input]
        node.output[:] = [given[name] for name in node.output]
    del graph.value_info[:]
    return {new: old for old, new in given.items() if new}
