"""A group of kernels fused by itself, and remembered."""

import pytest
from lowering import LLVM, network, small_network
from tvm import IRModule, relax, tirx
from tvm_ffi import structural_equal

from pytest_mutatenn.compiler.fusion import Fusion, kernels_called, tagged
from pytest_mutatenn.compiler.passes import OptLevel, group, legalise, optimise


@pytest.fixture(scope="module", params=[1, 2, 3])
def grouped(request):
    """A small network with its kernels grouped."""
    opt = OptLevel(request.param)
    module = legalise(optimise(small_network(), opt), opt, LLVM)
    return group(relax.transform.AnnotateTIROpPattern()(module), opt, LLVM)


def callees(module):
    """GlobalVars of the groups."""
    return [gv for gv, f in module.functions.items() if f.attrs and "Primitive" in f.attrs]


def alike(one, other):
    return structural_equal(*(f.without_attr("global_symbol") for f in (one, other)))


def test_a_group_fused_alone_is_what_it_is_in_the_whole_module(grouped):
    with LLVM:
        whole = relax.transform.FuseTIR()(grouped)
    fusion = Fusion(LLVM)
    found = callees(grouped)
    assert found
    for callee in found:
        assert alike(fusion.fused(grouped, callee).kernel, whole[callee.name_hint])


def test_what_is_remembered_is_the_same_object(grouped):
    fusion = Fusion(LLVM)
    first = {gv: fusion.fused(grouped, gv) for gv in callees(grouped)}
    # the same kernels in another module
    again = IRModule(dict(grouped.functions.items()))
    assert all(fusion.fused(again, gv) is known for gv, known in first.items())


def test_a_group_with_another_kernel_is_another(grouped):
    fusion = Fusion(LLVM)
    callee = callees(grouped)[0]
    first = fusion.fused(grouped, callee)
    changed = IRModule(dict(grouped.functions.items()))
    name = next(iter(kernels_called(grouped[callee])))
    changed.update_func(name, tagged(grouped[name], "somewhere 0"))
    second = fusion.fused(changed, callee)
    assert (first.layers, second.layers) == (frozenset(), {"somewhere"})
    assert alike(first.kernel, second.kernel)
    assert fusion.fused(grouped, callee) is first


def test_without_memory_it_is_fused_again(grouped):
    fusion = Fusion(LLVM, remembers=False)
    callee = callees(grouped)[0]
    first, second = (fusion.fused(grouped, callee) for _ in range(2))
    assert first.kernel is not second.kernel
    assert alike(first.kernel, second.kernel)
    assert (first.args, first.layers) == (second.args, second.layers)


def test_arguments_are_those_of_the_call_or_fields_of_them():
    def build(emit, x, w):
        pair = emit(relax.op.split(emit(relax.op.add(x, w), "sum"), 2, axis=1), "pair")
        return relax.op.multiply(pair[0], pair[1])

    opt = OptLevel(1)
    module = legalise(optimise(network(build, [(2, 4)], [(2, 4)]), opt), opt, LLVM)
    grouped = group(relax.transform.AnnotateTIROpPattern()(module), opt, LLVM)
    fusion = Fusion(LLVM)
    for callee in callees(grouped):
        fused = fusion.fused(grouped, callee)
        outputs = len(getattr(fused.output, "fields", [None]))
        assert len(fused.kernel.params) == len(fused.args) + outputs
        params = grouped[callee].params
        for (number, part), parameter in zip(fused.args, fused.kernel.params, strict=False):
            ty = params[number].ty if part is None else params[number].ty.fields[part]
            assert list(ty.shape) == list(parameter.shape)


def test_a_kernel_alone_loses_its_tags_and_nothing_else(grouped):
    gv, func = next((gv, f) for gv, f in grouped.functions.items() if isinstance(f, tirx.PrimFunc))
    alone = IRModule({gv: tagged(func, "layer 3")})
    fused = Fusion(LLVM).fused(alone, gv)
    assert fused.layers == {"layer"}
    assert structural_equal(fused.kernel, func)
    assert not list(kernels_called(func))
