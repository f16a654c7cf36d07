"""A mutant that is made while the one before it is run and judged."""

import dataclasses
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from processes import sandboxes

import pytest_mutatenn.session
from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.engine.evaluate import Engine
from pytest_mutatenn.engine.evaluation import Limits
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.errors import InternalError
from pytest_mutatenn.model.source import resolve_model

HOSTILE = Path(__file__).parents[1] / "plugin" / "hostile.py"
ONE, OTHER = "graph.relu_to_sigmoid@clip#1", "canary"


@pytest.fixture
def make_engine(tiny, tmp_path):
    made = []

    def make(store="store", **options):
        source = resolve_model("tiny.onnx", base=tiny, scratch=tmp_path)
        options = {
            "limits": Limits(timeout_factor=1, timeout_constant=1, memory=256 << 20),
            "operator_files": (HOSTILE,),
            "ahead": True,
            **options,
        }
        made.append(Engine(source, Cell("llvm", 2), Store(tmp_path / store), **options))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def run(engine, mutant, images, following=None):
    row = engine.row_of(mutant)
    recipe = engine.recipe(mutant, row, following)
    result = engine.evaluate(mutant, images, "the images", row, keep=True)
    row.close()
    return recipe, result


def test_the_one_made_ahead_is_what_it_would_be_without(make_engine, tiny, tmp_path):
    images = {"image": np.load(tiny / "tiny.npz")["arr_0"][:3, None]}
    engine = make_engine()
    run(engine, ONE, images, following=OTHER)
    begun = engine._ahead
    assert begun.mutant == OTHER
    assert engine.row_of(OTHER) is begun
    engine._ahead = begun
    recipe, result = run(engine, OTHER, images)
    assert engine._ahead is None

    alone = make_engine("another", ahead=False)
    expected, output = run(alone, OTHER, images, following=ONE)
    assert alone._ahead is None
    assert dataclasses.replace(recipe, seconds=0) == dataclasses.replace(expected, seconds=0)
    assert np.array_equal(result.outputs["probabilities"], output.outputs["probabilities"])


def test_what_is_stored_is_not_begun(make_engine):
    engine = make_engine()
    for mutant in (ONE, OTHER):
        engine.recipe(mutant)
    again = make_engine()
    again.recipe(ONE, following=OTHER)

    assert again._ahead is None
    assert again._zygote is None, "a process was started to make what is stored"


def test_one_that_nobody_asks_for_is_ended(make_engine, tmp_path):
    engine = make_engine()
    engine.recipe(ONE, following=OTHER)
    deadline = time.monotonic() + 10
    while len(sandboxes(tmp_path)) < 2:  # the zygote, and the one that is coming
        assert time.monotonic() < deadline, "it was not begun"
        time.sleep(0.01)
    begun = engine._ahead
    engine.recipe(ONE, following=OTHER)
    assert engine._ahead is begun, "it was begun twice"

    engine.recipe(ONE, following="identity")
    assert engine._ahead.mutant == "identity"
    engine.close()
    assert sandboxes(tmp_path) == []


def test_one_that_dies_before_it_is_asked_for_is_refused_in_its_own_row(make_engine, tmp_path):
    engine = make_engine()
    engine.recipe(ONE, following=OTHER)
    child = engine._ahead._coming.child()
    os.kill(child._pid, signal.SIGKILL)
    engine._ahead._coming = Dead(child)

    recipe = engine.recipe(OTHER, engine.row_of(OTHER))
    assert recipe.status == "rejected"
    assert "SIGKILL" in recipe.reason


class Dead:
    """A child that was there already."""

    def __init__(self, child):
        self.child = lambda: child


def test_a_zygote_that_is_gone_is_no_verdict_on_the_one_begun(make_engine):
    engine = make_engine()
    engine.recipe(ONE, following=OTHER)
    os.kill(engine.zygote()._process.pid, signal.SIGKILL)

    with pytest.raises(InternalError, match="died of SIGKILL"):
        engine.recipe(OTHER, engine.row_of(OTHER))


FEW = (
    "--mutatenn-mutants=graph.relu_to_sigmoid@*,kernel.max_to_min@softmax#1,kernel.boundary@*,"
    "weights.drop_bias@*"
)
SUITE = """
import pytest
from pytest_mutatenn import assert_top1_agreement, top1_agreement

pytestmark = pytest.mark.mutatenn(model="tiny.onnx", inputs="tiny.npz", limit=4)

def test_bound(predictions, reference):
    assert_top1_agreement(predictions, reference, at_least=1)

def test_metric(predictions, reference):
    assert top1_agreement(predictions, reference) >= 0.5

def test_apart():
    pass
"""


def test_a_run_with_an_idle_core_gives_the_same_report(project, monkeypatch):
    asked, begun = [], []
    begin, row_of = Engine._begin, Engine.row_of

    def noted(self, mutant):
        begin(self, mutant)
        begun.append(mutant)

    def claimed(self, mutant):
        there = self._ahead
        row = row_of(self, mutant)
        asked.append((mutant, row is there))
        return row

    monkeypatch.setattr(Engine, "_begin", noted)
    monkeypatch.setattr(Engine, "row_of", claimed)
    found = {}
    for cores, options in ((2, ()), (3, ("--mutatenn-no-ahead",))):
        monkeypatch.setattr(pytest_mutatenn.session, "cores", lambda cores=cores: cores)
        asked.clear()
        begun.clear()
        project.write(test_tiny=SUITE)
        project.cache = project.path / f"store-{cores}"
        # without some of the second test's rows: what comes next is not what the list has next
        result = project.run(FEW, *options, "-k", "not (metric and clip)")
        assert result.ret == 0
        found[cores] = _same(result.report)
        ahead = [mutant for mutant, early in asked if early]
        first = list(dict.fromkeys(mutant for mutant, _ in asked if mutant is not None))
        # all but the first, and each once
        assert ahead == (first[1:] if cores == 2 else [])
        assert bool(begun) == (cores == 2)
    assert found[2] == found[3]
    assert len(found[2]["mutants"]) > 5


def _same(report):
    """A report without times and without what a run is told."""
    if isinstance(report, dict):
        left = {k: v for k, v in report.items() if not k.startswith("seconds") and k != "run"}
        return {key: _same(value) for key, value in left.items()}
    return [_same(value) for value in report] if isinstance(report, list) else report
