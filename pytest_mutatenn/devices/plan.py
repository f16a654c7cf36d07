"""What the host does to run a kernel on an OpenCL device, as data.

TVM has a code generator for OpenCL and, in its wheel, no runtime. The host's part of a kernel is a
straight line all the same: temporary buffers, and one launch after another, with numbers that are
known since shapes are. It is read from the host's function before TVM packs it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.devices.slots import Refused

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

__all__ = ["Argument", "Launch", "Plan", "read_plan", "with_plain_names"]

_HEAD = "// launches: "
_AXES = "xyz"


@dataclass(frozen=True)
class Argument:
    """An argument of a launch.

    ``kind`` is ``tensor`` (one of the kernel's, by its position), ``temporary`` (a buffer of the
    plan) or the dtype of a number; ``value`` says which, or the number.
    """

    kind: str
    value: int | float


@dataclass(frozen=True)
class Launch:
    """One launch of a device function.

    Attributes
    ----------
    function
        Its name in the source.
    groups, size
        Work groups, and work items in each, along x, y and z.
    args
        What it is given.
    """

    function: str
    groups: tuple[int, ...]
    size: tuple[int, ...]
    args: tuple[Argument, ...]


@dataclass(frozen=True)
class Plan:
    """All that the host does for one kernel.

    Attributes
    ----------
    temporaries
        Sizes of the buffers it allocates, in bytes.
    launches
        In order.
    options
        Options for the device's compiler.
    """

    temporaries: tuple[int, ...]
    launches: tuple[Launch, ...]
    options: tuple[str, ...] = ()

    def with_source(self, source: str) -> bytes:
        """The plan and the source it is for, as one file of OpenCL C."""
        plan = json.dumps(asdict(self), sort_keys=True)
        return f"{_HEAD}{plan}\n{source}".encode()

    @classmethod
    def of_file(cls, data: bytes) -> tuple[Plan, str]:
        """Read what :meth:`with_source` wrote: the plan and the source."""
        head, _, source = data.decode().partition("\n")
        found = json.loads(head.removeprefix(_HEAD))
        launches = tuple(
            Launch(
                each["function"],
                tuple(each["groups"]),
                tuple(each["size"]),
                tuple(Argument(**arg) for arg in each["args"]),
            )
            for each in found["launches"]
        )
        return cls(tuple(found["temporaries"]), launches, tuple(found["options"])), source


def read_plan(host: PrimFunc, options: tuple[str, ...] = ()) -> Plan:
    """Read the plan from the host's function.

    Parameters
    ----------
    host
        As :func:`pytest_mutatenn.compiler.kernel.split` gives it.
    options
        Options for the device's compiler.

    Raises
    ------
    Refused
        If the host would have to compute: a loop that no thread was bound to, say.
    """
    from tvm import tirx

    # variables are known by identity: a buffer's is the parameter, or what declares it
    buffers: dict[Any, Argument] = {
        parameter: Argument("tensor", i) for i, parameter in enumerate(host.params)
    }
    values: dict[Any, int | float] = {}
    temporaries: list[int] = []
    launches: list[Launch] = []
    for statement in _statements(host.body):
        if isinstance(statement, tirx.AllocBuffer):
            buffers[statement.buffer] = Argument("temporary", len(temporaries))
            temporaries.append(_size(statement.buffer))
        elif isinstance(statement, tirx.DeclBuffer):
            buffers[statement.buffer] = buffers[statement.data.args[0]]
        elif isinstance(statement, tirx.Bind):
            values[statement.var] = _number(statement.value, values)
        elif isinstance(statement, tirx.Evaluate) and _name(statement.value) == "call_ffi_kernel":
            launches.append(_launch(statement.value, buffers, values))
        elif not (isinstance(statement, tirx.Evaluate) and _is_number(statement.value)):
            raise Refused(f"the host would have to run a {type(statement).__name__}")
    return Plan(tuple(temporaries), tuple(launches), options)


def _statements(body: Any) -> Iterator[Any]:
    from tvm import tirx

    if isinstance(body, tirx.SeqStmt):
        for part in body.seq:
            yield from _statements(part)
    elif isinstance(body, tirx.AttrStmt):
        yield from _statements(body.body)
    else:
        yield body


def _name(expr: Any) -> str:
    """Name of what is called, without its namespace."""
    return str(getattr(getattr(expr, "op", None), "name", "")).rpartition(".")[2]


def _is_number(expr: Any) -> bool:
    from tvm.ir import prim

    return isinstance(expr, prim.IntImm | prim.FloatImm)


def _size(buffer: Any) -> int:
    size = (int(buffer.dtype.bits) + 7) // 8 * int(buffer.dtype.lanes)
    for extent in buffer.shape:
        size *= int(extent)
    return max(1, size)


def _number(expr: Any, values: Mapping[Any, int | float]) -> int | float:
    """Evaluate an expression of the host.

    Raises
    ------
    Refused
        If it is no arithmetic of numbers.
    """
    from tvm.ir import prim

    two: dict[Any, Callable[[Any, Any], Any]] = {
        prim.Add: lambda a, b: a + b,
        prim.Sub: lambda a, b: a - b,
        prim.Mul: lambda a, b: a * b,
        prim.FloorDiv: lambda a, b: a // b,
        prim.FloorMod: lambda a, b: a % b,
        prim.Min: min,
        prim.Max: max,
    }
    if _is_number(expr):
        return expr.value
    if expr in values:
        return values[expr]
    if isinstance(expr, prim.Cast):
        return _number(expr.value, values)
    if type(expr) in two:
        return two[type(expr)](_number(expr.a, values), _number(expr.b, values))
    raise Refused(f"the host would have to compute {type(expr).__name__} {expr}")


def _launch(
    call: Any, buffers: Mapping[Any, Argument], values: Mapping[Any, int | float]
) -> Launch:
    axes = [str(axis) for axis in call.attrs.launch_params]
    function, *rest = call.args
    given, sizes = rest[: len(rest) - len(axes)], rest[len(rest) - len(axes) :]
    extents = {axis: int(_number(size, values)) for axis, size in zip(axes, sizes, strict=True)}
    args = []
    for arg in given:
        if _name(arg) == "buffer_data":
            args.append(buffers[arg.args[0]])
        else:
            args.append(Argument(str(arg.ty.dtype), _number(arg, values)))
    return Launch(
        str(function.value),
        tuple(extents.get(f"blockIdx.{axis}", 1) for axis in _AXES),
        tuple(extents.get(f"threadIdx.{axis}", 1) for axis in _AXES),
        tuple(args),
    )


_DECLARED = re.compile(
    r"\b(?:void|bool|(?:u?(?:char|short|int|long)|half|float|double)(?:2|3|4|8|16)?)\b"
    r"\s*\*?\s*(?:(?:__restrict__|restrict)\s+)?([A-Za-z_]\w*)\s*(?=[\[;,=)])"
)
_WORD = re.compile(r"[A-Za-z_]\w*")
_COMMENT = re.compile(r"^//.*\n", re.MULTILINE)


def with_plain_names(source: str) -> str:
    """Name a source's variables by the order in which they are declared, and drop its comments.

    Kernels that compute the same have the same source then, whatever their layers are called.
    """
    source = _COMMENT.sub("", source)
    names: dict[str, str] = {}
    for match in _DECLARED.finditer(source):
        names.setdefault(match[1], f"v{len(names)}")
    return _WORD.sub(lambda match: names.get(match[0], match[0]), source)
