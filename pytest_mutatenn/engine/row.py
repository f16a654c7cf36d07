"""The child of one row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.engine.evaluation import Arrays, Evaluation, Recipe
from pytest_mutatenn.engine.outcome import Failure, Outcome
from pytest_mutatenn.engine.sandbox import Child, Reply

if TYPE_CHECKING:
    from pytest_mutatenn.engine.evaluate import Engine


class Row:
    """The child of one row: forked when first needed, ended with the row."""

    def __init__(self, engine: Engine, mutant: str | None) -> None:
        self._engine = engine
        self._mutant = mutant
        self._child: Child | None = None
        self._failure: Failure | None = None
        self._prepared = False

    def _ask(self, request: Mapping[str, Any], *args: Any, **options: Any) -> Reply | Failure:
        if self._failure is not None:
            return self._failure
        if self._child is None:
            self._child = self._engine.fork()
        reply = self._child.ask(request, *args, **options)
        if isinstance(reply, Failure):
            self._failure = reply
        return reply

    def prepare(self) -> Recipe:
        """Make the mutant; a compiler that dies or hangs has refused it."""
        limit = self._engine.limits.compile_timeout
        reply = self._ask({"do": "prepare", "mutant": self._mutant}, seconds=limit)
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
        return Recipe(**value)

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
        allowed: float | None,
        kept: tuple[int, list[Any]] | None = None,
    ) -> Evaluation | Failure:
        """Run on inputs, by the number of the network's input."""
        fds, keep = ([kept[0]], kept[1]) if kept is not None else ([], None)
        reply = self._ask({"do": "run", "keep": keep}, arrays, fds=fds, seconds=allowed)
        if isinstance(reply, Failure):
            # other inputs get a child of their own: this answer says nothing of them
            self._child, self._prepared, self._failure = None, False, None
            return reply
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
            value["step_seconds"] if self._mutant is None else (),
        )

    def close(self) -> None:
        """End the child."""
        if self._child is not None and self._child.alive:
            self._child.close()
        self._child = None
