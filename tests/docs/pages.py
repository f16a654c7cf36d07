"""The documentation as text: code blocks by what stands before them, tables, links."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = sorted(
    page
    for folder in ("", "benchmarks/", "docs/", "examples/")
    for page in ROOT.glob(f"{folder}*.md")
)

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`]+)`")


def blocks(text, language):
    """The fenced code blocks of a language."""
    return [body for found, body in _BLOCK.findall(text) if found == language]


def marked(text, comment, language):
    """The code block after `<!-- comment -->`."""
    _, found, rest = text.partition(f"<!-- {comment} -->")
    assert found, f"no <!-- {comment} -->"
    return blocks(rest, language)[0]


def command(text, name):
    """The one line between `<!-- begin name -->` and `<!-- end name -->`."""
    lines = marked(text, f"begin {name}", "sh").splitlines()
    assert len(lines) == 1, f"{name} is not one line"
    return lines[0]


def section(text, title):
    """What stands under a heading."""
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def table(text):
    """Rows of the first table: cells as text, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def words(cell):
    """What stands in backquotes."""
    return set(_CODE.findall(cell))


def run_pytest(folder, *args):
    """Run pytest in a process of its own, as a user would."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *map(str, args)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
