"""Measure the parts that are asked for; write JSON and a Markdown table after each.

    python -m benchmarks --models ../shared/models --images ../shared/images \
        --json speed.json --table speed.md

Results goes to standard error. A part that ends is written at once, also when it is interrupted;
parts that a JSON file of an earlier run has, and that are not asked for, stay in it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import Bench, BenchmarkError, Result, host
from benchmarks.table import render

SCHEMA = "mutatenn-benchmarks/1"
PARTS = {
    "cost": "time per mutant, against a rebuild of the whole network per mutant",
    "inference": "the unmutated network against onnxruntime",
    "warm": "the same run again, and collection alone",
    "workers": "two workers against none",
    "memory": "memory of all processes together, with few and with more mutants",
    "scaling": "time by number of inputs and of mutants",
    "compile": "compile time of a mutant's kernel",
    "exact": "verdicts with and without incremental execution",
}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; ``parts`` in the order of :data:`PARTS`, all of them by default."""
    listed = "\n".join(f"  {name:<10} {what}" for name, what in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the speed of pytest-mutatenn.",
        epilog=f"parts:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="what to measure (default: all)")
    parser.add_argument("--models", type=Path, required=True, help="folder of the ONNX files")
    parser.add_argument("--images", type=Path, required=True, help="folder of the images")
    parser.add_argument("--quick", action="store_true", help="few samples, to see that it works")
    parser.add_argument("--json", type=Path, required=True, help="where to write all results")
    parser.add_argument("--table", type=Path, required=True, help="where to write the table")
    parser.add_argument("--scratch", type=Path, help="folder for stores and suites (default: /tmp)")
    options = parser.parse_args(arguments)
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; parts: {', '.join(PARTS)}")
    options.parts = [part for part in PARTS if part in (options.parts or PARTS)]
    return options


def measure(part: str, bench: Bench) -> dict[str, Any]:
    """Measure one part; of one that cannot be, what it has until then, and the ``error``."""
    result = Result()
    found: dict[str, Any] = {"host": host(), "quick": bench.quick}
    start = time.perf_counter()
    try:
        importlib.import_module(f"benchmarks.{_MODULES.get(part, part)}").run(bench, result)
    except BenchmarkError as error:
        found["error"] = str(error)
    except KeyboardInterrupt:
        found["error"] = INTERRUPTED
    except Exception as error:
        found["error"] = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
    found["seconds"] = time.perf_counter() - start
    found["lines"] = [line.as_dict() for line in result.lines]
    found["settings"] = result.settings
    found["notes"] = result.notes
    found["samples"] = result.samples
    if "error" in found:
        bench.say(f"{part}: {found['error']}")
    return found


INTERRUPTED = "interrupted"
# the module of that name is what measures; its own interface is wider than a part's
_MODULES = {"inference": "inference_part"}


def earlier(file: Path) -> dict[str, Any]:
    """The parts that an earlier run has written.

    Raises
    ------
    SystemExit
        If the file is another thing.
    """
    if not file.exists():
        return {}
    try:
        found = json.loads(file.read_text())
        if found["schema"] == SCHEMA:
            return dict(found["parts"])
    except (ValueError, KeyError, TypeError):
        pass
    raise SystemExit(f"--json: {file} is there and holds no results of this command; remove it.")


def write(options: argparse.Namespace, parts: dict[str, Any]) -> None:
    """Write both files, parts in their order."""
    ordered = {part: parts[part] for part in PARTS if part in parts}
    found = json.dumps({"schema": SCHEMA, "parts": ordered}, indent=1)
    for file, text in ((options.json, found + "\n"), (options.table, render(ordered))):
        half = file.with_name(f".{file.name}.half")
        half.write_text(text)
        half.replace(file)


def main(arguments: Sequence[str]) -> int:
    """Measure and write; 1 if a part could not be measured, 130 if interrupted."""
    options = parse(arguments)
    parts = earlier(options.json)
    failed = False
    with tempfile.TemporaryDirectory(prefix="mutatenn-speed-", dir=options.scratch) as scratch:
        for part in options.parts:
            # a folder for each part, so that what one leaves takes no room from the next
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                bench = Bench(options.models, options.images, options.quick, Path(folder))
                bench.say(f"{part}: {PARTS[part]}")
                parts[part] = measure(part, bench)
            failed |= "error" in parts[part]
            write(options, parts)
            if parts[part].get("error") == INTERRUPTED:
                return 130
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
