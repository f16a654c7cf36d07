"""What the options do to a run."""

import pytest
from records import verdicts

FEW = "--mutatenn-mutants=graph.relu_to_sigmoid@*,kernel.max_to_min@softmax#1,kernel.boundary@*"


def mutants(result):
    return [mutant["id"] for mutant in result.report["mutants"]]


def not_sampled(report):
    return report["excluded"]["sampled_out"]


def test_cells_are_devices_by_opt_levels(suite):
    result = suite.run(FEW, "--mutatenn-devices=llvm", "--mutatenn-opt-levels=O0 2,2")

    assert [cell["id"] for cell in result.report["cells"]] == ["llvm-O0", "llvm-O2"]
    assert list(result.report["score"]["by_cell"]) == ["llvm-O0", "llvm-O2"]
    result.stdout.fnmatch_lines(["mutatenn: llvm-O0, llvm-O2; operators all; reference llvm-O0"])


def test_the_ini_file_gives_defaults_and_the_command_line_wins(suite):
    suite.pytester.makeini("[pytest]\nmutatenn_opt_levels = 0\nmutatenn_stages = graph\n")

    ini = suite.run("--mutatenn", "--mutatenn-operators=default")
    line = suite.run(FEW, "--mutatenn-opt-levels=2", "--mutatenn-stages=kernel")

    assert {mutant["stage"] for mutant in ini.report["mutants"]} == {"graph"}
    assert [cell["id"] for cell in ini.report["cells"]] == ["llvm-O0"]
    assert {mutant["stage"] for mutant in line.report["mutants"]} == {"kernel"}


def test_model_and_inputs_may_come_from_the_ini_file(project):
    project.pytester.makeini("[pytest]\nmutatenn_model=tiny.onnx\nmutatenn_inputs=tiny.npz\n")
    (project.path / "tests").mkdir()
    (project.path / "tests" / "test_it.py").write_text(
        "def test_it(predictions):\n    assert len(predictions) == 12\n"
    )
    project.plain().assert_outcomes(passed=1)


def test_a_sample_is_the_same_for_a_seed_and_has_an_interval(suite):
    def sampled(*args):
        return suite.run("--mutatenn-operators=max_to_min,boundary,relu_to_sigmoid", *args)

    everything = sampled()
    one, same = sampled("--mutatenn-sample=4"), sampled("--mutatenn-sample=4")
    other = sampled("--mutatenn-sample=4", "--mutatenn-seed=5")
    half = sampled("--mutatenn-sample=50%")

    total = len(mutants(everything))
    assert len(mutants(one)) == 4
    assert mutants(one) == mutants(same) != mutants(other)
    assert not_sampled(one.report) == total - 4
    assert len(mutants(half)) == round(total / 2)
    # the verdicts of the sample are those of the whole
    whole = verdicts(everything.report)
    scored = {k: v for k, v in verdicts(one.report).items() if v in ("KILLED", "SURVIVED")}
    assert all(whole[key] in (v, "DUPLICATE") for key, v in scored.items())
    overall = one.report["score"]["overall"]
    assert overall["low"] < overall["score"] <= overall["high"] + 1e-9
    assert everything.report["score"]["overall"]["low"] is None


def test_a_sweep_changes_all_sites_or_a_window_of_them(suite):
    sweep = suite.run("--mutatenn-operators=kernel.boundary", "--mutatenn-order=sweep")
    window = suite.run(
        "--mutatenn-operators=kernel.boundary",
        "--mutatenn-order=sweep",
        "--mutatenn-positions=1:3",
    )
    beyond = suite.run(
        "--mutatenn-operators=kernel.boundary",
        "--mutatenn-order=sweep",
        "--mutatenn-positions=90:",
    )

    assert mutants(sweep) == ["kernel.boundary@sweep"]
    assert mutants(window) == ["kernel.boundary@sweep:1:3"]
    assert window.report["mutants"][0]["kernel"] == "2 sites"
    assert set(verdicts(sweep.report).values()) == {"KILLED"}
    assert beyond.ret == pytest.ExitCode.TESTS_FAILED
    assert mutants(beyond) == []
    assert "leaves none of its" in beyond.report["absent"][0]["reason"]


