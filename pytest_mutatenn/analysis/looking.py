"""Looking at predictions input by input, no further than an assertion needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.engine.lazy import LazyPredictions
from pytest_mutatenn.engine.predictions import Predictions, as_scores

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Looker"]

_GROWTH = 4
"""A chunk is a quarter of what has been looked at: few requests, and few inputs too many."""


class Looker:
    """Gives the scores of one or several predictions of the same inputs, a chunk at a time.

    What is in memory comes in one chunk. Of a mutant's predictions come those first that are
    known, then the others in the order in which they are most likely to decide: one after the
    other at first, then more at once.

    Parameters
    ----------
    metric : str
        For messages.
    *sides : Predictions or array_like, shape (inputs, classes)
        What is looked at.

    Attributes
    ----------
    shape : tuple of int
        Inputs and classes.
    names : sequence of str or None
        What each input is called.
    looked : list of int
        The inputs looked at so far.

    Raises
    ------
    ValueError
        If the shapes differ or there is no input.
    """

    def __init__(self, metric: str, *sides: Predictions | ArrayLike) -> None:
        self._sides = [
            side if isinstance(side, LazyPredictions) else as_scores(side) for side in sides
        ]
        shapes = [side.shape for side in self._sides]
        if len(set(shapes)) > 1:
            raise ValueError(
                f"{metric}: the predictions have shape {shapes[0]} and the reference "
                f"{shapes[1]}; they must be the same inputs and classes"
            )
        self.shape: tuple[int, ...] = shapes[0]
        if not self.shape[0]:
            raise ValueError(f"{metric}: there is no input to look at")
        self.names = next(
            (
                side.names
                for side in sides
                if isinstance(side, Predictions) and side.names is not None
            ),
            None,
        )
        self._lazy = [side for side in self._sides if isinstance(side, LazyPredictions)]
        self.looked: list[int] = []

    @property
    def left(self) -> int:
        """How many inputs have not been looked at."""
        return self.shape[0] - len(self.looked)

    def chunks(self) -> Iterator[tuple[list[int], list[NDArray[Any]]]]:
        """Give the numbers of some inputs and the scores of each side, until all are given."""
        for inputs in self._numbers():
            found = [
                side.rows(inputs) if isinstance(side, LazyPredictions) else side[inputs]
                for side in self._sides
            ]
            self.looked += inputs
            yield inputs, found

    def known(self) -> list[NDArray[Any]] | None:
        """Give the scores of all inputs of each side; None where some have not been run.

        Nothing is run for it.
        """
        inputs = range(self.shape[0])
        if any(len(side.source.done()) < len(inputs) for side in self._lazy):
            return None
        return [
            side.rows(inputs) if isinstance(side, LazyPredictions) else side for side in self._sides
        ]

    def _numbers(self) -> Iterator[list[int]]:
        if not self._lazy:
            yield list(range(self.shape[0]))
            return
        source = self._lazy[0].source
        known = sorted(source.done())
        if known:
            yield known
        there = set(known)
        rest = [i for i in source.order() if i not in there]
        start, looked = 0, len(known)
        while start < len(rest):
            end = start + max(1, looked // _GROWTH)
            yield rest[start:end]
            looked += len(rest[start:end])
            start = end

    def decided_by(self, inputs: Sequence[int]) -> None:
        """Tell whoever runs the inputs which of them the assertion failed for."""
        for side in self._lazy:
            side.source.decided_by(inputs)
