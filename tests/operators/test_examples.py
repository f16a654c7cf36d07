"""Every operator on its own example: the one generic test that an operator needs."""

import numpy as np
import pytest
from tvm_ffi import structural_equal

from pytest_mutatenn import check_operator
from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.operators import catalogue, registry
from pytest_mutatenn.operators.example import check_example, example_of
from pytest_mutatenn.operators.parameter import Parameter

OPERATORS = catalogue.load()

every_operator = pytest.mark.parametrize("name", sorted(OPERATORS))


@every_operator
def test_it_does_what_its_example_says(name):
    check_operator(name)


@every_operator
def test_no_replacement_is_the_node(name):
    node, _ = example_of(OPERATORS[name])
    replacements = list(OPERATORS[name].replacements(node))
    assert replacements
    if isinstance(node, Parameter):
        assert not any(np.array_equal(new, node.values) for new in replacements)
    else:
        assert not any(structural_equal(new, node) for new in replacements)


def text(node):
    return str(node.values.tolist()) if isinstance(node, Parameter) else node.script()


@every_operator
def test_asking_changes_nothing(name):
    node, _ = example_of(OPERATORS[name])
    before = text(node)
    show = str if isinstance(node, Parameter) else text
    once = [show(new) for new in OPERATORS[name].replacements(node)]
    assert [show(new) for new in OPERATORS[name].replacements(node)] == once
    assert text(node) == before


@every_operator
def test_it_says_what_it_does(name):
    summary = OPERATORS[name].summary
    assert summary.endswith(".")
    assert len(summary) < 100


class TestCheck:
    @pytest.fixture(autouse=True)
    def _private(self, monkeypatch):
        monkeypatch.setattr(registry, "REGISTRY", {})

    def defined(self, replacement, **changed):
        settings = {
            "category": "conditional",
            "on": OPERATORS["boundary"].on,
            "example": OPERATORS["boundary"].example,
            **changed,
        }

        @registry.operator("mine", **settings)
        def mine(node):
            """Do something."""
            yield from replacement(node)

        return registry.REGISTRY["mine"]

    def test_without_an_example(self):
        op = self.defined(lambda node: [], example=None)
        with pytest.raises(MutatennError, match=r"'mine' has no example; pass example="):
            check_example(op)

    def test_nothing_yielded(self):
        with pytest.raises(MutatennError, match=r"'mine', its example: it yields nothing"):
            check_example(self.defined(lambda node: []))

    def test_the_node_itself(self):
        with pytest.raises(MutatennError, match=r"gives i < n back, which is no change"):
            check_example(self.defined(lambda node: [node]))

    def test_something_else(self):
        with pytest.raises(MutatennError, match=r"of i < n it makes n < i, and not i <= n"):
            check_example(self.defined(lambda node: [type(node)(node.b, node.a)]))

    def test_another_node_than_it_is_asked_about(self):
        op = self.defined(lambda node: [node.b], on=OPERATORS["add_to_sub"].on)
        with pytest.raises(MutatennError, match=r"not asked about such a node; see on="):
            check_example(op)

    def test_an_unknown_name(self, monkeypatch):
        monkeypatch.undo()
        with pytest.raises(MutatennError, match=r"no mutation operator 'boundry'.*'boundary'"):
            check_operator("boundry")
