"""How mutants are shared out over the jobs of a run."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from told import entry, plan

from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.selection import CellPlan
from pytest_mutatenn.shards import Shard, cost, deal, part_of

A, B = Cell("llvm", 0), Cell("llvm", 2)
LAYERS = ["first", "second", "third", "last"]

MUTANTS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=4),
    st.tuples(st.integers(1, 500), st.sampled_from("kxyz")),
    max_size=60,
)


@pytest.mark.parametrize(
    "text", ["0/3", "4/3", "1", "1/0", "a/b", "1/3/5", "-1/3", "1 / 3", "1.5/3", "/"]
)
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(MutatennError, match="--mutatenn-shard must be K/N"):
        Shard.parse(text, "--mutatenn-shard")


def test_a_shard_is_written_as_it_is_read():
    assert str(Shard.parse("2/3", "x")) == "2/3"
    assert Shard.parse("1/1", "x") == Shard(1, 1)


@given(MUTANTS, st.integers(1, 7))
def test_each_mutant_is_in_one_shard_and_shards_are_balanced(mutants, count):
    costs = {name: amount for name, (amount, _) in mutants.items()}
    places = {name: place for name, (_, place) in mutants.items()}
    dealt = deal(costs, places, count)

    assert dealt.keys() == costs.keys()
    assert set(dealt.values()) <= set(range(1, count + 1))
    loads = [sum(costs[n] for n in dealt if dealt[n] == i) for i in range(1, count + 1)]
    share = sum(costs.values()) / count
    assert all(abs(load - share) <= max(costs.values(), default=0) for load in loads)


@given(MUTANTS, st.integers(1, 7), st.randoms())
def test_the_order_in_which_cells_list_mutants_changes_nothing(mutants, count, chance):
    costs = {name: amount for name, (amount, _) in mutants.items()}
    places = {name: place for name, (_, place) in mutants.items()}
    names = sorted(costs)
    chance.shuffle(names)
    shuffled = {name: costs[name] for name in names}
    assert deal(shuffled, places, count) == deal(costs, places, count)


@given(MUTANTS, st.integers(1, 7))
def test_no_more_kernels_are_torn_than_there_are_cuts(mutants, count):
    places = {name: place for name, (_, place) in mutants.items()}
    dealt = deal({name: amount for name, (amount, _) in mutants.items()}, places, count)
    parts = {(places[name], number) for name, number in dealt.items()}
    assert len(parts) - len(set(places.values())) <= count - 1


def plans(chosen, **more):
    told = plan(*chosen)
    names = ("mutants", "absent", "sampled_out", "not_selected")
    return CellPlan(**{name: told[name] for name in names}, **more)


def test_a_mutant_of_several_cells_is_in_one_shard_with_all_of_them():
    names = [f"x@k#{i}" for i in range(12)]
    ours, theirs = names[:9], names[3:]
    parts = [part_of({A: plans(ours), B: plans(theirs)}, LAYERS, Shard(i, 3)) for i in (1, 2, 3)]
    where = {}
    for number, part in enumerate(parts):
        for cell, whole in ((A, ours), (B, theirs)):
            mine = [e["name"] for e in part[cell].mutants]
            assert sorted([*mine, *part[cell].elsewhere]) == sorted(whole)
            assert [e["index"] for e in part[cell].mutants] == [whole.index(n) for n in mine]
            for name in mine:
                where.setdefault(name, set()).add(number)
    assert sorted(where) == sorted(names)
    assert all(len(numbers) == 1 for numbers in where.values())


def test_what_is_near_the_end_or_accepted_costs_less():
    far, near = ({**entry("x@k#1"), "layers": [layer]} for layer in ("first", "last"))
    assert cost(far, LAYERS, accepted=False) > cost(near, LAYERS, accepted=False)
    assert cost(near, LAYERS, accepted=False) > cost(near, LAYERS, accepted=True) > 0
    both = {**far, "stage": "weights+graph"}
    assert cost(both, LAYERS, accepted=False) > cost(far, LAYERS, accepted=False)
    # of a device that takes networks whole no layers are known
    assert cost(far, [], accepted=False) > 0


@settings(max_examples=20)
@given(st.integers(1, 5))
def test_more_shards_than_mutants_leave_some_without(more):
    dealt = deal({"a": 3, "b": 5}, {"a": "k", "b": "k"}, 2 + more)
    assert len(set(dealt.values())) == 2
