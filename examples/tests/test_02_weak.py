"""Lesson 2: a weaker suite, and what its survivors say.

    pytest examples/tests/test_02_weak.py --mutatenn --mutatenn-sample=60

Three tests that look reasonable, and that pass: on the network, and on many networks that are
broken. Under each survivor the summary says which of three things there is to mend:

- "the assertions allow it": outputs changed, and no test minded. Mend the tests. Nearly all
  survivors here are of this kind, and lesson 1 kills most of them.
- "the network masks it": the fault changed a tensor inside, and a later layer levelled it out.
  There may be nothing to mend.
- "no input shows it": the changed code gave the same bits for every input. Either no input could
  show it (a guard against an index that is never reached), or others would (a clip at six, where
  no digit's activation gets that far).
"""

import pytest

from pytest_mutatenn import accuracy, all_finite

pytestmark = pytest.mark.mutatenn(
    model="../digits.onnx", inputs="../digits.npz", preprocess={"scale": 1 / 16}
)


def test_shape(predictions):
    """Kills nothing: whatever a kernel computes, its output keeps its shape.

    Mend it by asking what the ten scores should be; see ``test_scores_hold`` of lesson 1.
    """
    assert predictions.shape == (300, 10)


def test_finite(predictions):
    """Kills overflows and poisoned memory, and misses every fault that gives plausible numbers."""
    assert all_finite(predictions)


def test_better_than_a_coin(predictions):
    """Kills what ruins the network, and allows that half of its answers are lost.

    A bound far below what the network reaches (0.99) is a test of the bound. Mend it with the
    figure that was measured, less a little: ``accuracy(predictions) >= 0.97``.
    """
    assert accuracy(predictions) >= 0.5
