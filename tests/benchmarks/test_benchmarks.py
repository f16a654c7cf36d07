"""What of the benchmarks is no measurement: arguments, figures, the table, the files."""

import ast
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from benchmarks import __main__ as command
from benchmarks import exact, marginal, memory, table
from benchmarks.common import NETWORKS, Bench, BenchmarkError, Line, quantile, varied
from benchmarks.marginal import Marginal
from benchmarks.runs import SUITES, Project, Run, suite_text
from benchmarks.worker import Worker

HOST = {
    "started": "today",
    "cpu": "a processor",
    "cores": 2,
    "load": [0.5, 0.25, 0.125],
    "packages": {"apache-tvm": "0.27"},
    "python": "3.11",
}


def arguments(tmp_path, *parts):
    files = [f"--json={tmp_path / 'speed.json'}", f"--table={tmp_path / 'speed.md'}"]
    return [*parts, "--models=models", "--images=images", *files]


def a_run(seconds, **verdicts):
    """A run as its report tells it: `a="KILLED"` is a mutant `a` that was killed."""
    mutants = [
        {
            "id": name,
            "stage": "kernel",
            "cells": {
                "llvm-O2": {
                    "verdict": verdict,
                    "killed_by": ["test"] if verdict == "KILLED" else [],
                    "seconds_compile": 0.25,
                    "seconds_run": 0.5 if verdict == "KILLED" else None,
                }
            },
        }
        for name, verdict in verdicts.items()
    ]
    return Run(seconds, "", {"mutants": mutants, "run": {"counters": {}}})


class TestArguments:
    def test_all_parts_by_default(self, tmp_path):
        assert command.parse(arguments(tmp_path)).parts == list(command.PARTS)

    def test_parts_come_in_their_order(self, tmp_path):
        found = command.parse(arguments(tmp_path, "exact", "cost"))
        assert found.parts == ["cost", "exact"]

    def test_an_unknown_part_is_named(self, tmp_path, capsys):
        with pytest.raises(SystemExit):
            command.parse(arguments(tmp_path, "speed"))
        assert "there is no part 'speed'; parts: cost, " in capsys.readouterr().err

    def test_help_names_every_part(self):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", "--help"],
            cwd=Path(command.__file__).parents[1],
            capture_output=True,
            text=True,
        )
        assert [part for part in command.PARTS if f"  {part} " not in done.stdout] == []


class TestFigures:
    @pytest.mark.parametrize(("part", "value"), [(0, 1), (0.5, 2.5), (1, 4), (0.95, 3.85)])
    def test_quantile(self, part, value):
        assert quantile([4, 1, 3, 2], part) == pytest.approx(value)

    def test_a_quantile_of_nothing_is_refused(self):
        with pytest.raises(BenchmarkError, match="nothing was measured"):
            quantile([], 0.5)

    @pytest.mark.parametrize(
        ("line", "reached"),
        [
            (Line("a", 2.0), None),
            (Line("a", 2.0, target=2.0), True),
            (Line("a", 2.1, target=2.0), False),
            (Line("a", 2.1, target=2.0, at_least=True), True),
            (Line("a", 1.9, target=2.0, at_least=True), False),
        ],
    )
    def test_targets(self, line, reached):
        assert line.reached is reached

    def test_pictures_are_all_different(self):
        pictures = np.random.default_rng(0).random((2, 1, 3, 8, 8))
        found = varied(pictures, 7, (1, 3, 8, 8))
        assert found.shape == (7, 1, 3, 8, 8)
        assert np.array_equal(found[:2], pictures)
        assert len({picture.tobytes() for picture in found}) == 7
        assert np.array_equal(varied(pictures, 1, (1, 3, 8, 8)), pictures[:1])


