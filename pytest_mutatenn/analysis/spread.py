"""How far a mutant's outputs are from the baseline's: propagation, labels, rankings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pytest_mutatenn.analysis.metrics import kendall_tau
from pytest_mutatenn.analysis.ranges import ranges_of
from pytest_mutatenn.engine.predictions import Predictions

_AT_ONCE = 1 << 18  # numbers that are compared at once: memory stays small, whatever the outputs


def differences(
    mutant: Mapping[str, np.ndarray],
    baseline: Mapping[str, np.ndarray],
    output: str,
    batch: int = 1,
) -> dict[str, Any]:
    """Compare the outputs of a mutant with those of its baseline.

    Parameters
    ----------
    mutant, baseline
        Network output -> array of shape (n, output shape).
    output
        The output that is the classification.
    batch
        How many inputs the network takes at a time.

    Returns
    -------
    dict
        ``propagated``: inputs for which any output differs in any bit; ``top1_changed``: inputs
        with another best class; ``nonfinite``: inputs for which some output is NaN or infinite
        that is a number in the baseline; ``tau_mean``: mean of Kendall's tau over the inputs;
        ``output_difference``: as :func:`output_difference` gives it;
        ``inputs``: the numbers of the inputs of the first two, as ranges.
    """
    propagated = np.zeros(len(mutant[output]), bool)
    nonfinite = propagated.copy()
    for name, theirs in baseline.items():
        ours = np.ascontiguousarray(mutant[name]).reshape(len(propagated), -1)
        theirs = np.ascontiguousarray(theirs).reshape(len(propagated), -1)
        propagated |= (ours.view(np.uint8) != theirs.view(np.uint8)).any(axis=1)
        if ours.dtype.kind == "f":
            nonfinite |= (~np.isfinite(ours) & np.isfinite(theirs)).any(axis=1)
    if not propagated.any():
        inputs = {"propagated": "", "top1_changed": ""}
        distances = {"tau_mean": 1.0, "output_difference": 0.0}
        return {**_counts(0, 0, 0), **distances, "inputs": inputs}
    a = Predictions(mutant[output].reshape(len(propagated), -1))
    b = Predictions(baseline[output].reshape(len(propagated), -1))
    tau = float(kendall_tau(a, b).mean())
    changed = a.top1 != b.top1
    return {
        **_counts(propagated.sum(), changed.sum(), nonfinite.sum()),
        "tau_mean": None if math.isnan(tau) else round(tau, 6),
        "output_difference": output_difference(mutant, baseline),
        "inputs": {
            "propagated": ranges_of(np.flatnonzero(propagated), batch),
            "top1_changed": ranges_of(np.flatnonzero(changed), batch),
        },
    }


def _counts(propagated: int, top1_changed: int, nonfinite: int) -> dict[str, int]:
    return {
        "propagated": int(propagated),
        "top1_changed": int(top1_changed),
        "nonfinite": int(nonfinite),
    }


def output_difference(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> float:
    """Give the largest absolute difference of two numbers, over all outputs and inputs.

    Parameters
    ----------
    ours, theirs
        Network output -> array, of the same shapes.

    Returns
    -------
    float
        0 or more, in the outputs' own unit. Infinite where one side alone is NaN or infinite, or
        the infinities differ.
    """
    largest = 0.0
    for name, other in theirs.items():
        inputs = max(1, _AT_ONCE // max(1, other[:1].size))
        for start in range(0, len(other), inputs):
            a = ours[name][start : start + inputs].astype(np.float64)
            b = other[start : start + inputs].astype(np.float64)
            with np.errstate(all="ignore"):
                distance = np.abs(a - b)
            most = float(distance.max(initial=0.0))
            if math.isnan(most):  # a NaN, or equal infinities
                distance[(a == b) | (np.isnan(a) & np.isnan(b))] = 0
                most = float(distance.max(initial=0.0))
            largest = max(largest, math.inf if math.isnan(most) else most)
    return largest


def same_bits(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> bool:
    """Say whether all outputs are the same to the bit."""
    return all(ours[name].tobytes() == other.tobytes() for name, other in theirs.items())
