"""The device c: TVM's C through the machine's C compiler, with AddressSanitizer on request."""

import math
import os

import numpy as np
import pytest
from tvm import tirx
from tvm.ir.prim import Cast
from tvm.tirx import AllocBuffer, BufferStore, For, ForKind, PrimFunc, SeqStmt

from pytest_mutatenn.compiler.c_source import c_source
from pytest_mutatenn.compiler.kernel import to_device_stage
from pytest_mutatenn.devices import c, c_compiler
from pytest_mutatenn.devices.base import check_device, environment
from pytest_mutatenn.devices.c import Device
from pytest_mutatenn.devices.c_compiler import find_compiler
from pytest_mutatenn.devices.linker import section
from pytest_mutatenn.devices.processor import processor_level
from pytest_mutatenn.devices.sanitizer import finding
from pytest_mutatenn.devices.slots import Refused
from pytest_mutatenn.errors import MutatennError

pytestmark = pytest.mark.skipif(
    Device().missing() is not None, reason=f"no C compiler: {Device().missing()}"
)


X86 = processor_level() != "generic"


def kernel(values, dtype="float32"):
    """A kernel that stores some numbers, one after another."""
    out = tirx.decl_buffer((len(values),), dtype, "out")
    stores = []
    for i, value in enumerate(values):
        number = tirx.const(value, dtype)
        stores.append(BufferStore(out, number, [tirx.const(i, "int32")]))
    return PrimFunc([out], SeqStmt(stores) if len(stores) > 1 else stores[0])


def compiled(func, options="-O1"):
    device = Device(options)
    target = device.target(fast_math=False)
    return device.compile(to_device_stage(func, target), target)


def stored(func, count, dtype, tmp_path, options="-O1"):
    _, library = compiled(func, options)
    path = tmp_path / "kernel.so"
    path.write_bytes(library)
    out = Device("").memory.slot((count,), dtype)
    Device("").load(path)(out.tensor)
    return np.array(out.array)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_literals_keep_every_bit(dtype, tmp_path):
    random = np.random.default_rng(3)
    values = [0.0, -0.0, 1.0, math.inf, -math.inf, math.nan, 1e-45, 0.1, 16777217.0, 1 / 3]
    values += list(random.normal(0, 1, 40) * 10.0 ** random.integers(-30, 30, 40))
    values = np.array(values).astype(dtype)

    found = stored(kernel([float(v) for v in values], dtype), len(values), dtype, tmp_path)

    assert found.tobytes() == values.tobytes()


def test_what_is_passed_through_float16_is_rounded_once(tmp_path):
    values = np.array([1.0009765625, 1.00048828125, 65519.0, 1e-6, 1 / 3, np.inf], np.float32)
    given, out = (tirx.decl_buffer((len(values),), "float32", name) for name in ("given", "out"))
    i, zero = tirx.Var("i", "int32"), tirx.const(0, "int32")
    store = BufferStore(out, Cast("float32", Cast("float16", given[i])), [i])
    end = tirx.const(len(values), "int32")
    func = PrimFunc([given, out], For(i, zero, end, ForKind.SERIAL, store))
    try:
        _, library = compiled(func, "-O1,-march=x86-64" if X86 else "-O1")
    except Refused as error:
        pytest.skip(f"this compiler has no float16: {error}")
    path = tmp_path / "kernel.so"
    path.write_bytes(library)
    memory = Device().memory
    source, found = memory.copy(values), memory.slot(values.shape, "float32")
    Device().load(path)(source.tensor, found.tensor)

    assert list(found.array) == list(values.astype(np.float16).astype(np.float32))


