"""Predictions that are run when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pytest_mutatenn.engine.predictions import Answers, Predictions, one_each

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["LazyPredictions", "Source"]


class Source(Protocol):
    """Where the predictions come from that are run when they are asked for."""

    @property
    def shape(self) -> tuple[int, int]:
        """Inputs and classes."""

    def order(self) -> Sequence[int]:
        """The inputs in the order in which they are best looked at."""

    def done(self) -> Sequence[int]:
        """The inputs whose scores are known already."""

    def rows(self, inputs: Sequence[int]) -> NDArray[np.float32]:
        """Scores of some inputs."""

    def answers(self) -> Answers:
        """All there is to know of all inputs."""

    def decided_by(self, inputs: Sequence[int]) -> None:
        """Take note of the inputs for which an assertion failed."""


class LazyPredictions(Predictions):
    """Predictions that are run when they are asked for.

    Whatever :class:`Predictions` can tell runs all inputs, but for :meth:`rows`, the shape, labels
    and names.

    Parameters
    ----------
    source : Source
        Runs them.
    labels, names
        As for :class:`Predictions`.
    """

    def __init__(
        self,
        source: Source,
        *,
        labels: ArrayLike | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        self.source = source
        self._known = None
        self._labels = None if labels is None else one_each("labels", labels, len(self), np.int64)
        self._names = None if names is None else tuple(map(str, names))
        self._top1 = None

    def _answers(self) -> Answers:
        if self._known is None:
            self._known = self.source.answers()
        return self._known

    def rows(self, inputs: Sequence[int]) -> NDArray[np.float32]:
        """Run some inputs and give their scores."""
        return self.source.rows(inputs) if self._known is None else super().rows(inputs)

    @property
    def shape(self) -> tuple[int, int]:
        """Inputs and classes; nothing is run for it."""
        return self.source.shape

    def __len__(self) -> int:
        return self.source.shape[0]

    def __repr__(self) -> str:
        if self._known is not None:
            return super().__repr__()
        # pytest shows the arguments of a test that failed: that is no reason to run the rest
        inputs, classes = self.shape
        return f"<Predictions: {inputs} inputs x {classes} classes, {len(self.source.done())} run>"
