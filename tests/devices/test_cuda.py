"""The device cuda, as far as it goes without a GPU: its compiler, and what it asks the driver."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tvm import te, tirx
from tvm.ir.prim import Cast
from tvm.target import Target
from tvm.tirx import BufferStore, For, ForKind, PrimFunc

from pytest_mutatenn.compiler.kernel import to_device_stage
from pytest_mutatenn.compiler.passes import OptLevel
from pytest_mutatenn.compiler.schedules import schedule
from pytest_mutatenn.devices import cuda
from pytest_mutatenn.devices.base import check_device
from pytest_mutatenn.devices.c_compiler import find_compiler
from pytest_mutatenn.devices.cuda import Device, nvrtc
from pytest_mutatenn.devices.cuda.nvrtc import compile_cuda, find_nvrtc
from pytest_mutatenn.devices.cuda.probe import Found
from pytest_mutatenn.devices.cuda.source import device_source, with_poison
from pytest_mutatenn.devices.plan import Plan
from pytest_mutatenn.devices.slots import Refused
from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.engine.evaluate import Engine
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.model.source import resolve_model

NVRTC = pytest.mark.skipif(find_nvrtc() is None, reason="needs NVRTC (nvidia-cuda-nvrtc)")
ARCH = "arch=sm_80"


def kernel(compute, name="out", dtype="float32"):
    """A kernel of 100 elements: out[i] = compute(given[i])."""
    given, out = (tirx.decl_buffer((100,), dtype, each) for each in ("given", name))
    i = tirx.Var("i", "int32")
    loop = For(i, tirx.const(0, "int32"), tirx.const(100, "int32"), ForKind.SERIAL,
               BufferStore(out, compute(given[i]), [i]))  # fmt: skip
    return PrimFunc([given, out], loop)


def bound(func, target):
    """The same with a thread an element."""
    loop = func.body
    thread = tirx.IterVar(
        None, tirx.Var("threadIdx.x", "int32"), tirx.IterVar.ThreadIndex, "threadIdx.x"
    )
    body = For(loop.loop_var, loop.min, loop.extent, ForKind.THREAD_BINDING, loop.body, thread)
    return to_device_stage(func.with_body(body), target)


def compiled(func, device=None):
    device = device or Device(ARCH)
    target = device.target(fast_math=False)
    return device.compile(bound(func, target), target)


@NVRTC
def test_code_is_the_same_whatever_variables_are_called_and_a_cubin_comes_of_it():
    code, file = compiled(kernel(lambda x: x + tirx.const(1.5, "float32")))
    other, _ = compiled(kernel(lambda x: x + tirx.const(1.5, "float32"), name="result"))
    changed, _ = compiled(kernel(lambda x: x - tirx.const(1.5, "float32")))

    plan, source = Plan.of_file(code)
    assert code == other != changed
    assert plan.launches[0].size == (100, 1, 1)
    assert "__global__" in source
    assert file[:8] == len(code).to_bytes(8, "little")
    assert file[8 + len(code) :][:4] == b"\x7fELF"


@NVRTC
@pytest.mark.parametrize(
    "compute",
    [
        lambda x: Cast("float32", Cast("float16", x)),
        lambda x: tirx.Select(x > tirx.const(0, "float32"), x, tirx.const(np.inf, "float32")),
        lambda x: x * tirx.const(np.nan, "float32"),
        lambda x: tirx.exp(x) + tirx.tanh(x),
        lambda x: Cast("float32", Cast("uint8", x)) + Cast("float32", Cast("int64", x)),
    ],
    ids=["float16", "infinity", "nan", "functions", "integers"],
)
def test_what_mutants_make_compiles_without_cudas_headers(compute):
    _, file = compiled(kernel(compute))
    assert b"\x7fELF" in file


@NVRTC
def test_what_the_compiler_refuses_is_said_in_a_line():
    with pytest.raises(Refused, match=r"^NVRTC: kernel.cu\(1\): error: .*nothing_there"):
        compile_cuda('extern "C" __global__ void f() { nothing_there; }', "sm_80", [])


@NVRTC
def test_an_architecture_that_the_compiler_does_not_know_is_the_users_to_mend():
    with pytest.raises(MutatennError, match=r"no code for sm_1: NVRTC: .*gpu-architecture"):
        Device("arch=sm_1").check()
    Device("arch=sm_80").check()
    Device().check()


def test_arrays_of_a_guarded_kernel_begin_as_poison():
    source = device_source(
        'head\nextern "C" __global__ void f(float* __restrict__ to) {\n'
        "  float sums[4];\n  __shared__ float tile[64];\n  to[0] = sums[0] + tile[1];\n}\n"
    )

    poisoned = with_poison(source)

    assert poisoned.count("0xFF") == 2
    assert poisoned.count("__syncthreads") == 1
    if find_nvrtc() is not None:
        assert compile_cuda(poisoned, "sm_80", []) != compile_cuda(source, "sm_80", [])


def test_by_nvcc_where_there_is_no_nvrtc(monkeypatch, tmp_path):
    script = tmp_path / "nvcc"
    script.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        '  --version) echo "Cuda compilation tools, release 12.4, V12.4.131";;\n'
        '  *sm_99*) echo "kernel.cu(1): error: no" >&2; exit 1;;\n'
        '  *) while [ $# -gt 1 ]; do [ "$1" = -o ] && echo cubin > "$2"; shift; done;;\n'
        "esac\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(nvrtc, "find_nvrtc", lambda: None)
    monkeypatch.setattr(nvrtc, "find_nvcc", lambda: str(script))

    assert nvrtc.compiler_version() == "nvcc 12.4"
    assert compile_cuda("", "sm_80", ["--use_fast_math"]) == b"cubin\n"
    with pytest.raises(Refused, match=r"nvcc: kernel.cu\(1\): error: no"):
        compile_cuda("", "sm_99", [])


def test_a_driver_older_than_the_compiler_is_said_to_be(monkeypatch):
    device = Found("Old GPU", "sm_80", "12.4")
    monkeypatch.setattr(cuda, "found", lambda: ((device,), ""))
    monkeypatch.setattr(cuda, "find_nvrtc", lambda: Path("libnvrtc.so"))
    for version, missing in (("13.5", True), ("12.9", False)):
        monkeypatch.setattr(cuda, "compiler_version", lambda version=version: f"NVRTC {version}")
        reason = Device().missing()
        assert (reason is not None) == missing
        assert reason is None or reason.endswith("pip install nvidia-cuda-nvrtc-cu12")


def test_without_a_compiler_the_package_is_named(monkeypatch):
    monkeypatch.setattr(cuda, "find_nvrtc", lambda: None)
    monkeypatch.setattr(cuda, "find_nvcc", lambda: None)

    assert "pip install 'pytest-mutatenn[cuda]'" in Device().why_not_compiled()


@pytest.mark.parametrize("options", ["first", "arch=80", "-1", "0.1"])
def test_a_wrong_option_is_named(options):
    with pytest.raises(MutatennError, match=r"is no option of cuda\. It takes the number of a GPU"):
        check_device(f"cuda:{options}")


def test_options_reach_the_target_and_the_fingerprint():
    assert str(Device("arch=sm_90a").target(fast_math=False).attrs["arch"]) == "sm_90a"
    assert Device("arch=sm_90").fingerprint() != Device("arch=sm_80").fingerprint()
    target = Device(ARCH).target(fast_math=True)
    assert "fast_math" in list(target.keys)
    assert isinstance(target, Target)


def test_schedules_for_it_bind_threads_at_every_level():
    target = Device(ARCH).target(fast_math=False)
    x = te.placeholder((1, 8, 16, 16), name="x")
    y = te.compute(x.shape, lambda *i: x(*i) * 2.0, name="y")
    func = te.create_prim_func([x, y]).with_attr("global_symbol", "main")
    for level in (0, 2, 3):
        lowered = to_device_stage(schedule(func, OptLevel(level), target), target)
        assert "threadIdx" in lowered.script()


# -- on a driver that is none ---------------------------------------------------------------------

RUN = """
import sys, json
import numpy as np
from pytest_mutatenn.devices.cuda import Device, driver, probe
from pytest_mutatenn.devices.plan import Argument, Launch, Plan
from pytest_mutatenn.devices.slots import DeviceError, Refused

