"""The digest of a kernel changes if and only if its code does."""

from itertools import combinations

import pytest
from bodies import COMPARISONS, functions, legalised_kernels
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tvm import te, tirx
from tvm.ir import prim
from tvm.target import Target
from tvm_ffi import structural_equal
from tvm_ffi.structural import structural_map

from pytest_mutatenn.compiler import kernel, sites
from pytest_mutatenn.compiler.kernel import ir_digest, to_device_stage, without_units
from pytest_mutatenn.operators import catalogue

LLVM = Target("llvm").with_host(Target("llvm"))
OPERATORS = {name: op for name, op in catalogue.load().items() if "kernel" in op.stages}

few = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def digest(func):
    return ir_digest(func, LLVM)


def renamed(func):
    """The same kernel with other names for its loop variables, its parameters and itself."""
    names = {}

    def loop(node):
        new = names.setdefault(node.loop_var, tirx.Var(f"renamed_{len(names)}", node.loop_var.ty))
        return tirx.For(
            new, node.min, node.extent, node.kind, node.body, node.thread_binding, node.annotations
        )

    body = structural_map(func.body, [(tirx.For, loop)])
    body = structural_map(body, [(tirx.Var, lambda var: names.get(var, var))])
    return func.with_body(body).with_attr("global_symbol", "another_name")


def addition(names, dtype="float32", shape=(8,), scale=2.0):
    x, y = (te.placeholder(shape, dtype, name=name) for name in names)
    total = te.compute(
        shape, lambda i: x[i] + prim.Mul(y[i], tirx.const(scale, dtype)), name="total"
    )
    return te.create_prim_func([x, y, total])


@few
@given(functions())
def test_names_are_of_no_matter(func):
    other = renamed(func)
    assert other.script() != func.script()
    assert digest(other) == digest(func)


def test_names_of_buffers():
    assert digest(addition("ab")) == digest(addition(["first", "second"]))


def test_arguments_in_another_order_are_another_kernel():
    func = addition("ab")
    a, b, out = func.params
    assert digest(tirx.PrimFunc([b, a, out], func.body)) != digest(func)


@pytest.mark.parametrize(
    "other",
    [{"dtype": "float64"}, {"shape": (9,)}, {"scale": 2.0000002}, {"scale": 3.0}],
)
def test_dtypes_shapes_and_literals_matter(other):
    assert digest(addition("ab", **other)) != digest(addition("ab"))


def test_literals_that_print_alike_are_told_apart():
    close = [1.0, 1.0 + 2**-23, 1.0 - 2**-24, 1e-8, 1e-8 + 1e-22]
    assert len({digest(addition("ab", "float64", scale=value)) for value in close}) == len(close)


@few
@given(functions())
def test_the_same_tree_built_again_is_the_same(func):
    def again(node):
        return tirx.BufferStore(node.buffer, node.value, node.indices)

    other = func.with_body(structural_map(func.body, [(tirx.BufferStore, again)]))
    assert not other.body.same_as(func.body)
    assert digest(other) == digest(func)


@few
@given(functions(), st.sampled_from(sorted(OPERATORS)))
def test_every_mutation_changes_it(func, name):
    found = list(sites.changes(OPERATORS[name], func.body))
    digests = [digest(sites.apply(func, [change])) for change in found]
    assert digest(func) not in digests
    mutated = [sites.apply(func, [change]) for change in found]
    for (one, a), (other, b) in combinations(zip(mutated, digests, strict=True), 2):
        assert structural_equal(one, other) == (a == b)


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_every_mutation_of_a_real_kernel_changes_it(name):
    for func in legalised_kernels().values():
        plain = digest(func)
        found = list(sites.changes(OPERATORS[name], func.body))[:8]
        digests = {digest(sites.apply(func, [change])) for change in found}
        assert len(digests) == len(found)
        assert plain not in digests


def test_other_kernels_have_other_digests():
    funcs = list(legalised_kernels().values())
    different = [
        f for i, f in enumerate(funcs) if not any(structural_equal(f, g) for g in funcs[:i])
    ]
    assert len({digest(func) for func in different}) == len(different)


def test_the_device_stage_has_a_digest_of_its_own():
    func = legalised_kernels()["conv2d"]
    lowered = to_device_stage(func, LLVM)
    assert digest(lowered) != digest(func)
    assert digest(to_device_stage(func, LLVM)) == digest(lowered)


def test_the_target_matters():
    func = addition("ab")
    targets = [
        Target("llvm"),
        Target({"kind": "llvm", "mcpu": "x86-64-v3"}),
        Target({"kind": "llvm", "opt-level": 1}),
        Target("c"),
    ]
    assert len({ir_digest(func, target) for target in targets}) == len(targets)
    assert ir_digest(func, Target("llvm")) == ir_digest(func, Target("llvm"))


def test_the_compilers_matter(monkeypatch):
    func = addition("ab")
    plain = digest(func)
    monkeypatch.setattr(kernel, "compiler_version", lambda: "another compiler")
    assert digest(func) != plain


def test_it_is_256_bits():
    assert len(bytes.fromhex(digest(addition("ab")))) == 32


def test_a_comparison_is_not_another():
    i, n = tirx.Var("i", "int32"), tirx.const(3, "int32")
    buffer = tirx.decl_buffer((8,), "bool", "out")
    digests = {
        digest(
            tirx.PrimFunc(
                [buffer],
                tirx.For(
                    i, n - n, n, tirx.ForKind.SERIAL, tirx.BufferStore(buffer, cls(i, n), [i])
                ),
            )
        )
        for cls in (*COMPARISONS, prim.EQ, prim.NE)
    }
    assert len(digests) == 6


class TestUnits:
    """Multiplications by what the type rounds to one are no code."""

    @pytest.mark.parametrize("unit", [1.00000001, 0.99999999])
    def test_they_go(self, unit):
        func = addition("ab", scale=unit)
        assert "b[v_i] * T.float32(" in func.script()
        assert "total[v_i] = a[v_i] + b[v_i]\n" in without_units(func).script() + "\n"

    @pytest.mark.parametrize(("dtype", "unit"), [("float32", 1.0000002), ("float64", 1.00000001)])
    def test_what_the_type_can_tell_from_one_stays(self, dtype, unit):
        func = addition("ab", dtype, scale=unit)
        assert structural_equal(without_units(func), func)

    def test_a_kernel_without_them_stays(self):
        for func in legalised_kernels().values():
            assert structural_equal(without_units(func), func)