class TestMarginal:
    def test_only_mutants_that_no_run_had_before_count(self):
        found = marginal.of_runs(
            [
                a_run(9.0, a="KILLED"),
                a_run(3.0, a="KILLED", b="SURVIVED"),
                a_run(8.0, b="SURVIVED", c="KILLED", d="EQUIVALENT", e="KILLED", f="SKIPPED"),
            ],
            fork=0.01,
        )
        assert (found.executed, found.made, found.seconds) == (1, 2, 5.0)
        assert found.verdicts == {"EQUIVALENT": 1, "KILLED": 2}
        # three were made, two of them were run
        assert found.share("seconds_compile") == 0.375
        assert found.share("seconds_run") == 0.5
        assert marginal.each([found, found]) == 5.0
        assert marginal.each([found], made=True) == 2.5

    def test_too_few_mutants_are_refused(self):
        runs = [a_run(9.0), a_run(3.0, a="KILLED"), a_run(8.0, b="KILLED")]
        with pytest.raises(BenchmarkError, match="take a larger sample"):
            marginal.of_runs(runs, fork=0.01)

    def test_a_time_below_nothing_is_refused(self):
        busy = Marginal(9.0, 3.0, 2.0, 10, 12, [], 0.01, {})
        with pytest.raises(BenchmarkError, match=r"10 mutants more took 1\.0 s less"):
            marginal.each([busy])


class TestExact:
    def test_other_verdicts_killers_and_mutants_are_differences(self):
        one = a_run(1.0, a="KILLED", b="SURVIVED", c="KILLED")
        other = a_run(1.0, a="KILLED", b="TIMEOUT")
        found = exact.differences(one, other)
        assert [text.split()[0] for text in found] == ["b", "c"]
        assert exact.differences(one, one) == []


class TestMemory:
    def test_the_tree_has_children_and_their_memory(self):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        try:
            there = memory.tree(os.getpid())
            assert child.pid in there
            assert memory.tree(child.pid) == [child.pid]
            assert memory.pss(os.getpid()) > 2**20
        finally:
            child.communicate(b"\n")
        assert memory.pss(child.pid) == 0


RESULTS = {
    "warm": {
        "host": HOST,
        "seconds": 12.3,
        "lines": [
            Line("rows", 5000, "rows").as_dict(),
            Line("again | warm", 12.345, "s", 15.0).as_dict(),
            Line("faster", 1.5, "x", 1.7, at_least=True).as_dict(),
        ],
        "settings": {"rows": 5000},
        "notes": ["quiet"],
    },
    "exact": {"host": HOST, "seconds": 0.1, "error": "no such option\nmore of it"},
}


class TestRebuild:
    @pytest.fixture
    def digits(self, examples, tmp_path):
        """The network, and three of its inputs."""
        images = np.load(examples / "digits.npz")["images"][:3]
        inputs = (images.reshape(3, 1, 1, 8, 8) / 16).astype(np.float32)
        np.save(tmp_path / "inputs.npy", inputs)
        return examples / "digits.onnx", tmp_path / "inputs.npy", inputs

    def test_the_network_is_right_and_its_mutants_are_others(self, digits):
        model, file, inputs = digits
        worker = Worker("rebuild")
        with contextlib.closing(worker):
            first = worker.ask(model=str(model), inputs=str(file))
            found = [worker.ask(seed=seed, folded=bool(seed)) for seed in (0, 1)]
        session = onnxruntime.InferenceSession(str(model))
        scores = session.run(None, {session.get_inputs()[0].name: inputs[0]})[0]
        assert np.allclose(first["scores"], scores, atol=1e-5)
        # one of a kernel, one of the graph
        assert [one["mutant"].startswith("graph#") for one in found] == [False, True]
        assert all(one["differs"] for one in found)
        assert all(one["total"] == pytest.approx(one["compile"] + one["run"]) for one in found)

    def test_a_worker_that_fails_says_why(self, tmp_path):
        worker = Worker("rebuild")
        with contextlib.closing(worker), pytest.raises(BenchmarkError, match=r"no\.npy"):
            worker.ask(model="", inputs=str(tmp_path / "no.npy"))


