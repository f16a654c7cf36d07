"""Where operators apply, and what applying one changes: that node and nothing else."""

import pytest
import tvm
from bodies import RESULT, SOURCE, functions, legalised_kernels, values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tvm import tirx
from tvm.ir import prim
from tvm.ir.expr import TensorLoad
from tvm.s_tir import SBlock
from tvm.target import Target
from tvm_ffi import structural_equal
from tvm_ffi.structural import structural_walk

from pytest_mutatenn.compiler import sites
from pytest_mutatenn.compiler.kernel import to_device_stage
from pytest_mutatenn.operators import catalogue

LLVM = Target("llvm").with_host(Target("llvm"))
OPERATORS = {
    name: op for name, op in catalogue.load().items() if {"kernel", "device"} & set(op.stages)
}

few = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def equal(a, b):
    return structural_equal(a, b, map_free_vars=False)


def same_shape(change):
    """Whether the replacement has as many places as the node: then all others keep their path."""
    return len(list(sites.walk(change.new))) == len(list(sites.walk(change.place.node)))


def kernel(*body):
    return tirx.PrimFunc([SOURCE, RESULT], tirx.SeqStmt(list(body)) if len(body) > 1 else body[0])


def store(value, index=0):
    return tirx.BufferStore(RESULT, value, [tirx.const(index, "int32")])


def load(index):
    return tirx.BufferLoad(SOURCE, [tirx.const(index, "int32")])


class TestWalk:
    @few
    @given(functions())
    def test_every_place_is_where_its_path_leads(self, func):
        places = list(sites.walk(func.body))
        assert len({place.path for place in places}) == len(places)
        for place in places:
            assert sites.descend(func.body, place.path).same_as(place.node)

    @few
    @given(functions())
    def test_order_is_the_order_of_the_paths(self, func):
        paths = [place.path for place in sites.walk(func.body)]
        assert paths == sorted(paths)

    @few
    @given(functions())
    def test_finds_what_tvm_itself_finds(self, func):
        # TVM visits an object that stands in two places as often as it stands there
        kinds = (prim.Add, prim.Mul, prim.LT, prim.Select, tirx.BufferStore, tirx.For)
        theirs = []
        structural_walk(func.body, [(kinds, theirs.append)])
        ours = [place.node for place in sites.walk(func.body) if isinstance(place.node, kinds)]
        unique = {node.__hash__() for node in ours}
        assert {node.__hash__() for node in theirs} <= unique
        assert len(ours) >= len(theirs)

    @pytest.mark.parametrize("name", sorted(legalised_kernels()))
    def test_finds_what_tvm_itself_finds_in_real_kernels(self, name):
        body = legalised_kernels()[name].body
        kinds = (tirx.BufferStore, tirx.For, SBlock)
        theirs = []
        structural_walk(body, [(kinds, theirs.append)])
        assert sum(isinstance(place.node, kinds) for place in sites.walk(body)) == len(theirs)

    def test_a_node_that_stands_twice_is_two_places(self):
        value = load(3)
        body = store(prim.Add(value, value))
        assert sum(place.node.same_as(value) for place in sites.walk(body)) == 2

    def test_an_init_is_walked_before_its_body(self):
        (body,) = (f.body for n, f in legalised_kernels().items() if n == "matmul")
        stores = [p.node for p in sites.walk(body) if isinstance(p.node, tirx.BufferStore)]
        assert isinstance(stores[0].value, prim.FloatImm)
        assert isinstance(stores[1].value, prim.Add)

    def test_roles(self):
        i = tirx.Var("i", "int32")
        guard = prim.LT(i, tirx.const(4, "int32"))
        value = tirx.if_then_else(
            guard, tirx.BufferLoad(SOURCE, [i + 1]), tirx.const(0.0, "float32")
        )
        body = tirx.For(
            i, tirx.const(0, "int32"), tirx.const(9, "int32"), tirx.ForKind.SERIAL,
            tirx.BufferStore(RESULT, value, [i + 2]),
        )  # fmt: skip
        literals = {
            int(p.node.value): p.role for p in sites.walk(body) if isinstance(p.node, prim.IntImm)
        }
        assert literals == {0: "extent", 9: "extent", 4: "condition", 1: "index", 2: "index"}
        (zero,) = [p for p in sites.walk(body) if isinstance(p.node, prim.FloatImm)]
        assert zero.role == "value"

    def test_regions_shapes_and_domains_are_no_code(self):
        # conv2d's padding block reads a region; its bounds stand in no place
        func = legalised_kernels()["conv2d"]
        blocks = [p for p in sites.walk(func.body) if isinstance(p.node, SBlock)]
        assert blocks
        regions = [region for p in blocks for region in (*p.node.reads, *p.node.writes)]
        walked = {p.node.__hash__() for p in sites.walk(func.body)}
        assert not any(region.__hash__() in walked for region in regions)


