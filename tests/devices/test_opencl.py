"""OpenCL devices: what they are called, what is said where there is none, and what they run."""

import subprocess
import sys

import numpy as np
import pytest
from opencl_here import load, opencl_device
from tvm import te

from pytest_mutatenn.compiler.kernel import to_device_stage
from pytest_mutatenn.compiler.passes import OptLevel
from pytest_mutatenn.compiler.schedules import schedule
from pytest_mutatenn.devices.opencl import Device, probe
from pytest_mutatenn.devices.opencl.memory import DeviceMemory, SharedMemory
from pytest_mutatenn.devices.opencl.poison import with_poison
from pytest_mutatenn.devices.opencl.probe import Found, choose
from pytest_mutatenn.devices.plan import Argument, Launch, Plan, with_plain_names
from pytest_mutatenn.devices.slots import DeviceError, Refused


def made_up(platform, device, names, **more):
    platform_name, version, name = names
    values = {
        "is_gpu": False,
        "is_cpu": True,
        "work_items": 4096,
        "local_memory": 1 << 20,
        "extensions": (),
    }
    return Found(platform, device, platform_name, version, name, "1.0", **{**values, **more})


POCL = made_up(0, 0, ("Portable Computing Language", "OpenCL 3.0 PoCL 3.1", "cpu-haswell"))
FIRST = made_up(1, 0, ("NVIDIA CUDA", "OpenCL 3.0", "RTX A"), is_gpu=True, is_cpu=False)
SECOND = made_up(1, 1, ("NVIDIA CUDA", "OpenCL 3.0", "RTX B"), is_gpu=True, is_cpu=False)


@pytest.fixture
def three(monkeypatch):
    monkeypatch.setattr(probe, "found", lambda: ((POCL, FIRST, SECOND), ""))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", FIRST),
        ("0", POCL),
        ("0.0", POCL),
        ("1", FIRST),
        ("1.1", SECOND),
        ("pocl", POCL),
        ("nvidia", FIRST),
        ("NVIDIA.1", SECOND),
        ("rtx b", SECOND),
        ("3.0 pocl 3.1", POCL),
    ],
)
def test_a_device_is_found_by_numbers_or_part_of_a_name(three, options, expected):
    assert choose(options)[0] is expected


@pytest.mark.parametrize("options", ["2", "1.2", "intel", "pocl.1"])
def test_one_that_is_not_there_is_told_with_those_that_are(three, options):
    reason = Device(options).missing()
    assert repr(options) in reason
    for found in (POCL, FIRST, SECOND):
        assert f"opencl:{found.platform}.{found.device} ({found.platform_name}" in reason


def test_workers_take_turns_on_a_gpu_alone(three):
    assert Device("nvidia").exclusive
    assert not Device("pocl").exclusive


def test_fingerprints_tell_devices_apart(three):
    assert len({Device(options).fingerprint() for options in ("0", "1.0", "1.1")}) == 3


def test_the_target_asks_no_more_of_a_device_than_it_has(monkeypatch):
    small = made_up(0, 0, ("P", "1", "tiny"), work_items=64, local_memory=1024)
    monkeypatch.setattr(probe, "found", lambda: ((small,), ""))
    target = Device("").target(fast_math=False)
    assert int(target.attrs["max_num_threads"]) == 64
    assert int(target.attrs["max_shared_memory_per_block"]) == 1024


