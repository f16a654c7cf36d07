"""What a kernel touches outside its buffers is found, and nothing else is."""

import re

import pytest
from bodies import legalised_kernels
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from interpreter import Interpreter
from tvm import te, tirx
from tvm.ir import Call, Op, prim
from tvm.script import tirx as T
from tvm.target import Target
from tvm.tirx import BufferLoad, BufferStore, For, ForKind, IfThenElse, PrimFunc, SeqStmt

from pytest_mutatenn.compiler import points, sites
from pytest_mutatenn.compiler.bounds import outside
from pytest_mutatenn.compiler.kernel import to_device_stage
from pytest_mutatenn.compiler.lower import Lowering
from pytest_mutatenn.compiler.passes import OptLevel
from pytest_mutatenn.compiler.schedules import schedule
from pytest_mutatenn.model.onnx_import import import_onnx
from pytest_mutatenn.operators import catalogue

LLVM = Target("llvm").with_host(Target("llvm"))
CUDA = Target({"kind": "cuda", "arch": "sm_90"}).with_host(Target("llvm"))
OPERATORS = {
    name: op for name, op in catalogue.load().items() if {"kernel", "device"} & set(op.stages)
}
A = tirx.decl_buffer((64,), "float32", "a")
B = tirx.decl_buffer((64,), "float32", "b")
N = tirx.decl_buffer((4,), "int32", "n")
P, Q, R = (tirx.Var(name, "int32") for name in "ijk")
ZERO = tirx.const(0.0, "float32")

few = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


def const(value):
    return tirx.const(value, "int32")


def loop(var, extent, body, low=0, kind=ForKind.SERIAL):
    low, extent = (const(v) if isinstance(v, int) else v for v in (low, extent))
    return For(var, low, extent, kind, body)


def copy(to, value):
    to, value = (const(v) if isinstance(v, int) else v for v in (to, value))
    return BufferStore(B, value, [to])


def load(index, buffer=A):
    return BufferLoad(buffer, [const(index) if isinstance(index, int) else index])


def kernel(body):
    return PrimFunc([A, B, N], body)


def told(body):
    stray = outside(kernel(body))
    assert stray is None or stray.certain
    return stray and stray.text


def limit_points(monkeypatch, most):
    monkeypatch.setattr(points, "FEW_POINTS", most)
    monkeypatch.setattr(points, "MOST_POINTS", most)


class TestLoops:
    def test_all_of_a_buffer(self):
        assert told(loop(P, 64, copy(P, load(63 - P)))) is None

    def test_one_round_more(self):
        assert told(loop(P, 65, copy(P, ZERO))) == "writes b[64], outside its 64 elements"

    def test_below(self):
        assert told(loop(P, 8, copy(P, load(P * 8 - 9)))) == "reads a[-9], outside its 64 elements"

    def test_the_worst_index_is_told(self):
        assert told(loop(P, 90, copy(0, load(P - 8)))) == "reads a[81], outside its 64 elements"
        assert told(loop(P, 72, copy(0, load(P - 8)))) == "reads a[-8], outside its 64 elements"

    def test_the_first_access_is_told(self):
        both = SeqStmt([copy(64, ZERO), copy(0, load(-1))])
        assert told(both) == "writes b[64], outside its 64 elements"
        assert told(SeqStmt([*reversed(both.seq)])) == "reads a[-1], outside its 64 elements"

    def test_a_loop_of_no_round_touches_nothing(self):
        assert told(loop(P, 0, copy(99, ZERO))) is None

    def test_an_extent_that_another_loop_sets(self):
        triangle = loop(P, 8, loop(Q, P + 1, copy(P * 8 + Q, ZERO)))
        assert told(triangle) is None
        assert told(loop(P, 9, triangle.body)) == "writes b[72], outside its 64 elements"
        # only where the outer loop is at its end is the inner one long enough, and there it is
        late = loop(P, 8, loop(Q, P - 6, copy(64 + Q, ZERO)))
        assert told(late) == "writes b[64], outside its 64 elements"
        assert told(loop(P, 7, late.body)) is None

    def test_one_variable_of_two_loops(self):
        once = loop(P, 1, copy(P, ZERO))
        assert told(SeqStmt([once, loop(P, 65, copy(P, ZERO))])) is not None
        assert told(SeqStmt([loop(P, 65, copy(0, ZERO)), once])) is None

    def test_a_fused_loop_too_long_to_try_out(self):
        index = P // 1000 % 8 * 8 + P % 8
        assert told(loop(P, 10**9, copy(index, ZERO))) is None

    def test_what_cannot_be_decided_is_said(self, monkeypatch):
        limit_points(monkeypatch, 100)
        body = loop(P, 60, loop(Q, 60, copy((P * Q) % 67, ZERO)))
        stray = outside(kernel(body))
        assert not stray.certain
        assert stray.text == (
            "may reach b[i * j % 67] outside its 64 elements: too many indices to try out"
        )
        # what is certain comes first, wherever it stands
        assert outside(kernel(SeqStmt([body, copy(-1, ZERO)]))).certain


