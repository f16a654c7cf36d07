"""How rows are spread over pytest-xdist's workers."""

from __future__ import annotations

import re

from xdist.scheduler.loadscope import LoadScopeScheduling

# cell and mutant; what the user's own parameters add before or behind is no part of a row
_ROW = re.compile(
    r"[\w.:]+-O[0-4]-(?:baseline|identity|canary|(?:graph|kernel|device|weights)\.\w+@[\w.@#:+~]+)"
)


class RowScheduling(LoadScopeScheduling):
    """All tests of a row go to one worker, so that a mutant is run, and killed, once."""

    def _split_scope(self, nodeid: str) -> str:
        row = _ROW.search(nodeid)
        return row[0] if row else nodeid
