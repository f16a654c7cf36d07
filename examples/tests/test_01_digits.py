"""Lesson 1: a suite that checks what matters.

    pytest examples/tests/test_01_digits.py
    pytest examples/tests/test_01_digits.py --mutatenn --mutatenn-opt-levels=0,2,3

The first command tests the network. The second tests these tests: it runs them on networks that
are broken in one place each, and says which of those they let through. Nothing below mentions
mutants.

A test asks for what it needs:

- ``predictions``: what the network gives for all inputs. With mutants, the broken network's.
- ``reference``: what the network as trained gives for them, compiled without any optimisation.
- ``model``: the network itself, to call.
"""

import numpy as np
import pytest

from pytest_mutatenn import (
    accuracy,
    all_finite,
    kendall_tau,
    max_abs_diff,
    top1_agreement,
)

pytestmark = pytest.mark.mutatenn(
    model="../digits.onnx",
    inputs="../digits.npz",
    preprocess={"scale": 1 / 16},  # pixels are 0 to 16, the network was trained on 0 to 1
)


@pytest.fixture(scope="module")
def seven():
    """A clean seven, drawn by hand, as the network takes it: 1 x 8 x 8, from 0 to 1."""
    rows = [
        "..#####.",
        ".....##.",
        ".....#..",
        "..#####.",
        "...##...",
        "...#....",
        "..##....",
        "..#.....",
    ]
    return np.array([[[pixel == "#" for pixel in row] for row in rows]], np.float32)


def test_every_score_is_a_number(predictions):
    """NaN and infinity are never an answer; of all checks this one is the cheapest."""
    assert all_finite(predictions)


def test_digits_are_recognised(predictions):
    """The purpose of the network, on digits that it was not trained on."""
    assert accuracy(predictions) >= 0.97


def test_labels_hold(predictions, reference):
    """Compilation changes no answer: not even one that was wrong before."""
    assert top1_agreement(predictions, reference) >= 0.99


def test_ranking_holds(predictions, reference):
    """The runners-up stay in order, too; a fault shows there before it changes the winner."""
    assert kendall_tau(predictions, reference).min() >= 0.9


def test_scores_hold(predictions, reference):
    """The scores themselves: what a threshold on the network's confidence relies on."""
    assert max_abs_diff(predictions, reference) <= 1e-4


def test_knows_a_seven(model, seven):
    """One input that everybody can look at; ``model`` takes one image, or several at once."""
    assert model(seven).argmax() == 7
