"""Ids and recipes: the one from the other, and back."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mutatenn.compiler.mutant import CHECKS, Mutant, Site
from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.operators.registry import STAGES

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)
sites = st.builds(Site, names, st.integers(1, 10_000))
bits = st.builds(Site, names, st.integers(-1, 10_000), st.integers(0, 63))
elements = st.one_of(bits, st.builds(Site, names, st.integers(0, 10_000)))
windows = st.tuples(st.integers(0, 99), st.none() | st.integers(0, 99))
first_order = st.one_of(
    st.builds(
        Mutant,
        st.sampled_from(STAGES),
        names,
        st.lists(sites, min_size=1, max_size=3).map(tuple),
    ),
    st.builds(
        Mutant, st.just("weights"), names, st.lists(elements, min_size=1, max_size=3).map(tuple)
    ),
    st.builds(
        lambda stage, op, w: Mutant(stage, op, window=w), st.sampled_from(STAGES), names, windows
    ),
    st.builds(
        lambda op, w, draw: Mutant("weights", op, window=w, draw=draw),
        names,
        windows,
        st.integers(0, 99),
    ),
)
mutants = st.one_of(
    first_order,
    st.builds(
        lambda first, others: replace(first, others=tuple(others)),
        first_order,
        st.lists(first_order, min_size=1, max_size=2),
    ),
    st.sampled_from(CHECKS).map(lambda name: Mutant("check", name)),
)


@given(mutants)
def test_an_id_is_read_back(mutant):
    assert Mutant.parse(mutant.id) == mutant
    assert str(mutant) == mutant.id


@given(mutants, mutants)
def test_two_recipes_have_two_ids(one, other):
    assert (one == other) == (one.id == other.id)


@given(st.text(max_size=40).filter(lambda text: text not in CHECKS and "@" not in text))
def test_any_other_text_is_an_error_that_names_it(text):
    with pytest.raises(MutatennError) as caught:
        Mutant.parse(text)
    assert repr(text) in str(caught.value)


@given(mutants, st.integers(0, 60), st.sampled_from("#@+:. -"))
def test_an_id_with_a_stray_character_is_no_other_recipe_in_silence(mutant, where, stray):
    text = mutant.id[:where] + stray + mutant.id[where:]
    try:
        found = Mutant.parse(text)
    except MutatennError:
        return
    assert found != mutant


@pytest.mark.parametrize(
    ("text", "mutant"),
    [
        ("kernel.boundary@conv2d_3#1", Mutant("kernel", "boundary", (Site("conv2d_3", 1),))),
        (
            "device.boundary@conv2d#1+relu#12",
            Mutant("device", "boundary", (Site("conv2d", 1), Site("relu", 12))),
        ),
        ("graph.relu_to_sigmoid@sweep", Mutant("graph", "relu_to_sigmoid", window=(0, None))),
        ("kernel.LT_to_LE@sweep:2:4", Mutant("kernel", "LT_to_LE", window=(2, 4))),
        ("kernel.LT_to_LE@sweep:2:", Mutant("kernel", "LT_to_LE", window=(2, None))),
        ("kernel.LT_to_LE@sweep:0:3", Mutant("kernel", "LT_to_LE", window=(0, 3))),
        # a layer may have that name
        ("graph.boundary@sweep#1", Mutant("graph", "boundary", (Site("sweep", 1),))),
        ("weights.flip@w#417b30", Mutant("weights", "flip", (Site("w", 417, 30),))),
        ("weights.flip@w#0b0", Mutant("weights", "flip", (Site("w", 0, 0),))),
        ("weights.stuck@w#b22", Mutant("weights", "stuck", (Site("w", -1, 22),))),
        ("weights.noise@w#0", Mutant("weights", "noise", (Site("w", 0),))),
        ("weights.noise@sweep~7", Mutant("weights", "noise", window=(0, None), draw=7)),
        (
            "graph.a@x#1+kernel.b@y#2+z#3",
            Mutant(
                "graph",
                "a",
                (Site("x", 1),),
                others=(Mutant("kernel", "b", (Site("y", 2), Site("z", 3))),),
            ),
        ),
        ("canary", Mutant("check", "canary")),
        ("identity", Mutant("check", "identity")),
    ],
)
def test_forms(text, mutant):
    assert Mutant.parse(text) == mutant
    assert mutant.id == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "boundary",
        "boundary@conv2d#1",
        "source.boundary@conv2d#1",
        "kernel.boundary@conv2d",
        "kernel.boundary@conv2d#0",
        "kernel.boundary@conv2d#",
        "kernel.boundary@conv2d#1b2",
        "weights.noise@w#",
        "weights.noise@w#b",
        "weights.noise@w#01",
        "weights.noise@sweep~0",
        "kernel.boundary@conv2d#1+canary",
        "kernel.boundary@conv2d#-1",
        "kernel.boundary@conv2d#01",
        "kernel.boundary@conv2d#1+",
        "kernel.boundary@sweep:1",
        "kernel.boundary@sweep:a:b",
        "kernel.boundary@conv2d#1\n",
        "check.canary@conv2d#1",
        "Canary",
        "kernel.boundary@conv2d#\u0661",
    ],
)
def test_garbage_is_an_error_with_the_form_and_the_way_out(text):
    with pytest.raises(MutatennError, match=r"stage\.operator@layer#number.*--mutatenn-list"):
        Mutant.parse(text)


def test_mutants_sort_by_stage_operator_and_site():
    ids = ["kernel.b@x#2", "graph.z@y#1", "kernel.b@x#10", "kernel.a@z#1"]
    ordered = [mutant.id for mutant in sorted(map(Mutant.parse, ids))]
    assert ordered == ["graph.z@y#1", "kernel.a@z#1", "kernel.b@x#2", "kernel.b@x#10"]


def test_a_recipe_is_frozen():
    with pytest.raises(AttributeError):
        Mutant.parse("canary").operator = "identity"
