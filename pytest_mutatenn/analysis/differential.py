"""Differential testing of cells: how far they are from each other on the same program.

For the unmutated network and for each mutant, every two cells that gave an answer for all inputs
are compared input by input (after DeltaNN, which compares deployments of one network in this way).

References
----------
N. Louloudakis, P. Gibson, J. Cano, A. Rajan, "DeltaNN: Assessing the Impact of Computational
Environment Parameters on the Performance of Image Recognition Models", ICSME 2023.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_mutatenn.analysis import noise
from pytest_mutatenn.analysis.metrics import (
    kendall_tau,
    max_abs_diff,
    top1_agreement,
    topk_agreement,
)
from pytest_mutatenn.compiler.digest import combine
from pytest_mutatenn.engine.predictions import Predictions, top_classes
from pytest_mutatenn.engine.results import stored_outputs
from pytest_mutatenn.engine.version import source_version

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_mutatenn.engine.store import Store

TOP = 5
"""How many best classes are compared, where a network has more than that."""


class Comparer:
    """Compares stored answers of one network on one dataset.

    Parameters
    ----------
    store
        Where the answers lie, and what is known of their comparison.
    output
        The output that is the classification.
    names
        What the inputs are called.
    batch
        How many of them the network takes at a time.
    """

    def __init__(self, store: Store, output: str, names: Sequence[str], batch: int = 1) -> None:
        self._store, self._output, self._names = store, output, list(names)
        self._runs = len(self._names) // batch
        self._log = store.log("comparisons", combine(source_version("analysis"), output))

    def scores(self, key: str) -> NDArray[np.float32] | None:
        """Scores of all inputs, float32, inputs x classes; None where not all are stored."""
        found = stored_outputs(self._store, key)
        if found is None or self._output not in found[1]:
            return None
        samples, outputs = found
        if samples != list(range(self._runs)):
            return None
        return Predictions(outputs[self._output].reshape(len(self._names), -1)).scores

    def compare_at(self, a: str, b: str, inputs: Sequence[int]) -> dict[str, Any] | None:
        """Compare on some inputs, by their numbers; None where one has not answered them."""
        ours, theirs = self._scores_at(a, inputs), self._scores_at(b, inputs)
        if not inputs or ours is None or theirs is None or ours.shape != theirs.shape:
            return None
        return self._named(compare_scores(ours, theirs), inputs)

    def _scores_at(self, key: str, inputs: Sequence[int]) -> NDArray[np.float32] | None:
        found = stored_outputs(self._store, key)
        if found is None or self._output not in found[1]:
            return None
        samples, outputs = found
        batch = len(self._names) // self._runs
        rows = {run * batch + i: at * batch + i for at, run in enumerate(samples)
                for i in range(batch)}  # fmt: skip
        if not rows.keys() >= set(inputs):
            return None
        scores = outputs[self._output].reshape(len(rows), -1)
        return Predictions(scores[[rows[i] for i in inputs]]).scores

    def _named(self, found: dict[str, Any], inputs: Sequence[int]) -> dict[str, Any]:
        for name in ("top1_dissimilar", "topk_dissimilar"):
            found[name] = [self._names[inputs[i]] for i in found[name]]
        return found

    def compare(self, a: str, b: str) -> dict[str, Any] | None:
        """Compare two stored answers, by their keys; None where one is not stored whole."""
        key = combine(a, b, repr(self._names))
        found = self._log.get(key)
        if found is None:
            ours, theirs = self.scores(a), self.scores(b)
            if ours is None or theirs is None or ours.shape != theirs.shape:
                return None
            found = dict(compare_scores(ours, theirs))
            self._log.put(key, found)
        return self._named(dict(found), range(len(self._names)))

    def apart(self, a: str, b: str) -> dict[str, Any] | None:
        """Say how far two stored answers are apart, by every metric; None where one is not whole.

        As :func:`~pytest_mutatenn.analysis.noise.apart` does, without labels.
        """
        key = combine("apart", a, b, repr(self._names))
        found: dict[str, Any] | None = self._log.get(key)
        if found is None:
            sides = [stored_outputs(self._store, one) for one in (a, b)]
            every = list(range(self._runs))
            outputs = [side[1] for side in sides if side is not None and side[0] == every]
            if len(outputs) < 2 or not _same_shapes(*outputs) or self._output not in outputs[0]:
                return None
            found = noise.apart(outputs[0], outputs[1], self._output, len(self._names))
            self._log.put(key, found)
        return found

    def best(self, key: str) -> dict[str, Any] | None:
        """The best classes of each input, best first; None where not all inputs are stored."""
        scores = self.scores(key)
        if scores is None:
            return None
        return {"topk": top_classes(scores, depth(scores.shape[1])).tolist()}


def _same_shapes(a: Mapping[str, NDArray[Any]], b: Mapping[str, NDArray[Any]]) -> bool:
    shapes = [{name: array.shape for name, array in side.items()} for side in (a, b)]
    return shapes[0] == shapes[1]


def depth(classes: int) -> int:
    """How many best classes of so many are compared: all of them are the same set for everyone."""
    return max(1, min(TOP, classes - 1))


def compare_scores(a: NDArray[Any], b: NDArray[Any]) -> dict[str, Any]:
    """Compare the scores that two cells gave for the same inputs.

    Parameters
    ----------
    a, b : ndarray of float32, shape (inputs, classes)
        The scores; `b` is what `a` is compared with, which only matters for NaN's place.

    Returns
    -------
    dict
        ``inputs``: how many; ``differing``: for how many any bit differs; ``top1_dissimilar`` and
        ``topk_dissimilar``: numbers of those whose best class, and whose set of the ``k`` best
        classes, differs; ``tau_mean`` and ``tau_min`` of Kendall's tau over the inputs;
        ``max_abs_diff``: the largest difference of two scores, None where it is not finite.
    """
    k = depth(a.shape[1])
    same = (a.view(np.uint8) == b.view(np.uint8)).reshape(len(a), -1).all(axis=1)
    found: dict[str, Any] = {"inputs": len(a), "differing": int((~same).sum()), "k": k}
    if same.all():
        nothing: list[int] = []
        return {
            **found,
            "top1_dissimilar": nothing,
            "topk_dissimilar": nothing,
            "tau_mean": 1.0,
            "tau_min": 1.0,
            "max_abs_diff": 0.0,
        }
    tau = kendall_tau(a, b).values
    largest = float(max_abs_diff(a, b))
    return {
        **found,
        "top1_dissimilar": list(top1_agreement(a, b).differing),
        "topk_dissimilar": list(topk_agreement(a, b, k).differing),
        "tau_mean": _finite(float(tau.mean())),
        "tau_min": _finite(float(tau.min())),
        "max_abs_diff": _finite(largest, 12),
    }


def compare_best(
    a: Sequence[Sequence[int]], b: Sequence[Sequence[int]], names: Sequence[str]
) -> dict[str, Any]:
    """Compare what two cells hold to be the best classes, where no more is known of them.

    Parameters
    ----------
    a, b
        Of each input the best classes, best first.
    names
        What the inputs are called.

    Returns
    -------
    dict
        As :func:`compare_scores` gives, with names for numbers, and None for what scores are
        needed for.
    """
    each = list(zip(names, a, b, strict=True))
    return {
        "inputs": len(each),
        "differing": None,
        "k": len(a[0]) if a else 0,
        "top1_dissimilar": [name for name, ours, theirs in each if ours[:1] != theirs[:1]],
        "topk_dissimilar": [name for name, ours, theirs in each if set(ours) != set(theirs)],
        "tau_mean": None,
        "tau_min": None,
        "max_abs_diff": None,
    }


def _finite(value: float, digits: int = 6) -> float | None:
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def compare_cells(comparer: Comparer, keys: Mapping[str, str]) -> list[dict[str, Any]]:
    """Compare every two cells on one program.

    Parameters
    ----------
    comparer
        Of the network and dataset.
    keys
        Cell -> where its answers lie.

    Returns
    -------
    list of dict
        For every two cells whose answers are stored, ``a`` and ``b``, sorted, and what
        :func:`compare_scores` gives, with the inputs' names for their numbers.
    """
    found = []
    for a, b in itertools.combinations(sorted(keys), 2):
        compared = comparer.compare(keys[a], keys[b])
        if compared is not None:
            found.append({"a": a, "b": b, **compared})
    return found


def worst_first(entries: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Comparisons, those first in which the cells differ most."""

    def rank(entry: Mapping[str, Any]) -> tuple[int, int, float]:
        largest = entry["max_abs_diff"]
        return (
            -len(entry["top1_dissimilar"]),
            -len(entry["topk_dissimilar"]),
            -(math.inf if largest is None else largest),
        )

    return sorted(entries, key=rank)
