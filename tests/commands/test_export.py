"""A mutant alone: exported from a report, and run where there is nothing but TVM and NumPy."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hostile_record import hostile
from suites import SUITE

from pytest_mutatenn.commands import main
from pytest_mutatenn.report.one_mutant import run_arguments

HIDDEN = ("pytest_mutatenn", "pytest", "_pytest", "onnx", "scipy", "filelock", "onnxruntime")
HOSTILE = Path(__file__).parents[1] / "plugin" / "hostile.py"
KERNEL = "kernel.index_plus_one@batch_norm#16"
DEVICE = "device.store_plus_one@softmax#1"
WEIGHTS = "weights.bit_flip_exponent@dense#3b30"
DEVICES = ("llvm", "c", "opencl")
ENDLESS, FAR = "device.endless_loop@softmax#1", "device.far_write@softmax#1"
MUTANTS = ("graph.relu_to_sigmoid@clip#1", KERNEL, f"{DEVICE}@llvm-O2", WEIGHTS)


@pytest.fixture(scope="module")
def report(tiny, store_folder, tmp_path_factory):
    """A report of mutants of each stage, two of which give no answer; None where it failed."""
    folder = tmp_path_factory.mktemp("exported")
    for name in ("tiny.onnx", "tiny.npz"):
        shutil.copyfile(tiny / name, folder / name)
    (folder / "test_tiny.py").write_text(SUITE)
    (folder / "conftest.py").write_text(HOSTILE.read_text())
    (folder / "pytest.ini").write_text("[pytest]\n")
    mutants = [*MUTANTS[:2], DEVICE, WEIGHTS, *(f"{name}@llvm-O2" for name in (ENDLESS, FAR))]
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_tiny.py",
        f"--mutatenn-mutants={','.join(mutants)}", f"--mutatenn-devices={','.join(DEVICES)}",
        "--mutatenn-missing-device=skip", "--mutatenn-timeout-constant=3",
        f"--mutatenn-cache-dir={store_folder}", "--mutatenn-report=json:report.json",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "report.json"


@pytest.fixture(scope="module")
def exported(report):
    """Gives the folder of a mutant; all of a cell are exported at once."""
    done = set()

    def export(mutant, cell="llvm-O2"):
        if cell not in done:
            record = json.loads(report.read_text())
            if not any(known["id"] == cell and known["available"] for known in record["cells"]):
                pytest.skip(f"{cell} is not here")
            done.add(cell)
            for text in ("*",) if cell == "llvm-O2" else (KERNEL,):
                command = [sys.executable, "-m", "pytest_mutatenn", "export", text, report.name]
                command += ["--cell", cell, "-o", "out"]
                ran = subprocess.run(
                    command, cwd=report.parent, capture_output=True, text=True, check=False
                )
                assert ran.returncode == 0, ran.stdout + ran.stderr
        name = mutant if mutant.endswith(cell) else f"{mutant}@{cell}"
        return report.parent / "out" / name

    return export


@pytest.fixture
def copied(exported, tmp_path):
    """A copy of an exported mutant, to be tampered with."""
    return Path(shutil.copytree(exported(KERNEL), tmp_path / "copy"))


def run_alone(folder):
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
    command = [sys.executable, "run.py"]
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


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_each_stage_runs_alone_and_gives_what_the_report_has(exported, report, name):
    folder = exported(name)
    mutants = json.loads(report.read_text())["mutants"]
    told = next(m["cells"]["llvm-O2"] for m in mutants if m["id"] == name)
    done = run_alone(folder)

    assert done.returncode == 0, done.stdout + done.stderr
    found = best(done.stdout)
    assert sorted(found) == list(range(12))
    assert all(ours == theirs for _, ours, theirs in found.values())
    expected = json.loads((folder / "expected.json").read_text())
    assert expected["code"] == told["code_digest"]
    if told["top1_changed"] is not None:
        changed = sum(base != ours for base, ours, _ in found.values())
        assert changed == told["top1_changed"]
    readme = (folder / "README.md").read_text()
    assert readme.startswith(f"# {name.removesuffix('@llvm-O2')}\n")


@pytest.mark.parametrize("device", ["c", "opencl"])
def test_other_devices_run_alone_with_what_they_need(exported, device):
    folder = exported(KERNEL, f"{device}-O2")
    done = run_alone(folder)

    assert done.returncode == 0, done.stdout + done.stderr
    needs = {"c": "a C compiler", "opencl": "pyopencl"}
    assert needs[device] in (folder / "README.md").read_text()


@pytest.mark.parametrize(("name", "outcome"), [(ENDLESS, "timed_out"), (FAR, "crashed")])
def test_a_mutant_that_gives_no_answer_is_run_in_a_child_that_is_ended(exported, name, outcome):
    folder = exported(f"{name}@llvm-O2")
    assert json.loads((folder / "expected.json").read_text())["outcome"] == outcome
    done = run_alone(folder)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.index("In the report it gave no answer") < done.stdout.index("unmutated")
    assert "the mutant gave no more answers" in done.stdout


def test_the_script_fails_where_a_best_class_is_another(copied):
    path = copied / "expected.json"
    expected = json.loads(path.read_text())
    expected["top1"]["mutant"]["3"] += 1
    path.write_text(json.dumps(expected))
    done = run_alone(copied)

    assert done.returncode == 1
    assert done.stdout.count("differs") == 1
    assert "not as in the report" in done.stdout


def test_the_mutant_is_the_exported_kernel_and_no_other(copied):
    """With the baseline's kernel in place of its own, it is the unmutated network."""
    (mutated,) = (copied / "kernels" / "mutant").iterdir()
    mutated.write_text((copied / "kernels" / "baseline" / mutated.name).read_text())
    done = run_alone(copied)

    assert done.returncode == 1
    assert all(base == ours for base, ours, _ in best(done.stdout).values())


