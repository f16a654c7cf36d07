"""From the imported network to its program: names, groups, and one mutant on the way."""

import pytest
from tvm import tirx
from tvm.s_tir import SBlock
from tvm_ffi import structural_equal
from tvm_ffi.structural import structural_walk

from pytest_mutatenn.compiler.graph import graph_changes
from pytest_mutatenn.compiler.kernel import ir_digest
from pytest_mutatenn.compiler.lower import (
    Lowering,
    NoSuchSite,
    canary_program,
    choose,
    mutant_program,
    wanted_places,
)
from pytest_mutatenn.compiler.mutant import Mutant
from pytest_mutatenn.compiler.passes import OptLevel
from pytest_mutatenn.devices.base import open_device
from pytest_mutatenn.model.onnx_import import import_onnx
from pytest_mutatenn.operators import catalogue

OPERATORS = catalogue.load()
TARGET = open_device("llvm").target(fast_math=False)
LEVELS = range(5)
KERNEL = sorted(name for name, op in OPERATORS.items() if "kernel" in op.stages)
# levels at which a layer is lowered to the same kernels
ALIKE = [0, 1, 2]


@pytest.fixture(scope="module")
def lowerings(examples):
    model = import_onnx(examples / "digits.onnx")
    return [Lowering(model, OptLevel(level), TARGET) for level in LEVELS]


def program(lowering, text=None):
    if text is None:
        return lowering.baseline()
    if text == "canary":
        return canary_program(lowering)
    parts = [(part, OPERATORS[part.operator]) for part in Mutant.parse(text).parts]
    return mutant_program(lowering, parts)[0]


def code(found):
    return {name: ir_digest(func, TARGET) for name, func in found.kernels.items()}


def listed(lowering, name):
    """(id, before, after) of every kernel site of the operator."""
    return [
        (f"kernel.{name}@{change.place}#{change.number}", *change.lines())
        for first in lowering.groups()
        for change in lowering.kernel_changes(OPERATORS[name], first)
    ]


class TestGroups:
    def test_they_are_the_same_at_every_level(self, lowerings):
        assert all(lowering.groups() == lowerings[0].groups() for lowering in lowerings)

    def test_every_layer_with_a_kernel_is_in_one(self, lowerings):
        for lowering in lowerings:
            members = [layer for group in lowering.groups().values() for layer in group]
            assert len(set(members)) == len(members)
            assert set(members) <= set(lowering.layers)
        assert set(members) == set(lowerings[0].legalised().kernels)

    def test_layers_of_the_same_code_are_together(self, lowerings):
        groups = lowerings[0].groups()
        assert groups["clip_2"] == ("clip_2", "clip_3")
        assert groups["batch_norm_2"] == ("batch_norm_2", "batch_norm_3")
        assert groups["conv2d"] == ("conv2d",)

    def test_the_first_layer_names_the_group(self, lowerings):
        for first, group in lowerings[0].groups().items():
            assert first == group[0] == min(group, key=lowerings[0].layers.index)


class TestKernels:
    @pytest.mark.parametrize("level", LEVELS)
    def test_every_call_has_a_kernel_of_its_own(self, lowerings, level):
        legalised = lowerings[level].legalised()
        names = [name for found in legalised.kernels.values() for name in found]
        assert len(set(names)) == len(names)
        funcs = [gv for gv, f in legalised.module.functions.items() if isinstance(f, tirx.PrimFunc)]
        assert {gv.name_hint for gv in funcs} >= set(names)

    @pytest.mark.parametrize("name", KERNEL)
    def test_no_two_sites_are_one_mutant(self, lowerings, name):
        lowering = lowerings[0]
        for first in lowering.groups():
            found = lowering.kernel_changes(OPERATORS[name], first)
            assert [change.number for change in found] == list(range(1, len(found) + 1))
            where = {(c.kernel, c.change.place.path, c.change.choice) for c in found}
            assert len(where) == len(found)

    @pytest.mark.parametrize("name", KERNEL)
    def test_sites_are_the_same_where_the_lowering_is(self, lowerings, name):
        lists = [listed(lowerings[level], name) for level in ALIKE]
        assert lists[0] == lists[1] == lists[2]

    def test_batch_norm_s_equal_kernels_are_sites_of_their_own(self, lowerings):
        # four of its calls reshape a vector, by one and the same code
        ids = [i for i, _, _ in listed(lowerings[0], "store_minus_1e_8") if "batch_norm#" in i]
        assert len(ids) == 10
        digests = set()
        for text in ids:
            mutant = program(lowerings[0], text)
            plain = program(lowerings[0])
            changed = [
                i
                for i, (one, other) in enumerate(zip(mutant.steps, plain.steps, strict=True))
                if not structural_equal(
                    mutant.kernels[one.kernel].body, plain.kernels[other.kernel].body
                )
            ]
            assert len(changed) == 1
            digests.add(changed[0])
        assert len(digests) == 10