class TestApply:
    @few
    @given(functions(), st.sampled_from(sorted(OPERATORS)), st.randoms(use_true_random=False))
    def test_a_site_changes_that_node_and_nothing_else(self, func, name, random):
        found = list(sites.changes(OPERATORS[name], func.body))
        if not found:
            return
        change = random.choice(found)
        before = list(sites.walk(func.body))
        after = {place.path: place.node for place in sites.walk(sites.apply(func, [change]).body)}
        path = change.place.path
        assert equal(after[path], change.new)
        for place in before:
            inside = place.path[: len(path)] == path
            around = path[: len(place.path)] == place.path
            if not inside and not around:
                assert after.pop(place.path).same_as(place.node)
            elif not inside:
                # a node on the way down is another object of the same kind
                assert type(after.pop(place.path)) is type(place.node)
        assert all(left[: len(path)] == path for left in after)
        if same_shape(change):
            assert len(list(sites.walk(sites.apply(func, [change]).body))) == len(before)

    @pytest.mark.parametrize("name", sorted(OPERATORS))
    def test_on_real_kernels_one_statement_changes(self, name):
        for func in legalised_kernels().values():
            for change in list(sites.changes(OPERATORS[name], func.body))[:6]:
                mutated = sites.apply(func, [change])
                where = change.place.path
                for place in sites.walk(func.body):
                    shared = min(len(where), len(place.path))
                    if place.path[:shared] != where[:shared]:
                        assert sites.descend(mutated.body, place.path).same_as(place.node)
                assert not structural_equal(func, mutated)
                before, after = change.lines(func.body)
                assert before != after

    @few
    @given(functions())
    def test_the_number_of_a_site_means_the_same_node_in_walk_and_rewrite(self, func):
        op = OPERATORS["boundary"]
        found = list(sites.changes(op, func.body))
        for number, change in enumerate(found):
            mutated = sites.apply(func, [change])
            renewed = list(sites.changes(op, mutated.body))
            # boundary's replacement is again a site, so that the n-th stays the n-th
            assert len(renewed) == len(found)
            for other, (old, new) in enumerate(zip(found, renewed, strict=True)):
                changed = type(old.place.node) is not type(new.place.node)
                assert changed == (other == number)

    @few
    @given(
        functions(), st.sampled_from(["boundary", "add_to_sub", "max_to_min", "constant_plus_one"])
    )
    def test_a_sweep_is_all_sites_one_after_the_other(self, func, name):
        op = OPERATORS[name]
        found = list(sites.changes(op, func.body))
        one_by_one = func
        # from the last to the first: children stand after their parents
        for change in reversed(found):
            node = sites.descend(one_by_one.body, change.place.path)
            new = list(op.replacements(node))[change.choice]
            one_by_one = func.with_body(sites.replace(one_by_one.body, change.place.path, new))
        assert equal(sites.apply(func, found).body, one_by_one.body)

    @few
    @given(functions(), st.randoms(use_true_random=False))
    def test_the_order_of_the_chosen_changes_is_of_no_matter(self, func, random):
        found = list(sites.changes(OPERATORS["add_to_sub"], func.body))
        shuffled = random.sample(found, len(found))
        assert equal(sites.apply(func, found).body, sites.apply(func, shuffled).body)

    @few
    @given(values())
    def test_a_node_that_stands_twice_changes_once(self, value):
        body = tirx.SeqStmt([store(value), store(value)])
        found = list(sites.changes(OPERATORS["store_minus_1e_8"], body))
        assert len(found) == 2
        func = kernel(body)
        first, second = (sites.apply(func, [change]).body for change in found)
        assert equal(first[1], store(value))
        assert not equal(first[0], store(value))
        assert equal(second[0], store(value))
        assert not equal(second[1], store(value))

    def test_an_operand_that_stands_twice_is_two_sites(self):
        total = prim.Add(load(1), load(2))
        func = kernel(store(prim.Mul(total, total)))
        found = list(sites.changes(OPERATORS["add_to_sub"], func.body))
        left, right = (sites.apply(func, [change]).body.value for change in found)
        assert isinstance(left.a, prim.Sub)
        assert isinstance(left.b, prim.Add)
        assert isinstance(right.a, prim.Add)
        assert isinstance(right.b, prim.Sub)

    def test_nothing_chosen_changes_nothing(self):
        func = kernel(store(load(1)))
        assert structural_equal(sites.apply(func, []), func)

    def test_of_two_choices_at_one_node_the_first_is_made(self):
        func = legalised_kernels()["add1"]
        found = list(sites.changes(OPERATORS["index_plus_one"], func.body))
        path = found[0].place.path
        both = [change for change in found if change.place.path == path]
        assert len(both) > 1
        assert structural_equal(sites.apply(func, both), sites.apply(func, both[:1]))

    def test_an_outer_change_keeps_the_inner_one(self):
        func = kernel(store(prim.Add(prim.Add(load(1), load(2)), load(3))))
        found = list(sites.changes(OPERATORS["add_to_sub"], func.body))
        value = sites.apply(func, found).body.value
        assert isinstance(value, prim.Sub)
        assert isinstance(value.a, prim.Sub)


