"""Which of the user's files a mutant depends on."""

import pytest

from pytest_mutatenn.operators import registry
from pytest_mutatenn.operators.registry import files_of, operator

DEFINE = """
from pytest_mutatenn.operators.registry import on_demand, operator

@operator("{name}", category="layer", stages=["graph"], on="relax.nn.relu")
def change(call):
    '''Say nothing.'''
    yield call
"""
FAMILY = """
@on_demand
def define(name):
    return False
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "REGISTRY", dict(registry.REGISTRY))
    monkeypatch.setattr(registry, "ON_DEMAND", list(registry.ON_DEMAND))

    def write(name, text="", *, loaded=True):
        path = tmp_path / f"{name}.py"
        path.write_text(DEFINE.format(name=name) + text)
        if loaded:
            exec(compile(path.read_text(), path, "exec"), {"__name__": name})
        return path

    return write


def test_a_mutant_depends_on_the_file_of_its_operator(write):
    one, two = write("one"), write("two")
    assert files_of(["one"], [one, two]) == {one}
    assert files_of(["one", "two"], [one, two]) == {one, two}
    assert files_of(["boundary"], [one, two]) == set()
    assert files_of([], [one, two]) == set()


def test_a_name_that_nobody_knows_may_be_of_a_family_or_of_a_file_that_is_not_loaded(write):
    one, family, unread = write("one"), write("two", FAMILY), write("three", loaded=False)
    assert files_of(["made"], [one, family]) == {family}
    assert files_of(["made"], [one, unread]) == {unread}
    assert files_of(["one"], [one, family, unread]) == {one}
    assert files_of(["three"], [one, unread]) == {unread}


def test_an_operator_of_ours_depends_on_no_file(write):
    family = write("two", FAMILY)

    @operator("ours", category="layer", stages=["graph"], on="relax.nn.relu")
    def ours(call):
        """Say nothing."""
        yield call

    assert files_of(["ours"], [family]) == set()