def test_the_score_is_a_gate_that_is_passed(suite):
    assert suite.run(FEW, "--mutatenn-fail-under=100").ret == pytest.ExitCode.OK


def test_the_score_is_a_gate_that_is_not_passed(suite):
    suite.write(
        test_tiny="""
        import pytest

        @pytest.mark.mutatenn(model="tiny.onnx", inputs="tiny.npz")
        def test_weak(predictions):
            assert predictions.shape == (12, 5)
        """
    )
    result = suite.run(FEW, "--mutatenn-fail-under=50")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["ERROR: --mutatenn-fail-under: required 50 %, reached 0.00 % by the score, 0 of 6 *"]
    )


def test_baseline_only_runs_every_cell_and_no_mutant(suite):
    result = suite.run("--mutatenn-baseline-only", "--mutatenn-opt-levels=0,2,3")

    result.assert_outcomes(passed=9)
    assert result.ret == pytest.ExitCode.OK
    assert result.report["mutants"] == []
    assert {entry["cell"] for entry in result.report["baseline"]} == {
        "llvm-O0",
        "llvm-O2",
        "llvm-O3",
    }


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["plain", "xdist"])
def test_a_list_shows_each_mutant_and_runs_nothing(workers, suite):
    result = suite.run(FEW, "--mutatenn-list", *workers, report=False, apart=bool(workers))

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            "tiny on llvm-O2: 6 mutants",
            "graph.relu_to_sigmoid@clip#1  clip (Clip relu6)",
            "    - *R.clip(*",
            "    + *R.sigmoid(*",
            "     1  Layer node replacement (layer), graph",
            "*no tests ran*",
        ]
    )


def test_a_list_without_a_network_says_so(project):
    project.write(test_it="def test_it():\n    pass\n")
    result = project.run("--mutatenn-list", report=False)
    result.stdout.fnmatch_lines(["No mutants: no test with a network was collected."])


def test_reports_go_where_they_are_sent(suite):
    result = suite.run(FEW, "--mutatenn-report=json:deep/down/r.json", "--mutatenn-report=json")

    assert (suite.path / "deep" / "down" / "r.json").exists()
    assert (suite.path / "mutatenn.json").exists()
    assert (suite.path / "mutatenn.json").read_text() == (suite.path / "report.json").read_text()
    assert result.ret == pytest.ExitCode.OK


def test_a_report_that_cannot_be_written_fails_the_run_with_a_reason(suite):
    result = suite.run(FEW, "--mutatenn-report=json:tiny.onnx/r.json")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["ERROR: --mutatenn-report=json:tiny.onnx/r.json could not be*"])


def test_a_report_is_written_without_a_terminal_too(suite):
    result = suite.run(FEW, "-p", "no:terminal")

    assert result.ret == pytest.ExitCode.OK
    assert len(mutants(result)) == 6


def test_every_option_is_in_the_help(pytester):
    result = pytester.runpytest_inprocess("--help")
    for name in (
        *("devices", "opt-levels", "operators", "stages", "mutants", "order", "positions"),
        *("sample", "seed", "fail-under", "full-matrix", "list", "report", "cache-dir"),
        *("timeout-factor", "timeout-constant", "memory-limit", "reference", "baseline-only"),
    ):
        assert f"--mutatenn-{name}" in result.stdout.str(), name
    result.stdout.fnmatch_lines(["*mutatenn_opt_levels*"])


def test_the_marker_and_the_fixtures_are_described(pytester):
    markers = pytester.runpytest_inprocess("--markers", "--strict-markers")
    markers.stdout.fnmatch_lines(["@pytest.mark.mutatenn(model, inputs, *"])
    fixtures = pytester.runpytest_inprocess("--fixtures")
    for name in ("model", "predictions", "baseline", "reference", "mutant", "device", "opt_level"):
        fixtures.stdout.fnmatch_lines([f"{name} -- *"])
