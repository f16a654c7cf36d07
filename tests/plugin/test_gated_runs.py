"""Gates turn pytest's exit code, with and without workers."""

import pytest
from records import verdicts

FEW = "--mutatenn-mutants=graph.relu_to_sigmoid@*,kernel.store_plus_one@softmax*"
ONE = "--mutatenn-mutants=graph.relu_to_sigmoid@*"
TWO = "--mutatenn-opt-levels=0,2"
# one mutant dies, the others live: of two cells one sees another
WEAK = """
import pytest

pytestmark = pytest.mark.mutatenn(model="tiny.onnx", inputs="tiny.npz")

def test_weak(predictions, mutant, opt_level):
    assert predictions.shape == (12, 5)
    assert mutant != "graph.relu_to_sigmoid@clip#1"
    assert mutant != "kernel.store_plus_one@softmax#1" or opt_level == 0
"""
KNOWN = """\
schema = "mutatenn-baseline/1"
cells = ["llvm-O0", "llvm-O2"]
[options]
operators = "all"
[networks]
"""
SURVIVORS = "[survivors.tiny]\n" + "".join(
    f'"kernel.store_plus_one@softmax#{i}" = ["llvm-O0", "llvm-O2"]\n' for i in range(1, 6)
)
DIVERGES = '[divergent.tiny]\n"kernel.store_plus_one@softmax#1" = []\n'

WORKERS = pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["n0", "n2"])


@pytest.fixture
def weak(project):
    return project.write(test_weak=WEAK)


def errors(result):
    lines = (result.stdout.str() + result.stderr.str()).splitlines()
    return [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]


# all gates that pass are asked for in one run, and all that do not in another: each has its entry
PASSED = [
    "--mutatenn-fail-under=20,stage:graph=100,cell:llvm-O2=30,operator:store_plus_one=10",
    "--mutatenn-max-survivors=9,category:layer=0",
    "--mutatenn-baseline=known.toml",
    "--mutatenn-fail-on=timeout,crashed,invalid,skipped",
]
FAILED = [
    ("--mutatenn-fail-under=90", "--mutatenn-fail-under: required 90 %, reached "),
    (
        "--mutatenn-fail-under=20,category:stores=60",
        "--mutatenn-fail-under, category:stores: required 60 %, reached ",
    ),
    ("--mutatenn-max-survivors=1", "--mutatenn-max-survivors: required at most 1, reached "),
    ("--mutatenn-baseline=none.toml", "--mutatenn-baseline=none.toml: required none that is new, "),
    ("--mutatenn-fail-on=divergent", "--mutatenn-fail-on=divergent: cells disagree on 1 mutant: "),
]


@pytest.fixture
def known(weak):
    """A file in which all is known that there is, and one in which nothing is."""
    (weak.path / "none.toml").write_text(KNOWN)
    (weak.path / "known.toml").write_text(KNOWN + SURVIVORS + DIVERGES)
    return weak


@WORKERS
def test_gates_that_are_passed_leave_the_exit_code(workers, known):
    result = known.run(FEW, TWO, *PASSED, *workers, apart=bool(workers))

    assert result.ret == pytest.ExitCode.OK
    assert errors(result) == []
    gates = result.report["gates"]
    assert [(gate["gate"], gate["scope"]) for gate in gates] == [
        ("fail-under", ""),
        ("fail-under", "stage:graph"),
        ("fail-under", "cell:llvm-O2"),
        ("fail-under", "operator:store_plus_one"),
        ("max-survivors", ""),
        ("max-survivors", "category:layer"),
        ("baseline", "known.toml"),
        ("fail-on", "timeout"),
        ("fail-on", "crashed"),
        ("fail-on", "invalid"),
        ("fail-on", "skipped"),
    ]
    assert all(gate["passed"] for gate in gates)
    for gate in gates:
        assert gate["text"] in result.stdout.str()


def test_gates_that_are_not_passed_are_code_1_with_workers_too(known):
    gates = [gate for gate, _ in FAILED[1:]]  # of one name only one counts
    result = known.run(FEW, TWO, *gates, "-n2", apart=True)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    told = errors(result)
    assert len(told) == len(gates)
    for text, (_, said) in zip(told, FAILED[1:], strict=True):
        assert text.startswith(said)


