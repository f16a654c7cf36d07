"""Latencies of cells: what is usual, what is late, and whether cells differ by more than chance."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_DIGITS = 6


def summarise(seconds: Sequence[float]) -> dict[str, Any]:
    """Say what is usual of one number per input, in seconds: median, 95th percentile, mean."""
    values = np.asarray(seconds, np.float64)
    return {
        "seconds_median": _short(float(np.median(values))),
        "seconds_p95": _short(float(np.percentile(values, 95))),
        "seconds_mean": _short(float(values.mean())),
        "seconds_per_input": [_short(float(value)) for value in values],
    }


def compare_latencies(cells: Mapping[str, Sequence[float]]) -> dict[str, Any] | None:
    """Test whether cells differ in latency, all together and two by two.

    One number per input and cell is one observation: repeats of an input are none of their own.

    Parameters
    ----------
    cells
        Cell -> seconds per input.

    Returns
    -------
    dict or None
        ``cells``; what :func:`group_tests` gives of all; and ``pairs``, with ``a`` and ``b``, of
        every two. None where there are fewer than two cells or two inputs.
    """
    names = sorted(cells)
    if len(names) < 2 or min(map(len, cells.values())) < 2:
        return None
    return {
        "cells": names,
        **group_tests([cells[name] for name in names]),
        "pairs": [
            {"a": a, "b": b, **group_tests([cells[a], cells[b]])}
            for a, b in itertools.combinations(names, 2)
        ],
    }


def group_tests(groups: Sequence[Sequence[float]]) -> dict[str, Any]:
    """One-way analysis of variance and the Kruskal-Wallis test, each with its effect size.

    Parameters
    ----------
    groups
        Observations of each group, two or more.

    Returns
    -------
    dict
        ``anova``: ``statistic`` (F), ``p_value`` and ``eta_squared``, the part of the variance that
        lies between groups. ``kruskal``: ``statistic`` (H), ``p_value`` and ``epsilon_squared``, H
        over the number of observations less one; it needs no normal distribution, which latencies
        seldom have. None for what does not exist, as where all observations are equal.

    References
    ----------
    M. Tomczak, E. Tomczak, "The need to report effect size estimates revisited", Trends in Sport
    Sciences 21 (2014).
    """
    from scipy import stats

    arrays = [np.asarray(group, np.float64) for group in groups]
    everything = np.concatenate(arrays)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of constant input, for which the answer is NaN
        variance = stats.f_oneway(*arrays)
        constant = bool((everything == everything[0]).all())
        ranks = (math.nan, math.nan) if constant else tuple(stats.kruskal(*arrays))
        total = float(((everything - everything.mean()) ** 2).sum())
        between = float(sum(len(a) * (a.mean() - everything.mean()) ** 2 for a in arrays))
        eta = between / total if total else math.nan
    return {
        "anova": {
            "statistic": _short(float(variance.statistic)),
            "p_value": _short(float(variance.pvalue)),
            "eta_squared": _short(eta),
        },
        "kruskal": {
            "statistic": _short(float(ranks[0])),
            "p_value": _short(float(ranks[1])),
            "epsilon_squared": _short(float(ranks[0]) / (len(everything) - 1)),
        },
    }


def _short(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
