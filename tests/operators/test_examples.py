"""Every operator on its own example: the one generic test that an operator needs."""

import pytest
from tvm import relax
from tvm_ffi import structural_equal

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.operators import catalogue, registry
from pytest_mutatenn.operators.example import example_of

OPERATORS = catalogue.load()

every_operator = pytest.mark.parametrize("name", sorted(OPERATORS))


def function_of(expr):
    """A layer as a function of its own, with every part bound and typed."""
    builder = relax.BlockBuilder()
    variables = sorted(relax.analysis.free_vars(expr), key=lambda var: var.name)
    with builder.function("main", variables):
        with builder.dataflow():
            result = builder.emit_output(expr)
        builder.emit_func_output(result)
    return builder.get()["main"]


@every_operator
def test_the_first_replacement_is_the_example_s(name):
    node, expected = example_of(OPERATORS[name])
    first = next(OPERATORS[name].replacements(node))
    if "graph" in OPERATORS[name].stages:
        expected, first = map(function_of, (expected, first))
    assert structural_equal(first, expected)


@every_operator
def test_no_replacement_is_the_node(name):
    node, _ = example_of(OPERATORS[name])
    replacements = list(OPERATORS[name].replacements(node))
    assert replacements
    assert not any(structural_equal(new, node) for new in replacements)


@every_operator
def test_asking_changes_nothing(name):
    node, _ = example_of(OPERATORS[name])
    before = node.script()
    once = [new.script() for new in OPERATORS[name].replacements(node)]
    assert [new.script() for new in OPERATORS[name].replacements(node)] == once
    assert node.script() == before


@every_operator
def test_the_operator_is_asked_about_such_a_node(name):
    op = OPERATORS[name]
    node, _ = example_of(op)
    if "graph" in op.stages:
        assert node.op.name in op.on
    else:
        assert isinstance(node, op.on)


@every_operator
def test_it_says_what_it_does(name):
    summary = OPERATORS[name].summary
    assert summary.endswith(".")
    assert len(summary) < 100


def test_an_operator_without_an_example_says_so(monkeypatch):
    monkeypatch.setattr(registry, "REGISTRY", {})

    @registry.operator("bare", category="layer", stages=["graph"], on="relax.nn.relu")
    def bare(call):
        """Do nothing."""
        yield call

    with pytest.raises(MutatennError, match=r"'bare' has no example; pass example="):
        example_of(registry.REGISTRY["bare"])
