"""Where a network comes from: a path, a proto or a function, made an ONNX file with a digest.

It runs in pytest's own process and imports no TVM; ONNX only where external data have to be found.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.model import spec as specs

if TYPE_CHECKING:
    import onnx

    ModelSpec: TypeAlias = "str | Path | onnx.ModelProto | Callable[[], Any]"

# how protobuf writes the key "location" of an external_data entry: a file without these bytes
# has no external data, and ONNX need not be imported to say so
_EXTERNAL_MARK = b"\x0a\x08location"


@dataclass(frozen=True)
class ModelSource:
    """A network on disk.

    Attributes
    ----------
    id
        Letters, digits and underscores: a part of test ids.
    source
        What the user wrote, for reports; a path is relative to ``base`` where it lies inside.
    path
        The ``.onnx`` file to import.
    digest
        SHA-256, 64 hexadecimal digits, over the file and all of its external data.
    """

    id: str
    source: str
    path: Path
    digest: str


def resolve_model(spec: ModelSpec, *, base: Path, scratch: Path) -> ModelSource:
    """Find the network that a marker, an ini key or an option names.

    Parameters
    ----------
    spec
        A path to an ONNX file, an ``onnx.ModelProto``, a function without arguments that returns
        one (or a path, or the bytes of a file), or ``"package.module:function"``.
    base
        Paths are relative to this folder, else to the current directory.
    scratch
        Folder for protos, written atomically as ``<digest>.onnx``; made if it is not there.

    Returns
    -------
    ModelSource

    Raises
    ------
    MutatennError
        The file is missing, empty or unreadable, its external data are missing or lie outside its
        folder, or the function cannot be imported, raises or returns something else.
    """
    name: str | None = None
    value: Any = spec
    if isinstance(spec, str) and specs.is_function(spec) and not (base / spec).exists():
        name = spec
        value = specs.import_function(spec, base=base, what="model")
    if callable(value) and not _is_proto(value):
        name = name or specs.function_name(value)
        value = specs.call(value, name=name, what="model")
    stem = None if name is None else name.rpartition(":")[2].rpartition(".")[2]
    if isinstance(value, str | Path):
        return _from_path(value, base=base, name=name, stem=stem)
    if _is_proto(value):
        if not stem:
            stem = str(getattr(getattr(value, "graph", None), "name", ""))
        return _from_bytes(_serialised(value), scratch=scratch, name=name, stem=stem)
    if isinstance(value, bytes | bytearray | memoryview):
        return _from_bytes(bytes(value), scratch=scratch, name=name, stem=stem or "")
    if name is not None:
        raise MutatennError(
            f"model {name!r}: the function returned a {type(value).__name__}; return an"
            " onnx.ModelProto, the bytes of an ONNX file or a path to one"
        )
    raise MutatennError(
        f"model: a {type(value).__name__} is no network; give a path to an ONNX file, an"
        " onnx.ModelProto, or a function or 'package.module:function' that returns one"
    )


def external_files(model: onnx.ModelProto, *, folder: Path, file: str) -> tuple[Path, ...]:
    """Find the external data files of a network; all must lie inside its own folder.

    Parameters
    ----------
    model
        The network, loaded without its external data.
    folder
        Where its file lies.
    file
        How messages call it.

    Returns
    -------
    tuple of Path
        Resolved, sorted, each once.

    Raises
    ------
    MutatennError
        A file is missing, or its name is absolute, contains ``..``, or leaves the folder by a link.
    """
    home = folder.resolve()
    found = set()
    for tensor in _tensors(model):
        if tensor.data_location != tensor.EXTERNAL:
            continue
        location = next((e.value for e in tensor.external_data if e.key == "location"), "")
        where = f"{file}: tensor {tensor.name!r} keeps its data in {location!r}"
        parts = PurePosixPath(location.replace("\\", "/")).parts
        absolute = location.startswith(("/", "\\")) or PureWindowsPath(location).drive
        if not parts or absolute or ".." in parts:
            raise MutatennError(
                f"{where}, which is not a name inside the file's own folder; save the model again"
                " with its external data beside it"
            )
        path = (home / location).resolve()
        if not path.is_relative_to(home):
            raise MutatennError(
                f"{where}, a link that leaves {home}; put the data themselves beside the model"
            )
        if not path.is_file():
            suffix = Path(location).suffix.lower()
            there = (p.name for p in path.parent.glob("*") if p.suffix.lower() == suffix)
            raise MutatennError(
                f"{where}, but {path} is not there{specs.nearest(path.name, there)}"
                if path.parent.is_dir()
                else f"{where}, but the folder {path.parent} is not there"
            )
        found.add(path)
    return tuple(sorted(found))


def _from_path(spec: str | Path, *, base: Path, name: str | None, stem: str | None) -> ModelSource:
    path = specs.find_path(spec, base=base, what="model", like=(".onnx",))
    if path.is_dir():
        there = sorted(one.name for one in path.glob("*.onnx"))
        hint = f"name a file in it: {', '.join(there[:8])}" if there else "it has no .onnx file"
        raise MutatennError(f"model {str(spec)!r}: that is a folder; {hint}")
    source = name or specs.shown(path, base=base)
    try:
        digest = _file_digest(path, source)
    except OSError as error:
        raise MutatennError(
            f"model {str(spec)!r}: cannot read it, {error.strerror or error}"
        ) from error
    return ModelSource(id=_id(stem or path.stem), source=source, path=path, digest=digest)


def _from_bytes(data: bytes, *, scratch: Path, name: str | None, stem: str) -> ModelSource:
    source = name or (f"ModelProto {stem!r}" if stem else "ModelProto")
    if not data:
        raise MutatennError(f"model {source}: it is empty (0 bytes)")
    if _EXTERNAL_MARK in data:
        import onnx

        try:
            tensors = [*_tensors(onnx.load_model_from_string(data))]
        except Exception:  # garbage is the import's to report
            tensors = []
        for tensor in tensors:
            if tensor.data_location == tensor.EXTERNAL:
                raise MutatennError(
                    f"model {source}: tensor {tensor.name!r} is in an external file, and a proto"
                    " has no folder to find that in; load it with onnx.load (which reads external"
                    " data) or give the path of the .onnx file"
                )
    digest = hashlib.sha256(data).hexdigest()
    path = scratch / f"{digest}.onnx"
    scratch.mkdir(parents=True, exist_ok=True)
    # another process may write the same file now: both replace it whole, with the same bytes
    handle, temporary = tempfile.mkstemp(dir=scratch, prefix=f".{digest[:16]}-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return ModelSource(id=_id(stem), source=source, path=path, digest=digest)


def _file_digest(path: Path, shown: str) -> str:
    """Return the digest of a file, and of its external data where it has any."""
    if path.stat().st_size == 0:
        raise MutatennError(f"model {shown!r}: the file is empty (0 bytes); export it again")
    digest = hashlib.sha256()
    marked = False
    tail = b""
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
            marked = marked or _EXTERNAL_MARK in tail + chunk
            tail = chunk[-len(_EXTERNAL_MARK) :]
    if not marked:
        return digest.hexdigest()
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception:  # garbage: the import says so, with the name of the file
        return digest.hexdigest()
    for external in external_files(model, folder=path.parent, file=shown):
        with external.open("rb") as stream:
            inner = hashlib.file_digest(stream, "sha256").digest()
        name = external.relative_to(path.parent.resolve()).as_posix()
        digest.update(b"\0" + name.encode() + b"\0" + inner)
    return digest.hexdigest()


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Walk every tensor of a network: initialisers, attributes, subgraphs, functions."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _node_tensors(node)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    for node in graph.node:
        yield from _node_tensors(node)


def _node_tensors(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        if attribute.HasField("g"):
            yield from _graph_tensors(attribute.g)
        for graph in attribute.graphs:
            yield from _graph_tensors(graph)


def _serialised(proto: Any) -> bytes:
    try:
        return proto.SerializeToString(deterministic=True)
    except Exception as error:  # protobuf has one class for it in each of its implementations
        raise MutatennError(
            "model: the ModelProto is too large for one protobuf message (2 GB); save it with"
            " onnx.save(..., save_as_external_data=True) and give the path"
        ) from error


def _is_proto(value: object) -> bool:
    """Whether ``value`` is an ``onnx.ModelProto``, found out without importing ONNX."""
    return type(value).__name__ == "ModelProto" and hasattr(value, "SerializeToString")


def _id(stem: str) -> str:
    return re.sub(r"[^0-9A-Za-z_]+", "_", stem).strip("_") or "model"
