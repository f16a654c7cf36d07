"""The device llvm: its options, what they do to targets and schedules, and what it lacks."""

import sys

import pytest

from pytest_mutatenn.compiler.tiling import VectorUnit, vector_unit
from pytest_mutatenn.devices import llvm, processor
from pytest_mutatenn.devices.base import check_device, open_device
from pytest_mutatenn.devices.llvm import Device
from pytest_mutatenn.errors import MutatennError

X86 = pytest.mark.skipif(processor.processor_level() == "generic", reason="is about x86-64")


def attributes(options):
    return Device(options).target(fast_math=False).attrs


@X86
@pytest.mark.parametrize(
    ("options", "unit"),
    [
        ("sse2", VectorUnit(4, 16)),
        ("avx2", VectorUnit(8, 16)),
        ("avx512", VectorUnit(16, 32)),
        ("mcpu=haswell", VectorUnit(8, 16)),
        ("mcpu=x86-64,mattr=+avx2", VectorUnit(8, 16)),
        ("mcpu=haswell,mattr=-avx", VectorUnit(4, 16)),
        ("avx512,vector-width=256", VectorUnit(8, 32)),
    ],
)
def test_schedules_follow_the_vectors_of_the_target(options, unit):
    with Device(options).target(fast_math=False):
        assert vector_unit() == unit


@X86
def test_options_reach_the_target():
    found = attributes("mcpu=haswell,mattr=-fma,+avx,fast-math,opt-level=3,vector-width=128")

    assert (str(found["mcpu"]), list(found["mattr"])) == ("haswell", ["-fma", "+avx"])
    assert (bool(found["fast-math"]), int(found["opt-level"])) == (True, 3)
    assert int(found["vector-width"]) == 128
    assert str(attributes("sse2")["mcpu"]) == "x86-64"
    assert str(attributes("")["mcpu"]) == processor.processor_level()


def test_every_option_has_a_fingerprint_of_its_own():
    options = ["", "sse2", "mcpu=haswell", "mcpu=haswell,mattr=-fma", "fast-math", "opt-level=0"]

    assert len({Device(text).fingerprint() for text in options}) == len(options)
    assert Device("mattr=-fma;+avx").fingerprint() == Device("mattr=-fma,+avx").fingerprint()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("sse3", "'sse3' is no option of llvm. Did you mean 'sse2'?"),
        ("mcup=haswell", "'mcup=haswell' is no option of llvm. Did you mean 'mcpu'?"),
        ("mattr=avx2", "mattr= takes features with"),
        ("sse2,avx2", "mcpu is given twice"),
        ("opt-level=4", "opt-level is one of 0, 1, 2, 3, not '4'"),
        ("vector-width=64", "vector-width is one of 128, 256, 512"),
    ],
)
def test_a_wrong_option_is_named(options, message):
    with pytest.raises(MutatennError) as error:
        check_device(f"llvm:{options}", "--x")
    assert message in str(error.value)
    assert str(error.value).startswith(f"--x: 'llvm:{options}'")


def test_a_colon_needs_options():
    with pytest.raises(MutatennError, match="'llvm:' has no options after its colon"):
        check_device("llvm:", "--x")


@X86
def test_names_that_llvm_does_not_know_are_not_silently_taken():
    with pytest.raises(MutatennError, match=r"LLVM knows no processor 'haswel'.*'haswell'"):
        Device("mcpu=haswel").check()
    with pytest.raises(MutatennError, match="LLVM knows no processor 'i386'"):
        Device("mcpu=i386").target(fast_math=False)
    with pytest.raises(MutatennError, match=r"LLVM knows no feature 'avx22'.*'avx2'"):
        Device("mattr=+avx22").check()
    Device("mcpu=native,mattr=-avx512f").check()


@X86
def test_a_processor_that_lacks_something_is_missing_and_says_what(monkeypatch):
    monkeypatch.setattr(processor, "_flags", lambda: frozenset({"sse2", "pni", "ssse3"}))
    monkeypatch.setattr(llvm, "processor_level", lambda: "x86-64")

    assert Device("sse2").missing() is None
    assert Device("avx2").missing().startswith("this processor has no sse4_1, sse4_2, popcnt, avx,")
    assert Device("avx512").missing().endswith("avx512f, avx512bw, avx512cd, avx512dq, avx512vl")
    assert Device().missing() is None


@X86
def test_a_named_processor_is_missing_where_this_one_lacks_its_features(monkeypatch):
    real = processor.facts("sapphirerapids", ())
    monkeypatch.setattr(llvm, "facts", lambda *_: real)
    lacking = real.lacking

    if lacking:
        assert (
            Device("mcpu=sapphirerapids").missing() == f"this processor has no {', '.join(lacking)}"
        )
    else:
        assert Device("mcpu=sapphirerapids").missing() is None


@X86
def test_llvm_is_asked_in_another_process_where_tvm_is_not_loaded(monkeypatch):
    here = processor.facts("haswell", ("+avx2",))
    monkeypatch.delitem(sys.modules, "tvm")
    processor.facts.cache_clear()
    try:
        assert processor.facts("haswell", ("+avx2",)) == here
    finally:
        processor.facts.cache_clear()


@X86
@pytest.mark.parametrize("level", list(processor.LEVELS))
def test_the_table_of_levels_is_llvms(level):
    """A processor that has what the table lists runs all that LLVM generates for the level."""
    names = {"pni": "sse3", "abm": "lzcnt", "bmi1": "bmi"}
    listed = set()
    for name, flags in processor.LEVELS.items():
        listed |= {names.get(flag, flag.replace("sse4_", "sse4.")) for flag in flags}
        if name == level:
            break
    generated = processor._features(level) & set(processor.facts("", ()).attributes)
    instructions = {
        f for f in generated if f[:3] in ("sse", "avx", "bmi", "fma", "f16") or f in listed
    }
    assert instructions - {"sse", "sse2"} == listed - {"sse2"}


def test_a_device_is_made_once_a_process():
    assert open_device("llvm") is open_device("llvm")
