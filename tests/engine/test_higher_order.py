"""Mutants of several changes: which go together, how they are named, and that all are made."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mutatenn.compiler.lower import NoSuchSite
from pytest_mutatenn.compiler.mutant import Mutant, Site
from pytest_mutatenn.engine.higher_order import Found, pairs, several_sites
from pytest_mutatenn.engine.listing import list_mutants
from pytest_mutatenn.engine.prepare import prepare
from pytest_mutatenn.engine.workshop import Order, Workshop
from pytest_mutatenn.operators.registry import STAGES

PLACES = ("conv", "norm", "relu", "dense")


def found(stage, place, number, operator="op", spot=None, layers=None):
    entry = {
        "id": Mutant(stage, operator, (Site(place, number),)).id,
        "operator": operator,
        "category": "stores",
        "stage": stage,
        "kernel": place,
        "site": number,
        "layers": [place] if layers is None else layers,
        "before": f"old {place} {number}",
        "after": f"new {place} {number}",
        "parameters": {},
        "summary": f"Do {operator}.",
    }
    return Found(entry, f"{place} {number if spot is None else spot}")


@st.composite
def lists(draw, stages=STAGES, operators=("op", "other")):
    """Lists of first-order mutants: several operators may offer a change of the same node."""
    keys = draw(
        st.lists(
            st.tuples(
                st.sampled_from(stages),
                st.sampled_from(operators),
                st.sampled_from(PLACES),
                st.integers(1, 6),
            ),
            unique=True,
            max_size=40,
        )
    )
    keys.sort(key=lambda key: (STAGES.index(key[0]), *key[1:]))
    return [
        found(stage, place, number, operator, spot=number // 2)
        for stage, operator, place, number in keys
    ]


def first_order(one):
    """Ids of the mutants of first order in one of higher order."""
    return [
        Mutant(part.stage, part.operator, (site,)).id
        for part in Mutant.parse(one.entry["id"]).parts
        for site in part.sites
    ]


def groups(made):
    return {frozenset(first_order(one)) for one in made}


def compatible(one, other):
    a, b = one.entry, other.entry
    if a["stage"] == b["stage"] == "graph":
        return a["kernel"] != b["kernel"]
    if a["stage"] == b["stage"]:
        return one.spot != other.spot
    return "weights" in (a["stage"], b["stage"]) or not set(a["layers"]) & set(b["layers"])


@given(listed=lists(), count=st.integers(2, 4), seed=st.integers(0, 5))
def test_pairs_use_each_mutant_once_and_put_together_what_fits(listed, count, seed):
    by_id = {one.entry["id"]: one for one in listed}
    made = list(pairs(listed, count, seed))
    used = [text for one in made for text in first_order(one)]
    assert len(used) == len(set(used))
    assert set(used) <= set(by_id)
    for one in made:
        assert len(first_order(one)) == count
        for a, b in itertools.combinations(first_order(one), 2):
            assert compatible(by_id[a], by_id[b]), one.entry["id"]
    # of what is left over, no so many fit together
    left = [by_id[text] for text in by_id if text not in used]
    if count == 2:
        assert not any(compatible(a, b) for a, b in itertools.combinations(left, 2))


@given(listed=lists(stages=("kernel",), operators=("op",)), count=st.integers(2, 4))
def test_sites_use_each_site_once_and_no_node_twice(listed, count):
    by_id = {one.entry["id"]: one for one in listed}
    made = list(several_sites(listed, count, 0))
    used = [text for one in made for text in first_order(one)]
    assert len(used) == len(set(used))
    for one in made:
        mutant = Mutant.parse(one.entry["id"])
        assert len(mutant.sites) == count
        assert mutant.others == ()
        assert len({by_id[text].spot for text in first_order(one)}) == count
        assert one.entry["operator"] == "op"
        assert one.entry["category"] == "stores"


@settings(max_examples=50)
@given(data=st.data(), listed=lists(), seed=st.integers(0, 5))
def test_who_goes_with_whom_depends_on_ids_and_seed_alone(data, listed, seed):
    once = [one.entry for one in pairs(listed, 2, seed)]
    assert [one.entry for one in pairs(listed, 2, seed)] == once
    shuffled = data.draw(st.permutations(listed))
    assert groups(pairs(shuffled, 2, seed)) == groups(pairs(listed, 2, seed))


def many():
    return [found("kernel", place, n) for place in PLACES for n in range(1, 20)]


def test_another_seed_gives_other_partners():
    assert groups(pairs(many(), 2, 0)) != groups(pairs(many(), 2, 1))
    assert groups(several_sites(many(), 3, 0)) != groups(several_sites(many(), 3, 1))


def test_there_are_as_many_as_mutants_divided_by_the_order():
    assert len(list(pairs(many(), 2, 0))) == len(many()) // 2
    assert len(list(several_sites(many(), 4, 0))) == len(many()) // 4


def test_they_stand_in_the_order_of_the_list():
    place = {one.entry["id"]: i for i, one in enumerate(many())}
    made = [[place[text] for text in first_order(one)] for one in pairs(many(), 3, 0)]
    assert made == sorted(made)
    assert all(group == sorted(group) for group in made)


@given(listed=lists(), count=st.integers(2, 4))
def test_ids_read_back(listed, count):
    for one in [*pairs(listed, count, 0), *several_sites(many(), count, 0)]:
        assert Mutant.parse(one.entry["id"]).id == one.entry["id"]


def test_an_entry_tells_of_all_its_parts():
    first = found("kernel", "conv", 1, "one", layers=["conv", "conv_1"])
    second = found("device", "dense", 2, "two", layers=["dense"])
    first.entry["parameters"] = {"factor": 2}
    (made,) = pairs([first, second], 2, 0)
    assert made.entry == {
        "id": "kernel.one@conv#1+device.two@dense#2",
        "operator": "one+two",
        "category": "higher-order",
        "stage": "kernel+device",
        "kernel": "conv, dense",
        "site": 0,
        "layers": ["conv", "conv_1", "dense"],
        "before": "old conv 1; old dense 2",
        "after": "new conv 1; new dense 2",
        "parameters": {"one.factor": 2},
        "summary": "Do one. Do two.",
    }


def test_an_entry_of_several_sites_keeps_its_operator():
    listed = [found("kernel", "conv", 1), found("kernel", "norm", 2)]
    (made,) = several_sites(listed, 2, 0)
    assert made.entry["id"] == "kernel.op@conv#1+norm#2"
    assert made.entry["operator"] == "op"
    assert made.entry["stage"] == "kernel"
    assert made.entry["after"] == "new conv 1; new norm 2"


# -- in a network ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workshop(tiny, store_folder):
    order = Order(str(tiny / "tiny.onnx"), {}, "llvm", 2, (), (), (), (), str(store_folder))
    made = Workshop(order)
    made.load_baseline()
    return made


def listed(workshop, order, count, operators="default", seed=0):
    request = {
        "operators": operators,
        "stages": list(STAGES),
        "order": order,
        "count": count,
        "positions": [0, None],
        "seed": seed,
    }
    return list_mutants(workshop, request)


def test_every_pair_of_stages_is_made_with_both_changes(workshop):
    """A few of each pair of stages: their code is that of neither, and their lines are those."""
    by_stages = {}
    for entry in listed(workshop, "mutants", 2)["mutants"]:
        by_stages.setdefault(entry["stage"], []).append(entry)
    assert {"graph+kernel", "kernel+device", "device+weights", "kernel"} <= set(by_stages)
    for entries in by_stages.values():
        for entry in entries[:: max(1, len(entries) // 3)]:
            made = prepare(workshop, Mutant.parse(entry["id"]))
            assert "; ".join(made.before) == entry["before"], entry["id"]
            assert "; ".join(made.after) == entry["after"], entry["id"]
            parts = [prepare(workshop, part).digest for part in Mutant.parse(entry["id"]).parts]
            assert made.digest not in (*parts, workshop.digest), entry["id"]


@pytest.mark.parametrize(
    ("mutant", "stages"),
    [
        ("graph.relu_to_sigmoid@clip#1+kernel.max_to_min@softmax#1", 2),
        ("kernel.max_to_min@softmax#1+device.add_to_sub@matmul#1", 2),
        # the layer has several kernels, and the site is not in its first
        ("kernel.max_to_min@softmax#1+device.add_to_sub@batch_norm#1", 2),
        ("kernel.max_to_min@softmax#1+device.add_to_sub@conv2d#1+weights.drop_bias@offset#1", 3),
        ("device.add_to_sub@matmul#1+weights.drop_bias@bias#1", 2),
    ],
)
def test_changes_of_several_stages_are_all_made(mutant, stages, workshop):
    made = prepare(workshop, Mutant.parse(mutant))
    assert len(made.after) == stages
    single = [prepare(workshop, part) for part in Mutant.parse(mutant).parts]
    assert made.after == [line for one in single for line in one.after]
    assert made.digest not in {one.digest for one in single}
    assert new_code(workshop, made) == set().union(*(new_code(workshop, one) for one in single))


def new_code(workshop, made):
    return set(made.loaded.code.values()) - set(workshop.baseline.code.values())


def test_a_kernel_that_another_change_is_in_has_no_such_site(workshop):
    mutant = Mutant.parse("kernel.max_to_min@softmax#1+device.max_to_min@softmax#1")
    with pytest.raises(NoSuchSite, match="this cell's lowering has no such site"):
        prepare(workshop, mutant)


def test_sites_of_one_operator(workshop):
    made = listed(workshop, "sites", 3, "kernel.index_plus_one,device.mul_to_div,drop_bias")
    sizes = {len(Mutant.parse(entry["id"]).sites) for entry in made["mutants"]}
    assert sizes == {3}
    entry = made["mutants"][0]
    prepared = prepare(workshop, Mutant.parse(entry["id"]))
    assert "; ".join(prepared.after) == entry["after"]
    assert len(prepared.after) == 3
    (absent,) = [one for one in made["absent"] if one["operator"] == "drop_bias"]
    assert absent["reason"] == "--mutatenn-order=sites:3: it has 2 sites"
