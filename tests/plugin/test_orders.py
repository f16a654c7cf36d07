"""--mutatenn-order: mutants of several sites, and of several operators, run to verdicts."""

import pytest
from records import stable, verdicts

ALL = ["SURVIVED", "KILLED", "TIMEOUT", "CRASHED", "DUPLICATE", "EQUIVALENT"]
PAIR = "--mutatenn-order=2"

# what each change does to the last layers shows in the scores, so that tests can tell them apart
FIRST = "kernel.max_to_min@softmax#1"
LOOK = """
import numpy as np
import pytest

@pytest.mark.mutatenn(model="tiny.onnx", inputs="tiny.npz")
def test_look(mutant, predictions):
    np.save((mutant or "baseline").replace("#", "_").replace("@", "_"), predictions.scores)
"""


def entries(result):
    return {mutant["id"]: mutant for mutant in result.report["mutants"]}


def test_pairs_of_every_stage_run_to_verdicts(suite):
    args = [PAIR, "--mutatenn-operators=relu_to_sigmoid,max_to_min,add_to_sub,drop_bias"]
    result = suite.run(*args)

    found = entries(result)
    stages = {mutant["stage"] for mutant in found.values()}
    assert "kernel+device" in stages
    assert any("weights" in stage for stage in stages)
    # what the compiler refuses would be INVALID: none of these is
    assert set(verdicts(result.report).values()) <= set(ALL)
    assert result.report["score"]["by_category"].keys() == {"higher-order"}
    for name, mutant in found.items():
        assert mutant["category"] == "higher-order"
        assert len(mutant["operator"].split("+")) in (1, 2)
        assert ("device" in mutant["stage"]) == name.endswith("@llvm-O2")
        (there,) = mutant["cells"].values()
        assert there["before"] == mutant["before"] != mutant["after"] == there["after"]
    # a second run makes the same of it, and runs nothing
    again = suite.run(*args)
    assert stable(again.report) == stable(result.report)
    assert again.report["run"]["counters"]["evaluations_run"] == 0


def test_sites_of_one_operator_run_to_verdicts(suite):
    result = suite.run("--mutatenn-order=sites:3", "--mutatenn-operators=kernel.index_plus_one")

    found = entries(result)
    assert len(found) > 3
    for name, mutant in found.items():
        assert name.count("#") == 3
        assert name.count("kernel.") == 1
        assert mutant["operator"] == "index_plus_one"
        assert mutant["category"] == "stores"
        assert mutant["after"].count("; ") == 2
    assert set(verdicts(result.report).values()) <= set(ALL)
    assert "KILLED" in verdicts(result.report).values()


def test_another_seed_pairs_others(suite):
    args = [PAIR, "--mutatenn-operators=kernel.index_plus_one", "--mutatenn-list"]
    one, other = (suite.run(*args, f"--mutatenn-seed={n}", report=False).outlines for n in (0, 1))
    assert one != other


def test_both_changes_are_in_the_code(project):
    """A bias dropped and a channel zeroed, alone and together: what NumPy says of the scores."""
    import numpy as np

    project.write(test_look=LOOK)
    names = {}
    for order in ("site", "2"):
        project.run("--mutatenn-operators=drop_bias", f"--mutatenn-order={order}")
        for file in project.path.glob("*.npy"):
            names.setdefault(file.stem, np.load(file))
    both = names.pop("weights.drop_bias_bias_1+weights.drop_bias_offset_1")
    assert not any(np.array_equal(both, alone) for alone in names.values())
    # the last bias is a factor of each class' score, whatever stood before it
    alone = names["weights.drop_bias_bias_1"]
    expected = alone * (names["weights.drop_bias_offset_1"] / names["baseline"])
    assert np.allclose(both, expected / expected.sum(1, keepdims=True), atol=1e-5)


def test_an_operator_with_too_few_sites_is_absent_with_the_reason(suite):
    result = suite.run(
        "--mutatenn-order=sites:3", "--mutatenn-operators=drop_bias,relu_to_sigmoid,kernel.boundary"
    )
    reasons = {one["operator"]: one["reason"] for one in result.report["absent"]}
    assert reasons["drop_bias"] == "--mutatenn-order=sites:3: it has 2 sites"
    assert list(reasons) == ["relu_to_sigmoid", "drop_bias"]


def test_two_workers_give_the_report_of_none(suite):
    args = [PAIR, "--mutatenn-operators=max_to_min,drop_bias,device.add_to_sub"]
    alone = suite.run(*args, apart=True)
    shared = suite.run(*args, "-n2", apart=True)
    assert stable(alone.report) == stable(shared.report)
    assert alone.ret == shared.ret == pytest.ExitCode.OK