class TestGuards:
    def test_a_branch(self):
        body = copy(P, ZERO)
        assert told(loop(P, 90, IfThenElse(prim.LT(P, const(64)), body, None))) is None
        assert told(loop(P, 90, IfThenElse(prim.LE(P, const(64)), body, None))) == (
            "writes b[64], outside its 64 elements"
        )
        empty = copy(0, ZERO)
        assert told(loop(P, 90, IfThenElse(prim.GE(P, const(64)), empty, body))) is None
        assert told(loop(P, 90, IfThenElse(prim.GT(P, const(64)), empty, body))) is not None

    @pytest.mark.parametrize("choose", [prim.Select, tirx.if_then_else])
    def test_a_choice(self, choose):
        inside = prim.And(prim.LE(const(8), P), prim.Not(prim.GE(P, const(72))))
        assert told(loop(P, 90, copy(0, choose(inside, load(P - 8), ZERO)))) is None
        assert told(loop(P, 90, copy(0, choose(inside, ZERO, load(P - 8))))) is not None
        either = prim.Or(prim.LT(P, const(8)), prim.LE(const(72), P))
        assert told(loop(P, 90, copy(0, choose(either, ZERO, load(P - 8))))) is None
        assert told(loop(P, 90, copy(0, choose(either, load(P - 8), ZERO)))) is not None

    def test_padding_of_two_axes(self):
        def padded(height):
            guard = prim.And(
                prim.And(prim.LE(const(1), P + R), prim.LT(P + R, const(height))),
                prim.And(prim.LE(const(1), Q), prim.LT(Q, const(9))),
            )
            value = tirx.if_then_else(guard, load((P + R) * 8 + Q - 9), ZERO)
            return loop(P, 8, loop(R, 3, loop(Q, 10, copy(P * 8, value))))

        assert told(padded(9)) is None
        assert told(padded(10)) == "reads a[71], outside its 64 elements"

    def test_a_guard_of_other_variables_that_never_holds(self):
        def body(limit):
            return loop(Q, 4, IfThenElse(prim.GT(Q, const(limit)), copy(64, ZERO), None))

        assert told(body(3)) is None
        assert told(body(2)) is not None
        assert told(IfThenElse(tirx.const(False, "bool"), copy(64, ZERO), None)) is None

    def test_a_condition_guards_what_it_is_joined_with(self):
        small = prim.GT(load(P), ZERO)
        joined = prim.And(prim.LT(P, const(64)), small)
        assert told(loop(P, 65, IfThenElse(joined, copy(0, ZERO), None))) is None
        other = prim.Or(prim.GE(P, const(64)), small)
        assert told(loop(P, 65, IfThenElse(other, copy(0, ZERO), None))) is None
        assert told(loop(P, 65, IfThenElse(small, copy(0, ZERO), None))) is not None

    def test_a_vector_condition_guards_nothing(self):
        lanes = prim.Ramp(const(0), 1, 16)
        below = prim.LT(lanes, prim.Broadcast(const(4), 16))
        value = prim.Select(below, load(lanes + prim.Broadcast(const(56), 16)), load(lanes))
        assert told(copy(lanes, value)) == "reads a[71], outside its 64 elements"

    def test_a_threshold_in_floating_point(self):
        half = prim.LT(prim.Cast("float64", P), prim.Cast("float64", const(63)) + 0.5)
        assert told(loop(P, 90, IfThenElse(half, copy(P, ZERO), None))) is None
        assert told(loop(P, 90, IfThenElse(half, copy(P + 1, ZERO), None))) is not None