@pytest.mark.parametrize(("gate", "said"), FAILED, ids=[gate for gate, _ in FAILED])
def test_a_gate_that_is_not_passed_is_code_1(gate, said, known):
    result = known.run(FEW, TWO, gate)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    (text,) = errors(result)
    assert text.startswith(said)
    assert [e["text"] for e in result.report["gates"] if not e["passed"]] == [text]


# -- a file of known survivors -----------------------------------------------------------------


def test_the_file_of_known_survivors_is_written_and_holds(weak):
    made = weak.run(FEW, TWO, "--mutatenn-baseline=known.toml", "--mutatenn-update-baseline")
    text = (weak.path / "known.toml").read_text()
    again = weak.run(FEW, TWO, "--mutatenn-baseline=known.toml", "--mutatenn-update-baseline")

    assert (made.ret, again.ret) == (pytest.ExitCode.OK, pytest.ExitCode.OK)
    assert (weak.path / "known.toml").read_text() == text
    lives = {mutant for (mutant, _), verdict in verdicts(made.report).items()
             if verdict == "SURVIVED"}  # fmt: skip
    assert lives
    for mutant in lives:
        assert f'"{mutant}" = ["llvm-O0' in text
    made.stdout.fnmatch_lines(["--mutatenn-baseline=known.toml: written, with * survivors and 1 *"])


def test_a_missing_file_is_a_usage_error_that_names_the_way_out(weak):
    result = weak.run(FEW, "--mutatenn-baseline=known.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (text,) = errors(result)
    assert text.endswith(
        "known.toml is not there. Add --mutatenn-update-baseline once, to write it."
    )


def test_without_mutants_no_file_is_asked_for(weak):
    weak.pytester.makeini("[pytest]\nmutatenn_baseline = known.toml\nmutatenn_fail_under = 80\n")
    assert weak.plain().ret == pytest.ExitCode.OK
    result = weak.run("--mutatenn")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert errors(result)[0].startswith("the ini key mutatenn_baseline: ")


def test_of_a_run_that_ended_early_the_file_is_left_alone(weak):
    weak.pytester.makeconftest(
        """
        def pytest_runtest_logfinish(nodeid):
            if "relu_to_sigmoid" in nodeid:
                raise KeyboardInterrupt
        """
    )
    update = ("--mutatenn-baseline=known.toml", "--mutatenn-update-baseline")
    result = weak.run(FEW, *update, apart=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert not (weak.path / "known.toml").exists()


ENDS = [
    ("pytest.exit('enough', returncode=0)", "Exit: enough"),
    ("item.session.shouldfail = 'enough'", "enough"),
]


@pytest.mark.parametrize(("how", "said"), ENDS, ids=["exit", "shouldfail"])
@pytest.mark.parametrize("shard", [[], ["--mutatenn-shard=1/1"]], ids=["whole", "shard"])
def test_a_run_that_ends_early_with_code_0_is_not_green(how, said, shard, weak):
    weak.pytester.makeconftest(
        f"""
        import pytest

        def pytest_runtest_teardown(item):
            if "relu_to_sigmoid" in item.nodeid:
                {how}
        """
    )
    known = () if shard else ("--mutatenn-baseline=known.toml", "--mutatenn-update-baseline")
    result = weak.run(FEW, "--mutatenn-fail-under=0", *known, *shard, apart=True)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert errors(result) == [f"The run ended early ({said}): nothing is judged."]
    assert result.report["run"]["ended_early"] == said
    assert result.report["gates"] == []
    assert not (weak.path / "known.toml").exists()


def test_a_file_that_cannot_be_written_spares_the_other_gates_and_the_reports(weak):
    update = ("--mutatenn-baseline=none/known.toml", "--mutatenn-update-baseline")
    result = weak.run(ONE, *update, "--mutatenn-fail-under=0")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    (text,) = errors(result)
    assert text.startswith("--mutatenn-update-baseline: ")
    assert text.endswith("could not be written: No such file or directory.")
    assert [gate["gate"] for gate in result.report["gates"]] == ["fail-under"]


# -- usage errors, and what is no gate -------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--mutatenn-fail-under=cell:llvm-O3=1", "--mutatenn-fail-under: unknown cell 'llvm-O3'."),
        ("--mutatenn-fail-under=category:store=1", "--mutatenn-fail-under: unknown category 'stor"),
        ("--mutatenn-max-survivors=few", "--mutatenn-max-survivors must be a number of mutants"),
        ("--mutatenn-fail-on=survived", "--mutatenn-fail-on: unknown condition 'survived'."),
        ("--mutatenn-fail-on=indistinguishable", "--mutatenn-fail-on: indistinguishable needs"),
        ("--mutatenn-update-baseline", "--mutatenn-update-baseline needs --mutatenn-baseline=FILE"),
        ("--mutatenn-baseline=tiny.onnx", "--mutatenn-baseline: "),
        ("--mutatenn-shard=4/3", "--mutatenn-shard must be K/N, the number of this job among"),
        ("--mutatenn-shard=", "--mutatenn-shard is empty; leave it out, or give it a value."),
    ],
)
def test_a_wrong_gate_is_a_usage_error(option, said, weak):
    result = weak.run(FEW, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (text,) = errors(result)
    assert text.startswith(said)
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_a_part_without_any_mutant_is_not_green(weak):
    result = weak.run(ONE, "--mutatenn-fail-under=category:weights=0")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "there is no category 'weights' in this report" in errors(result)[0]


def test_gates_are_not_judged_where_no_mutant_is_run_and_it_says_so(weak):
    result = weak.run("--mutatenn-baseline-only", "--mutatenn-fail-under=80")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        ["not judged, since --mutatenn-baseline-only runs no mutant: fail-under=80"]
    )


