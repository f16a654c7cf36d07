"""Recipe, cell and inputs in; an Evaluation out. Everything made on the way is stored."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.compiler.digest import combine
from pytest_mutatenn.compiler.mutant import Mutant
from pytest_mutatenn.engine.activations import choose_steps, layout
from pytest_mutatenn.engine.base import ProcessEngine
from pytest_mutatenn.engine.child import Child, Reply
from pytest_mutatenn.engine.evaluation import Arrays, Evaluation, Job, Opened, Recipe, role_of
from pytest_mutatenn.engine.outcome import Failure, Outcome
from pytest_mutatenn.engine.results import Results
from pytest_mutatenn.engine.row import Kept, Row
from pytest_mutatenn.engine.sandbox import Coming, Zygote
from pytest_mutatenn.engine.texts import Change
from pytest_mutatenn.engine.turns import turn
from pytest_mutatenn.errors import InternalError, MutatennError
from pytest_mutatenn.model.shared import SharedMemory
from pytest_mutatenn.operators.plugins import plugins_version
from pytest_mutatenn.operators.registry import files_of
from pytest_mutatenn.operators.sources import digest_of_sources

if TYPE_CHECKING:
    from filelock import BaseFileLock

_HOLDERS: dict[str, Row] = {}  # device of another machine -> the row that has its session
_FORMAT = "by input"  # of a stored evaluation
_MANY = 64  # inputs from which on the baseline is not run once more to keep its activations,
_TRIED = 8  # but a few of them first, to see how long each step takes


@dataclass(eq=False)
class Engine(ProcessEngine):
    """Evaluates one network on one cell whose device runs kernels.

    Attributes
    ----------
    disabled_passes, required_passes
        Passes taken out of the opt level and in.
    operator_files, settings
        The user's own operators, and values of operators' parameters.
    incremental
        Whether work is spared: steps, inputs and results that are the baseline's or an earlier
        run's. Without, every mutant is run whole, as proof that sparing changes nothing.
    compile_only
        Whether the device is not here: code is compiled for it, and nothing is run.
    ahead
        Whether a mutant may be made while the one before it is run and judged; a core is idle then.
    """

    disabled_passes: tuple[str, ...] = ()
    required_passes: tuple[str, ...] = ()
    operator_files: tuple[Path, ...] = ()
    settings: tuple[tuple[str, str, str], ...] = ()
    compile_only: bool = False
    ahead: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._zygote: Zygote | None = None
        self._turn: BaseFileLock | None = None
        self._ahead: Row | None = None
        self._activations: dict[str, Kept] = {}
        self._sources = {file: digest_of_sources(file) for file in self.operator_files}
        self.key = self._make_key(
            repr((self.disabled_passes, self.required_passes)),
            "compiled only" if self.compile_only else "",
            plugins_version(),
        )

    # -- the zygote ---------------------------------------------------------------------------

    def zygote(self) -> Zygote:
        """The process with the baseline loaded, started at the first call."""
        if self._zygote is None:
            self._scratch = self.store.scratch()
            order = {
                **self._order(),
                "disabled_passes": self.disabled_passes,
                "required_passes": self.required_passes,
                "operator_files": [str(file) for file in self.operator_files],
                "settings": self.settings,
                "store": str(self.store.root),
                "incremental": self.incremental,
                "compile_only": self.compile_only,
            }
            self._zygote = Zygote(order, self.threads, self._scratch)
            # as it comes back from the store, so that a report is the same cold and warm
            info = json.loads(json.dumps(self._zygote.info, sort_keys=True))
            self.counters.add(info.pop("counters"))
            info.pop("seconds")
            info.pop("number")
            self._take_info(info)
        return self._zygote

    def close(self) -> None:
        """End the processes; what is stored stays."""
        self._drop_ahead()
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None
        for kept in self._activations.values():
            kept.memory.close()
        self._activations.clear()
        super().close()

    def fork(self, mutant: str | None = None, *, device: bool = True, fresh: bool = False) -> Child:
        """Fork a child that can make and run one mutant, or run the baseline.

        Without ``device`` it can only list mutants; ``fresh`` is of no other row's leavings.
        """
        with self.turn() if device else contextlib.nullcontext():
            return self.coming(mutant, device=device, fresh=fresh).child()

    def coming(self, mutant: str | None, *, device: bool = True, fresh: bool = False) -> Coming:
        """As :meth:`fork`, and do not wait for it."""
        memory = self.limits.memory
        return self.zygote().fork(memory, mutant or "", device=device, fresh=fresh)

    def take_hold(self, row: Row) -> None:
        """Have other rows of this process give way, where the device has one user at a time."""
        if self.info["remote"]:
            other = _HOLDERS.get(self.cell.spec)
            if other is not None and other is not row:
                other.give_way()
            _HOLDERS[self.cell.spec] = row

    def turn(self) -> contextlib.AbstractContextManager[Any]:
        """Hold the device, where workers take turns on it."""
        if self._turn is None:
            self._turn = turn(self.info["fingerprint"]) if self.info["exclusive"] else None
        return self._turn or contextlib.nullcontext()

    # -- mutants ------------------------------------------------------------------------------

    def list_mutants(
        self,
        operators: str,
        stages: Sequence[str],
        order: tuple[str, int],
        positions: tuple[int, int | None],
        seed: int,
        named: Sequence[str] = (),
    ) -> dict[str, Any]:
        """List the mutants that a selection gives in this cell; stored, so cheap when warm.

        With ``named``, only those of these ids that there are, whatever else is asked.

        See :func:`pytest_mutatenn.engine.listing.list_mutants` for what goes in and comes out.

        Raises
        ------
        MutatennError
            If the selection names an unknown operator.
        """
        request = {
            "do": "list",
            "operators": operators,
            "stages": list(stages),
            "order": order[0],
            "count": order[1],
            "positions": list(positions),
            "seed": seed,
            "named": list(named),
        }
        sources = repr(list(self._sources.values()))
        key = combine(self.key, sources, repr(sorted(request.items())), repr(self.settings))
        stored = self.store.get_json("lists", key)
        if stored is None:
            # the workers of a run all need it at the same time: one makes it
            with self.store.lock(key[:32]):
                stored = self.store.get_json("lists", key) or self._list(request, key)
        return dict(stored)

    def _list(self, request: Mapping[str, Any], key: str) -> dict[str, Any]:
        limit = self.limits.list_timeout
        with contextlib.closing(self.fork(device=False)) as child:
            reply = child.ask(request, seconds=limit)
        if isinstance(reply, Failure) and reply.outcome is Outcome.TIMED_OUT:
            files = ", ".join(map(str, self.operator_files)) or "none"
            raise MutatennError(
                f"Listing the mutants of {self.cell.id} took more than {limit:g} s. Does an "
                f"operator of your own not end? Files that define some: {files}."
            )
        if isinstance(reply, Failure):
            raise InternalError(
                f"Listing the mutants of {self.cell.id} failed: {reply.reason}.\n{reply.stderr}"
            )
        self.store.put_json("lists", key, reply.value)
        return dict(reply.value)

    def recipe(self, mutant: str, child: Row | None = None, following: str | None = None) -> Recipe:
        """How this cell makes a mutant; made on the first call, unless the store knows.

        The mutant that is asked for next is then begun.
        """
        found = self.recipes.get(mutant)
        if found is None:
            found = self._stored_recipe(mutant)
            if found is None:
                with contextlib.ExitStack() as stack:
                    row = child or stack.enter_context(contextlib.closing(Row(self, mutant)))
                    found = row.prepare()
                # where the identity cannot be made, something is wrong here and now
                sound = found.status == "prepared" or mutant != "identity"
                if sound and not found.passing and self.incremental:
                    self.store.log("recipes", self.key).put(self._recipe_key(mutant), asdict(found))
            self.recipes[mutant] = found
        if following is not None and self.ahead:
            self._begin(following)
        return found

    def _stored_recipe(self, mutant: str) -> Recipe | None:
        if not self.incremental:
            return None
        stored = self.store.log("recipes", self.key).get(self._recipe_key(mutant))
        if stored is None or not all(self.texts.get(text) for text, _ in stored["change"]):
            return None
        return Recipe.read(stored)

    def _recipe_key(self, mutant: str) -> str:
        return combine(mutant, repr(self._makers(mutant)))

    def _begin(self, mutant: str) -> None:
        """Begin to make a mutant, unless it is stored, or its device has one row at a time."""
        if not self.info["forks"] or (self._ahead is not None and self._ahead.mutant == mutant):
            return
        self._drop_ahead()
        if mutant in self.recipes:
            return
        stored = self._stored_recipe(mutant)
        if stored is not None:
            self.recipes[mutant] = stored  # it is asked for next
            return
        self._ahead = Row(self, mutant)
        self._ahead.begin()

    def _drop_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def row_of(self, mutant: str | None) -> Row:
        """The child of a row; the one that was begun before, if that is its mutant's."""
        row = self._ahead
        if row is None or row.mutant != mutant:
            return Row(self, mutant)
        self._ahead = None
        return row

    def take_texts(self, told: Sequence[Mapping[str, Any]]) -> Change:
        """Take the texts that a mutant of this cell changes; see :class:`Texts`."""
        return self.texts.take(told, keep=self.incremental)

    def _makers(self, mutant: str) -> tuple[list[str], list[tuple[str, str, str]]]:
        """The files of the user's, and the parameters, that decide what this mutant is."""
        operators = {part.operator for part in Mutant.parse(mutant).parts}
        files = files_of(operators, self.operator_files)
        settings = sorted(setting for setting in self.settings if setting[0] in operators)
        return sorted(self._sources[file] for file in files), settings

    def derive(self, mutant: str | None, kinds: Sequence[str]) -> Reply | Failure:
        """Derive the IR and the code of a mutant, or of the baseline; nothing of it is run.

        See :func:`pytest_mutatenn.engine.deriving.derive` for what goes in and comes out.
        """
        return self._derived({"do": "derive", "mutant": mutant, "kinds": list(kinds)})

    def export(self, mutant: str) -> Reply | Failure:
        """Give a mutant and the baseline as data that a script can run.

        See :func:`pytest_mutatenn.engine.exporting.export` for what comes out.
        """
        return self._derived({"do": "export", "mutant": mutant})

    def _derived(self, request: Mapping[str, Any]) -> Reply | Failure:
        mutant = request["mutant"]
        # of the baseline every kernel of the network, one after another
        limit = self.limits.compile_timeout * (1 if mutant is not None else 10)
        with contextlib.closing(self.fork(mutant, device=False)) as child:
            return child.ask(request, seconds=limit)

    # -- runs ---------------------------------------------------------------------------------

    def results(self, job: Job) -> Results:
        """What is known of a run.

        Raises
        ------
        MutatennError
            If the device is not here.
        """
        if self.compile_only:
            raise MutatennError(f"{self.cell.id} is compiled only: its device is not here.")
        mutant = job.mutant
        key = self.result_key(mutant, job.digest, job.row)
        if key is not None:
            self.opened[key] = Opened(self._program(mutant, job.row), job.digest, role_of(mutant))
        baseline = 0.0
        if mutant is not None:
            baseline = self.baseline(job.arrays, job.digest, keep=job.keep).seconds
        return Results(self, job, key=key, allowed=self.limits.deadline(baseline))

    def _program(self, mutant: str | None, row: Row | None) -> str:
        """The digest of a mutant's program, or of the baseline's."""
        found = self.info["digest"] if mutant is None else self.recipe(mutant, row).digest
        return str(found)

    def result_key(self, mutant: str | None, digest: str, row: Row | None = None) -> str | None:
        """Where the store has the results of a run on these inputs; None where nothing is kept."""
        program = self._program(mutant, row)
        # what is kept beside the outputs is relative to a baseline; and the identity must run for
        # itself: that its outputs are the baseline's is what it shows
        role = "baseline" if mutant is None else f"{mutant == 'identity'} {self.info['digest']}"
        # a program knows its tensors by position, inputs and outputs are given by name
        names = repr([[spec["name"] for spec in self.info[side]] for side in ("inputs", "outputs")])
        key = combine(_FORMAT, program, digest, self.info["fingerprint"], role, names)
        return key if self.incremental else None

    def run(self, job: Job, allowed: float, samples: Sequence[int]) -> Evaluation | Failure:
        """Run the baseline, or a mutant, on some of the inputs, in the order given."""
        mutant, arrays, digest, row = job.mutant, job.arrays, job.digest, job.row
        with contextlib.ExitStack() as stack:
            if row is None:
                row = stack.enter_context(contextlib.closing(Row(self, mutant)))
            if mutant is None:
                many = len(samples) > _MANY and len(samples) == job.count
                if job.keep and many and self.incremental and digest not in self._activations:
                    found = row.run(arrays, digest, samples[:_TRIED], None)
                    if isinstance(found, Failure):
                        return found
                    return self._record(arrays, digest, found.step_seconds)
                return row.run(arrays, digest, samples, None)
            spared = job.keep and self.incremental and mutant != "identity"
            kept = self._kept(arrays, digest) if spared else None
            # and now: to record what is kept, another row may have had the device
            failed = row.ensure_prepared()
            if failed is not None:
                return failed
            return row.run(arrays, digest, samples, allowed, kept)

    def _kept(self, arrays: Arrays, digest: str) -> Kept:
        """The baseline's activations for these inputs, in memory that children map."""
        if digest not in self._activations:
            result = self._record(arrays, digest, self.baseline(arrays, digest).step_seconds)
            if isinstance(result, Failure):
                raise InternalError(f"the baseline ran, and then did not: {result.reason}")
        return self._activations[digest]

    def _record(
        self, arrays: Arrays, digest: str, seconds: Sequence[float]
    ) -> Evaluation | Failure:
        """Run the baseline and keep its activations, as many as there is room for.

        ``seconds`` says how long each step takes, compared with the others.
        """
        steps = self.info["steps"]
        count = len(next(iter(arrays.values())))
        chosen = choose_steps(steps, seconds, count, self.limits.activations)
        offsets, size = layout(steps, chosen, count)
        memory = SharedMemory(size, "mutatenn-activations")
        kept = Kept(memory, offsets, count)
        row = Row(self, None)
        try:
            result = row.run(arrays, digest, range(count), None, kept)
        finally:
            row.close(wait=True)  # what another process can write to cannot be sealed
        if isinstance(result, Failure):
            memory.close()
            return result
        # every child has this descriptor: no mutant can write through it, or truncate it
        memory.seal()
        self._activations[digest] = kept
        return result