device = Device()
print(probe.found(), device.exclusive)
device.open()
memory = device.memory
given = memory.copy(np.arange(6, dtype=np.float32))
out = memory.slot((6,), "float32")
out.pull()
assert np.isnan(out.array).all()
args = (Argument("tensor", 0), Argument("temporary", 0), Argument("int32", 5),
        Argument("float32", 2.0))
back = (Argument("temporary", 0), Argument("tensor", 1), Argument("int32", 1),
        Argument("float32", 1.0))
plan = Plan((64,), (Launch("add", (3, 1, 1), (2, 1, 1), args),
                    Launch("add", (3, 1, 1), (2, 1, 1), back)))
for guard in (False, True):
    run = device._loaded(plan, b"\\x7fELF", guard=guard)
    run(given.tensor, out.tensor)
    memory.synchronise()
    out.pull()
    assert list(out.array) == [6, 8, 10, 12, 14, 16], out.array
out.poison_around()
out.pull()
assert out.array[5] == 16
out.poison()
out.pull()
assert np.isnan(out.array).all()
for bad in (b"no image", b"\\x7fELF"):
    try:
        device._loaded(Plan((), (Launch("sub", (1,) * 3, (1,) * 3, ()),)), bad, guard=False)
    except Refused as error:
        print(error)