def test_the_script_says_what_a_machine_lacks(copied):
    (copied / "device.py").write_text("def missing():\n    return 'a crystal ball'\n")
    done = run_alone(copied)

    assert done.returncode == 2
    assert "This machine lacks a crystal ball." in done.stdout


def test_the_folder_has_the_weights_that_change_and_no_others(exported):
    folder = exported(WEIGHTS)
    with np.load(folder / "changed.npz") as changed, np.load(folder / "params.npz") as params:
        (name,) = changed.files
        assert (changed[name] != params[name]).sum() == 1


def test_what_cannot_be_exported_says_why(report, monkeypatch, capsys):
    monkeypatch.chdir(report.parent)
    assert main(["export", KERNEL, "report.json", "--cell", "llvm-O9"]) == 2
    assert "it has c-O2, llvm-O2" in capsys.readouterr().err

    monkeypatch.chdir("/")
    assert main(["export", KERNEL, str(report), "--cell", "llvm-O2"]) == 2
    said = capsys.readouterr().err
    assert "could not be exported" in said
    assert "test_tiny.py" in said


def test_of_two_networks_each_has_its_own_mutant_of_one_id(tmp_path, monkeypatch, capsys):
    """What pytest writes is stood in for: the two lie below their networks' names."""
    mutant = "kernel.store_zero@relu#1"
    record = hostile()
    record["run"]["argv"] = ["test_both.py"]
    first = record["mutants"][0]
    there = {**next(iter(first["cells"].values())), "verdict": "KILLED", "code_digest": None}
    record["mutants"] = [
        {**first, "model": model, "id": mutant, "cells": {"llvm-O2": there}}
        for model in ("old", "new")
    ]
    (tmp_path / "report.json").write_text(json.dumps(record))

    def written(command, **_):
        for model in ("old", "new"):
            folder = tmp_path / "out" / model / f"{mutant}@llvm-O2"
            folder.mkdir(parents=True)
            (folder / "expected.json").write_text(json.dumps({"model": model, "code": ""}))
        assert f"--mutatenn-mutants={mutant}" in command
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", written)
    monkeypatch.chdir(tmp_path)
    assert main(["export", mutant, "report.json", "-o", "out"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.rpartition(": ")[2] for line in said] == [
        f"out/{model}/{mutant}@llvm-O2" for model in ("old", "new")
    ]


@pytest.mark.parametrize(
    "devices", [["--mutatenn-devices=opencl,c"], ["--mutatenn-devices", "opencl c"]]
)
def test_of_a_combined_report_the_tests_of_the_run_on_that_device_are_collected(
    tmp_path, monkeypatch, capsys, devices
):
    """The letter of a device may stand in any argument."""
    record = hostile()
    record["run"]["runs"] = [{"argv": ["test_cache.py"]}, {"argv": ["test_own.py", *devices]}]
    first = record["mutants"][0]
    there = {**next(iter(first["cells"].values())), "verdict": "KILLED"}
    record["mutants"] = [{**first, "id": KERNEL, "cells": {"c-O2": there}}]
    (tmp_path / "report.json").write_text(json.dumps(record))

    def refused(command, **_):
        return subprocess.CompletedProcess(command, 4, "", "")

    monkeypatch.setattr(subprocess, "run", refused)
    monkeypatch.chdir(tmp_path)
    assert main(["export", KERNEL, "report.json"]) == 2
    said = capsys.readouterr().err
    assert "pytest test_own.py" in said
    assert "test_cache.py" not in said


def test_gates_of_the_run_are_not_asked_of_an_export():
    argv = ["t.py", "--mutatenn-fail-under=cell:llvm-O0=1", "--mutatenn-baseline", "known.toml"]
    record = {"run": {"argv": [*argv, "--mutatenn-update-baseline", "-n", "2", "-n4", "-q"]}}
    assert run_arguments(record, "llvm-O2") == ["t.py", "-q"]


def test_an_export_of_another_network_is_no_success(report, tmp_path, monkeypatch, capsys):
    record = json.loads(report.read_text())
    for mutant in record["mutants"]:
        for there in mutant["cells"].values():
            there["code_digest"] = "0" * 64
    other = tmp_path / "other.json"
    other.write_text(json.dumps(record))
    monkeypatch.chdir(report.parent)

    assert main(["export", KERNEL, str(other), "--cell", "llvm-O2", "-o", str(tmp_path)]) == 2
    assert "is not what the report has" in capsys.readouterr().err