def temporary(size):
    """Fill a buffer of so many floats with ones, and store their sum."""
    out = tirx.decl_buffer((1,), "float32", "out")
    buffer = tirx.decl_buffer((size,), "float32", "temporary")
    i, k = tirx.Var("i", "int32"), tirx.Var("k", "int32")
    zero, end = tirx.const(0, "int32"), tirx.const(size, "int32")
    fill = For(i, zero, end, ForKind.SERIAL, BufferStore(buffer, tirx.const(1.0, "float32"), [i]))
    add = For(k, zero, end, ForKind.SERIAL, BufferStore(out, out[zero] + buffer[k], [zero]))
    start = BufferStore(out, tirx.const(0.0, "float32"), [zero])
    return PrimFunc([out], SeqStmt([AllocBuffer(buffer), fill, start, add]))


@pytest.mark.parametrize("guard", [False, True])
def test_temporaries_come_from_the_loader_and_can_be_guarded(guard, tmp_path):
    _, library = compiled(temporary(3000))
    path = tmp_path / f"kernel{guard}.so"
    path.write_bytes(library)
    device = Device("")
    device._poison_stack = lambda: None
    out = device.memory.slot((1,), "float32")

    run = device.load(path, guard=guard)
    run(out.tensor)
    run(out.tensor)

    assert out.array[0] == 3000


def test_the_same_kernel_is_the_same_code_whatever_its_variables_are_called():
    target = Device().target(fast_math=False)

    def named(name):
        out = tirx.decl_buffer((1,), "float32", name)
        store = BufferStore(out, tirx.const(2.5, "float32"), [tirx.const(0, "int32")])
        return to_device_stage(PrimFunc([out], store), target)

    one, other = (Device().compile(named(name), target)[0] for name in ("one", "other"))
    assert one == other
    assert one != Device().compile(to_device_stage(kernel([2.25]), target), target)[0]


def test_flags_reach_the_compiler_and_the_digests():
    plain, fast = Device("-O0"), Device("-O0,-ffast-math")

    assert str(plain.target(fast_math=False).attrs["model"]).split()[0] == "-O0"
    assert "-ffast-math" in str(fast.target(fast_math=False).attrs["model"])
    assert "-ffast-math" in str(plain.target(fast_math=True).attrs["model"])
    assert plain.fingerprint() != fast.fingerprint()
    assert str(plain.target(fast_math=False)) != str(fast.target(fast_math=False))
    assert "-march=x86-64" in Device("-march=x86-64").fingerprint()
    assert str(Device("-march=x86-64-v3").target(fast_math=False).attrs["mcpu"]) == "x86-64-v3"


@pytest.mark.parametrize(
    "options", ["O3", "sanitise", "cc=", "-o,x", "-fsanitize=thread", "-Ifolder"]
)
def test_a_wrong_option_is_named(options):
    with pytest.raises(MutatennError, match=r"is no option of c\. It takes sanitize, cc="):
        check_device(f"c:{options}")


def test_flags_that_the_compiler_refuses_are_the_users_to_mend():
    with pytest.raises(MutatennError, match=r"refuses -O3 -march=abacus: .*abacus"):
        Device("-march=abacus").check()
    Device("-O2").check()


def test_what_the_compiler_refuses_is_the_kernels_fault(monkeypatch):
    monkeypatch.setattr("pytest_mutatenn.compiler.c_source._HEAD", "int x = nothing_there;\n")

    with pytest.raises(Refused, match=r"error: .*nothing_there"):
        compiled(kernel([1.0]))


def test_without_a_compiler_the_package_is_named(monkeypatch):
    find_compiler.cache_clear()
    monkeypatch.setenv("PATH", "/nonexistent")
    try:
        assert "packages gcc and libc6-dev" in Device().missing()
        assert Device("cc=clang").missing().startswith("no C compiler 'clang' is in the PATH")
        assert "no compiler" in Device().about()
    finally:
        find_compiler.cache_clear()


def test_without_headers_or_sanitizer_the_packages_are_named(monkeypatch):
    monkeypatch.setattr(c, "library_file", lambda *_: None)
    assert "Debian's package libgcc-N-dev" in Device("sanitize").missing()
    assert Device().missing() is None

    monkeypatch.setattr(c, "tried", lambda *_: "fatal error: math.h: No such file or directory")
    assert "Debian's package libc6-dev" in Device().missing()


