"""Latencies: figures of a cell, and tests between cells."""

import numpy as np
import pytest
from scipy import stats

from pytest_mutatenn.analysis.latency import compare_latencies, group_tests, summarise


def test_what_is_usual_and_what_is_late():
    found = summarise([0.001] * 19 + [0.101])
    assert found["seconds_median"] == 0.001
    assert found["seconds_mean"] == pytest.approx(0.006)
    assert found["seconds_p95"] == pytest.approx(0.006)
    assert len(found["seconds_per_input"]) == 20


def test_effect_sizes_are_parts_of_the_variance():
    # two groups of two: means 1.5 and 5.5, total sum of squares 17, between 16
    found = group_tests([[1, 2], [5, 6]])
    assert found["anova"]["eta_squared"] == pytest.approx(16 / 17, rel=1e-5)
    assert found["anova"]["statistic"] == pytest.approx(32)
    assert found["kruskal"]["statistic"] == pytest.approx(2.4)
    assert found["kruskal"]["epsilon_squared"] == pytest.approx(0.8)


def test_p_values_are_scipys():
    random = np.random.default_rng(3)
    groups = [random.normal(mean, 1, 30).tolist() for mean in (5, 5.2, 6)]
    found = group_tests(groups)
    assert found["anova"]["p_value"] == pytest.approx(stats.f_oneway(*groups).pvalue, rel=1e-5)
    assert found["kruskal"]["p_value"] == pytest.approx(stats.kruskal(*groups).pvalue, rel=1e-5)


def test_where_nothing_varies_there_is_no_statistic():
    found = group_tests([[1, 1], [1, 1]])
    assert set(found["anova"].values()) == set(found["kruskal"].values()) == {None}


def test_every_two_cells_are_tested_too():
    found = compare_latencies({"c": [1, 2], "a": [1, 2], "b": [9, 8]})
    assert found["cells"] == ["a", "b", "c"]
    assert [(p["a"], p["b"]) for p in found["pairs"]] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found["pairs"][1]["anova"]["eta_squared"] == 0


@pytest.mark.parametrize("cells", [{"a": [1, 2]}, {"a": [1], "b": [2]}])
def test_of_one_cell_or_one_input_there_is_nothing_to_test(cells):
    assert compare_latencies(cells) is None
