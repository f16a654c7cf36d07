"""Which inputs have decided before: they are looked at first.

For a network and a dataset it is kept how many mutants each input has helped to kill. A session
reads it once, all its workers the same; what it finds out is added when it ends. Only the number
of inputs that are run depends on it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.compiler.digest import combine

if TYPE_CHECKING:
    import numpy as np

    from pytest_mutatenn.engine.store import Store

_KIND = "history"


def read_kills(store: Store, model: str, dataset: str, shared: Path | None = None) -> list[int]:
    """Give the number of mutants that each input has helped to kill; empty where none is known.

    Parameters
    ----------
    store
        Where it is kept.
    model, dataset
        Digests of the network and the inputs.
    shared
        Folder of a session with several processes: what the first of them reads is what all read.
    """
    key = combine(model, dataset)
    if shared is None:
        return _stored(store, key)
    snapshot = shared / f"history-{key}"
    with contextlib.suppress(OSError):
        return list(json.loads(snapshot.read_text()))
    found = _stored(store, key)
    shared.mkdir(parents=True, exist_ok=True)
    own = shared / f"history-{key}-{os.getpid()}"
    own.write_text(json.dumps(found))
    with contextlib.suppress(FileExistsError):
        os.link(own, snapshot)
    own.unlink()
    return list(json.loads(snapshot.read_text()))


def add_kills(store: Store, model: str, dataset: str, killed_by: Iterable[Sequence[int]]) -> None:
    """Add, for each of some killed mutants, the inputs that its killing assertion failed for."""
    key = combine(model, dataset)
    with store.lock(key[:32]):
        counts = _stored(store, key)
        for inputs in killed_by:
            counts += [0] * (max(inputs, default=-1) + 1 - len(counts))
            for i in inputs:
                counts[i] += 1
        store.put_json(_KIND, key, counts)


def _stored(store: Store, key: str) -> list[int]:
    found: Any = store.get_json(_KIND, key)
    return list(found) if isinstance(found, list) else []


def order_of(kills: Sequence[int], scores: np.ndarray) -> list[int]:
    """Give the inputs in the order in which they are best looked at.

    Those that have killed most come first; then those for which the network is least sure, by how
    far its best score is above the second; then by number.

    Parameters
    ----------
    kills
        As :func:`read_kills` gives them.
    scores
        The baseline's, of shape (inputs, classes).
    """
    import numpy as np

    margin = np.full(len(scores), np.inf)
    if scores.shape[1] > 1:
        best = np.partition(scores.astype(np.float64), -2, axis=1)[:, -2:]
        with np.errstate(invalid="ignore"):
            margin = best[:, 1] - best[:, 0]
        margin[np.isnan(margin)] = np.inf
    counts = np.zeros(len(scores), np.int64)
    known = list(kills)[: len(scores)]
    counts[: len(known)] = known
    return [int(i) for i in np.lexsort((np.arange(len(scores)), margin, -counts))]
