"""What GPU kernels' threads are told; there is no GPU here, so it is the source that differs."""

import pytest
from tvm import te
from tvm.s_tir import dlight
from tvm.target import Target

from pytest_mutatenn.compiler import sites
from pytest_mutatenn.compiler.kernel import generate, to_device_stage
from pytest_mutatenn.operators import catalogue

CUDA = Target({"kind": "cuda", "arch": "sm_80"}).with_host(Target("llvm"))
OPERATORS = catalogue.load()


def shared_sum():
    """A reduction over threads that share memory: barriers in it."""
    data = te.placeholder((16, 512), "float32", name="data")
    k = te.reduce_axis((0, 512), "k")
    func = te.create_prim_func(
        [data, te.compute((16,), lambda i: te.sum(data[i, k], k), name="out")]
    )
    schedule = dlight.gpu.Reduction().apply(func, CUDA, False)
    return to_device_stage(next(iter(schedule.mod.functions.values())), CUDA)


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
