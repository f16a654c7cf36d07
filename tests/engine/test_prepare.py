"""Whose fault it is that a mutant cannot be made."""

import pytest

from pytest_mutatenn.engine.failures import describe
from pytest_mutatenn.engine.prepare import Rejected, _compiler


def test_what_the_compiler_raises_is_its_refusal():
    with pytest.raises(Rejected, match="no such loop"):
        _compiler(raising(RuntimeError("no such loop")))


def test_what_the_system_refuses_is_no_refusal_of_the_compiler():
    full = OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space left") as caught:
        _compiler(raising(full))
    said = describe(caught.value)
    assert said["error"] == "user"
    assert "No space left on device" in said["message"]
    assert "--mutatenn-cache-dir" in said["message"]


def raising(error):
    # defined by nobody of ours, as what TVM raises is
    scope = {"error": error}
    exec(compile("def function():\n    raise error", "elsewhere.py", "exec"), scope)
    return scope["function"]
