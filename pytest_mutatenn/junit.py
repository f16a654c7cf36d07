"""What pytest's own ``--junitxml`` file says of rows, and of the run: properties.

A testcase has those of its row, by way of ``user_properties``, which travel between xdist's
processes; the suite has the run's, as ``record_testsuite_property`` would set them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest


def tell_case(item: pytest.Item, report: pytest.TestReport) -> None:
    """Give a testcase the network, cell, mutant and verdict of its row, where a file is wanted.

    ``mutatenn_verdict`` is this test's alone on this mutant; of the baseline, what the test did.
    """
    row = getattr(report, "mutatenn_row", None)
    if row is None or not item.config.getoption("xmlpath", None):
        return
    told = json.loads(row)
    item.user_properties += [
        ("mutatenn_model", told["model"]),
        ("mutatenn_cell", told["cell"]),
        ("mutatenn_mutant", told["mutant"] or "baseline"),
        ("mutatenn_verdict", getattr(report, "mutatenn_status", told["result"])),
    ]


def tell_suite(config: pytest.Config, record: Mapping[str, Any], errors: Sequence[str]) -> None:
    """Give the suite the score, its interval, the counts, and whether the gates are passed."""
    from _pytest.junitxml import xml_key  # the fixture that has it is for tests only

    xml = config.stash.get(xml_key, None)
    if xml is None:
        return
    found: dict[str, Any] = {
        **{name: record["score"]["overall"][name] for name in ("score", "low", "high")},
        **{name: record["score"]["overall"][name] for name in ("detected", "survived")},
        "divergent": len(record["divergent"]),
        "verdict": "failed" if errors else "passed",
    }
    for name, value in found.items():
        if value is not None:
            xml.add_global_property(f"mutatenn_{name}", str(value))
    for text in errors:
        xml.add_global_property("mutatenn_error", text)
