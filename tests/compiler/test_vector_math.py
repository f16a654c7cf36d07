"""Functions of vectors: as right as the C library's, without calls to it."""

import numpy as np
import pytest
import tvm
from lowering import LLVM, OptLevel
from tvm import te, tirx

from pytest_mutatenn.compiler.kernel import generate, to_device_stage
from pytest_mutatenn.compiler.schedules import schedule
from pytest_mutatenn.compiler.vector_math import expand_vector_functions
from pytest_mutatenn.devices.linker import code_of, link

HOST = LLVM.with_host(LLVM)
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30, -1e-30, 1e-42, 88.7, 88.8, -87.4, -103.9]
FUNCTIONS = {
    "exp": (tirx.exp, np.exp, b"expf"),
    "sigmoid": (tirx.sigmoid, lambda x: 1 / (1 + np.exp(-x)), b"expf"),
    "tanh": (tirx.tanh, np.tanh, b"expf"),
    "pow": (lambda x: tirx.pow(x, tirx.const(0.75, "float32")), lambda x: x**0.75, b"powf"),
}


def kernel(function, size, level=2, dtype="float32"):
    x = te.placeholder((size,), dtype, name="x")
    y = te.compute((size,), lambda i: function(x[i]), name="y")
    return to_device_stage(schedule(te.create_prim_func([x, y]), OptLevel(level), HOST), HOST)


def built(func, folder):
    """The kernel loaded, and its object file."""
    path = folder / "kernel.o"
    generate(func, HOST).write_to_file(str(path), "o")
    library = folder / "kernel.so"
    library.write_bytes(link(path.read_bytes(), folder))
    return tvm.runtime.load_module(str(library))["main"], path.read_bytes()


def arguments(count):
    random = np.random.default_rng(0)
    spread = np.concatenate([np.linspace(-104, 89, count // 2), random.normal(size=count // 2) * 2])
    return np.concatenate([SPECIAL, spread])[:count].astype("float32")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_within_units_in_the_last_place(name, tmp_path):
    function, exact, called = FUNCTIONS[name]
    run, code = built(kernel(function, 8192), tmp_path)
    assert called not in code_of(code)
    x = arguments(8192)
    result = tvm.runtime.tensor(np.zeros_like(x))
    run(tvm.runtime.tensor(x), result)
    y = result.numpy()
    with np.errstate(all="ignore"):
        expected = exact(x.astype("float64"))
    # a sigmoid of what overflows exp is 0, of a denormal number
    tiny = np.abs(expected) < np.finfo("float32").tiny
    np.testing.assert_allclose(y[tiny], expected[tiny], atol=2e-38)
    finite = np.isfinite(expected.astype("float32")) & ~tiny
    spacing = np.spacing(np.abs(expected[finite]).astype("float32"))
    assert (np.abs(y[finite] - expected[finite]) / spacing).max() < 4
    special = ~np.isfinite(expected.astype("float32"))
    if name == "pow":
        expected[x == -np.inf] = np.inf
    np.testing.assert_array_equal(y[special], expected[special].astype("float32"))


@pytest.mark.parametrize("name", ["exp", "pow"])
def test_without_a_schedule_the_library_is_called(name, tmp_path):
    function, _, called = FUNCTIONS[name]
    _, code = built(kernel(function, 64, level=0), tmp_path)
    assert called in code_of(code)


@pytest.mark.parametrize(
    ("function", "dtype"),
    [
        (tirx.exp, "float64"),
        (tirx.log, "float32"),
        (lambda x: tirx.pow(x, tirx.const(0.5, "float32")), "float32"),
    ],
    ids=["double", "log", "another-power"],
)
def test_what_has_no_expansion_is_left(function, dtype):
    func = kernel(function, 64, dtype=dtype)
    tvm.ir.assert_structural_equal(expand_vector_functions(func), func)
