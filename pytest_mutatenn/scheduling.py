"""How rows are spread over pytest-xdist's workers."""

from __future__ import annotations

from collections import deque

from xdist.scheduler.loadscope import LoadScopeScheduling
from xdist.workermanage import WorkerController

from pytest_mutatenn.place import place_of

_AHEAD = 2  # tests a worker has at hand: it runs one when it knows the next


class RowScheduling(LoadScopeScheduling):
    """All tests of a row go to one worker, and the mutants of one kernel where there is time.

    A row is run, and killed, once. Mutants that have the same code lie in the same kernel, and a
    worker knows what it has met. A worker stays on its cell, whose baseline it has loaded, and
    goes to a cell that nobody is at next. Whoever has nothing left takes half of what another
    worker has before it (as pytest-xdist's ``worksteal`` does).
    """

    collection: list[str] | None
    _cells: dict[str, deque[deque[list[int]]]]
    """Cell -> kernels -> rows -> numbers of tests: what nobody has yet."""
    _own: dict[WorkerController, deque[list[int]]]
    """Worker -> rows that it is to get."""
    _pending: dict[WorkerController, dict[int, None]]
    """Worker -> tests that it has got and not done."""
    _at: dict[WorkerController, str]
    """Worker -> the cell that it is at."""

    def schedule(self) -> None:
        """Give every worker its first rows; called again when one has come later."""
        assert self.collection_is_completed
        if self.collection is None:
            if not self._check_nodes_have_same_collection():
                self.log("**Different tests collected, aborting run**")
                return
            self.collection = list(next(iter(self.registered_collections.values())))
            self._cells, self._own, self._pending, self._at = {}, {}, {}, {}
            self._group()
        for node in self.nodes:
            self._feed(node)

    def _group(self) -> None:
        kernels: dict[tuple[str, str], dict[str, list[int]]] = {}
        assert self.collection is not None
        for number, nodeid in enumerate(self.collection):
            place = place_of(nodeid)
            rows = kernels.setdefault((place.cell, place.kernel), {})
            rows.setdefault(place.row, []).append(number)
        for (cell, _), rows in kernels.items():
            self._cells.setdefault(cell, deque()).append(deque(rows.values()))

    def _feed(self, node: WorkerController) -> None:
        """Send a worker as much as it needs to go on; nothing more will come if it is all gone."""
        if node.shutting_down or node not in self.registered_collections:
            return
        pending = self._pending.setdefault(node, {})
        while len(pending) < _AHEAD:
            row = self._take(node)
            if row is None:
                node.shutdown()
                return
            pending.update(dict.fromkeys(row))
            node.send_runtest_some(row)

    def _take(self, node: WorkerController) -> list[int] | None:
        own = self._own.setdefault(node, deque())
        if not own:
            own.extend(self._next_kernel(node) or self._half_of_another())
        return own.popleft() if own else None

    def _next_kernel(self, node: WorkerController) -> deque[list[int]] | None:
        left = [cell for cell, kernels in self._cells.items() if kernels]
        if not left:
            return None
        cell = self._at.get(node, "")
        if cell not in left:
            others = [at for other, at in self._at.items() if other is not node]
            cell = self._at[node] = min(left, key=others.count)
        return self._cells[cell].popleft()

    def _half_of_another(self) -> deque[list[int]]:
        most = max(self._own.values(), key=len)
        return deque(reversed([most.pop() for _ in range((len(most) + 1) // 2)]))

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        """Take note that a test is done."""
        self._pending[node].pop(item_index, None)
        self._feed(node)

    def remove_node(self, node: WorkerController) -> str | None:
        """Take a worker away; what it has not done goes to the others, but for what it died of.

        Returns
        -------
        str or None
            The test that it died of.
        """
        self.assigned_work.pop(node)
        if self.collection is None:
            return None
        pending = list(self._pending.pop(node, ()))
        cell = self._at.pop(node, "")
        rest = self._own.pop(node, deque())
        if pending[1:]:
            rest.appendleft(pending[1:])
        if rest:
            self._cells.setdefault(cell, deque()).appendleft(rest)
        for other in self.nodes:
            self._feed(other)
        return self.collection[pending[0]] if pending else None

    @property
    def tests_finished(self) -> bool:
        """Whether all is sent, and nobody has more than its last test before it."""
        if not self.collection_is_completed:
            return False
        if self.collection is None:
            return True  # the workers have collected different tests, and that is an error
        return not self._waiting and all(len(p) < _AHEAD for p in self._pending.values())

    @property
    def has_pending(self) -> bool:
        """Whether any test is still to be done."""
        if self.collection is None:
            return False
        return self._waiting or any(self._pending.values())

    @property
    def _waiting(self) -> bool:
        return any(self._cells.values()) or any(self._own.values())
