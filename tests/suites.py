"""The tests of a user that several of our tests run."""

# two tests that every cell passes
LABELS = """
import pytest
from pytest_mutatenn import all_finite, max_abs_diff, top1_agreement

pytestmark = pytest.mark.mutatenn(model="tiny.onnx", inputs="tiny.npz")

def test_finite(predictions):
    assert all_finite(predictions)

def test_labels(predictions, reference):
    assert top1_agreement(predictions, reference) >= 0.9
"""

# a suite that is green, kills most mutants and compares only with what is compiled itself
SUITE = (
    LABELS
    + """
def test_scores(predictions, reference):
    assert max_abs_diff(predictions, reference) <= 1e-4
"""
)
