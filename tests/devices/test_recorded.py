"""Recordings: written by one run, read by another as a device."""

import io
import json
import zipfile

import numpy as np
import pytest
from suites import LABELS

from pytest_mutatenn.devices.base import open_device, takes
from pytest_mutatenn.devices.recording import SCHEMA, Recording, write_recording
from pytest_mutatenn.errors import MutatennError

FEW = "--mutatenn-mutants=graph.relu_to_sigmoid@*,kernel.max_to_min@softmax#1,kernel.boundary@*"

SUITE = (
    LABELS
    + """
def test_calls(model):
    import numpy as np
    assert model(np.full((1, 8, 8), VALUE, np.float32)).shape == (1, 5)
"""
)


EMPTY = {"cells": [], "datasets": {}, "run": {}}


def suite_of(project, value=0.5):
    return project.write(test_tiny=SUITE.replace("VALUE", str(value)))


@pytest.fixture
def recorded(project):
    """A project with a recording of a run, and the run."""
    run = suite_of(project).run(FEW, "--mutatenn-record=rec.zip")
    assert run.ret == pytest.ExitCode.OK
    run.stdout.fnmatch_lines(["recording: *rec.zip (2 cells, *"])
    project.recorded = run.report
    return project


def here(report, cell="llvm-O2"):
    return {
        mutant["id"]: (
            mutant["cells"][cell]["verdict"],
            mutant["cells"][cell]["outcome"],
            mutant["cells"][cell]["top1_changed"],
            mutant["cells"][cell]["tau_mean"],
            mutant["cells"][cell]["before"],
            mutant["cells"][cell]["change"],
            mutant["cells"][cell]["inputs"],
        )
        for mutant in report["mutants"]
        if cell in mutant["cells"]
    }


READ = ("--mutatenn-devices=recorded:rec.zip", "--mutatenn-reference=recorded:rec.zip-O0")


def test_a_recording_gives_the_verdicts_of_the_run(recorded, tmp_path, monkeypatch):
    def started(*args):
        raise AssertionError("a process was started")

    monkeypatch.setattr("pytest_mutatenn.engine.evaluate.Zygote", started)
    recorded.cache = tmp_path / "another store"
    result = recorded.run(*READ, FEW)
    assert result.ret == pytest.ExitCode.OK
    cell = "recorded:rec.zip-O2"
    assert here(result.report, cell) == here(recorded.recorded)
    assert {"KILLED", "SURVIVED"} <= {found[0] for found in here(result.report, cell).values()}
    assert result.report["checks"][0]["verdict"] == "KILLED"
    assert result.report["run"]["counters"]["evaluations_run"] == 0
    assert not result.report["warnings"]
    (there,) = [c for c in result.report["cells"] if c["id"] == cell]
    assert there["target"].startswith("recorded ")
    # other assertions have answers, too: every mutant has been run on all inputs
    test = recorded.path / "test_tiny.py"
    test.write_text(test.read_text().replace(">= 0.9", ">= -1"))
    again = here(recorded.run(*READ, FEW).report, cell)
    assert again["graph.relu_to_sigmoid@clip#1"][0] == "SURVIVED"
    assert here(result.report, cell)["graph.relu_to_sigmoid@clip#1"][0] == "KILLED"


def test_what_is_not_recorded_is_skipped_and_says_so(recorded):
    result = recorded.run(
        "--mutatenn-devices=llvm,recorded:rec.zip",
        "--mutatenn-mutants=graph.relu_to_sigmoid@*,weights.drop_bias@*",
    )
    cells = [mutant["cells"] for mutant in result.report["mutants"]]
    reasons = {found["recorded:rec.zip-O2"]["reason"] for found in cells
               if found["recorded:rec.zip-O2"]["verdict"] == "SKIPPED"}  # fmt: skip
    assert reasons == {"not in the recording"}
    assert {"KILLED"} <= {found["recorded:rec.zip-O2"]["verdict"] for found in cells}
    assert all(found["llvm-O2"]["verdict"] != "SKIPPED" for found in cells)


def test_a_call_that_is_not_recorded_skips_its_test(recorded):
    result = suite_of(recorded, value=0.25).run(*READ, FEW, "-rs")
    outcomes = {e["test"].partition("::")[2]: e["outcome"] for e in result.report["baseline"]}
    assert outcomes == {"test_finite": "passed", "test_labels": "passed", "test_calls": "skipped"}
    result.stdout.fnmatch_lines(["*1 input of this content: not in the recording. It has *12 inp*"])


def test_other_inputs_are_an_error_that_says_what_differs(recorded):
    images = np.random.default_rng(3).normal(0, 1, (7, 1, 8, 8)).astype(np.float32)
    np.savez(recorded.path / "tiny.npz", images)
    result = recorded.run(*READ, "--mutatenn-baseline-only", "-k", "test_finite")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*7 inputs of this content: not in the recording. It has *12 i*"])


def test_another_network_or_level_is_an_error_that_says_what_differs(recorded):
    level = recorded.run("--mutatenn-devices=recorded:rec.zip", "--mutatenn-opt-levels=3", FEW)
    level.stdout.fnmatch_lines(["*the recording has no O3 of llvm; it has O0, O2*"])
    other = recorded.run("--mutatenn-devices=recorded:rec.zip?device=cuda", FEW)
    other.stdout.fnmatch_lines(["*the recording has no device cuda; it has llvm*"])
    import onnx

    model = onnx.load(recorded.path / "tiny.onnx")
    model.doc_string = "another"
    onnx.save(model, recorded.path / "tiny.onnx")
    network = recorded.run(*READ, FEW)
    network.stdout.fnmatch_lines(["*the recording is of another network: *tiny.onnx (*; this is*"])


