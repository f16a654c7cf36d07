"""Arrays inside OpenCL kernels that may be wrong: poison before anything is written to them."""

from __future__ import annotations

import re

__all__ = ["with_poison"]

_ARRAY = re.compile(
    r"^(?P<indent>\s*)(?P<local>__local\s+)?(?P<type>(?:u?(?:char|short|int|long)|half|float|double)"
    r"(?:2|3|4|8|16)?)\s+(?P<name>\w+)\[(?P<size>\d+)\];$",
    re.MULTILINE,
)


def with_poison(source: str) -> str:
    """Fill each array that a kernel declares with NaN, or -1, as soon as it is declared.

    What an earlier kernel left in a work group's memory, or on a work item's stack, is never read
    then. Of arrays that a kernel writes before it reads them the compiler drops the filling.
    """
    return _ARRAY.sub(_filled, source)


def _filled(match: re.Match[str]) -> str:
    kind = match["type"]
    value = f"({kind})(NAN)" if kind.startswith(("float", "double", "half")) else f"({kind})(-1)"
    store = f"{match['name']}[poison] = {value};"
    size = match["size"]
    if not match["local"]:
        loop = f"for (int poison = 0; poison < {size}; ++poison) {store}"
        return f"{match[0]}\n{match['indent'].lstrip(chr(10))}{loop}"
    # the work items share it, and none may go on before all of it is filled
    first = "get_local_id(0) + get_local_size(0) * (get_local_id(1) + get_local_size(1) * "
    first += "get_local_id(2))"
    step = "get_local_size(0) * get_local_size(1) * get_local_size(2)"
    loop = f"for (int poison = {first}; poison < {size}; poison += {step}) {store}"
    barrier = "barrier(CLK_LOCAL_MEM_FENCE);"
    return f"{match[0]}\n{match['indent'].lstrip(chr(10))}{loop} {barrier}"
