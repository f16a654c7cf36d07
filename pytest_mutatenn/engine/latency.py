"""How long the unmutated network takes for an input, measured for its own sake."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from pytest_mutatenn.engine.evaluate import Engine
from pytest_mutatenn.engine.evaluation import Arrays, Job
from pytest_mutatenn.engine.outcome import Failure
from pytest_mutatenn.engine.row import Row
from pytest_mutatenn.errors import MutatennError

if TYPE_CHECKING:
    import numpy as np

    from pytest_mutatenn.engine.base import ProcessEngine

_AMPLE = 600.0  # seconds for the first input; what it takes is what the others get


def measure_latency(
    engine: ProcessEngine, arrays: Arrays, digest: str, *, warmup: int, repeats: int
) -> np.ndarray:
    """Run the unmutated network several times on all inputs, in one process; nothing is stored.

    Parameters
    ----------
    engine
        Of the network and cell.
    arrays, digest
        The inputs, and what they are known by.
    warmup
        Rounds over all inputs that do not count.
    repeats
        Rounds that count.

    Returns
    -------
    ndarray of float64, shape (repeats, inputs)
        Seconds: of the kernels alone, the inputs being where the network reads them.

    Raises
    ------
    MutatennError
        If the network does not run.
    """
    import numpy as np

    samples = range(len(next(iter(arrays.values()))))
    rounds = []
    with contextlib.ExitStack() as stack:
        row = None
        if isinstance(engine, Engine):
            row = stack.enter_context(contextlib.closing(Row(engine, None)))
        for _ in range(warmup + repeats):
            if row is not None:
                found = row.run(arrays, digest, samples, None)
            else:
                found = engine.run(Job(None, arrays, digest), _AMPLE, samples)
            if isinstance(found, Failure):
                raise MutatennError(
                    f"The latency of {engine.model.source} on {engine.cell.id} could not be "
                    f"measured: {found.reason}."
                )
            rounds.append(found.latency)
    return np.array(rounds[warmup:], np.float64)
