"""Mutation testing for compiled neural networks, as a pytest plugin.

The names below are the public API. They are imported when first used, so that loading the plugin
costs a project that does not use it next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pytest_mutatenn.analysis.assertions import (
        assert_accuracy,
        assert_all_finite,
        assert_cosine_similarity,
        assert_kendall_tau,
        assert_max_abs_diff,
        assert_rank_biased_overlap,
        assert_top1_agreement,
        assert_topk_agreement,
    )
    from pytest_mutatenn.analysis.metrics import (
        accuracy,
        all_finite,
        cosine_similarity,
        distinct_predictions,
        kendall_tau,
        max_abs_diff,
        rank_biased_overlap,
        top1_agreement,
        topk_agreement,
    )
    from pytest_mutatenn.engine.predictions import Predictions
    from pytest_mutatenn.errors import InternalError, MutatennError
    from pytest_mutatenn.operators.example import check_operator
    from pytest_mutatenn.operators.registry import operator

_HOMES = {
    "pytest_mutatenn.analysis.assertions": (
        "assert_accuracy",
        "assert_all_finite",
        "assert_cosine_similarity",
        "assert_kendall_tau",
        "assert_max_abs_diff",
        "assert_rank_biased_overlap",
        "assert_top1_agreement",
        "assert_topk_agreement",
    ),
    "pytest_mutatenn.analysis.metrics": (
        "accuracy",
        "all_finite",
        "cosine_similarity",
        "distinct_predictions",
        "kendall_tau",
        "max_abs_diff",
        "rank_biased_overlap",
        "top1_agreement",
        "topk_agreement",
    ),
    "pytest_mutatenn.engine.predictions": ("Predictions",),
    "pytest_mutatenn.errors": ("InternalError", "MutatennError"),
    "pytest_mutatenn.operators.registry": ("operator",),
    "pytest_mutatenn.operators.example": ("check_operator",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "InternalError",
    "MutatennError",
    "Predictions",
    "accuracy",
    "all_finite",
    "assert_accuracy",
    "assert_all_finite",
    "assert_cosine_similarity",
    "assert_kendall_tau",
    "assert_max_abs_diff",
    "assert_rank_biased_overlap",
    "assert_top1_agreement",
    "assert_topk_agreement",
    "check_operator",
    "cosine_similarity",
    "distinct_predictions",
    "kendall_tau",
    "max_abs_diff",
    "operator",
    "rank_biased_overlap",
    "top1_agreement",
    "topk_agreement",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*globals(), *__all__])
