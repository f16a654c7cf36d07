"""Lesson 3: operators of your own.

    pytest examples/tests/03_own_operator
    pytest examples/tests/03_own_operator --mutatenn-operators=clip_lower,coarse_weights
    pytest examples/tests/03_own_operator --mutatenn-operators=coarse_weights \\
        --mutatenn-parameter=coarse_weights.bits=2

The operators of the plugin are faults of compilers, of memory and of slips of the pen. Those of a
project may be others: an activation exported with the wrong bound, weights rounded too coarsely.
``conftest.py`` beside this file defines these two. Nothing else is needed: the options
``--mutatenn-operators`` and ``--mutatenn-list-operators`` know them, and so does the report.

- ``clip_lower`` is asked about layers (the stage ``graph``): every ``clip`` of the network.
- ``coarse_weights`` is asked about parameters (the stage ``weights``): the weights of every
  convolution and dense layer.

Both have a parameter, which is a keyword-only argument of the function. The third command asks for
two bits instead of four. So mutants can measure: with eight bits all of them survive, this network
bears that; with four the tests below mind one layer of five, and with two bits four.

All of ``clip_lower`` survive. A score that is too large is cut off, and stays the largest: no label
changes. A test of the scores themselves would notice; see ``test_scores_hold`` of lesson 1.

``check_operator`` runs an operator on its own example. It is all the test that an operator needs;
an operator whose example does not hold is refused before anything runs.
"""

import pytest

from pytest_mutatenn import accuracy, check_operator, top1_agreement

digits = pytest.mark.mutatenn(
    model="../../digits.onnx", inputs="../../digits.npz", preprocess={"scale": 1 / 16}
)


@pytest.mark.parametrize("name", ["clip_lower", "coarse_weights"])
def test_the_operator_does_what_its_example_says(name):
    """Uses no network, so that it runs once and not on mutants."""
    check_operator(name)


@digits
def test_digits_are_recognised(predictions):
    assert accuracy(predictions) >= 0.97


@digits
def test_labels_hold(predictions, reference):
    assert top1_agreement(predictions, reference) >= 0.99
