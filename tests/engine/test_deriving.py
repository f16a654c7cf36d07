"""The IR and the code of a mutant, derived in a child that runs nothing."""

import io

import numpy as np
import pytest

from pytest_mutatenn.devices.emitted import NO_OBJECT
from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.engine.evaluate import Engine
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.model.source import resolve_model

ALL = ("ir", "source", "object")


def made(tiny, store_folder, device="llvm", level=2):
    source = resolve_model("tiny.onnx", base=tiny, scratch=store_folder)
    return Engine(source, Cell(device, level), Store(store_folder))


@pytest.fixture(scope="module")
def engine(tiny, store_folder):
    engine = made(tiny, store_folder)
    yield engine
    engine.close()


def files(reply):
    return {file["name"]: file for file in reply.value["files"]}


@pytest.fixture(scope="module")
def baseline(engine):
    return files(engine.derive(None, ALL))


def test_the_baseline_has_each_kernel_at_each_stage(baseline):
    assert "def main(" in baseline["relax.py"]["text"]
    assert "outputs: step" in baseline["steps.txt"]["text"]
    assert "def main" in baseline["softmax.device.py"]["text"]
    assert {f["stage"] for f in baseline.values()} == {
        "graph",
        "program",
        "kernel",
        "device",
        "code",
    }
    ends = ("legalised.py", "kernel.py", "device.py", "ll", "s", "o")
    for end in ends:
        assert f"softmax.{end}" in baseline


def test_a_graph_mutant_has_its_relax_function_and_the_kernels_that_are_new(engine, baseline):
    found = files(engine.derive("graph.relu_to_sigmoid@clip#1", ALL))

    assert "R.sigmoid" in found["relax.py"]["text"]
    assert "R.sigmoid" not in baseline["relax.py"]["text"]
    assert found["relax.py"]["before"] == "relax.py"
    assert all(f["before"] in baseline for f in found.values() if f["before"])
    assert not any(name.startswith("softmax") for name in found)


def test_a_kernel_mutant_has_what_it_changes_at_each_stage(engine, baseline):
    found = files(engine.derive("kernel.add_to_sub@softmax#1", ALL))

    assert sorted(found) == [
        "softmax.device.py", "softmax.kernel.py", "softmax.legalised.py", "softmax.ll",
        "softmax.o", "softmax.s",
    ]  # fmt: skip
    for name in ("softmax.legalised.py", "softmax.device.py", "softmax.ll", "softmax.s"):
        assert found[name]["text"] != baseline[name]["text"], name


def test_a_device_mutant_differs_after_all_passes_only(engine):
    found = files(engine.derive("device.store_plus_one@softmax#1", ("ir",)))

    assert list(found) == ["softmax.device.py"]


def test_a_weights_mutant_has_the_tensor_before_and_after(engine):
    reply = engine.derive("weights.bit_flip_sign@dense#3b31", ALL)
    before, after = (
        np.load(io.BytesIO(reply.arrays[name].tobytes()))
        for name in ("dense.before.npy", "dense.npy")
    )

    assert before.shape == after.shape
    assert (before != after).sum() == 1
    assert after.flat[3] == -before.flat[3]
    assert not any(file["kind"] != "ir" for file in reply.value["files"])


def test_a_site_that_is_not_there_gives_its_reason_for_every_kind(engine):
    reply = engine.derive("kernel.add_to_sub@softmax#99", ALL)

    assert reply.value["status"] == "no_site"
    assert "no such site" in reply.value["reason"]
    assert set(reply.value["missing"]) == set(ALL)


def test_the_text_is_the_same_in_another_process(engine, tiny, store_folder):
    first = engine.derive("kernel.add_to_sub@softmax#1", ALL)
    other = made(tiny, store_folder)
    try:
        second = other.derive("kernel.add_to_sub@softmax#1", ALL)
    finally:
        other.close()

    assert first.value == second.value
    assert first.arrays["softmax.o"].tobytes() == second.arrays["softmax.o"].tobytes()


def test_the_text_of_llvm_holds_nothing_but_code(baseline):
    text = baseline["softmax.ll"]["text"]

    assert "define" in text
    assert "!dbg" not in text
    assert "!tbaa" not in text
    assert ".cfi_" not in baseline["softmax.s"]["text"]
    assert ".debug" not in baseline["softmax.s"]["text"]


def test_the_c_device_gives_its_c(tiny, store_folder):
    engine = made(tiny, store_folder, "c")
    try:
        found = files(engine.derive("kernel.add_to_sub@softmax#1", ("source", "object")))
    finally:
        engine.close()

    assert sorted(found) == ["softmax.c", "softmax.o"]
    assert "#include <stdint.h>" in found["softmax.c"]["text"]


def test_the_opencl_device_gives_its_source_and_the_hosts_part(tiny, store_folder):
    from opencl_here import needs_opencl

    needs_opencl()
    engine = made(tiny, store_folder, "opencl")
    try:
        reply = engine.derive("kernel.add_to_sub@softmax#1", ("source", "object"))
    finally:
        engine.close()
    found = files(reply)

    assert "__kernel" in found["softmax.cl"]["text"]
    assert "call_ffi_kernel" in found["softmax.host.py"]["text"] or found["softmax.host.py"]["text"]
    assert reply.value["missing"] == {"object": NO_OBJECT}
