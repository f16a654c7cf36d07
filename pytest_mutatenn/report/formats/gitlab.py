"""Findings for GitLab's code quality widget and its merge requests.

The format: https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_mutatenn.report.findings import findings_of
from pytest_mutatenn.report.safe_text import visible, write_text

DEFAULT = "gl-code-quality-report.json"

_SEVERITY = {"warning": "major", "note": "info"}


def write(record: Mapping[str, Any], path: Path) -> None:
    """Write the findings."""
    write_text(path, render(record))


def render(record: Mapping[str, Any]) -> str:
    """Give the findings: a list, the most important first.

    GitLab asks for a file: what no test is known for stands at the network's.
    """
    sources = {model["id"]: str(model["source"]) for model in record["models"]}
    issues = []
    for one in findings_of(record):
        mutant = one.mutant
        spot = one.spots[0] if one.spots else None
        issues.append(
            {
                "type": "issue",
                "check_name": f"mutatenn.{mutant['operator']}",
                "description": "\n".join((one.title, *one.lines)),
                "categories": ["Bug Risk"],
                "severity": _SEVERITY[one.level],
                "fingerprint": one.fingerprint,
                "location": {
                    "path": visible(spot.file if spot else sources[mutant["model"]], lines=False),
                    "lines": {"begin": spot.line if spot else 1},
                },
            }
        )
    return json.dumps(issues, indent=1, ensure_ascii=False) + "\n"
