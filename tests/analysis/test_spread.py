import numpy as np

from pytest_mutatenn.analysis.spread import differences

BASE = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], np.float32)


def test_inputs_that_differ_are_counted_and_named():
    ours = BASE.copy()
    ours[1] += 0.01
    ours[2] = ours[2][::-1]
    ours[3, 0] = np.inf
    found = differences({"y": ours}, {"y": BASE}, "y")
    assert (found["propagated"], found["top1_changed"], found["nonfinite"]) == (3, 1, 1)
    assert found["inputs"] == {"propagated": "1-3", "top1_changed": "2"}


def test_of_a_network_with_a_batch_all_inputs_of_a_run_are_named():
    ours = BASE.copy()
    ours[1] += 0.01
    found = differences({"y": ours}, {"y": BASE}, "y", batch=4)
    assert found["inputs"] == {"propagated": "4-7", "top1_changed": ""}


def test_no_difference():
    found = differences({"y": BASE}, {"y": BASE.copy()}, "y")
    assert found["inputs"] == {"propagated": "", "top1_changed": ""}
    assert found["propagated"] == 0
