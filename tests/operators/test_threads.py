"""What GPU kernels' threads are told: the source of CUDA differs, and OpenCL's numbers do."""

import numpy as np
import pytest
from opencl_here import opencl_device, run_code
from tvm import te
from tvm.s_tir import dlight
from tvm.target import Target

from pytest_mutatenn.compiler import sites
from pytest_mutatenn.compiler.kernel import generate, to_device_stage
from pytest_mutatenn.operators import catalogue

CUDA = Target({"kind": "cuda", "arch": "sm_80"}).with_host(Target("llvm"))
OPENCL = Target({"kind": "opencl", "max_num_threads": 256}).with_host(Target("llvm"))
OPERATORS = catalogue.load()


def summing(target):
    """A reduction over threads that share memory, not lowered yet."""
    data = te.placeholder((16, 512), "float32", name="data")
    k = te.reduce_axis((0, 512), "k")
    func = te.create_prim_func(
        [data, te.compute((16,), lambda i: te.sum(data[i, k], k), name="out")]
    )
    schedule = dlight.gpu.Reduction().apply(func, target, False)
    return next(iter(schedule.mod.functions.values()))


def shared_sum(target=CUDA):
    """The reduction at the device stage: barriers in it."""
    return to_device_stage(summing(target), target)


def sources(func):
    """The code of the host, which launches, and of the device."""
    module = generate(func.with_attr("target", CUDA), CUDA)
    return module.inspect_source() + module.imports[0].inspect_source()


def changes(name):
    func = shared_sum()
    return func, list(sites.changes(OPERATORS[name], func.body))


@pytest.mark.parametrize("name", ["thread_extent", "drop_sync"])
def test_the_code_differs_at_every_site(name):
    func, found = changes(name)
    assert found
    baseline = sources(func)
    assert sources(shared_sum()) == baseline
    for change in found:
        assert sources(sites.apply(func, [change])) != baseline


def test_a_launch_is_halved():
    func, found = changes("thread_extent")
    lines = [change.lines(func.body) for change in found]
    for before, after in lines:
        extent = int(before.rpartition(", ")[2].rstrip("):"))
        assert after == before.replace(f", {extent})", f", {extent // 2})")
    assert {before.partition('"')[2].partition(".")[0] for before, _ in lines} == {
        "blockIdx",
        "threadIdx",
    }


def test_a_barrier_is_left_out():
    func, found = changes("drop_sync")
    device = "".join(sources(func))
    without = "".join(sources(sites.apply(func, found[:1])))
    assert without.count("__syncthreads()") == device.count("__syncthreads()") - 1
    assert found[0].lines(func.body)[0] == 'T.tvm_storage_sync("shared")'


def test_gpu_loops_do_not_become_parallel():
    func, found = changes("parallel_race")
    assert "for " in func.script()
    assert not found


class TestThroughOpenCL:
    """The kernels of the mutants run, on threads that share memory."""

    DATA = np.random.default_rng(3).normal(size=(16, 512)).astype("float32")

    def sums(self, func):
        code, _ = opencl_device().compile(func, OPENCL)
        return run_code(code, summing(OPENCL), [self.DATA], guard=True)

    def mutants(self, name):
        func = shared_sum(OPENCL)
        return [sites.apply(func, [c]) for c in sites.changes(OPERATORS[name], func.body)]

    def test_the_sums_are_right_without_a_fault(self):
        np.testing.assert_allclose(self.sums(shared_sum(OPENCL)), self.DATA.sum(1), atol=1e-3)

    def test_half_the_groups_leave_half_the_sums_unwritten(self):
        found = [self.sums(mutant) for mutant in self.mutants("thread_extent")]
        assert any(np.isnan(sums[8:]).all() and np.isfinite(sums[:8]).all() for sums in found)

    def test_without_a_barrier_a_sum_is_of_what_is_not_there_yet(self):
        right = self.sums(shared_sum(OPENCL))
        found = [self.sums(mutant) for mutant in self.mutants("drop_sync")]
        assert found
        assert any(not np.array_equal(sums, right, equal_nan=True) for sums in found)