class TestMutants:
    def test_a_mutant_changes_every_layer_its_kernel_serves(self, lowerings):
        lowering = lowerings[0]
        part = (Mutant.parse("kernel.max_to_min@clip_2#1"), OPERATORS["max_to_min"])
        changed, chosen = lowering.mutate_kernels([part])
        assert len(chosen) == 1
        plain = lowering.legalised().module
        assert set(changed) == {"clip_2", "clip_3"}
        assert not any(structural_equal(func, plain[name]) for name, func in changed.items())

    def test_the_unmutated_network_stays_as_it_is(self, lowerings):
        lowering = lowerings[1]
        before = code(program(lowering))
        program(lowering, "kernel.max_to_min@clip_2#1")
        program(lowering, "graph.relu_to_sigmoid@clip#1")
        assert code(program(lowering)) == before

    @pytest.mark.parametrize("level", LEVELS)
    @pytest.mark.parametrize(
        "text",
        [
            "kernel.max_to_min@clip#1",
            "kernel.boundary@conv2d#1",
            "kernel.store_minus_1e_8@matmul#1",
        ],
    )
    def test_a_kernel_mutant_changes_one_step_and_keeps_the_rest(self, lowerings, level, text):
        plain, mutant = program(lowerings[level]), program(lowerings[level], text)
        ours, theirs = code(plain), code(mutant)
        assert [step.layers for step in mutant.steps] == [step.layers for step in plain.steps]
        assert [step.args for step in mutant.steps] == [step.args for step in plain.steps]
        changed = [
            step.layers
            for step, other in zip(plain.steps, mutant.steps, strict=True)
            if ours[step.kernel] != theirs[other.kernel]
        ]
        assert len(changed) == 1
        assert Mutant.parse(text).sites[0].place in changed[0]

    @pytest.mark.parametrize("level", LEVELS[1:])
    def test_what_fuses_with_what_is_not_the_mutant_s_to_decide(self, lowerings, level):
        # a matmul times a number is, to TVM, nothing that the addition after it could join
        plain = program(lowerings[level])
        mutant = program(lowerings[level], "kernel.store_minus_1e_8@matmul#2")
        assert [s.layers for s in mutant.steps] == [s.layers for s in plain.steps]

    @pytest.mark.parametrize("level", ALIKE)
    def test_a_mutant_without_effect_has_the_baseline_s_code(self, lowerings, level):
        plain = code(program(lowerings[level]))
        mutant = code(program(lowerings[level], "kernel.store_times_1_00000001@conv2d#2"))
        assert set(mutant.values()) == set(plain.values())

    def test_a_sweep_changes_all_of_its_window(self, lowerings):
        op = OPERATORS["max_to_min"]
        everything = listed(lowerings[0], op.name)
        _, chosen = lowerings[0].mutate_kernels([(Mutant.parse("kernel.max_to_min@sweep"), op)])
        assert [c.lines()[0] for c in chosen] == [before for _, before, _ in everything]
        window = Mutant.parse("kernel.max_to_min@sweep:1:2")
        _, chosen = lowerings[0].mutate_kernels([(window, op)])
        assert [c.lines()[0] for c in chosen] == [everything[1][1]]

    def test_several_sites(self, lowerings):
        text = "kernel.max_to_min@clip#1+clip_1#1"
        plain, mutant = code(program(lowerings[0])), program(lowerings[0], text)
        theirs = code(mutant)
        changed = {s.layers for s in mutant.steps if theirs[s.kernel] not in plain.values()}
        assert changed == {("clip",), ("clip_1",)}

    @pytest.mark.parametrize(
        "text",
        [
            "kernel.max_to_min@clip#2",
            "kernel.max_to_min@nowhere#1",
            "kernel.max_to_min@clip#1+clip#2",
            "kernel.max_to_min@sweep:90:91",
            "kernel.max_to_min@clip_3#1",
            "graph.relu_to_sigmoid@conv2d#1",
            "graph.relu_to_sigmoid@nowhere#1",
        ],
    )
    def test_a_site_that_is_not_there(self, lowerings, text):
        with pytest.raises(NoSuchSite, match="no such site"):
            program(lowerings[0], text)

    def test_the_device_stage_starts_from_the_unmutated_program(self, lowerings):
        assert code(program(lowerings[1], "device.boundary@conv2d#1")) == code(
            program(lowerings[1])
        )

    @pytest.mark.parametrize("level", LEVELS)
    def test_the_canary_adds_to_the_end(self, lowerings, level):
        plain, canary = program(lowerings[level]), program(lowerings[level], "canary")
        assert code(canary) != code(plain)
        assert canary.outputs == plain.outputs

    @pytest.mark.parametrize("level", [0, 3])
    def test_graph_sites_are_the_network_s_and_of_no_level(self, lowerings, level):
        plain = program(lowerings[level])
        before = code(plain)
        for op in OPERATORS.values():
            if "graph" not in op.stages:
                continue
            for change in list(graph_changes(op, lowerings[level].model.module))[:1]:
                text = f"graph.{op.name}@{change.layer}#{change.number}"
                mutant = program(lowerings[level], text)
                assert code(mutant) != before
                assert mutant.outputs == plain.outputs