def test_workers_record_what_one_process_records(recorded):
    alone = Recording(recorded.path / "rec.zip").about
    result = recorded.run(FEW, "--mutatenn-record=two.zip", "-n2", apart=True)
    assert result.ret == pytest.ExitCode.OK
    both = Recording(recorded.path / "two.zip").about
    for part in ("cells", "datasets"):
        assert stripped(both[part]) == stripped(alone[part])
    assert {key_of(one) for one in both["results"]} >= {key_of(one) for one in alone["results"]}


def stripped(value):
    if isinstance(value, dict):
        return {k: stripped(v) for k, v in value.items() if k != "seconds"}
    return [stripped(one) for one in value] if isinstance(value, list) else value


def key_of(result):
    return result["cell"], result["program"], result["role"], result["data"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--mutatenn-record=no/such/rec.zip"], "*no/such/rec.zip is no file in a folder*"),
        (["--mutatenn-record=a.zip", "--mutatenn-no-incremental"], "*leave one of them out*"),
        (
            ["--mutatenn-record=a.zip", "--mutatenn-devices=recorded:b.zip"],
            "*recorded:b.zip is a recording itself*",
        ),
        (["--mutatenn-devices=recorded:a?board=x"], "*write recorded:FILE*"),
    ],
)
def test_what_makes_no_sense_is_refused(project, arguments, said):
    result = suite_of(project).plain(*arguments)
    result.stderr.fnmatch_lines([said])


# -- the file ---------------------------------------------------------------------------------


def test_a_recording_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "a.zip"
    arrays = {"output 0": np.array([[1, np.nan]], np.float16), "latency": np.array([0.5])}
    write_recording(path, EMPTY, [({"data": "d"}, arrays)])
    found = Recording(path)
    (result,) = found.about["results"]
    read = found.arrays(result["arrays"])
    np.testing.assert_array_equal(read["output 0"], arrays["output 0"])
    assert read["output 0"].dtype == np.float16
    # the same content is the same file, whenever it is written
    other = tmp_path / "b.zip"
    write_recording(other, EMPTY, [({"data": "d"}, arrays)])
    assert other.read_bytes() == path.read_bytes()
    with np.load(path) as opened:
        assert set(opened.files) >= {"0.0", "0.1"}


def test_a_recording_that_fails_half_way_leaves_the_one_before(tmp_path):
    path = tmp_path / "a.zip"
    write_recording(path, EMPTY, [])
    before = path.read_bytes()

    def results():
        yield {}, {"a": np.zeros(3)}
        raise MutatennError("no more")

    with pytest.raises(MutatennError, match="no more"):
        write_recording(path, {}, results())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_recording_is_missing_and_says_why(tmp_path):
    assert open_device("recorded").missing() == "it is a file: write recorded:FILE"
    device = open_device(f"recorded:{tmp_path / 'none.zip'}")
    assert takes(f"recorded:{tmp_path}") == "recording"
    assert "there is no file" in device.missing()
    (tmp_path / "none.zip").write_bytes(b"PK no zip")
    assert "is no recording, or a damaged one" in device.missing()
    np.savez(tmp_path / "none.zip.npz", np.zeros(2))
    (tmp_path / "none.zip.npz").replace(tmp_path / "none.zip")
    assert "is no recording of --mutatenn-record" in device.missing()
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("recording.json", json.dumps({"schema": "mutatenn-recording/9"}))
    assert "this version reads 'mutatenn-recording/1'" in device.missing()
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("recording.json", json.dumps({"schema": SCHEMA, **EMPTY, "run": []}))
    assert "recording.json lacks results, run" in device.missing()


def test_a_damaged_array_is_told(tmp_path):
    path = tmp_path / "a.zip"
    write_recording(path, EMPTY, [({}, {"a": np.random.default_rng(0).random(1000)})])
    body = bytearray(path.read_bytes())
    body[400] ^= 255
    path.write_bytes(body)
    with pytest.raises(MutatennError, match=r"damaged at 0\.0\.npy"):
        Recording(path).arrays({"a": "0.0.npy"})


def rewritten(path, change):
    """The recording with other arrays, at the same place."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in members.items():
            if name.endswith(".npy"):
                written = io.BytesIO()
                np.save(written, change(np.load(io.BytesIO(body))))
                body = written.getvalue()
            archive.writestr(name, body)


def test_a_recording_with_too_few_answers_is_damaged(recorded):
    rewritten(recorded.path / "rec.zip", lambda array: array[:-1])
    result = recorded.run("--mutatenn-devices=llvm,recorded:rec.zip", "-k", "test_finite", FEW)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*rec.zip is damaged: 'latency' of llvm-O2 has the shape (11,*"])


def test_cells_are_compared_with_the_recording_that_is_there_now(recorded):
    options = ("--mutatenn-devices=llvm,recorded:rec.zip", FEW, "-k", "test_finite")
    before = recorded.run(*options).report["differential"]["baseline"]
    rewritten(recorded.path / "rec.zip", lambda array: array + 1)
    after = recorded.run(*options).report["differential"]["baseline"]
    assert [pair["max_abs_diff"] for pair in before] == [0]
    assert [pair["max_abs_diff"] for pair in after] == [pytest.approx(1)]


def test_nothing_in_it_is_unpickled(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("recording.json", json.dumps({"schema": SCHEMA, "results": [], **EMPTY}))
        with archive.open("x.npy", "w") as member:
            np.lib.format.write_array(member, np.array([{}], object), allow_pickle=True)
    with pytest.raises(MutatennError, match="damaged at"):
        Recording(path).arrays({"a": "x.npy"})