class TestMissing:
    @pytest.fixture(autouse=True)
    def _asked_anew(self):
        probe.found.cache_clear()
        yield
        probe.found.cache_clear()

    def python(self, monkeypatch, tmp_path, text):
        """Have the devices asked by this program."""
        script = tmp_path / "python"
        script.write_text(f"#!{sys.executable}\n{text}")
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))

    def test_without_pyopencl(self, monkeypatch, tmp_path):
        (tmp_path / "pyopencl.py").write_text(
            "raise ModuleNotFoundError('none', name='pyopencl')\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        assert "pip install 'pytest-mutatenn[opencl]'" in Device("").missing()

    def test_without_a_platform(self, monkeypatch, tmp_path):
        (tmp_path / "pyopencl.py").write_text(
            "class Error(Exception): pass\ndef get_platforms(): raise Error('PLATFORM_NOT_FOUND')\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        assert "pocl-opencl-icd" in Device("").missing()

    def test_a_platform_without_a_device(self, monkeypatch, tmp_path):
        (tmp_path / "pyopencl.py").write_text(
            "class Error(Exception): pass\n"
            "class Platform:\n    name = 'Vendor'\n    def get_devices(self): raise Error\n"
            "def get_platforms(): return [Platform()]\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        assert "(Vendor) have no device" in Device("").missing()

    def test_a_driver_that_crashes(self, monkeypatch, tmp_path):
        self.python(monkeypatch, tmp_path, "import os; os.abort()")
        assert "an OpenCL driver failed (exit status -6)" in Device("").missing()

    def test_a_driver_that_hangs(self, monkeypatch, tmp_path):
        self.python(monkeypatch, tmp_path, "import time; time.sleep(60)")
        monkeypatch.setattr(probe, "_SECONDS", 0.2)
        assert "took more than 0.2 s" in Device("").missing()

    def test_it_is_asked_once(self, monkeypatch):
        asked = []
        run = subprocess.run
        monkeypatch.setattr(subprocess, "run", lambda *a, **o: asked.append(a) or run(*a, **o))
        for _ in range(3):
            Device("").missing()
        assert len(asked) == 1


class TestPlan:
    PLAN = Plan(
        (64,),
        (Launch("f", (2, 1, 1), (32, 1, 1), (Argument("tensor", 0), Argument("int32", 7))),),
        ("-cl-fast-relaxed-math",),
    )

    def test_it_is_read_as_it_was_written(self):
        assert Plan.of_file(self.PLAN.with_source("source\nof it")) == (self.PLAN, "source\nof it")

    def test_what_a_layer_is_called_is_not_in_the_source(self):
        text = (
            "// Function: f\n__kernel void f(__global float* restrict {0}_ptr) {{\n"
            "  float {0}_local[4];\n  for (int {1} = 0; {1} < 4; ++{1}) {{\n"
            "    {0}_local[{1}] = exp((float){0}_ptr[{1}]);\n  }}\n}}\n"
        )
        one, other = (with_plain_names(text.format(*names)) for names in (("a", "i"), ("b", "k")))
        assert one == other
        assert "v1[v2] = exp((float)v0[v2])" in one

    def test_other_numbers_stay(self):
        one, other = (with_plain_names(f"int x = {n};") for n in (1, 2))
        assert one != other


def doubled(shape=(33,), plus=1.0, dtype="float32"):
    x = te.placeholder(shape, dtype, name="x")
    y = te.compute(shape, lambda *i: x(*i) * te.const(2, dtype) + te.const(plus, dtype), name="y")
    return te.create_prim_func([x, y])


def code_of(func, device):
    target = device.target(fast_math=False)
    scheduled = schedule(func, OptLevel(2), target)
    return device.compile(to_device_stage(scheduled, target), target)[0]


def test_the_code_is_the_same_every_time():
    device = Device("")
    assert code_of(doubled(), device) == code_of(doubled(), device)
    assert code_of(doubled(), device) != code_of(doubled(plus=3.0), device)


@pytest.mark.parametrize("kind", [SharedMemory, DeviceMemory])
class TestMemory:
    """Both kinds on the device there is: a CPU's driver does as a GPU's does."""

    @pytest.fixture
    def memory(self, kind):
        device = opencl_device()
        return kind(device._context, device._queue)

    def test_a_kernel_reads_what_was_pushed_and_what_it_wrote_is_pulled(self, memory):
        kernel = load(code_of(doubled(), opencl_device()))
        x, y = memory.copy(np.arange(33, dtype="float32")), memory.slot((33,), "float32")
        kernel(x.tensor, y.tensor)
        y.pull()
        assert np.array_equal(y.array, 2 * np.arange(33) + 1)
        x.array[:] = 5
        x.push()
        kernel(x.tensor, y.tensor)
        y.pull()
        assert (y.array == 11).all()

    def test_what_is_not_written_is_poison(self, memory):
        slot = memory.slot((5,), "float32")
        slot.pull()
        assert np.isnan(slot.array).all()
        slot.array[:] = 1
        slot.push()
        slot.poison()
        slot.pull()
        assert np.isnan(slot.array).all()

    def test_what_lies_beside_a_tensor_is_poison_again(self, memory):
        """The kernel writes 40 elements where there are 33."""
        x, y = memory.copy(np.ones(40, np.float32)), memory.slot((33,), "float32")
        load(code_of(doubled((40,)), opencl_device()))(x.tensor, y.tensor)
        y.poison_around()
        copied = memory.slot((40,), "float32")
        load(code_of(doubled((40,), 0.0), opencl_device()))(y.tensor, copied.tensor)
        copied.pull()
        assert (copied.array[:33] == 6).all()
        assert np.isnan(copied.array[33:]).all()

    def test_tensors_of_a_block_begin_together(self, memory):
        block = memory.block(64)
        wide, narrow = block.slot((4, 4), "float32"), block.slot((2,), "float32")
        narrow.array[:] = 3
        narrow.push()
        wide.pull()
        assert wide.array.ravel()[:2].tolist() == [3, 3]

    def test_tensors_without_elements(self, memory):
        slot = memory.copy(np.zeros((0, 3), np.float32))
        slot.push()
        slot.pull()
        slot.poison()
        assert slot.array.shape == (0, 3)


class TestRefused:
    def test_source_that_is_none(self):
        plan = Plan((), (Launch("f", (1, 1, 1), (1, 1, 1), ()),))
        with pytest.raises(Refused, match="error"):
            load(plan.with_source("__kernel void f() { nonsense; }"))

    def test_a_type_that_the_device_lacks(self, monkeypatch):
        device = opencl_device()
        found, _ = device._chosen
        lacking = Found(**{**vars(found), "extensions": ()})
        code = code_of(doubled(dtype="float64"), device)
        monkeypatch.setitem(vars(device), "_chosen", (lacking, ""))
        with pytest.raises(Refused, match="does not compute in float64: it lacks cl_khr_fp64"):
            load(code)

    def test_check_compiles_says_why(self):
        device = opencl_device()
        plan = Plan((), (Launch("f", (1, 1, 1), (1, 1, 1), ()),))
        assert device.why_not_compiled() is None
        assert device.check_compiles(code_of(doubled(), device)) is None
        assert "error" in device.check_compiles(plan.with_source("__kernel void f() { oops; }"))

    def test_where_the_device_is_not_here_another_driver_says_so(self):
        opencl_device()
        absent = Device("no such device")
        assert absent.missing()
        assert absent.check_compiles(code_of(doubled(), absent)) is None

    def test_a_compiler_that_dies(self, monkeypatch):
        device = opencl_device()
        found, _ = device._chosen
        gone = Found(**{**vars(found), "platform": 99})
        monkeypatch.setitem(vars(device), "_chosen", (gone, ""))
        reason = device.check_compiles(code_of(doubled(), device))
        assert "opencl:99.0" in reason
        assert "failed (exit status 1)" in reason

    def test_a_launch_that_the_device_does_not_take_is_a_fault(self):
        plan = Plan((), (Launch("f", (1, 1, 1), (1 << 20, 1, 1), ()),))
        kernel = load(plan.with_source("__kernel void f() {}"))
        with pytest.raises(DeviceError, match="INVALID_WORK"):
            kernel()


class TestPoison:
    """What a kernel's arrays hold before it writes to them, whatever ran before."""

    SOURCE = """__kernel void f(__global float* restrict out) {
  %sfloat mine[8];
  if (%d) {
    mine[get_local_id(0)] = 7.0f;
  }
  out[get_local_id(0)] = mine[get_local_id(0)];
}
"""
    PLAN = Plan((), (Launch("f", (1, 1, 1), (8, 1, 1), (Argument("tensor", 0),)),))

    @pytest.mark.parametrize("scope", ["", "__local "])
    def test_nothing_of_an_earlier_kernel_is_read(self, scope):
        slot = opencl_device().memory.copy(np.zeros(8, np.float32))
        for writes in (1, 0):
            load(self.PLAN.with_source(self.SOURCE % (scope, writes)), guard=True)(slot.tensor)
            slot.pull()
            assert (slot.array == 7).all() if writes else np.isnan(slot.array).all()

    def test_integers_are_minus_one(self):
        source = with_poison("  int mine[3];\n")
        assert "mine[poison] = (int)(-1);" in source

    def test_source_without_arrays_stays(self):
        assert with_poison("  float x = 3;\n") == "  float x = 3;\n"


def test_temporary_buffers_are_poison_for_every_run():
    """Of two launches, the first writes half of what the second reads, once."""
    source = """__kernel void first(__global float* restrict x, __global float* restrict t) {
  if (x[0] > 0) { t[get_local_id(0)] = 1.0f; }
}
__kernel void second(__global float* restrict t, __global float* restrict y) {
  y[get_local_id(0)] = t[get_local_id(0)];
}
"""
    x, t, y = Argument("tensor", 0), Argument("temporary", 0), Argument("tensor", 1)
    launches = (Launch("first", (1, 1, 1), (4, 1, 1), (x, t)),)
    launches += (Launch("second", (1, 1, 1), (4, 1, 1), (t, y)),)
    kernel = load(Plan((16,), launches).with_source(source), guard=True)
    memory = opencl_device().memory
    condition, out = memory.copy(np.ones(1, np.float32)), memory.slot((4,), "float32")
    kernel(condition.tensor, out.tensor)
    out.pull()
    assert (out.array == 1).all()
    condition.array[:] = 0
    condition.push()
    kernel(condition.tensor, out.tensor)
    out.pull()
    assert np.isnan(out.array).all()
