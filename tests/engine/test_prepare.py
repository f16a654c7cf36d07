"""Whose fault it is that a mutant cannot be made."""

import pytest

from pytest_mutatenn.compiler.edits import apply_edits
from pytest_mutatenn.devices.slots import Refused
from pytest_mutatenn.engine.bench import Bench
from pytest_mutatenn.engine.failures import describe
from pytest_mutatenn.engine.prepare import Rejected, _compiler
from pytest_mutatenn.engine.workshop import Order, Workshop


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


def test_what_the_compiler_refuses_has_its_change(tiny, store_folder, monkeypatch):
    order = Order(str(tiny / "tiny.onnx"), {}, "llvm", 2, (), (), (), (), str(store_folder))
    workshop = Workshop(order)
    workshop.load_baseline()

    def refuse(*args):
        raise Refused("no such instruction")

    monkeypatch.setattr(workshop, "compile", refuse)
    reply = Bench(workshop).prepare("kernel.boundary@conv2d#1")
    assert (reply["status"], reply["reason"]) == ("rejected", "no such instruction")
    (changed,) = reply["change"]
    assert changed["name"] == "conv2d"
    after = apply_edits(changed["text"], changed["edits"])
    assert "T.int64(1) < v_i2" in after
    assert "T.int64(1) < v_i2" not in changed["text"]
