"""How rows are spread over pytest-xdist's workers."""

from __future__ import annotations

from xdist.scheduler.loadscope import LoadScopeScheduling


class RowScheduling(LoadScopeScheduling):
    """All tests of a row go to one worker, so that a mutant is run, and killed, once."""

    def _split_scope(self, nodeid: str) -> str:
        _, bracket, params = nodeid.partition("[")
        return params if bracket else nodeid
