"""The unmutated network run again and again, to see whether it gives the same each time."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from pytest_mutatenn.engine.evaluate import Engine
from pytest_mutatenn.engine.evaluation import Arrays, Evaluation, Job
from pytest_mutatenn.engine.outcome import Failure
from pytest_mutatenn.engine.row import Row
from pytest_mutatenn.errors import MutatennError

if TYPE_CHECKING:
    from pytest_mutatenn.engine.base import ProcessEngine


def repeat_baseline(
    engine: ProcessEngine, arrays: Arrays, digest: str, repeats: int
) -> list[Evaluation]:
    """Run the unmutated network on all inputs, each time in a process of its own.

    Nothing is taken from the store and nothing is put there. What differs from one process to the
    next, such as the order in which a driver's threads add, is to be seen: a device with servers
    has a new one each time, and a runtime that takes the network whole is started anew.

    Parameters
    ----------
    engine
        Of the network and cell.
    arrays, digest
        The inputs, and what they are known by.
    repeats
        How often.

    Raises
    ------
    MutatennError
        If the network does not run.
    """
    samples = range(len(next(iter(arrays.values()))))
    runs = []
    for _ in range(repeats):
        with contextlib.ExitStack() as stack:
            if isinstance(engine, Engine):
                row = stack.enter_context(contextlib.closing(Row(engine, None, fresh=True)))
                found = row.run(arrays, digest, samples, None)
            else:
                engine.close()
                limit = engine.limits.compile_timeout
                found = engine.run(Job(None, arrays, digest), limit, samples)
        if isinstance(found, Failure):
            raise MutatennError(
                f"A repeat of {engine.model.source} on {engine.cell.id} did not run: "
                f"{found.reason}. --mutatenn-repeats=0 runs none."
            )
        engine.counters.evaluations_run += 1
        runs.append(found)
    return runs
