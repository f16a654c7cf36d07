"""What the metrics share: pairs of scores, NaN, ranks, and the words for what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_mutatenn.analysis.metric import ROOM, Metric, PerInputMetric, listing, number, title
from pytest_mutatenn.engine.predictions import (
    Predictions,
    as_scores,
    best_classes,
    one_each,
    top_classes,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Pair",
    "Single",
    "class_name",
    "classes_in_common",
    "dense_ranks",
    "directions",
    "of_inputs",
    "per_input",
    "positions",
    "right_classes",
]


class Single:
    """One set of scores, not rounded, and what is known about its inputs."""

    def __init__(self, metric: str, predictions: Predictions | ArrayLike) -> None:
        self.scores = as_scores(predictions)
        _some(metric, len(self.scores))
        self.top1: NDArray[np.int64] = top_classes(self.scores, 1)[:, 0]
        known = predictions if isinstance(predictions, Predictions) else None
        self.names = known.names if known is not None else None
        self.labels = known.labels if known is not None else None

    def __len__(self) -> int:
        return len(self.scores)


class Pair:
    """Two sets of scores of the same inputs, in float64, and which inputs cannot be compared."""

    def __init__(
        self, metric: str, predictions: Predictions | ArrayLike, reference: Predictions | ArrayLike
    ) -> None:
        ours, theirs = as_scores(predictions), as_scores(reference)
        if ours.shape != theirs.shape:
            raise ValueError(
                f"{metric}: the predictions have shape {ours.shape} and the reference "
                f"{theirs.shape}; they must be the same inputs and classes"
            )
        _some(metric, len(ours))
        if ours.dtype != theirs.dtype:
            with np.errstate(over="ignore"):
                ours, theirs = ours.astype(np.float32), theirs.astype(np.float32)
        self.ours, self.theirs = ours.astype(np.float64), theirs.astype(np.float64)
        nans = np.isnan(self.ours), np.isnan(self.theirs)
        self.broken: NDArray[np.bool_] = (nans[0] != nans[1]).any(axis=1)
        """Inputs where one side has a NaN that the other has not."""
        self.holed: NDArray[np.bool_] = (nans[0] & nans[1]).any(axis=1) & ~self.broken
        """Inputs where both have a NaN at the same places."""
        self.names = next(
            (
                side.names
                for side in (predictions, reference)
                if isinstance(side, Predictions) and side.names is not None
            ),
            None,
        )

    def __len__(self) -> int:
        return len(self.ours)

    def best(self, k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give the best classes of both sides; -1 where a broken input's NaN leaves none."""
        found = []
        for side in self.ours, self.theirs:
            nan = np.isnan(side)
            best = best_classes(np.where(nan, -np.inf, side), k)
            best[self.broken & nan.any(axis=1)] = -1
            found.append(best)
        return found[0], found[1]


def per_input(
    name: str,
    pair: Pair,
    worst: float,
    of_rows: Callable[[NDArray[Any], NDArray[Any]], Sequence[float] | NDArray[np.float64]],
) -> PerInputMetric:
    """Apply a function of rows without NaN to a pair that may have them."""
    values = np.full(len(pair), worst)
    whole = ~(pair.broken | pair.holed)
    if whole.any():
        values[whole] = of_rows(pair.ours[whole], pair.theirs[whole])
    for i in np.flatnonzero(pair.holed):
        left = ~np.isnan(pair.ours[i])
        row = pair.ours[i : i + 1, left], pair.theirs[i : i + 1, left]
        values[i] = of_rows(*row)[0] if left.any() else 1.0
    # the same scores are the same, whatever the arithmetic makes of a row without order or length
    same = (pair.ours == pair.theirs) | np.isnan(pair.ours)
    values[same.all(axis=1) & ~pair.broken] = 1.0
    return PerInputMetric(name, values, pair.names)


def of_inputs(
    name: str,
    value: float,
    given: Pair | Single,
    differing: NDArray[Any],
    notes: Iterable[str],
    differ: str,
    agree: str,
    shown: str | None = None,
    kind: type[Metric] = Metric,
) -> Metric:
    """Give a metric that lists the inputs that differ, each with its note."""
    total, inputs = len(differing), len(given)
    shown = number(value) if shown is None else shown
    if not total:
        return kind(value, name, f"all of {inputs} inputs {agree}", (), shown)
    entries = (f"{title(i, given.names)} {note}" for i, note in zip(differing, notes, strict=True))
    head = f"{total} of {inputs} inputs {differ}: "
    room = ROOM - len(f"{name} = {shown} ({head})")
    return kind(value, name, head + listing(entries, total, room), differing, shown)


def _some(metric: str, inputs: int) -> None:
    if not inputs:
        raise ValueError(f"{metric}: there is no input to look at")


def class_name(top: int) -> str:
    """Show a best class; -1 is what a NaN leaves."""
    return "NaN" if top < 0 else str(top)


def classes_in_common(pair: Pair, k: int) -> NDArray[np.int64]:
    """Give, per input, how many classes are among the `k` best of both sides."""
    chosen = []
    for best in pair.best(k):
        mask = np.zeros(pair.ours.shape, bool)
        np.put_along_axis(mask, best, True, axis=1)
        chosen.append(mask)
    common: NDArray[np.int64] = (chosen[0] & chosen[1]).sum(axis=1)
    common[pair.broken] = 0
    return common


def right_classes(
    labels: ArrayLike | None, shape: tuple[int, ...], names: Sequence[str] | None
) -> NDArray[np.int64]:
    """Give the labels of so many inputs and classes.

    Raises
    ------
    ValueError
        If there are none, not one per input, or one that is no class.
    """
    if labels is None:
        raise ValueError(
            "accuracy needs labels and the predictions have none: "
            "pass accuracy(predictions, labels), or use inputs that come with labels"
        )
    inputs, classes = shape
    right: NDArray[np.int64] = one_each("accuracy: labels", labels, inputs, np.int64)
    if (strange := np.flatnonzero((right < 0) | (right >= classes))).size:
        i = strange[0]
        raise ValueError(
            f"accuracy: label {right[i]} of input {title(i, names)} is no class: "
            f"the scores have {classes} classes, 0 to {classes - 1}"
        )
    return right


def positions(scores: NDArray[Any]) -> NDArray[np.int64]:
    """Give the rank of each class, 0 the best, ties by lower class."""
    order = best_classes(scores, scores.shape[1])
    positions = np.empty_like(order)
    np.put_along_axis(positions, order, np.arange(scores.shape[1])[np.newaxis], axis=1)
    return positions


def dense_ranks(scores: NDArray[Any]) -> NDArray[np.int64]:
    """Give the rank of each score, 0 the lowest, equal ones sharing theirs; infinities are fine."""
    order = np.argsort(scores, axis=1, kind="stable")
    ordered = np.take_along_axis(scores, order, axis=1)
    steps = np.zeros(scores.shape, np.int64)
    steps[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    ranks = np.empty_like(steps)
    np.put_along_axis(ranks, order, steps.cumsum(axis=1), axis=1)
    return ranks


def directions(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Give each row at length 1; rows of zeros stay."""
    largest = np.abs(scores).max(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        # scaled first, so that no square overflows or vanishes
        scaled = np.where(np.isinf(largest), np.isinf(scores) * np.sign(scores), scores / largest)
        scaled[largest[:, 0] == 0] = 0
        length = np.sqrt((scaled**2).sum(axis=1, keepdims=True))
        return np.where(length > 0, scaled / length, 0.0)