# -- a crash of ours is never green ----------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_worker(monkeypatch):
    """A run of pytest that is started here is no worker's, whoever runs these tests."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)


def broken(project, where, name, worker=""):
    """Let a function of ours raise: in this process, or in a worker."""
    guard = f'if os.environ.get("PYTEST_XDIST_WORKER", "") == {worker!r}:'
    project.pytester.makeconftest(
        f"""
        import os
        import {where} as module

        def broken(*args, **more):
            raise RuntimeError("broken by the test")
        {guard}
            module.{name} = broken
        """
    )


def test_a_writer_that_breaks_fails_the_run_and_spares_the_other_reports(weak):
    broken(weak, "pytest_mutatenn.report.formats.mutatenn", "write")
    result = weak.run(ONE, "--mutatenn-report=mutatenn:there", apart=True)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.report["mutants"]
    assert errors(result) == [
        "--mutatenn-report=mutatenn:there failed, by a fault of its writer: RuntimeError: broken "
        "by the test (conftest.py, line 5)"
    ]


HOOKS = [
    ("pytest_mutatenn.tally", "build_record"),
    ("pytest_mutatenn.tally", "judge_gates"),
    ("pytest_mutatenn.report.terminal", "_table"),
    ("pytest_mutatenn.rows", "read_row"),
    ("pytest_mutatenn.describing", "describe_subjects"),
]


@pytest.mark.parametrize(("where", "name"), HOOKS, ids=[name for _, name in HOOKS])
def test_a_hook_that_breaks_is_not_green(where, name, weak):
    broken(weak, where, name)
    result = weak.run(ONE, apart=True)
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    assert "broken by the test" in result.stdout.str() + result.stderr.str()


def test_a_worker_that_breaks_at_its_end_is_not_green(weak):
    broken(weak, "pytest_mutatenn.describing", "describe_subjects", worker="gw1")
    # without mutants no gate would mind what one of the two knew
    result = weak.run("--mutatenn-baseline-only", "-n2", apart=True)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert errors(result) == [
        "A worker could not tell what it knows, by a fault of pytest-mutatenn:"
    ]
    assert "RuntimeError: broken by the test" in result.stdout.str()


def test_a_worker_that_dies_at_its_end_is_not_green(weak):
    weak.pytester.makeconftest(
        """
        import os, pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_sessionfinish(session):
            if os.environ.get("PYTEST_XDIST_WORKER") == "gw1":
                os._exit(0)
        """
    )
    result = weak.run("--mutatenn-baseline-only", "-n2", apart=True)
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
