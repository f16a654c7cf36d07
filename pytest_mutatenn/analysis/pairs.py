"""Kendall's tau of many short rankings at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FEW_CLASSES = 64
"""Up to so many classes, looking at every pair of them is cheaper than SciPy, row by row."""


def tau_by_pairs(ranks: NDArray[Any], wanted: NDArray[Any]) -> NDArray[np.float64]:
    """Give tau-b of each row by counting its pairs of classes.

    Parameters
    ----------
    ranks, wanted : ndarray, shape (inputs, classes)
        Two rankings of the same classes, ties by equal ranks.

    Returns
    -------
    ndarray of float64, shape (inputs,)
        NaN where a row has no order.

    References
    ----------
    M. G. Kendall, "The treatment of ties in ranking problems", Biometrika 33 (1945).
    """
    first, second = np.triu_indices(ranks.shape[1], 1)
    ours = np.sign(ranks[:, first] - ranks[:, second]).astype(np.int64)
    theirs = np.sign(wanted[:, first] - wanted[:, second]).astype(np.int64)
    agreeing = (ours * theirs).sum(axis=1)
    # the pairs that are not tied, on either side
    untied = np.abs(ours).sum(axis=1).astype(float) * np.abs(theirs).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(agreeing / np.sqrt(untied), np.float64)
