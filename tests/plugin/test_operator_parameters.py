"""Operators' parameters: set by ini key or option, shown in the report, and part of every key."""

import pytest
from records import verdicts

SCALE = "--mutatenn-operators=scale_channel"

# a suite that minds every change of the scores: two values of a parameter are two mutants
HEAD = """
import pytest
from pytest_mutatenn import max_abs_diff

@pytest.mark.mutatenn(model="tiny.onnx", inputs="tiny.npz")
def test_exact(predictions, baseline):
    assert max_abs_diff(predictions, baseline) == 0
"""


@pytest.fixture
def exact(project):
    return project.write(test_exact=HEAD)


def values(result):
    return [mutant["parameters"] for mutant in result.report["mutants"]]


def afters(result):
    return [mutant["after"] for mutant in result.report["mutants"]]


def test_a_parameter_changes_what_the_mutant_does(exact):
    default = exact.run(SCALE)
    double = exact.run(SCALE, "--mutatenn-parameter=scale_channel.factor=2")
    # by one it changes nothing, so that it has no sites
    same = exact.run(SCALE, "--mutatenn-parameter=scale_channel.factor=1")

    assert values(default) == [{"factor": -1.0}] * 2
    assert values(double) == [{"factor": 2.0}] * 2
    assert afters(default) != afters(double)
    for entry in double.report["mutants"]:
        before, after = (float(entry[k].split(" = ")[1].split()[0]) for k in ("before", "after"))
        assert after == pytest.approx(2 * before)
    assert same.report["mutants"] == []
    assert same.report["absent"][0]["operator"] == "scale_channel"


def test_the_result_of_another_value_is_not_reused(exact):
    exact.run(SCALE, "--mutatenn-parameter=scale_channel.factor=3")
    warm = exact.run(SCALE, "--mutatenn-parameter=scale_channel.factor=3")
    other = exact.run(SCALE, "--mutatenn-parameter=scale_channel.factor=3.5")
    back = exact.run(SCALE, "--mutatenn-parameter=scale_channel.factor=3")

    assert warm.report["run"]["counters"]["evaluations_run"] == 0
    # the mutants, and what of the checks is not stored yet
    assert other.report["run"]["counters"]["evaluations_run"] >= 2
    codes = [
        [mutant["cells"]["llvm-O2"]["tau_mean"] for mutant in run.report["mutants"]]
        for run in (warm, back)
    ]
    assert codes[0] == codes[1]
    assert back.report["run"]["counters"]["evaluations_run"] == 0
    assert afters(back) == afters(warm) != afters(other)


def test_another_operators_value_changes_nothing(exact):
    exact.run(SCALE)
    again = exact.run(SCALE, "--mutatenn-parameter=gaussian_noise.strength=0.3")
    assert again.report["run"]["counters"]["evaluations_run"] == 0
    assert values(again) == [{"factor": -1.0}] * 2


def test_the_ini_file_sets_them_and_the_command_line_wins(exact):
    exact.pytester.makeini(
        "[pytest]\nmutatenn_parameters =\n"
        "    scale_channel.factor = 4\n    gaussian_noise.strength=0.25\n"
    )
    operators = "--mutatenn-operators=scale_channel,gaussian_noise"
    ini = exact.run(operators)
    line = exact.run(operators, "--mutatenn-parameter=scale_channel.factor=5")

    found = {str(value) for value in values(ini)}
    assert found == {"{'factor': 4.0}", "{'strength': 0.25}"}
    found = {str(value) for value in values(line)}
    assert found == {"{'factor': 5.0}", "{'strength': 0.25}"}


def test_a_pair_names_the_operator_of_each(exact):
    result = exact.run(
        "--mutatenn-operators=scale_channel,gaussian_noise",
        "--mutatenn-order=2",
        "--mutatenn-parameter=scale_channel.factor=0.5",
    )
    for mutant in result.report["mutants"]:
        expected = {"scale_channel": ("factor", 0.5), "gaussian_noise": ("strength", 0.5)}
        assert mutant["parameters"] == {
            f"{name}.{expected[name][0]}": expected[name][1]
            for name in mutant["operator"].split("+")
        }
    assert "KILLED" in verdicts(result.report).values()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("scale_chanel.factor=2", "there is no operator 'scale_chanel'. Did you mean 'scale_ch"),
        ("scale_channel.facter=2", "has no parameter 'facter'. Did you mean 'factor'? It has: fac"),
        ("drop_bias.factor=2", "the operator drop_bias has no parameter 'factor'. It has: none."),
        ("scale_channel.factor=two", "scale_channel.factor must be a number, got 'two'."),
        ("scale_channel.factor=nan", "scale_channel.factor must be a number, got 'nan'."),
    ],
)
@pytest.mark.parametrize("ini", [False, True], ids=["option", "ini"])
def test_what_is_wrong_is_one_sentence(ini, given, said, exact):
    if ini:
        exact.pytester.makeini(f"[pytest]\nmutatenn_parameters = {given}\n")
    result = exact.run(SCALE, *([] if ini else [f"--mutatenn-parameter={given}"]))

    assert result.ret == pytest.ExitCode.INTERRUPTED  # a collection error
    text = " ".join((result.stdout.str() + result.stderr.str()).split())
    assert said in text
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text


def test_a_whole_number_must_be_one(exact):
    exact.pytester.makeconftest(
        '''
        from pytest_mutatenn import operator
        from pytest_mutatenn.operators.parameter import Parameter

        @operator("add_number", category="weights", stages=["weights"], on=Parameter)
        def add_number(parameter, *, number=1, how="plus"):
            """Add a whole number."""
            yield parameter.values + (number if how == "plus" else -number)
        '''
    )
    add = "--mutatenn-operators=add_number"
    wrong = exact.run(add, "--mutatenn-parameter=add_number.number=1.5", apart=True)
    assert "add_number.number must be a whole number, got '1.5'." in wrong.stdout.str()

    right = exact.run(
        add,
        "--mutatenn-parameter=add_number.number=2",
        "--mutatenn-parameter=add_number.how=minus",
        apart=True,
    )
    assert values(right)[0] == {"how": "minus", "number": 2}
    before, after = (float(right.report["mutants"][0][k].split()[2]) for k in ("before", "after"))
    assert after == pytest.approx(before - 2)