class TestRegions:
    """Passes trust the access regions of a block, so they follow its new body."""

    def block_reads(self, func, name):
        found = []
        structural_walk(func.body, [(SBlock, found.append)])
        (block,) = [block for block in found if block.name_hint == name]
        return block.reads

    def test_a_shifted_load_is_read_where_it_is(self):
        func = legalised_kernels()["relu"]
        found = sites.changes(OPERATORS["index_plus_one"], func.body)
        change = next(c for c in found if isinstance(c.place.node, TensorLoad))
        (before,) = self.block_reads(func, "compute")
        (after,) = self.block_reads(sites.apply(func, [change]), "compute")
        assert str(before.region[1].min) == "v_i1"
        assert str(after.region[1].min) == "T.min(v_i1 + T.int64(1), T.int64(3))"

    @pytest.mark.parametrize("name", sorted(legalised_kernels()))
    def test_an_unchanged_block_rebuilt_has_the_regions_tvm_gave_it(self, name):
        func = legalised_kernels()[name]
        for change in sites.changes(OPERATORS["store_minus_1e_8"], func.body):
            mutated = sites.apply(func, [change])
            old, new = [], []
            structural_walk(func.body, [(SBlock, old.append)])
            structural_walk(mutated.body, [(SBlock, new.append)])
            for a, b in zip(old, new, strict=True):
                assert equal(list(a.writes), list(b.writes))
                assert equal(list(a.reads), list(b.reads))

    @pytest.mark.parametrize("name", sorted(OPERATORS))
    def test_mutated_kernels_still_lower(self, name):
        for func in legalised_kernels().values():
            found = list(sites.changes(OPERATORS[name], func.body))
            for change in found[:: max(1, len(found) // 2)]:
                lowered = to_device_stage(sites.apply(func, [change]), LLVM)
                assert isinstance(lowered, tirx.PrimFunc)
            if found:
                to_device_stage(sites.apply(func, found), LLVM)


class TestLines:
    def test_a_guard_of_a_padding(self):
        func = legalised_kernels()["conv2d"]
        change = next(sites.changes(OPERATORS["boundary"], func.body))
        before, after = change.lines(func.body)
        assert before.startswith("pad_temp[v_i0, v_i1, v_i2, v_i3] = T.if_then_else(")
        assert "T.int64(1) <= v_i2 and v_i2 < T.int64(7)" in before
        assert after == before.replace("T.int64(1) <= v_i2", "T.int64(1) < v_i2", 1)

    def test_a_loop(self):
        func = legalised_kernels()["conv2d"]
        change = next(sites.changes(OPERATORS["loop_extent_minus_one"], func.body))
        before, after = change.lines(func.body)
        assert (before, after) == ("for i1 in range(T.int64(3)):", "for i1 in range(T.int64(2)):")

    def test_a_branch_and_a_loop_from_elsewhere(self):
        i = tirx.Var("i", "int32")
        branch = tirx.IfThenElse(prim.LT(i, tirx.const(4, "int32")), store(load(1)), None)
        loop = tirx.For(
            i, tirx.const(2, "int32"), tirx.const(5, "int32"), tirx.ForKind.PARALLEL, branch
        )
        assert sites.line_of(branch) == "if i < 4:"
        assert sites.line_of(loop) == "for i in T.parallel(2, 2 + 5):"

    def test_kernels_round_trip_through_tvmscript(self):
        # what the lines are taken from is real TVMScript of the whole kernel
        func = legalised_kernels()["conv2d"]
        change = next(sites.changes(OPERATORS["boundary"], func.body))
        mutated = sites.apply(func, [change])
        _, after = change.lines(func.body)
        assert after in [line.strip() for line in mutated.script().splitlines()]
        assert structural_equal(tvm.script.from_source(mutated.script()), mutated)

    def test_where_the_statement_s_own_line_stays_the_first_below_that_changes(self):
        i = tirx.Var("i", "int32")
        branch = tirx.IfThenElse(i < 4, store(load(1)), store(load(2)))
        (change,) = sites.changes(OPERATORS["swap_branches"], branch)
        assert change.lines(branch) == ("result[0] = source[1]", "result[0] = source[2]")

    def test_a_statement_that_becomes_two(self):
        before = store(load(1))
        after = tirx.SeqStmt([tirx.BufferStore(SOURCE, load(2), [tirx.Var("i", "int32")]), before])
        change = sites.Change(OPERATORS["drop_store"], sites.Place((), before, None, ()), 0, after)
        assert change.lines(before) == ("result[0] = source[1]", "source[i] = source[2]")

    def test_an_initial_value(self):
        func = legalised_kernels()["matmul"]
        (change,) = sites.changes(OPERATORS["drop_init"], func.body)
        assert change.lines(func.body) == (
            "matmul[v_i0, v_i1] = T.float32(0.0)",
            "matmul[v_i0, v_i1] = matmul[v_i0, v_i1]",
        )

    def test_a_launch_and_another_attribute(self):
        thread = tirx.IterVar((0, 8), "tx", tirx.IterVar.ThreadIndex, "threadIdx.x")
        eight = tirx.const(8, "int32")
        launch = tirx.AttrStmt(thread, "thread_extent", eight, store(load(1)))
        assert sites.line_of(launch) == 'with T.launch_thread("threadIdx.x", 8):'
        pragma = tirx.AttrStmt(thread.var, "pragma_unroll", eight, store(load(1)))
        assert sites.line_of(pragma) == 'with T.attr("pragma_unroll", 8):'


class TestRefused:
    """What TVM knows no such thing as is never offered."""

    def test_no_literal_that_divides_becomes_zero(self):
        two = tirx.const(2.0, "float32")
        body = tirx.SeqStmt([store(prim.Div(load(1), two)), store(prim.Div(two, load(1)))])
        (change,) = sites.changes(OPERATORS["constant_to_zero"], body)
        assert change.place.path[0] == 1

    def test_no_literal_amount_of_a_shift_becomes_more_bits_than_there_are(self):
        n, whole = tirx.Var("n", "int32"), tirx.decl_buffer((1,), "int32")
        for kind in (prim.LShift, prim.RShift):
            shifts = [kind(n, tirx.const(amount, "int32")) for amount in (0, 23, 31)]
            body = tirx.SeqStmt([tirx.BufferStore(whole, shift, [0]) for shift in shifts])
            found = sites.changes(OPERATORS["constant_plus_one"], body)
            assert [int(change.new.value) for change in found] == [1, 24]

    def test_no_lanes_of_a_vector_that_divides_become_zero(self):
        lanes = prim.Broadcast(tirx.const(2.0, "float32"), 4)
        places = [tirx.const(base, "int32") for base in (0, 1)]
        vector = tirx.BufferLoad(SOURCE, [prim.Ramp(places[0], places[1], 4)])
        divided = tirx.Evaluate(prim.Div(vector, lanes))
        assert not list(sites.changes(OPERATORS["constant_to_zero"], divided))
        assert list(sites.changes(OPERATORS["constant_negated"], divided))

    def test_places_in_parallel_loops_and_launches(self):
        i = tirx.Var("i", "int32")
        bounds = tirx.const(0, "int32"), tirx.const(4, "int32")
        loop = tirx.For(i, *bounds, tirx.ForKind.PARALLEL, store(load(1)))
        body = tirx.SeqStmt([store(load(1)), loop])
        stores = [p for p in sites.walk(body) if isinstance(p.node, tirx.BufferStore)]
        assert [place.threaded for place in stores] == [False, True]
        assert not any(p.threaded for p in sites.walk(body) if isinstance(p.node, tirx.For))
