"""What AddressSanitizer has found in a kernel, with its line of C.

A sanitized kernel's library carries its own source, in a section that is not loaded: the process
that dies says the file, the line and the library, and whoever reads that finds the text.
"""

from __future__ import annotations

import re
from pathlib import Path

from pytest_mutatenn.devices.linker import section

__all__ = ["finding", "with_itself"]

_SECTION = ".mutatenn.source"
_WHAT = re.compile(r"ERROR: AddressSanitizer: (?P<what>[\w-]+)")
_ACCESS = re.compile(r"^(?P<access>READ|WRITE) of size (?P<size>\d+)", re.M)
_REGION = re.compile(r"is located (?P<where>\d+ bytes .*?) (?P<region>\d+-byte) region")
_VARIABLE = re.compile(r"'(?P<name>\w+)' \(line \d+\) <== Memory access at offset \d+ (?P<how>\w+)")
_FRAME = re.compile(r"^\s*#\d+ \S+ (?P<file>[^\s:]+\.c):(?P<line>\d+)[:\d]* \[(?P<library>.+)\]",
                    re.M)  # fmt: skip
_UNDEFINED = re.compile(r"^(?P<file>[^\s:]+\.c):(?P<line>\d+)[:\d]* runtime error: (?P<what>.*)$",
                        re.M)  # fmt: skip


def with_itself(source: str, name: str) -> str:
    """The C, which carries itself along when it is compiled under its name."""
    return (
        f'{source}\n__asm__(".pushsection {_SECTION},\\"\\",@progbits\\n"\n'
        f'        ".incbin \\"{name}\\"\\n.popsection");\n'
    )


def finding(said: str) -> str | None:
    """Read what a sanitizer found off the last words of a process; None where it found nothing.

    Returns
    -------
    str
        What, where in the kernel, and that line of C: the same on every run.
    """
    what = _WHAT.search(said)
    undefined = _UNDEFINED.search(said)
    if what is None and undefined is None:
        return None
    parts = [found["what"] for found in (what, undefined) if found is not None][:1]
    if what is not None:
        access = _ACCESS.search(said)
        if access is not None:
            verb = "reads" if access["access"] == "READ" else "writes"
            parts[0] += f": it {verb} {access['size']} bytes"
        region, variable = _REGION.search(said), _VARIABLE.search(said)
        if region is not None:
            where = region["where"]
            # the wording of LLVM's newer versions, for both
            for ours, theirs in (("after", "to the right of"), ("before", "to the left of")):
                where = where.replace(theirs, ours)
            parts[0] += f", {where} a region of {region['region'].removesuffix('-byte')} bytes"
        elif variable is not None:
            parts[0] += f", {variable['how']} {variable['name']}"
    frame = _FRAME.search(said)
    if frame is not None:
        parts.append(f"{Path(frame['file']).name}:{frame['line']}")
        line = _line(Path(frame["library"]), int(frame["line"]))
        if line:
            parts[-1] += f": {line}"
    return "; ".join(parts)


def _line(library: Path, number: int) -> str:
    try:
        lines = section(library.read_bytes(), _SECTION).decode(errors="replace").splitlines()
    except OSError:
        return ""
    return lines[number - 1].strip() if number <= len(lines) else ""
