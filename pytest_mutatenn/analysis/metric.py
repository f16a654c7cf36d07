"""What a metric gives back: a number, or one per input, that explains itself.

pytest shows the repr of what a failed assert compared, and by default no more than 240 characters
of it. So each repr here names the inputs that differ, the first or the worst of them, in that room.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_mutatenn.analysis.margins import is_noting, note

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = ["Check", "Metric", "PerInputMetric", "YesNo", "listing", "number", "title"]

ROOM = 240
SHOWN = 5
LONGEST_NAME = 24


class Metric(float):
    """A number that says how it came about: it compares and calculates as a float does.

    A comparison with a number is noted as a margin of the test that is running, on whichever side
    of the sign the metric stands; of two metrics the left one is the value. What is calculated from
    a metric is a plain float, and its comparisons are not noted; nor is one with a NumPy number on
    the left, which does not ask the metric.

    Parameters
    ----------
    value : float
        The number.
    name : str
        What it measures.
    reason : str
        Which inputs made it so.
    differing : sequence of int
        The numbers of the inputs that differ, all of them.
    shown : str, optional
        How to show the value; default as a number.

    Attributes
    ----------
    differing : tuple of int
        As above: `predictions[list(metric.differing)]` are the predictions that differ.
    """

    name: str
    reason: str
    differing: tuple[int, ...]
    shown: str

    def __new__(
        cls,
        value: float,
        name: str,
        reason: str,
        differing: Iterable[int] = (),
        shown: str | None = None,
    ) -> Metric:
        """Make a float that carries its explanation."""
        metric = super().__new__(cls, value)
        metric.name, metric.reason = name, reason
        metric.differing = tuple(int(i) for i in differing)
        metric.shown = number(float(value)) if shown is None else shown
        return metric

    def __getnewargs__(self) -> Any:  # float's own gives the value alone, which cannot be copied
        return float(self), self.name, self.reason, self.differing, self.shown

    def __repr__(self) -> str:
        return f"{self.name} = {self.shown} ({self.reason})"

    __hash__ = float.__hash__

    def _compared(self, sign: str, bound: Any) -> Any:
        # as a float: what an array or approx makes of it they say themselves
        met = _COMPARE[sign](float(self), float(bound) if isinstance(bound, Metric) else bound)
        self._note(sign, bound, met)
        return met

    def _note(self, sign: str, bound: Any, met: Any) -> None:
        note(self.name, sign, bound, float(self), met)

    def __ge__(self, bound: Any) -> Any:
        return self._compared(">=", bound)

    def __gt__(self, bound: Any) -> Any:
        return self._compared(">", bound)

    def __le__(self, bound: Any) -> Any:
        return self._compared("<=", bound)

    def __lt__(self, bound: Any) -> Any:
        return self._compared("<", bound)

    def __eq__(self, bound: object) -> Any:
        return self._compared("==", bound)

    def __ne__(self, bound: object) -> Any:
        return self._compared("!=", bound)


class YesNo(Metric):
    """A metric that is true or false: how far it is from the other is no question."""

    def _note(self, sign: str, bound: Any, met: Any) -> None:
        pass


class Check:
    """Whether every input meets a condition: true or false, and says which do not.

    It is what comparing a :class:`PerInputMetric` with a number gives. As an array it is one bool
    per input, so ``numpy.mean(kendall_tau(p, r) >= 0.8)`` is the part of the inputs that meet it.
    """

    def __init__(self, metric: PerInputMetric, sign: str, wanted: ArrayLike) -> None:
        self._metric, self._sign, self._wanted = metric, sign, np.asarray(wanted, np.float64)
        if self._wanted.shape not in ((), metric.values.shape):
            raise ValueError(
                f"{metric.name} has {len(metric)} inputs, "
                f"compared with an array of shape {self._wanted.shape}"
            )
        self._met: NDArray[np.bool_] = _COMPARE[sign](metric.values, self._wanted)

    @property
    def failing(self) -> tuple[int, ...]:
        """The numbers of the inputs that do not meet the condition."""
        return tuple(int(i) for i in np.flatnonzero(~self._met))

    def all(self) -> bool:
        """Say whether every input meets the condition; noted as a margin, of the worst input."""
        met = bool(self._met.all())
        self._note(met, np.argmin)
        return met

    def any(self) -> bool:
        """Say whether at least one input does; noted as a margin, of the best input."""
        met = bool(self._met.any())
        self._note(met, np.argmax)
        return met

    def _note(self, met: bool, which: Callable[[Any], Any]) -> None:
        if not is_noting():
            return
        values = self._metric.values
        room = (values - self._wanted) * (-1 if self._sign in ("<=", "<") else 1)
        room = -np.abs(room) if self._sign == "==" else room
        # NaN is the worst there is, and never the best
        i = which(room if which is np.argmin else np.where(np.isnan(room), -np.inf, room))
        wanted = np.broadcast_to(self._wanted, values.shape)[i]
        note(self._metric.name, self._sign, wanted, values[i], met)

    def __bool__(self) -> bool:
        return self.all()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return _array(self._met, dtype, copy)

    def __repr__(self) -> str:
        limit = number(float(self._wanted)) if self._wanted.ndim == 0 else "the values given"
        condition = f"{self._metric.name} {self._sign} {limit}"
        inputs, failing = self._met.size, self.failing
        if not failing:
            return f"{condition} on all of {inputs} inputs"
        head = f"{condition} fails on {len(failing)} of {inputs} inputs: "
        return head + listing(self._metric.entries(failing), len(failing), ROOM - len(head))


class PerInputMetric:
    """One number per input: an array that explains itself; 1 is best.

    A comparison with a number is a :class:`Check`: ``tau >= 0.8`` is true when *every* input meets
    it, and so ``tau < 0.8`` is not its opposite. ``tau != 1`` is the opposite of ``tau == 1``, as
    everywhere in Python. To ask for less than every input, take :meth:`mean` or :attr:`values`.

    Parameters
    ----------
    name : str
        What it measures.
    values : array_like of float, shape (inputs,)
        The numbers; not empty.
    names : sequence of str, optional
        What each input is called.
    """

    __hash__ = None  # type: ignore[assignment]
    # so that NumPy's numbers leave a comparison with one of these to it
    __array_priority__ = 1000

    def __init__(self, name: str, values: ArrayLike, names: Sequence[str] | None = None) -> None:
        self.name, self.names = name, names
        self._values = np.array(values, np.float64)
        self._values.flags.writeable = False

    @property
    def values(self) -> NDArray[np.float64]:
        """The numbers: float64, shape (inputs,), read-only."""
        return self._values

    @property
    def differing(self) -> tuple[int, ...]:
        """The numbers of the inputs below 1, worst first."""
        worst_first = np.argsort(self._values, kind="stable")
        return tuple(int(i) for i in worst_first if self._values[i] < 1)

    def min(self) -> Metric:
        """Give the worst input's number."""
        return self._metric("min", self._values.min())

    def max(self) -> Metric:
        """Give the best input's number."""
        return self._metric("max", self._values.max())

    def mean(self) -> Metric:
        """Give the mean over the inputs."""
        return self._metric("mean", self._values.mean())

    def entries(self, inputs: Iterable[int]) -> Iterator[str]:
        """Say of each of the inputs what it is called and its number."""
        return (f"{title(i, self.names)} {number(float(self._values[i]), 3)}" for i in inputs)

    def _metric(self, which: str, value: float) -> Metric:
        name = f"{self.name}.{which}()"
        shown = number(float(value))
        room = ROOM - len(f"{name} = {shown} ()")
        return Metric(value, name, self._reason(room), self.differing, shown)

    def _reason(self, room: int) -> str:
        inputs, differing = len(self), self.differing
        if not differing:
            return f"all of {inputs} inputs are 1"
        head = f"{len(differing)} of {inputs} inputs are below 1: "
        return head + listing(self.entries(differing), len(differing), room - len(head))

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[float]:
        return iter(self._values.tolist())

    def __getitem__(self, index: Any) -> Any:
        return self._values[index]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return _array(self._values, dtype, copy)

    def __ge__(self, wanted: ArrayLike) -> Check:
        return Check(self, ">=", wanted)

    def __gt__(self, wanted: ArrayLike) -> Check:
        return Check(self, ">", wanted)

    def __le__(self, wanted: ArrayLike) -> Check:
        return Check(self, "<=", wanted)

    def __lt__(self, wanted: ArrayLike) -> Check:
        return Check(self, "<", wanted)

    def __eq__(self, wanted: ArrayLike) -> Check:  # type: ignore[override]
        return Check(self, "==", wanted)

    def __repr__(self) -> str:
        low, mean, high = (number(float(f(self._values)), 4) for f in (np.min, np.mean, np.max))
        head = f"{self.name}: min {low}, mean {mean}, max {high} ("
        return head + self._reason(ROOM - len(head) - 1) + ")"