try:
    memory.slot((1 << 28,), "float32")
except MemoryError as error:
    print("memory", error)
fault = Plan((), (Launch("add", (1, 1, 1), (1, 1, 1), (Argument("tensor", 0),
             Argument("tensor", 1), Argument("int32", 666), Argument("float32", 1.0))),))
device._loaded(fault, b"\\x7fELF", guard=False)(given.tensor, out.tensor)
try:
    out.pull()
except DeviceError as error:
    print("fault", error)
"""


@pytest.fixture(scope="module")
def fake(tmp_path_factory):
    """A folder with a libcuda.so.1 that runs nothing on any GPU."""
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("cuda")
    source = Path(__file__).with_name("fake_cuda.c")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-w", str(source), "-o", str(folder / "libcuda.so.1")],
        check=True,
    )
    return folder


def test_what_the_driver_is_asked_for(fake, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake))
    done = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, check=False)

    assert done.stderr == ""
    first, *rest = done.stdout.splitlines()
    assert first == "((Found(name='Fake GPU', arch='sm_86', driver='12.4'),), '') True"
    assert rest == [
        "the CUDA device reports CUDA_ERROR_INVALID_IMAGE from cuModuleLoadData",
        "the CUDA device reports CUDA_ERROR_ILLEGAL_ADDRESS from cuModuleGetFunction",
        "memory cuMemAlloc_v2: CUDA_ERROR_OUT_OF_MEMORY",
        "fault the CUDA device reports CUDA_ERROR_ILLEGAL_ADDRESS from cuMemcpyDtoH_v2",
    ]


def test_a_driver_without_a_gpu_is_said_to_be_one(fake, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake))
    monkeypatch.setenv("FAKE_CUDA_INIT", "1")
    ask = "from pytest_mutatenn.devices.cuda import Device; print(Device('1').missing())"

    broken = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    monkeypatch.delenv("FAKE_CUDA_INIT")
    other = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)

    assert broken.stdout.startswith("NVIDIA's driver is there and does not work: the CUDA device")
    assert other.stdout == ("there is no GPU with the number 1; there is cuda:0 (Fake GPU)\n")


@NVRTC
@pytest.mark.parametrize("level", [0, 3])
def test_every_kernel_of_a_network_compiles(level, shared, tmp_path):
    model = resolve_model(
        str(shared / "models" / "mlperf_resnet8_folded.onnx"), base=tmp_path, scratch=tmp_path
    )
    engine = Engine(model, Cell("cuda", level), Store(tmp_path), compile_only=True)
    try:
        assert engine.info["refused"] == {}
        assert engine.counters.kernels_compiled >= 15
        with pytest.raises(MutatennError, match=f"cuda-O{level} is compiled only"):
            engine.baseline({}, "nothing")
    finally:
        engine.close()
