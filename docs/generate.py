"""Writes what the documentation takes from the code: docs/operators.md and the README's options.

`python docs/generate.py` writes both; with `--check` it says which are not up to date. With
`--demo` it runs the README's first command, without its set-up, and writes what that prints,
shortened.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OPERATORS = ROOT / "docs" / "operators.md"
README = ROOT / "README.md"

_INTRODUCTION = """\
# The mutation operators

Made by `python docs/generate.py` from the operators themselves; do not edit.

An operator is known by its id. `--mutatenn-operators` takes ids, globs (`'relu_to_*'`), the groups
`default`, `mutatenn` and `all`, the categories (in brackets below) and the stages; `stage.part`
narrows a part to a stage, and a leading `-` takes away:

    --mutatenn-operators='conditional,graph.relu_to_*,-device.loop_*'

`default` are strong operators with few equivalent mutants; `mutatenn` are those of the research
tool MutateNN, with the meaning that its paper gives them. A list that only takes away starts from
`default`.

The examples are executed by the tests: the second line is what the operator makes of the first.
Variables `i`, `j` and `n` are integers, `x` and `y` numbers of a kernel or tensors of a graph;
attributes of a layer that stay as they are, are left out.
"""


class Options:
    """Stands in for pytest's parser: takes the options and ini keys down."""

    def __init__(self) -> None:
        self.options: dict[str, dict[str, Any]] = {}
        self.ini: dict[str, str] = {}

    def getgroup(self, _name: str, _description: str = "") -> Options:
        """Give the only group."""
        return self

    def addoption(self, name: str, **rest: Any) -> None:
        """Take an option down."""
        self.options[name] = rest

    def addini(self, name: str, text: str, **_rest: Any) -> None:
        """Take an ini key down."""
        self.ini[name] = text

    @classmethod
    def declared(cls) -> Options:
        """Every option that the plugin declares."""
        from pytest_mutatenn.options import add_options

        found = cls()
        add_options(found)  # type: ignore[arg-type]
        return found


def options_table() -> str:
    """The README's table of options."""
    found = Options.declared()
    lines = ["| option | ini key | |", "|---|---|---|"]
    used = set()
    for name, rest in found.options.items():
        value = rest.get("metavar")
        dest = name.removeprefix("--").replace("-", "_")
        ini = next((f"`{key}`" for key in (dest, f"{dest}s") if key in found.ini), "")
        shown = f"{name}={value}" if value else name
        lines.append(f"| `{_in_table(shown)}` | {ini} | {_in_table(_help(rest['help']))} |")
        used.add(ini)
    for key, text in found.ini.items():
        if f"`{key}`" not in used:
            lines.append(f"|  | `{key}` | {_in_table(_help(text))} |")
    return "\n".join(lines) + "\n"


def operators_page() -> str:
    """The page docs/operators.md."""
    from pytest_mutatenn.operators.catalogue import load
    from pytest_mutatenn.operators.registry import CATEGORIES
    from pytest_mutatenn.report.operators import example_lines

    operators = load().values()
    parts = [_INTRODUCTION]
    for category, title in CATEGORIES.items():
        mine = [op for op in operators if op.category == category]
        if not mine:
            continue
        parts.append(f"\n## {title} (`{category}`)\n")
        parts.append("| id | change | stages | groups |\n|---|---|---|---|")
        for op in mine:
            stages, groups = ", ".join(op.stages), ", ".join(sorted(op.groups))
            parts.append(f"| `{op.name}` | {op.summary} | {stages} | {groups} |")
        parts.append("\n```diff")
        for op in mine:
            if op.example is not None:
                before, after = example_lines(op)
                parts.append(f"# {op.name}\n- {before}\n+ {after}")
        parts.append("```")
    return "\n".join(parts) + "\n"


def readme_with(part: str, name: str = "options") -> str:
    """The README with a part between its marks."""
    text = README.read_text("utf-8")
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    head, found, rest = text.partition(begin)
    _, also_found, tail = rest.partition(end)
    if not (found and also_found):
        sys.exit(f"README.md: no {begin} ... {end}")
    return f"{head}{begin}\n{part}{end}{tail}"


def demo_output() -> str:
    """What the README's first command prints, with an empty store; shortened, and said to be."""
    _, _, rest = README.read_text("utf-8").partition("<!-- begin demo -->")
    line = next(line for line in rest.splitlines() if line.startswith("python3 "))
    arguments = shlex.split(line.rpartition(" && ")[2])[1:]
    with tempfile.TemporaryDirectory() as store:
        command = [sys.executable, *arguments, f"--mutatenn-cache-dir={store}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    shown = [f"$ {shlex.join(['pytest', *arguments[2:]])}", *shortened(done.stdout.splitlines())]
    return "```text\n" + "\n".join(shown) + "\n```\n"


def shortened(lines: list[str]) -> Iterator[str]:
    """Leave out what names this machine, most of the letters, and all but a few survivors."""
    letters, block, kinds = 0, list[str](), set[str]()
    survivors = False
    for line in lines:
        if re.match(r"(platform|rootdir|configfile|plugins|cachedir|created|hypothesis)\b", line):
            continue
        if line.endswith("%]"):
            letters += 1
            if letters <= 2:
                yield line
            elif letters == 3:
                yield "..."
            continue
        if re.fullmatch(r"\d+ mutants? survived:", line):
            survivors = True
            yield line
            continue
        if survivors and line.startswith("  ..."):
            continue
        if survivors and (not line or not line.startswith("    ")):
            # one survivor of each kind, the last line of its block says which
            kind = re.sub(r"\d+", "", block[-1]) if block else ""
            if block and kind not in kinds:
                kinds.add(kind)
                yield from block
            block = [line]
            if not line:
                survivors = False
                yield "..."
                yield line
            continue
        if survivors:
            block.append(line)
            continue
        yield line


def _help(text: str) -> str:
    """A help text on one line; a line `choice: ...` is a part of its own."""
    return re.sub(r"\n(?=\w+(?::\w+)?: )", "; ", text).replace("\n", " ")


def _in_table(text: str) -> str:
    return text.replace("|", r"\|")


def main() -> int:
    """Write or check."""
    if "--demo" in sys.argv[1:]:
        README.write_text(readme_with(demo_output(), "output"), "utf-8")
        return 0
    pages = {OPERATORS: operators_page(), README: readme_with(options_table())}
    stale = [p for p, text in pages.items() if not p.exists() or p.read_text("utf-8") != text]
    names = ", ".join(path.relative_to(ROOT).as_posix() for path in stale)
    if "--check" in sys.argv[1:]:
        if stale:
            print(f"not up to date: {names}. Run: python docs/generate.py")
        return bool(stale)
    for path in stale:
        path.write_text(pages[path], "utf-8")
    print(f"written: {names}" if stale else "everything is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
