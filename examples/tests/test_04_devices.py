"""Lesson 4: tests that compare devices, on the network and on its mutants.

    pytest examples/tests/test_04_devices.py --mutatenn-opt-levels=0,2,3 --mutatenn-sample=40
    pytest examples/tests/test_04_devices.py --mutatenn-devices=llvm,c --mutatenn-sample=40

A network that ships to several devices has to give the same answers on all of them. A test that
asks for ``cell_pair`` gets the network in two cells, each a device at an opt level, and runs on
every two of them; with ``cells`` it gets all of them at once. With mutants both have the same
mutant.

- On the network as it is, a test that fails has found two devices that disagree.
- On a mutant, it has found a fault that the devices do not share: one that is only seen where
  devices are compared, since on each of them alone the answers may still be good enough. Such a
  mutant is KILLED in both cells, and ``llvm-O0~llvm-O2`` stands beside the test that did it.

Where both devices break in the same way, the comparison cannot see it. That is for the tests about
one cell, like the first one here. ``pytest`` alone runs in one cell, and skips the comparisons.
"""

import pytest

from pytest_mutatenn import accuracy, max_abs_diff, top1_agreement

pytestmark = pytest.mark.mutatenn(
    model="../digits.onnx", inputs="../digits.npz", preprocess={"scale": 1 / 16}
)


def test_digits_are_recognised(predictions):
    """Of each cell alone."""
    assert accuracy(predictions) >= 0.97


def test_devices_agree(cell_pair):
    """The same digit on every two devices."""
    a, b = cell_pair
    assert top1_agreement(a.predictions, b.predictions) >= 0.99


def test_scores_are_close_on_all_devices(cells):
    """Rounding differs from device to device; more than that must not."""
    first, *others = cells
    for cell in others:
        assert max_abs_diff(cell.predictions, first.predictions) <= 1e-4, cell.cell