class TestData:
    def test_a_loaded_index_counts_as_inside(self):
        assert told(loop(P, 4, copy(load(P, N), ZERO))) is None
        assert told(loop(P, 5, copy(load(P, N), ZERO))) == "reads n[4], outside its 4 elements"

    def test_a_loaded_condition_may_hold(self):
        chosen = prim.GT(load(0, N), const(0))
        assert told(IfThenElse(chosen, copy(64, ZERO), None)) is not None
        assert told(IfThenElse(prim.Not(chosen), copy(64, ZERO), None)) is not None
        guard = prim.And(prim.LT(P, const(64)), chosen)
        assert told(loop(P, 90, IfThenElse(guard, copy(P, ZERO), None))) is None

    def test_a_loaded_extent_is_not_known(self):
        assert told(loop(P, load(0, N), copy(P, ZERO))) is None


class TestShapes:
    def test_vectors(self):
        lanes = prim.Ramp(P * 16, 1, 16)
        assert told(loop(P, 4, copy(lanes, load(lanes)))) is None
        assert told(loop(P, 5, copy(lanes, load(lanes)))) == "writes b[79], outside its 64 elements"
        odd = prim.Ramp(P, 2, 16)
        shifted = odd % prim.Broadcast(const(32), 16) + prim.Broadcast(const(33), 16)
        into = prim.Ramp(const(0), 1, 16)
        assert told(loop(P, 2, copy(into, load(shifted)))) == "reads a[64], outside its 64 elements"

    def test_a_buffer_of_vectors(self):
        wide = tirx.decl_buffer((4,), "float32x16", "wide")
        value = prim.Broadcast(ZERO, 16)
        fill = loop(P, 4, BufferStore(wide, value, [P]))
        assert told(SeqStmt([tirx.AllocBuffer(wide), fill])) is None
        more = loop(P, 5, fill.body)
        assert told(SeqStmt([tirx.AllocBuffer(wide), more])) == (
            "writes wide[4], outside its 4 elements"
        )

    def test_a_view_may_be_smaller_than_its_memory(self):
        @T.prim_func(s_tir=True)
        def viewed(a: T.Buffer((8, 8), "float32"), b: T.Buffer((64,), "float32")):
            row = T.decl_buffer((8,), data=a.data)
            for i in range(64):
                b[i] = row[i]

        assert outside(viewed) is None

        @T.prim_func(s_tir=True)
        def shifted(a: T.Buffer((8, 8), "float32"), b: T.Buffer((64,), "float32")):
            row = T.decl_buffer((8,), data=a.data)
            for i in range(64):
                b[i] = row[i + 1]

        assert outside(shifted).text == "reads row[64], outside its 64 elements"

    def test_names_for_values(self):
        bound = SeqStmt([tirx.Bind(Q, P * 8), copy(Q, ZERO)])
        assert told(loop(P, 8, bound)) is None
        assert told(loop(P, 9, bound)) == "writes b[64], outside its 64 elements"
        let = prim.Let(R, P - 1, load(R))
        assert told(loop(P, 8, copy(0, let))) == "reads a[-1], outside its 64 elements"

    def test_what_is_given_to_a_call(self):
        call = Call(Op.get("tirx.call_pure_extern"), [load(P)], ret_ty=ZERO.ty)
        assert told(loop(P, 64, tirx.Evaluate(call))) is None
        assert told(loop(P, 65, tirx.Evaluate(call))) == "reads a[64], outside its 64 elements"
        for extent, stray in ((4, None), (5, "writes b[64], outside its 64 elements")):
            pointer = B.access_ptr("w", offset=P * 20, extent=const(extent))
            assert told(loop(P, 4, tirx.Evaluate(pointer))) == stray

    def test_one_element(self):
        one = tirx.decl_buffer((1,), "float32", "one")
        body = SeqStmt([tirx.AllocBuffer(one), BufferStore(one, ZERO, [const(1)])])
        assert told(body) == "writes one[1], outside its 1 element"