def test_a_compiler_that_hangs_is_no_compiler(monkeypatch, tmp_path):
    script = tmp_path / "slowcc"
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(c_compiler, "_SECONDS", 0.2)

    assert "no answer within 0.2 s" in Device("cc=slowcc").missing()


# -- AddressSanitizer -----------------------------------------------------------------------------

SANITIZER = pytest.mark.skipif(
    Device("sanitize").missing() is not None, reason=f"{Device('sanitize').missing()}"
)


@SANITIZER
def test_only_sanitized_kernels_need_variables_of_their_processes():
    assert environment("c") == {}
    assert "asan" in environment("c:sanitize")["LD_PRELOAD"]
    assert "detect_leaks=0" in environment("c:sanitize")["ASAN_OPTIONS"]


@SANITIZER
def test_a_sanitized_library_carries_its_source():
    _, library = compiled(kernel([2.5]), "sanitize")

    text = section(library, ".mutatenn.source").decode()

    assert "out[0] = 2.500000e+00f;" in text
    assert section(library, ".nothing") == b""


def test_what_a_sanitizer_says_is_read_without_addresses(tmp_path):
    target = Device().target(fast_math=False)
    source = c_source(to_device_stage(kernel([2.5]), target), target)
    number = next(i for i, line in enumerate(source.splitlines(), 1) if "out[0] =" in line)
    device = Device("sanitize")
    library = tmp_path / "kernel.so"
    if device.missing() is None:
        library.write_bytes(compiled(kernel([2.5]), "sanitize")[1])
        sanitized = section(library.read_bytes(), ".mutatenn.source").decode().splitlines()
        number = next(i for i, line in enumerate(sanitized, 1) if "out[0] =" in line)
    heap = (
        "=\n==123==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x6020 at pc 0x7f\n"
        "WRITE of size 4 at 0x6020 thread T0\n"
        f"#0 __tvm_ffi_main out.c:{number} [{library}]\n"
        "0x6020 is located 8 bytes to the right of 40-byte region [0x1,0x2)\n"
    )
    line = ": out[0] = 2.500000e+00f;" if library.exists() else ""

    assert finding(heap) == (
        "heap-buffer-overflow: it writes 4 bytes, 8 bytes after a region of 40 bytes; "
        f"out.c:{number}{line}"
    )
    assert finding(heap.replace("to the right of", "after")) == finding(heap)
    undefined = (
        "out.c:12:3: runtime error: index 10 out of bounds for type 'float [10]'\n"
        "#0 main out.c:12 [/nowhere.so]\n"
    )
    assert finding(undefined) == "index 10 out of bounds for type 'float [10]'; out.c:12"
    assert finding("Segmentation fault") is None


@SANITIZER
def test_an_access_out_of_bounds_is_a_crash_with_its_line_of_c(suite):
    result = suite.run(
        "--mutatenn-devices=c:sanitize",
        "--mutatenn-mutants=kernel.loop_extent_plus_one@*",
        "--mutatenn-stages=kernel",
        "--mutatenn-sample=4",
        "-k",
        "finite",
    )

    report = result.report
    assert [entry["outcome"] for entry in report["baseline"]] == ["passed"]
    there = [
        m["cells"]["c:sanitize-O2"] for m in report["mutants"] if "c:sanitize-O2" in m["cells"]
    ]
    crashed = [cell for cell in there if cell["verdict"] == "CRASHED"]
    assert crashed
    for cell in crashed:
        assert "c:" in cell["reason"]
        assert "0x" not in cell["reason"]
    # what is certain to be outside its buffer does not live here
    assert all(cell["verdict"] != "SURVIVED" for cell in there if cell["undefined"])


def test_c_and_llvm_compute_the_same(suite):
    result = suite.run(
        "--mutatenn-devices=c", "--mutatenn-opt-levels=3", "--mutatenn-baseline-only"
    )

    assert [entry["outcome"] for entry in result.report["baseline"]] == ["passed"] * 3
