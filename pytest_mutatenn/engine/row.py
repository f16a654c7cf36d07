"""The child of one row."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.engine.child import Child, Reply
from pytest_mutatenn.engine.evaluation import Arrays, Evaluation, Recipe
from pytest_mutatenn.engine.outcome import Failure, Outcome
from pytest_mutatenn.errors import InternalError, MutatennError
from pytest_mutatenn.model.shared import SharedArrays, SharedMemory

if TYPE_CHECKING:
    import numpy as np

    from pytest_mutatenn.engine.activations import Layout
    from pytest_mutatenn.engine.evaluate import Engine
    from pytest_mutatenn.engine.sandbox import Coming


@dataclass(frozen=True, eq=False)
class Kept:
    """The baseline's activations for the inputs of a dataset.

    Attributes
    ----------
    memory
        Where they lie.
    offsets
        Which they are, and where each starts.
    count
        Number of inputs.
    """

    memory: SharedMemory
    offsets: Layout
    count: int


class Row:
    """The child of one row: forked when first needed, ended with the row.

    With ``fresh`` it is a process that has served no other row.

    Attributes
    ----------
    mutant
        The mutant that it is of; None for the baseline.
    """

    def __init__(self, engine: Engine, mutant: str | None, *, fresh: bool = False) -> None:
        self._engine = engine
        self.mutant = mutant
        self._child: Child | None = None
        self._coming: Coming | None = None
        self._failure: Failure | None = None
        self._prepared = False
        self._fresh = fresh  # whether only a process will do that has served no other row
        self._again = False  # whether it has started over
        self._open: set[str] = set()  # the datasets that the child has mapped

    def _ask(self, request: Mapping[str, Any], *args: Any, **options: Any) -> Reply | Failure:
        if self._failure is not None:
            return self._failure
        if self._child is None:
            self._engine.take_hold(self)
            self._child = self._engine.fork(self.mutant, fresh=self._fresh)
        reply = self._child.ask(request, *args, **options)
        if isinstance(reply, Failure):
            self._failure = reply
        return reply

    def begin(self) -> None:
        """Have the mutant made while something else is done; :meth:`prepare` then waits for it."""
        self._coming = self._engine.coming(self.mutant)
        self._coming.send({"do": "prepare", "mutant": self.mutant})

    def _begun(self, coming: Coming, seconds: float) -> Reply | Failure:
        self._coming = None
        self._child = coming.child()
        reply = self._child.answer(seconds)
        if isinstance(reply, Failure):
            self._failure = reply
        return reply

    def prepare(self) -> Recipe:
        """Make the mutant; a compiler that dies or hangs has refused it."""
        limit = self._engine.limits.compile_timeout
        if self._coming is not None:
            reply = self._begun(self._coming, limit)
        else:
            reply = self._ask({"do": "prepare", "mutant": self.mutant}, seconds=limit)
        if isinstance(reply, Failure) and self._starts_over(reply):
            return self.prepare()
        if isinstance(reply, Failure):
            return Recipe(
                "rejected",
                reason=f"the compiler gave up: {reply.reason}",
                passing=reply.outcome in (Outcome.TIMED_OUT, Outcome.OUT_OF_MEMORY),
            )
        self._prepared = True
        value = dict(reply.value)
        self._engine.counters.add(value.pop("counters", {}))
        for name in ("before", "after"):
            value[name] = tuple(value.get(name, ()))
        value["change"] = self._engine.take_texts(value.get("change", ()))
        return Recipe(**value)

    def _starts_over(self, failure: Failure) -> bool:
        """Whether a failure may be the doing of a mutant that was served before in the process.

        The row then starts over in a process of its own, and only what happens there counts. One
        that hangs does not: the device was well, and as fast as ever, when the row began.

        Another machine may go away by itself, and come back: there every row may start over once,
        and before a hang is believed, the machine is asked whether it is there.

        Raises
        ------
        MutatennError
            If another machine is gone.
        """
        if self._child is None:
            return False
        remote = self._engine.info["remote"]
        if failure.outcome is Outcome.TIMED_OUT:
            if remote:
                self._engine.fork(self.mutant, fresh=True).close()
            return False
        if not self._child.used and (self._again or not remote):
            return False
        self._again = True
        self._fresh = True
        self._forget()
        return True

    def _forget(self) -> None:
        self._child, self._prepared, self._failure = None, False, None
        self._open.clear()

    def give_way(self) -> None:
        """Let another row have the device; this one starts over when it is asked again."""
        if self._failure is None:
            self.close(wait=True)
            self._forget()

    def ensure_prepared(self) -> Failure | None:
        """Make the mutant, if this child has not yet."""
        if not self._prepared and self._failure is None:
            recipe = self.prepare()
            if recipe.status != "prepared":
                return Failure(Outcome.REJECTED, recipe.reason)
        return self._failure

    def run(
        self,
        arrays: Arrays,
        digest: str,
        samples: Sequence[int],
        allowed: float | None,
        kept: Kept | None = None,
    ) -> Evaluation | Failure:
        """Run on some of the inputs, in the order given.

        Parameters
        ----------
        arrays, digest
            All inputs, by the network's names, and what they are known by.
        samples
            Numbers of the inputs to run.
        allowed
            Seconds that it may take.
        kept
            Activations for these inputs: to be written by the baseline, to be read by a mutant.
        """
        numbers = list(samples)
        request: dict[str, Any] = {"do": "run", "data": digest, "samples": numbers}
        sent: dict[str, np.ndarray] = {}
        fds: list[int] = []
        if digest not in self._open:
            names = [spec["name"] for spec in self._engine.info["inputs"]]
            if isinstance(arrays, SharedArrays):
                views = {view[0]: view[1:] for view in arrays.views}
                request["views"] = [[str(i), *views[name]] for i, name in enumerate(names)]
                fds.append(arrays.memory.fd)
            else:
                sent = {str(i): arrays[name][numbers] for i, name in enumerate(names)}
            if kept is not None:
                request["keep"] = [kept.offsets, kept.count]
                fds.append(kept.memory.fd)
        mapped = sum(os.fstat(fd).st_size for fd in fds)
        with self._engine.turn():
            reply = self._ask(request, sent, fds=fds, seconds=allowed, mapped=mapped)
        if isinstance(reply, Failure):
            # other inputs get a child of their own: this answer says nothing of them
            again = self._starts_over(reply)
            self._forget()
            failed = self.ensure_prepared() if again and self.mutant is not None else None
            if again and failed is None:
                return self.run(arrays, digest, samples, allowed, kept)
            return failed or reply
        if isinstance(arrays, SharedArrays):
            self._open.add(digest)
        value = reply.value
        counters = self._engine.counters
        counters.steps_run += value["steps_run"]
        counters.steps_reused += value["steps_reused"]
        names = [spec["name"] for spec in self._engine.info["outputs"]]
        return Evaluation(
            {name: reply.arrays[str(i)] for i, name in enumerate(names)},
            reply.arrays["latency"],
            value["infected"],
            value["seconds"],
            value["step_seconds"] if self.mutant is None else (),
        )

    def close(self, *, wait: bool = False) -> None:
        """End the child; with ``wait`` it is gone on return, and has nothing mapped."""
        if self._coming is not None:
            with contextlib.suppress(MutatennError, InternalError):
                self._coming.child().close(kill=True)
            self._coming = None
        if self._child is not None and self._child.alive:
            self._child.close(wait=wait)
        self._child = None
