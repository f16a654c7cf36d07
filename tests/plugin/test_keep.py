"""--mutatenn-keep: what of each mutant is kept, with how many workers and from whatever store."""

import csv
import json

import pytest
from records import stable

from pytest_mutatenn.compiler.edits import apply_edits
from pytest_mutatenn.report.artefacts import KINDS

MUTANTS = (
    "graph.relu_to_sigmoid@clip#1",
    "kernel.add_to_sub@softmax#1",
    "device.store_plus_one@softmax#1",
    "weights.bit_flip_sign@dense#3b31",
)
WANTED = [f"--mutatenn-mutants={','.join(MUTANTS)}", "--mutatenn-keep=all"]


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_artefacts_are_the_same_with_two_workers_and_from_a_warm_store(suite):
    cold = suite.run(*WANTED)
    folder = suite.path / "mutatenn-artefacts"
    first = contents(folder)
    warm = suite.run(*WANTED, "-n", "2", apart=True)

    assert cold.ret == warm.ret == 0
    assert cold.report["run"]["counters"]["evaluations_run"]
    assert not warm.report["run"]["counters"].get("evaluations_run")
    assert contents(folder) == first
    assert stable(cold.report) == stable(warm.report)
    cold.stdout.fnmatch_lines(["artefacts: mutatenn-artefacts"])

    report = cold.report
    assert report["artefacts"] == {"folder": "mutatenn-artefacts", "kept": list(KINDS)}
    sources = {source["id"]: source["text"] for source in report["sources"]}
    for mutant in report["mutants"]:
        (there,) = mutant["cells"].values()
        assert there["artefacts"]
        for name in there["artefacts"]:
            assert name in first
        inside = {name.rpartition("/")[2] for name in there["artefacts"]}
        assert {"index.json", "log.txt", "top5.csv"} <= inside
        if mutant["stage"] == "weights":
            assert there["code"] is None
        else:
            text = apply_edits(sources[there["code"]["source"]], there["code"]["edits"])
            place = there["artefacts"][0].rpartition("/")[0]
            assert text.encode() in [d for n, d in first.items() if n.startswith(place)]

    rows = list(csv.DictReader(first["tiny/llvm-O2/baseline/top5.csv"].decode().splitlines()))
    assert [row["input"] for row in rows] == [str(i) for i in range(12)]
    log = first["tiny/llvm-O2/kernel.add_to_sub@softmax#1/log.txt"].decode()
    assert "run        12 of 12 inputs\n" in log
    assert "--mutatenn-mutants=kernel.add_to_sub@softmax#1" in log


def test_only_what_is_asked_for_is_kept_and_no_mutant_is_run_for_it(suite):
    one = f"--mutatenn-mutants={MUTANTS[1]}"
    result = suite.run(one, "--mutatenn-keep=ir", "--mutatenn-keep-dir=here/ir")

    names = {name.rpartition("/")[2] for name in contents(suite.path / "here" / "ir")}
    assert {name for name in names if not name.endswith((".py", "steps.txt"))} == {
        "index.json",
        ".gitignore",
    }
    assert result.report["artefacts"] == {"folder": "here/ir", "kept": ["ir"]}
    assert not suite.run(one).report["artefacts"]["kept"]


def test_why_there_is_not_more_stands_in_the_index(suite):
    ids = "kernel.store_times_one@softmax#1,kernel.add_to_sub@softmax#1"
    suite.write(
        conftest="""
        from tvm import tirx
        from tvm.ir import prim
        from pytest_mutatenn import operator

        @operator("store_times_one", category="stores", on=tirx.BufferStore, stages=["kernel"])
        def store_times_one(node):
            "Multiply what is stored by one."
            value = prim.Mul(node.value, tirx.const(1.0, "float32"))
            yield tirx.BufferStore(node.buffer, value, node.indices)
        """
    )
    result = suite.run(f"--mutatenn-mutants={ids}", "--mutatenn-keep=all", apart=True)
    index = json.loads((suite.path / "mutatenn-artefacts" / "index.json").read_text())
    entry = next(e for e in index["entries"] if "times_one" in (e["mutant"] or ""))
    verdicts = {m["operator"]: m["cells"]["llvm-O2"]["verdict"] for m in result.report["mutants"]}

    assert verdicts == {"store_times_one": "EQUIVALENT", "add_to_sub": "KILLED"}
    assert entry["missing"] == {"outputs": "the generated code is the baseline's"}
    assert {file["kind"] for file in entry["files"]} == {"ir", "source", "object", "log"}
    told = {m["operator"]: m["cells"]["llvm-O2"]["code"] for m in result.report["mutants"]}
    assert told["store_times_one"] is None
    assert told["add_to_sub"] is not None


def test_a_folder_of_something_else_is_left_alone(suite):
    (suite.path / "kept").mkdir()
    (suite.path / "kept" / "thesis.tex").write_text("")
    result = suite.run(*WANTED, "--mutatenn-keep-dir=kept")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--mutatenn-keep-dir: *kept is not empty*"])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--mutatenn-keep=sauce", "nothing is called 'sauce'. Did you mean 'source'?"),
        ("--mutatenn-keep-dir=x", "add --mutatenn-keep=all"),
        ("--mutatenn-export=x", "give both"),
    ],
)
def test_options_that_mean_nothing_are_refused(suite, option, message):
    result = suite.run(option, report=False)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str()


def test_of_a_recording_there_is_what_it_has(suite):
    one = f"--mutatenn-mutants={MUTANTS[1]}"
    suite.run(one, "--mutatenn-record=there.rec")
    result = suite.run(
        "--mutatenn-mutants=kernel.*", "--mutatenn-devices=recorded:there.rec",
        "--mutatenn-keep=all",
    )  # fmt: skip
    index = json.loads((suite.path / "mutatenn-artefacts" / "index.json").read_text())

    assert result.ret == 0
    entry = next(e for e in index["entries"] if e["mutant"] == MUTANTS[1])
    assert {file["name"] for file in entry["files"]} == {"top5.csv", "log.txt"}
    assert set(entry["missing"]) == {"ir", "source", "object"}
