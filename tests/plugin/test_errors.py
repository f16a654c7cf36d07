"""Bad input: one clear sentence, exit code 4 or a pytest error, and no traceback of ours."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

ONE = "--mutatenn-mutants=graph.relu_to_sigmoid@*"


def says(result, *lines):
    """The output has the lines, and nothing of our insides."""
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    text = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in text
    assert "pytest_mutatenn/" not in text
    for line in lines:
        assert line in " ".join(text.split()), text
    return text


def project_with(project, **marker):
    arguments = ", ".join(f"{name}={value!r}" for name, value in marker.items())
    return project.write(
        test_it=f"""
        import pytest

        @pytest.mark.mutatenn({arguments})
        def test_it(predictions):
            assert len(predictions)
        """
    )


# -- options --------------------------------------------------------------------------------------

OPTIONS = [
    ("--mutatenn-devices=lvm", "--mutatenn-devices: unknown device 'lvm'. Did you mean 'llvm'?"),
    ("--mutatenn-devices=", "--mutatenn-devices is empty; leave it out, or give it a value"),
    ("--mutatenn-operators=", "--mutatenn-operators is empty; leave it out, or give it a value"),
    ("--mutatenn-mutants=", "--mutatenn-mutants is empty; leave it out, or give it a value"),
    ("--mutatenn-accept=", "--mutatenn-accept is empty; leave it out, or give it a value"),
    ("--mutatenn-reference=lvm-O2", "--mutatenn-reference: unknown device 'lvm'"),
    ("--mutatenn-reference=llvm-O9", "--mutatenn-reference: "),
    ("--mutatenn-opt-levels=5", "--mutatenn-opt-levels: '5' is no opt level; they are 0 to 4"),
    ("--mutatenn-opt-levels=,", "--mutatenn-opt-levels names no opt level"),
    ("--mutatenn-stages=kernl", "--mutatenn-stages: unknown stage 'kernl'. Did you mean 'kernel'?"),
    ("--mutatenn-order=up", "--mutatenn-order must be site, sweep, sites:N or N, where N is 2 or"),
    ("--mutatenn-order=1", "--mutatenn-order must be site, sweep, sites:N or N, where N is 2 or"),
    ("--mutatenn-order=sites:", "--mutatenn-order must be site, sweep, sites:N or N, where N is"),
    ("--mutatenn-parameter=x", "--mutatenn-parameter must be OPERATOR.PARAMETER=VALUE, such as"),
    ("--mutatenn-accept=nowhere.toml", "--mutatenn-accept: "),
    ("--mutatenn-positions=0:3", "--mutatenn-positions needs --mutatenn-order=sweep"),
    ("--mutatenn-sample=0", "--mutatenn-sample must be a number of mutants, or a percentage"),
    ("--mutatenn-sample=101%", "--mutatenn-sample must be"),
    ("--mutatenn-sample=1.5", "--mutatenn-sample must be"),
    ("--mutatenn-fail-under=101", "--mutatenn-fail-under must be a percentage between 0 and 100"),
    ("--mutatenn-fail-under=all", "--mutatenn-fail-under must be"),
    ("--mutatenn-seed=1.5", "--mutatenn-seed must be a whole number"),
    ("--mutatenn-timeout-factor=0.5", "--mutatenn-timeout-factor must be a factor of at least 1"),
    ("--mutatenn-timeout-constant=nan", "--mutatenn-timeout-constant must be"),
    ("--mutatenn-memory-limit=1", "--mutatenn-memory-limit must be"),
    ("--mutatenn-report=jason:x", "--mutatenn-report: unknown type 'jason'. Did you mean 'json'?"),
    ("--mutatenn-cache-dir=tiny.onnx", "--mutatenn-cache-dir: "),
]


@pytest.mark.parametrize(("option", "message"), OPTIONS, ids=[option for option, _ in OPTIONS])
def test_a_wrong_option_is_a_usage_error_that_names_it(option, message, suite):
    result = suite.pytester.runpytest_inprocess("--mutatenn", option)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    says(result, f"ERROR: {message}")


def test_a_wrong_ini_key_is_named_as_such(suite):
    suite.pytester.makeini("[pytest]\nmutatenn_fail_under = 120\n")

    result = suite.pytester.runpytest_inprocess("--mutatenn")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    says(result, "the ini key mutatenn_fail_under must be a percentage between 0 and 100")


def test_an_unknown_operator_is_named_with_the_nearest(suite):
    result = suite.run("--mutatenn-operators=bondary")

    assert result.ret != pytest.ExitCode.OK
    says(result, "--mutatenn-operators: unknown operator 'bondary'. Did you mean 'boundary'?")


def test_an_unknown_mutant_is_named_with_the_nearest(suite):
    result = suite.run("--mutatenn-mutants=graph.relu_to_sigmoid@clop#1")

    assert result.ret != pytest.ExitCode.OK
    says(
        result, "no cell has a mutant", "The nearest of llvm-O2 is 'graph.relu_to_sigmoid@clip#1'."
    )


def test_an_unknown_pass_is_named(suite):
    result = suite.run(ONE, "--mutatenn-disable-pass=FuseOpz")

    assert result.ret != pytest.ExitCode.OK
    says(result, "'FuseOpz'", "Did you mean 'FuseOps'?")


# -- networks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mutants", [[], [ONE]], ids=["plain", "mutants"])
def test_a_missing_file(mutants, project):
    project_with(project, model="nowhere.onnx", inputs="tiny.npz")

    result = project.run(*mutants) if mutants else project.plain()

    assert result.ret != pytest.ExitCode.OK
    says(result, "nowhere.onnx")


def test_a_truncated_file(project):
    whole = (project.path / "tiny.onnx").read_bytes()
    (project.path / "half.onnx").write_bytes(whole[: len(whole) // 2])
    project_with(project, model="half.onnx", inputs="tiny.npz")

    says(project.plain(), "half.onnx")
    says(project.run(ONE), "half.onnx")


def network(node, shape, extra=()):
    graph = helper.make_graph(
        [node],
        "bad",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        extra,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def test_an_operator_that_tvm_cannot_import(project):
    node = helper.make_node("Det", ["image"], ["out"], name="odd")
    onnx.save(network(node, [1, 1, 8, 8]), project.path / "odd.onnx")
    project_with(project, model="odd.onnx", inputs="tiny.npz")

    result = project.plain()

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    says(result, "odd.onnx", "Det")


def test_an_open_dimension(project):
    onnx.save(
        network(helper.make_node("Relu", ["image"], ["out"]), [1, 1, "height", 8]),
        project.path / "open.onnx",
    )
    project_with(project, model="open.onnx", inputs="tiny.npz")

    result = project.plain()

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    says(result, "height", "shapes=")


def test_inputs_of_another_shape(project):
    np.savez(project.path / "large.npz", np.zeros((3, 1, 9, 9), np.float32))
    project_with(project, model="tiny.onnx", inputs="large.npz")

    result = project.plain()

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    says(result, "large.npz", "8, 8")


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ({"model": "tiny.onnx"}, "predictions need inputs"),
        ({"inputs": "tiny.npz"}, "No network: mark the test"),
        ({"model": "tiny.onnx", "input": "tiny.npz"}, "Did you mean 'inputs'?"),
        ({"model": "tiny.onnx", "inputs": "tiny.npz", "output": "nope"}, "no such output"),
        ({"model": "tiny.onnx", "inputs": "tiny.npz", "output": 3}, "no such output"),
    ],
)
@pytest.mark.parametrize("mutants", [[], [ONE]], ids=["plain", "mutants"])
def test_a_wrong_marker_says_what_it_lacks(mutants, marker, message, project):
    project_with(project, **marker)

    result = project.run(*mutants) if mutants else project.plain()

    assert result.ret != pytest.ExitCode.OK
    says(result, message)


def test_a_marker_takes_keywords_only(project):
    project.write(
        test_it="""
        import pytest

        @pytest.mark.mutatenn("tiny.onnx")
        def test_it(model):
            pass
        """
    )
    result = project.plain()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    says(result, "the marker mutatenn takes keywords only")


def test_a_test_that_forgot_its_marker(project):
    project.write(test_it="def test_it(predictions):\n    pass\n")
    says(project.plain(), "No network: mark the test with pytest.mark.mutatenn(")


def test_an_operator_of_the_users_that_fails_is_named_with_its_line(suite):
    suite.pytester.makeconftest(
        """
        from tvm.tirx import BufferStore
        from pytest_mutatenn import operator

        @operator("broken", category="stores", on=BufferStore)
        def broken(node):
            "Fail."
            yield node.no_such_thing
        """
    )
    result = suite.run("--mutatenn-operators=broken", apart=True)

    assert result.ret != pytest.ExitCode.OK
    says(result, "The mutation operator 'broken' (", "conftest.py:7) failed on a BufferStore")


# -- gates ----------------------------------------------------------------------------------------


def test_a_red_suite(project):
    project.write(
        test_red="""
        import pytest

        @pytest.mark.mutatenn(model="tiny.onnx", inputs="tiny.npz")
        def test_red(predictions):
            assert not len(predictions)
        """
    )
    result = project.run(ONE)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = result.stdout.str()
    assert (
        "ERROR: 1 test fails on the unmutated model; mutation testing needs a green suite. "
        "Run pytest without --mutatenn first." in text
    )
    assert "INTERNALERROR" not in text


def test_operators_without_a_site(suite):
    result = suite.run("--mutatenn-operators=GT_to_GE", "--mutatenn-stages=kernel")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    says(result, "ERROR: No mutants: the operators 'GT_to_GE' found nothing in the stages kernel")


def test_mutants_wanted_and_no_test_with_a_network(project):
    project.write(test_plain="def test_plain():\n    pass\n")

    result = project.run("--mutatenn")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    says(result, "ERROR: No mutants: no test with a network was collected.")
