"""Operators of a user's, or of an installed package: listed, run, made anew when they change."""

import os

import pytest

MODULE = '''
import numpy as np
from pytest_mutatenn import operator
from pytest_mutatenn.operators.parameter import Parameter

@operator("double_bias", category="weights", stages=["weights"], on=Parameter, within=["bias"],
          example=lambda bias: (bias, bias.values * np.float32(FACTOR)))
def double_bias(bias):
    """Double the bias of a layer."""
    yield bias.values * np.float32(FACTOR)
'''

ENTRY = "[mutatenn_operators]\nfaults = faulty.operators\n"
RUN = "--mutatenn-operators=double_bias"


@pytest.fixture
def installed(suite, tmp_path, monkeypatch):
    """Install a package that brings an operator: a folder on the path with its metadata."""
    folder = tmp_path / "site"
    about = folder / "faulty-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "faulty").mkdir()
    (folder / "faulty" / "__init__.py").touch()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")

    def install(module=MODULE, entry=ENTRY):
        (folder / "faulty" / "operators.py").write_text(module.replace("FACTOR", "2"))
        (about / "entry_points.txt").write_text(entry)
        return suite

    there = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(folder), there])))
    # two texts may be written within one tick of the clock that byte code is checked by
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return install


def afters(result):
    return [mutant["after"] for mutant in result.report["mutants"]]


def said(result):
    text = " ".join((result.stdout.str() + result.stderr.str()).split())
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    return text


# -- an installed package --------------------------------------------------------------------------


def test_an_installed_operator_is_listed(installed):
    result = installed().run("--mutatenn-list-operators", report=False, apart=True)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["  double_bias *  weights", "      Double the bias of a layer."])


def test_an_installed_operator_runs_and_a_changed_file_makes_its_mutants_anew(installed):
    first = installed().run(RUN, apart=True)
    warm = installed().run(RUN, apart=True)
    changed = installed(MODULE.replace("FACTOR", "3")).run(RUN, apart=True)

    assert first.ret == pytest.ExitCode.OK
    for result, factor in ((first, 2), (warm, 2), (changed, 3)):
        ids = [mutant["id"] for mutant in result.report["mutants"]]
        assert ids == ["weights.double_bias@bias#1", "weights.double_bias@offset#1"]
        for mutant in result.report["mutants"]:
            before, after = (float(mutant[k].split()[2]) for k in ("before", "after"))
            assert after == pytest.approx(factor * before)
    assert warm.report["run"]["counters"]["evaluations_run"] == 0
    assert changed.report["run"]["counters"]["evaluations_run"] > 0


def test_two_workers_know_it_too(installed):
    result = installed().run(RUN, "-n2", apart=True)
    assert result.ret == pytest.ExitCode.OK
    assert len(result.report["mutants"]) == 2


def test_an_installed_module_that_does_not_import_is_named(installed):
    result = installed("import nowhere_at_all").run(RUN, apart=True)
    assert result.ret != pytest.ExitCode.OK
    assert (
        "The mutation operators of faulty.operators (entry point 'faults' of the group "
        "mutatenn_operators) could not be imported: ModuleNotFoundError:"
    ) in said(result)


def test_an_installed_module_that_is_not_there_is_named(installed):
    result = installed(entry="[mutatenn_operators]\nfaults = fulty.operators\n").run(
        "--mutatenn-list-operators", report=False, apart=True
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "The mutation operators of fulty.operators (entry point 'faults'" in said(result)


def test_a_name_of_ours_cannot_be_taken(installed):
    result = installed(MODULE.replace('"double_bias"', '"drop_bias"')).run(
        "--mutatenn-operators=drop_bias", apart=True
    )
    assert result.ret != pytest.ExitCode.OK
    assert "is already defined in" in said(result)


# -- a conftest ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            ("bias.values * np.float32(FACTOR)))", "bias.values * np.float32(5)))"),
            "Operator 'double_bias', its example: of [[0.5, -1.0, 2.0], [4.0, -8.0, 16.0]] it "
            "makes [[1.0, -2.0, 4.0], [8.0, -16.0, 32.0]], and not [[2.5, -5.0, 10.0], ",
        ),
        (
            ("yield bias.values * np.float32(FACTOR)", "yield bias.values"),
            "Operator 'double_bias', its example: it gives [[0.5, -1.0, 2.0], [4.0, -8.0, 16.0]] "
            "back, which is no change.",
        ),
        (
            ("    yield bias.values * np.float32(FACTOR)", "    yield from ()"),
            "Operator 'double_bias', its example: it yields nothing for [[0.5, ",
        ),
        (
            ("bias.values * np.float32(FACTOR)))", "bias.nothing))"),
            "conftest.py): its example fails: AttributeError: 'Parameter' object has no attribute",
        ),
    ],
    ids=["other", "same", "nothing", "failing"],
)
def test_an_example_that_does_not_hold_is_an_error_before_anything_runs(wrong, message, suite):
    suite.pytester.makeconftest(MODULE.replace(*wrong).replace("FACTOR", "2"))
    result = suite.run(RUN, apart=True)

    assert result.ret == pytest.ExitCode.INTERRUPTED
    text = said(result)
    assert message in text
    assert " passed" not in text
    assert "killed" not in text


def test_an_example_is_checked_for_operators_that_are_chosen_only(suite):
    suite.pytester.makeconftest(
        MODULE.replace("bias.values * np.float32(FACTOR)))", "bias.values))").replace("FACTOR", "2")
    )
    result = suite.run("--mutatenn-mutants=graph.relu_to_sigmoid@*", "--mutatenn-operators=graph",
                       apart=True)  # fmt: skip
    assert result.ret == pytest.ExitCode.OK


def test_an_example_holds_with_the_defaults_whatever_is_set(suite):
    suite.pytester.makeconftest(
        '''
        import numpy as np
        from pytest_mutatenn import operator
        from pytest_mutatenn.operators.parameter import Parameter

        @operator("times", category="weights", stages=["weights"], on=Parameter, within=["bias"],
                  example=lambda bias: (bias, bias.values * np.float32(2)))
        def times(bias, *, factor=2.0):
            """Scale the bias of a layer."""
            yield bias.values * np.float32(factor)
        '''
    )
    result = suite.run(
        "--mutatenn-operators=times", "--mutatenn-parameter=times.factor=7", apart=True
    )
    assert result.ret == pytest.ExitCode.OK, said(result)
    assert {mutant["parameters"]["factor"] for mutant in result.report["mutants"]} == {7.0}
