"""A run in parts: each runs its own mutants, and combined they give the report of the whole run."""

import json

import pytest
from records import differing, stable, verdicts

from pytest_mutatenn.commands import main
from pytest_mutatenn.report.shards import incomplete

# tests of one cell and of two, weak enough that mutants live, and their twins with them
SUITE = """
import pytest
from pytest_mutatenn import max_abs_diff, top1_agreement

pytestmark = pytest.mark.mutatenn(model="tiny.onnx", inputs="tiny.npz")

def test_labels(predictions, reference):
    assert top1_agreement(predictions, reference) >= 0.9

def test_pair(cell_pair):
    a, b = cell_pair
    assert max_abs_diff(a.predictions, b.predictions) <= 0.1
"""
RUN = (
    "--mutatenn-operators=boundary,LT_to_LE,store_plus_one,relu_to_sigmoid,drop_bias",
    "--mutatenn-opt-levels=0,2",
    "--mutatenn-sample=40%",
    "--mutatenn-accept=accepted.toml",
    "--mutatenn-differential",
    "--mutatenn-fail-under=1,stage:kernel=100",
    "--mutatenn-fail-on=canary",
)
ACCEPTED = """
[[accepted]]
mutant = "kernel.boundary@conv2d#1"
reason = "the tests of this project know"
expires = 2999-01-01
"""


@pytest.fixture
def shared_out(project):
    (project.path / "accepted.toml").write_text(ACCEPTED)
    return project.write(test_tiny=SUITE)


def test_shards_combined_give_the_report_of_the_whole_run(shared_out, monkeypatch, capsys):
    whole = shared_out.run(*RUN)
    parts, names = [], []
    for number, workers in ((1, []), (2, ["-n2"]), (3, [])):
        shard = f"--mutatenn-shard={number}/3"
        result = shared_out.run(*RUN, shard, *workers, apart=bool(workers))
        # the gates are of the whole
        assert result.ret == pytest.ExitCode.OK
        result.stdout.fnmatch_lines(
            [
                f"mutatenn: *; shard {number}/3; *",
                f"shard {number}/3, a part of a run: * mutants, and * in the other shards; *combine"
                " makes one report of all and judges the gates fail-under=1,stage:kernel=100, "
                "fail-on=canary",
            ]
        )
        parts.append(result.report)
        names.append(f"{number}.json")
        (shared_out.path / names[-1]).write_text(json.dumps(result.report))
    monkeypatch.chdir(shared_out.path)
    capsys.readouterr()

    code = main(["combine", *names, "-o", "all.json"])

    told = capsys.readouterr().out
    combined = json.loads((shared_out.path / "all.json").read_text())
    assert "\n".join(differing(stable(combined), stable(whole.report))) == ""
    # nothing is in two of them, and the work is shared out
    ran = [{key for key, there in cells(part).items() if there["planned"]} for part in parts]
    assert sum(map(len, ran)) == len(set().union(*ran))
    assert min(map(len, ran)) > len(set().union(*ran)) / 5
    assert {"KILLED", "SURVIVED", "DUPLICATE", "SKIPPED"} <= set(verdicts(combined).values())
    # the gates that the jobs were given are judged on the whole
    assert whole.ret == code == 1
    (failed,) = [gate["text"] for gate in whole.report["gates"] if not gate["passed"]]
    assert f"ERROR: {failed}" in told
    assert "a part of a run" not in told.lower()
    # others may be given
    assert main(["combine", *names, "--fail-under=1"]) == 0

    assert main(["combine", *names[:2]]) == 3
    assert "shard 3/3 of the run of 1.json and 2.json is missing." in capsys.readouterr().err
    assert main(["combine", *names[:2], "--allow-mismatch", "--fail-under=1"]) == 0
    assert "A PART OF A RUN: the shards 3/3 are missing." in capsys.readouterr().out


def test_the_list_shows_the_mutants_of_the_shard(shared_out):
    two = [
        shared_out.run(*RUN[:3], f"--mutatenn-shard={i}/2", "--mutatenn-list", report=False)
        for i in (1, 2)
    ]
    assert [result.ret for result in two] == [0, 0]
    listed = [
        {line.partition("  ")[0] for line in result.outlines if line.startswith("kernel.")}
        for result in two
    ]
    assert all(listed)
    assert not listed[0] & listed[1]
    two[0].stdout.fnmatch_lines(["*  in other shards"])


def test_a_shard_without_mutants_runs_the_baseline_and_is_no_error(shared_out):
    one = "--mutatenn-mutants=graph.relu_to_sigmoid@*"
    results = [shared_out.run(one, f"--mutatenn-shard={i}/2") for i in (1, 2)]
    assert [result.ret for result in results] == [0, 0]
    assert sorted(len(result.report["mutants"]) for result in results) == [0, 1]
    for result in results:
        assert {check["id"] for check in result.report["checks"]} == {"identity", "canary"}
        assert result.report["baseline"]


def test_nothing_to_share_out_is_an_error_in_each(shared_out):
    result = shared_out.run("--mutatenn-operators=drop_sync", "--mutatenn-shard=1/2")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "ERROR: No mutants: the operators 'drop_sync' found nothing" in result.stdout.str()


def test_known_survivors_are_not_written_from_a_part(shared_out):
    update = ("--mutatenn-baseline=k.toml", "--mutatenn-update-baseline")
    result = shared_out.run(*RUN[:3], "--mutatenn-shard=1/2", *update)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "pytest-mutatenn combine --update-baseline" in result.stderr.str()


def cells(report):
    return {
        (mutant["id"], cell): there
        for mutant in report["mutants"]
        for cell, there in mutant["cells"].items()
    }


# -- which parts there are -----------------------------------------------------------------------


def part(number, count=3, digest="d", **gates):
    shard = {"number": number, "count": count, "digest": digest, "gates": gates}
    return {"run": {"shard": shard, "ended_early": None}}


WHOLE = {"run": {"shard": None, "ended_early": None}}
CUT = {"run": {"shard": None, "ended_early": "KeyboardInterrupt"}}


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([part(1), part(2), part(3)], []),
        ([WHOLE, WHOLE], []),
        ([WHOLE, CUT], ["b has a run that ended early (KeyboardInterrupt): run it again."]),
        (
            [{"run": {"runs": [WHOLE["run"], CUT["run"]]}}],
            ["a has a run that ended early (KeyboardInterrupt): run it again."],
        ),
        ([part(1, 1), WHOLE], []),
        # of two devices, each with shards of its own
        ([part(1, 2, "x"), part(2, 2, "y"), part(2, 2, "x"), part(1, 2, "y")], []),
        ([part(1), part(3)], ["shard 2/3 of the run of a and b is missing."]),
        ([part(2)], ["shards 1/3 and 3/3 of the run of a are missing."]),
        (
            [part(1), part(2), part(3), part(2)],
            ["shard 2/3 is there 2 times: b and d."],
        ),
        (
            [part(1, 2, "x"), part(2, 2, "y")],
            [
                "shard 2/2 of the run of a is missing.",
                "shard 1/2 of the run of b is missing.",
                "what was shared out is not the same in all shards: their jobs need the same "
                "networks, tests, operators, sample, seed and devices.",
            ],
        ),
        (
            [part(1, 2, fail_under=[["", 80]]), part(2, 2)],
            ["the shards were given different gates."],
        ),
    ],
)
def test_what_is_missing_or_there_twice_is_said(parts, said):
    assert incomplete(list(zip("abcd", parts, strict=False))) == said