class TestProgram:
    @pytest.mark.parametrize("level", LEVELS)
    @pytest.mark.parametrize("text", [None, "graph.relu_to_sigmoid@clip#1", "canary"])
    def test_layers_of_steps_are_layers_of_the_network(self, lowerings, level, text):
        found = program(lowerings[level], text)
        known = lowerings[level].layers
        for step in found.steps:
            assert step.layers
            assert set(step.layers) <= {*known, "canary_0"}
            order = [known.index(layer) for layer in step.layers if layer in known]
            assert order == sorted(order)

    @pytest.mark.parametrize("level", LEVELS)
    def test_no_tag_of_ours_is_left(self, lowerings, level):
        blocks = []
        for func in program(lowerings[level]).kernels.values():
            structural_walk(func.body, [(SBlock, blocks.append)])
        assert not any(
            str(key) == "mutatenn_layer" for block in blocks for key in block.annotations
        )

    def test_levels_are_really_different_code(self, lowerings):
        found = [frozenset(code(program(lowering)).values()) for lowering in lowerings[:4]]
        assert len(set(found)) == 4
        assert len(program(lowerings[1]).steps) < len(program(lowerings[0]).steps)

    def test_equal_kernels_of_several_layers_have_one_digest(self, lowerings):
        found = program(lowerings[0])
        by_layer = {step.layers: code(found)[step.kernel] for step in found.steps}
        assert by_layer[("clip_2",)] == by_layer[("clip_3",)]
        assert by_layer[("clip",)] != by_layer[("clip_1",)]


def test_wanted_places_keep_the_order_of_the_network():
    places = ["b", "a", "c"]
    assert wanted_places(Mutant.parse("kernel.x@a#1+b#2"), places) == ["b", "a"]
    assert wanted_places(Mutant.parse("kernel.x@sweep"), places) == places


def test_choose_gives_the_sites_in_the_order_of_the_recipe():
    everything = [("a", 1), ("a", 2), ("b", 1)]
    chosen = choose(Mutant.parse("kernel.x@b#1+a#2"), everything, lambda change: change)
    assert chosen == [("b", 1), ("a", 2)]
