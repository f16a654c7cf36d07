"""What a network answered: scores, and what is known about the inputs they belong to."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = [
    "Answers",
    "Predictions",
    "as_scores",
    "best_classes",
    "one_each",
    "top_classes",
]

SHOWN = 5
"""How many top-1 classes a repr shows."""


class Predictions:
    """The answers of one model on a set of inputs.

    Array-like: ``numpy.asarray(predictions)`` is :attr:`scores`, iteration gives one row of
    scores per input, ``predictions[3]`` is the fourth row. A slice, mask or list of numbers
    gives the `Predictions` of those inputs.

    Parameters
    ----------
    scores : array_like, shape (inputs, classes) or (classes,)
        One row per input, softmax or logits as the model gives them. Kept as float32 and copied.
        Dimensions after the first are flattened to one; a single row is one input.
    latency : array_like of float, shape (inputs,), optional
        Seconds that each input took.
    labels : array_like of int, shape (inputs,), optional
        The right class of each input.
    names : sequence of str, optional
        What to call each input in messages, for instance its file name.
    outputs : mapping of str to ndarray, optional
        All outputs of the network by name, as it gave them.

    Raises
    ------
    ValueError
        If the scores are no numbers, are scalar, are ragged or have no class, or if `latency`,
        `labels` or `names` are not one per input.
    """

    def __init__(
        self,
        scores: ArrayLike,
        *,
        latency: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        names: Sequence[str] | None = None,
        outputs: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        self._known: Answers | None = Answers.of(scores, latency, outputs)
        self._labels = None if labels is None else one_each("labels", labels, len(self), np.int64)
        self._names = None if names is None else tuple(map(str, names))
        if self._names is not None and len(self._names) != len(self):
            raise ValueError(f"names: expected one per input, {len(self)}, got {len(self._names)}")
        self._top1: NDArray[np.int64] | None = None

    def _answers(self) -> Answers:
        """What the model answered to all inputs."""
        assert self._known is not None
        return self._known

    def rows(self, inputs: Sequence[int]) -> NDArray[np.float32]:
        """Give the scores of some inputs, by their numbers.

        A mutant's predictions are run when they are asked for: this runs these inputs, where
        :attr:`scores` runs all.

        Parameters
        ----------
        inputs : sequence of int
            Numbers of the inputs, from 0.

        Returns
        -------
        ndarray of float32, shape (len(inputs), classes)
            In the order of `inputs`.
        """
        return self.scores[list(inputs)]

    @property
    def scores(self) -> NDArray[np.float32]:
        """The scores: float32, inputs x classes, read-only."""
        return self._answers().scores

    @property
    def top1(self) -> NDArray[np.int64]:
        """The best class of each input: int64, shape (inputs,).

        Of equal scores the lower class wins. A row with a NaN in it has no order, so no best
        class: it has -1.
        """
        if self._top1 is None:
            self._top1 = _frozen(top_classes(self.scores, 1)[:, 0])
        return self._top1

    def topk(self, k: int) -> NDArray[np.int64]:
        """Give the `k` best classes of each input, best first.

        Parameters
        ----------
        k : int
            1 to the number of classes.

        Returns
        -------
        ndarray of int64, shape (inputs, k)
            Of equal scores the lower class comes first. A row with a NaN in it is all -1.

        Raises
        ------
        ValueError
            If there are fewer than `k` classes, or `k` is less than 1.
        """
        return top_classes(self.scores, k)

    @property
    def latency(self) -> NDArray[np.float64] | None:
        """Seconds per input: float64, shape (inputs,); None where nobody measured.

        Of a network's row they are of the run that gave these answers, which may have been an
        earlier session's; NaN where part of the work was spared. With
        ``--mutatenn-latency-repeats`` those of the unmutated network are this session's, the median
        of the repeats.
        """
        return self._answers().latency

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The right class of each input: int64, shape (inputs,); None where unknown."""
        return self._labels

    @property
    def names(self) -> tuple[str, ...] | None:
        """What each input is called; None where they have no names."""
        return self._names

    @property
    def outputs(self) -> Mapping[str, NDArray[Any]]:
        """All outputs of the network by name, read-only; empty where only scores were kept."""
        return self._answers().outputs

    @property
    def shape(self) -> tuple[int, int]:
        """Inputs and classes."""
        inputs, classes = self.scores.shape
        return inputs, classes

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return iter(self.scores)

    def __getitem__(self, index: Any) -> Any:
        """Give a row of scores for a number, a score for two, else the predictions chosen."""
        if isinstance(index, tuple):
            return self.scores[index]
        chosen = np.arange(len(self))[index]
        if chosen.ndim == 0:
            return self.scores[chosen]
        return Predictions(
            self.scores[chosen],
            latency=None if self.latency is None else self.latency[chosen],
            labels=None if self._labels is None else self._labels[chosen],
            names=None if self._names is None else [self._names[i] for i in chosen],
            # an output that is not per input, a scalar for instance, belongs to all of them
            outputs={
                name: array[chosen] if array.shape[:1] == (len(self),) else array
                for name, array in self.outputs.items()
            },
        )

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        wanted = self.scores.dtype if dtype is None else np.dtype(dtype)
        if wanted == self.scores.dtype and not copy:
            return self.scores
        if copy is False:
            raise ValueError(f"scores are {self.scores.dtype}: {wanted} cannot do without a copy")
        return self.scores.astype(wanted)

    def __repr__(self) -> str:
        inputs, classes = self.shape
        best = ", ".join("NaN" if top < 0 else str(top) for top in self.top1[:SHOWN])
        more = f", and {inputs - SHOWN} more" if inputs > SHOWN else ""
        known = {"labels": self._labels, "names": self._names, "latency": self.latency}
        having = ", ".join(what for what, value in known.items() if value is not None)
        return (
            f"<Predictions: {inputs} inputs x {classes} classes"
            + (f", top-1 {best}{more}" if inputs else "")
            + (f"; with {having}>" if having else ">")
        )


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model answered to all inputs.

    Attributes
    ----------
    scores
        float32, inputs x classes, read-only.
    latency
        Seconds per input, or None.
    outputs
        All outputs by name, read-only.
    """

    scores: NDArray[np.float32]
    latency: NDArray[np.float64] | None
    outputs: Mapping[str, NDArray[Any]]

    @classmethod
    def of(
        cls,
        scores: ArrayLike,
        latency: ArrayLike | None,
        outputs: Mapping[str, NDArray[Any]] | None,
    ) -> Answers:
        """Check and keep what :class:`Predictions` is given."""
        with np.errstate(over="ignore"):  # a float64 too large for float32 is inf, as on a device
            kept = _frozen(np.array(as_scores(scores), dtype=np.float32, order="C"))
        times = None if latency is None else one_each("latency", latency, len(kept), np.float64)
        named = {name: _frozen(np.asarray(array).view()) for name, array in (outputs or {}).items()}
        return cls(kept, times, MappingProxyType(named))


def as_scores(values: ArrayLike | Predictions) -> NDArray[Any]:
    """Give scores as a floating-point array of inputs x classes, without rounding them.

    Parameters
    ----------
    values : Predictions or array_like
        One dimension is one input; dimensions after the first are flattened to one.

    Returns
    -------
    ndarray, shape (inputs, classes)
        float32 for float32 and narrower floats, float64 for all other numbers.

    Raises
    ------
    ValueError
        If `values` are no real numbers, ragged, scalar, or have no class.
    """
    if isinstance(values, Predictions):
        return values.scores
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError("scores must be inputs x classes, all rows of one length") from error
    if array.dtype.kind not in "fiub":
        # ml_dtypes' bfloat16 and float8 have kind V
        if array.dtype.kind != "V" or array.dtype.fields is not None:
            raise ValueError(f"scores must be real numbers, got an array of {array.dtype}")
        array = array.astype(np.float32)
    narrow = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    array = array.astype(np.float32 if narrow else np.float64, copy=False)
    if array.ndim == 0:
        raise ValueError("scores must be inputs x classes, got one number")
    if array.ndim == 1:
        array = array[np.newaxis]
    array = array.reshape(len(array), int(np.prod(array.shape[1:])))
    if array.shape[1] == 0:
        raise ValueError("scores must have at least one class, got none")
    return array


def best_classes(scores: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Give the `k` best classes of each row without NaN, best first, ties by lower class.

    Raises
    ------
    ValueError
        If `k` is not between 1 and the number of classes.
    """
    count, classes = operator.index(k), scores.shape[1]
    if not 1 <= count <= classes:
        raise ValueError(f"k must be between 1 and the number of classes, {classes}, got {count}")
    if count == 1:  # the same class as sorting gives, sooner
        return scores.argmax(axis=1)[:, np.newaxis].astype(np.int64)
    return np.argsort(-scores, axis=1, kind="stable")[:, :count].astype(np.int64)


def one_each(
    what: str, values: ArrayLike, inputs: int, dtype: type[np.float64] | type[np.int64]
) -> NDArray[Any]:
    """Give `values` as a read-only array of one number per input.

    Raises
    ------
    ValueError
        If there is not one per input, or whole numbers are wanted and some are not.
    """
    given = np.asarray(values)
    if given.size != inputs or given.ndim > 2:
        raise ValueError(f"{what}: expected one per input, {inputs}, got shape {given.shape}")
    with np.errstate(invalid="ignore"):
        kept = given.ravel().astype(dtype)
    if dtype is np.int64 and not np.array_equal(kept, given.ravel()):
        raise ValueError(f"{what}: expected whole numbers, got {given.dtype} with others in it")
    return _frozen(kept)


def top_classes(scores: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Give the `k` best classes of each row as `best_classes` does; -1 for a row with a NaN."""
    best = best_classes(scores, k)
    best[np.isnan(scores).any(axis=1)] = -1
    return best


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