def listing(entries: Iterable[str], total: int, room: int = ROOM) -> str:
    """Join the first few entries, as many as fit into `room`, and count the rest.

    Parameters
    ----------
    entries : iterable of str
        At least the first few; read no further than needed.
    total : int
        How many there are.
    room : int
        Characters to stay within; at least one entry is shown.
    """
    text, count = "", 0
    for count, entry in enumerate(entries, 1):
        longer = f"{text}, {entry}" if text else entry
        rest = len(f", and {total - count} more") if count < total else 0
        if text and len(longer) + rest > room:
            count -= 1
            break
        text = longer
        if count == SHOWN:
            break
    return text if count == total else f"{text}, and {total - count} more"


def number(value: float, digits: int = 6) -> str:
    """Show a number with few digits, but never as a rounder one than it is.

    A repr that says ``0.95 >= 0.95`` has failed helps nobody: 0.9499999 is shown so.
    """
    short = f"{value:.{digits}g}"
    written = len(short.strip("-0.").replace(".", ""))
    if not np.isfinite(value) or float(short) == value or written >= digits:
        return short
    longer = (f"{value:.{n}g}" for n in range(digits + 1, 18))
    return next(text for text in longer if float(text) != float(short))


def title(index: int, names: Sequence[str] | None) -> str:
    """Call an input by number, and by name where it has one."""
    if names is None:
        return f"#{index}"
    name = PurePath(names[index]).name or names[index]
    if name == str(index):
        return f"#{index}"
    if len(name) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME // 2 - 1]}...{name[-LONGEST_NAME // 2 + 2 :]}"
    return f"#{index} {name}"


def _array(array: NDArray[Any], dtype: DTypeLike | None, copy: bool | None) -> NDArray[Any]:
    wanted = array.dtype if dtype is None else np.dtype(dtype)
    if wanted == array.dtype and not copy:
        return array
    if copy is False:
        raise ValueError(f"{array.dtype} cannot be {wanted} without a copy")
    return array.astype(wanted)


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}