class TestTable:
    def test_what_was_measured_its_target_and_what_was_not(self):
        text = table.render(RESULTS)
        assert text.splitlines()[2:6] == [
            "| warm | rows | 5000 rows |  |  |",
            "| warm | again \\| warm | 12.3 s | <= 15 s | yes |",
            "| warm | faster | 1.5 x | >= 1.7 x | **no** |",
            "| exact | not measured, or not to its end: no such option more of it | | | |",
        ]
        assert "**warm**: today, a processor, 2 cores, load 0.50, 0.25, 0.12" in text
        assert "Settings: rows 5000." in text
        assert "\n- quiet\n" in text

    @pytest.mark.parametrize(
        ("value", "text"), [(0.012345, "0.0123"), (3.0, "3"), (1234.6, "1235"), (0.0, "0")]
    )
    def test_numbers(self, value, text):
        assert table.number(value, "s") == f"{text} s"


class TestFiles:
    @pytest.fixture
    def parts(self, monkeypatch):
        """Every part measures a single line; `exact` then fails, `scaling` is interrupted."""

        def module(name):
            part = name.rpartition(".")[2]

            class Part:
                @staticmethod
                def run(bench, result):
                    result.settings["quick"] = bench.quick
                    result.lines.append(Line(part, 1.0))
                    result.samples.append({"a": 1})
                    if part == "exact":
                        raise BenchmarkError("there is no such option")
                    if part == "scaling":
                        raise KeyboardInterrupt

            return Part

        monkeypatch.setattr(command.importlib, "import_module", module)

    @pytest.mark.usefixtures("parts")
    def test_what_an_interrupted_part_has_is_written_and_no_part_follows(self, tmp_path):
        assert command.main(arguments(tmp_path, "scaling", "compile")) == 130
        found = json.loads((tmp_path / "speed.json").read_text())["parts"]
        assert list(found) == ["scaling"]
        assert found["scaling"]["error"] == "interrupted"
        assert found["scaling"]["samples"] == [{"a": 1}]

    @pytest.mark.usefixtures("parts")
    def test_each_part_is_written_and_others_stay(self, tmp_path):
        assert command.main(arguments(tmp_path, "warm")) == 0
        assert command.main(arguments(tmp_path, "exact", "cost", "--quick")) == 1
        found = json.loads((tmp_path / "speed.json").read_text())
        assert list(found["parts"]) == ["cost", "warm", "exact"]
        assert found["parts"]["cost"]["settings"] == {"quick": True}
        assert found["parts"]["cost"]["samples"] == [{"a": 1}]
        assert found["parts"]["exact"]["error"] == "there is no such option"
        assert len(found["parts"]["warm"]["host"]["load"]) == 3
        assert "| warm | warm | 1 |" in (tmp_path / "speed.md").read_text()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["speed.json", "speed.md"]

    def test_another_file_is_not_overwritten(self, tmp_path):
        (tmp_path / "speed.json").write_text('{"name": "mine"}')
        with pytest.raises(SystemExit, match="holds no results of this command"):
            command.main(arguments(tmp_path, "warm"))
        assert (tmp_path / "speed.json").read_text() == '{"name": "mine"}'


class TestProjects:
    @pytest.mark.parametrize("suite", SUITES)
    def test_a_suite_is_python_with_two_tests(self, suite, tmp_path):
        text = suite_text(suite, tmp_path / "net.onnx", tmp_path / "in.npy", {"scale": 2})
        functions = [n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)]
        assert [f.name for f in functions] == ["test_labels_hold", "test_ranking_holds"]

    def test_a_project_runs_and_its_report_is_read(self, tmp_path):
        bench = Bench(tmp_path, tmp_path, True, tmp_path)
        project = Project(bench, NETWORKS["digits"], count=3)
        run = project.cold("--mutatenn-mutants=weights.drop_bias@*", "--mutatenn-sample=1")
        assert run.made() == 1
        assert run.summary()["seconds"] > 0
        assert np.load(project.inputs).shape == (3, 1, 1, 8, 8)
        assert not list(tmp_path.glob("store-*"))

    def test_a_missing_network_is_said(self, tmp_path):
        bench = Bench(tmp_path, tmp_path, True, tmp_path)
        with pytest.raises(BenchmarkError, match=r"There is no .*ms_mnist8\.onnx; --models"):
            Project(bench, NETWORKS["ms_mnist8"])