@st.composite
def nests(draw):
    """Loops with guards around one access, of indices that are anything integers can do."""
    variables = [P, Q, R]
    leaves = st.one_of(st.sampled_from(variables), st.integers(-3, 9).map(const))

    def node(inner):
        by = st.integers(1, 5).map(const)
        return st.one_of(
            st.builds(prim.Add, inner, inner),
            st.builds(prim.Sub, inner, inner),
            st.builds(prim.Mul, inner, inner),
            st.builds(prim.Min, inner, inner),
            st.builds(prim.FloorDiv, inner, by),
            st.builds(prim.FloorMod, inner, by),
            st.builds(prim.Select, compared(inner), inner, inner),
        )

    def compared(inner):
        kinds = st.sampled_from([prim.LT, prim.LE, prim.GT, prim.GE, prim.EQ, prim.NE])
        return st.builds(lambda kind, a, b: kind(a, b), kinds, inner, inner)

    exprs = st.recursive(leaves, node, max_leaves=5)
    conditions = st.recursive(
        compared(exprs),
        lambda inner: st.one_of(
            st.builds(prim.And, inner, inner),
            st.builds(prim.Or, inner, inner),
            st.builds(prim.Not, inner),
        ),
        max_leaves=3,
    )
    body = copy(draw(exprs), tirx.if_then_else(draw(conditions), load(draw(exprs)), ZERO))
    for condition in draw(st.lists(conditions, max_size=2)):
        body = IfThenElse(condition, body, None)
    for var in draw(st.permutations(variables)):
        extent = draw(st.integers(0, 6))
        body = loop(var, extent, body, draw(st.integers(-2, 2)))
    return kernel(body)


def agrees(func):
    """Whether the answer is the interpreter's."""
    touched = Interpreter(func).outside
    stray = outside(func)
    assert (stray is not None) == bool(touched), func.script()
    if stray is None:
        return False
    assert stray.certain
    does, _, rest = stray.text.partition(" ")
    name, _, index = rest.partition("]")[0].partition("[")
    assert (does, name, int(index)) in touched, func.script()
    found = [index for d, n, index in touched if (d, n) == (does, name)]
    assert int(index) in (min(found), max(found))
    return True


class TestAgainstTheTruth:
    @few
    @given(nests())
    def test_nests_of_loops(self, func):
        agrees(func)

    @pytest.mark.parametrize("level", [0, 2])
    @pytest.mark.parametrize("name", sorted(legalised_kernels()))
    def test_kernels_and_their_mutants(self, name, level):
        opt = OptLevel(level)
        func = to_device_stage(schedule(legalised_kernels()[name], opt, LLVM), LLVM)
        assert not agrees(func)
        for op in OPERATORS.values():
            found = list(sites.changes(op, func.body))
            for change in found[:: max(1, len(found) // 3)]:
                agrees(sites.apply(func, [change]))

    def test_a_loop_of_one_round_more_is_always_found(self):
        func = to_device_stage(legalised_kernels()["conv2d"], LLVM)
        count = 0
        for place in list(sites.walk(func.body)):
            if isinstance(place.node, For):
                node = place.node
                longer = For(node.loop_var, node.min, node.extent + 1, node.kind, node.body)
                count += agrees(func.with_body(sites.replace(func.body, place.path, longer)))
        assert count > 3


class TestThreads:
    @pytest.mark.parametrize("name", sorted(legalised_kernels()))
    def test_kernels_for_a_gpu(self, name):
        func = to_device_stage(schedule(legalised_kernels()[name], OptLevel(2), CUDA), CUDA)
        text = func.script()
        if "launch_thread" not in text:
            pytest.skip("TVM does not bind it")
        assert outside(func) is None

    def test_a_guard_of_threads(self):
        # no number of threads divides a prime
        read = te.placeholder((1009,), name="read")
        doubled = te.compute((1009,), lambda i: read[i] * 2.0)
        func = te.create_prim_func([read, doubled])
        func = to_device_stage(schedule(func, OptLevel(2), CUDA), CUDA)
        (guard, *_) = [p for p in sites.walk(func.body) if isinstance(p.node, IfThenElse)]
        assert outside(func) is None
        body = sites.replace(func.body, (*guard.path, 0), tirx.const(True, "bool"))
        stray = outside(func.with_body(body))
        assert re.search(r"\[10[1-9]\d\], outside its 1009 elements$", stray.text)
        agrees(func.with_body(body))


@pytest.mark.parametrize("level", range(5))
@pytest.mark.parametrize("target", [LLVM, CUDA], ids=["llvm", "cuda"])
def test_no_false_alarm_on_a_real_network(examples, level, target):
    opt = OptLevel(level)
    lowering = Lowering(import_onnx(examples / "digits.onnx", shapes=None), opt, target)
    program = lowering.baseline()
    for func in program.kernels.values():
        assert outside(to_device_stage(schedule(func, opt, target), target)) is None


def test_counts_of_points_are_what_is_tried(monkeypatch):
    # seven loops of a padded convolution, by groups: never their product
    limit_points(monkeypatch, 1000)
    for func in legalised_kernels().values():
        assert outside(to_device_stage(func, LLVM)) is None
