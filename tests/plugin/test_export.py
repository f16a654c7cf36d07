"""A mutant alone: exported from a report, and run where there is nothing but TVM and NumPy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pytest_mutatenn.commands import main

HIDDEN = ("pytest_mutatenn", "pytest", "_pytest", "onnx", "scipy", "filelock", "onnxruntime")
HOSTILE = Path(__file__).with_name("hostile.py")
MUTANTS = (
    "graph.relu_to_sigmoid@clip#1",
    "kernel.index_plus_one@batch_norm#16",
    "device.store_plus_one@softmax#1",
    "weights.bit_flip_exponent@dense#3b30",
)


def run_alone(folder, *arguments):
    """Run the script of a folder in a Python that has none of what is hidden."""
    hiding = folder.parent / "hiding"
    hiding.mkdir(exist_ok=True)
    (hiding / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {HIDDEN!r}:\n"
        "            raise ModuleNotFoundError(f'{name} is hidden', name=name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(hiding)}
    command = [sys.executable, "run.py", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def best(said):
    """Input -> what the script says of the unmutated network, the mutant and the report."""
    found = {}
    for line in said.splitlines():
        words = line.split()
        if words and words[0].isdigit():
            found[int(words[0])] = tuple(map(int, words[1:4]))
    return found


@pytest.fixture
def exported(suite, monkeypatch):
    """Runs mutants, and gives the folder of each that is exported from the report."""

    def export(*ids, device="llvm", extra=()):
        monkeypatch.chdir(suite.path)
        result = suite.run(
            f"--mutatenn-mutants={','.join(ids)}", f"--mutatenn-devices={device}", *extra
        )
        assert result.ret == 0
        folders = []
        for name in ids:
            assert main(["export", name, "report.json", "-o", "out"]) == 0
            folders.append(suite.path / "out" / f"{name}@{device}-O2")
        return result.report, folders

    return export


def test_a_mutant_of_each_stage_runs_alone_and_gives_what_the_report_has(exported):
    report, folders = exported(*MUTANTS)
    told = {mutant["id"]: mutant["cells"]["llvm-O2"] for mutant in report["mutants"]}
    for name, folder in zip(MUTANTS, folders, strict=True):
        done = run_alone(folder)

        assert done.returncode == 0, done.stdout + done.stderr
        found = best(done.stdout)
        assert sorted(found) == list(range(12))
        assert all(ours == theirs for _, ours, theirs in found.values())
        expected = json.loads((folder / "expected.json").read_text())
        assert expected["code"] == told[name]["code_digest"]
        changed = sum(base != ours for base, ours, _ in found.values())
        if told[name]["top1_changed"] is not None:
            assert changed == told[name]["top1_changed"]
        assert (folder / "README.md").read_text().startswith(f"# {name}\n")
    assert any("top1_changed" in there and there["top1_changed"] for there in told.values())


def test_the_script_fails_where_a_best_class_is_another(exported):
    _, (folder,) = exported(MUTANTS[1])
    path = folder / "expected.json"
    expected = json.loads(path.read_text())
    expected["top1"]["mutant"]["3"] += 1
    path.write_text(json.dumps(expected))
    done = run_alone(folder)

    assert done.returncode == 1
    assert done.stdout.count("differs") == 1
    assert "not as in the report" in done.stdout


def test_the_script_says_what_a_machine_lacks(exported):
    _, (folder,) = exported(MUTANTS[1])
    (folder / "device.py").write_text("def missing():\n    return 'a crystal ball'\n")
    done = run_alone(folder)

    assert done.returncode == 2
    assert "This machine lacks a crystal ball." in done.stdout


def test_the_mutant_is_the_exported_kernel_and_no_other(exported):
    """Without its own kernel, the mutant is the unmutated network."""
    _, (folder,) = exported(MUTANTS[1])
    (mutated,) = (folder / "kernels" / "mutant").iterdir()
    mutated.write_text((folder / "kernels" / "baseline" / mutated.name).read_text())
    done = run_alone(folder)

    assert done.returncode == 1
    assert all(base == ours for base, ours, _ in best(done.stdout).values())


def test_c_runs_alone(exported):
    _, (folder,) = exported(MUTANTS[1], device="c")
    done = run_alone(folder)

    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "kernels" / "baseline" / "0.c").is_file()


def test_opencl_runs_with_pyopencl(exported):
    from opencl_here import needs_opencl

    needs_opencl()
    _, (folder,) = exported(MUTANTS[1], device="opencl")
    done = run_alone(folder)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "pyopencl" in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "outcome"),
    [("device.endless_loop@softmax#1", "timed_out"), ("device.far_write@softmax#1", "crashed")],
)
def test_a_mutant_that_gives_no_answer_is_run_in_a_child_that_is_ended(
    suite, monkeypatch, name, outcome
):
    monkeypatch.chdir(suite.path)
    suite.write(conftest=HOSTILE.read_text())
    quick = ["--mutatenn-timeout-constant=2", "--mutatenn-timeout-factor=1"]
    suite.run(f"--mutatenn-mutants={name}", *quick)
    assert main(["export", name, "report.json", "-o", "out"]) == 0
    folder = suite.path / "out" / f"{name}@llvm-O2"
    assert json.loads((folder / "expected.json").read_text())["outcome"] == outcome
    done = run_alone(folder)

    assert "In the report it gave no answer" in done.stdout
    assert "the mutant gave no more answers" in done.stdout
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_cannot_be_exported_says_why(suite, monkeypatch, capsys):
    monkeypatch.chdir(suite.path)
    suite.run(f"--mutatenn-mutants={MUTANTS[1]}")
    (suite.path / "tiny.onnx").unlink()

    assert main(["export", MUTANTS[1], "report.json"]) == 2
    said = capsys.readouterr().err
    assert "could not be exported" in said
    assert "tiny.onnx" in said
    assert main(["export", MUTANTS[1], "report.json", "--cell", "llvm-O9"]) == 2
    assert "it has llvm-O2" in capsys.readouterr().err


def test_an_export_of_another_network_is_no_success(suite, monkeypatch, capsys):
    monkeypatch.chdir(suite.path)
    suite.run(f"--mutatenn-mutants={MUTANTS[1]}")
    path = suite.path / "report.json"
    record = json.loads(path.read_text())
    record["mutants"][0]["cells"]["llvm-O2"]["code_digest"] = "0" * 64
    path.write_text(json.dumps(record))

    assert main(["export", MUTANTS[1], "report.json"]) == 2
    assert "is not what the report has" in capsys.readouterr().err


def test_the_folder_has_the_weights_that_change_and_no_others(exported):
    _, (folder,) = exported(MUTANTS[3])
    with np.load(folder / "changed.npz") as changed, np.load(folder / "params.npz") as params:
        (name,) = changed.files
        assert (changed[name] != params[name]).sum() == 1
