"""--mutatenn-list and --mutatenn-list-operators; ids of device mutants; the same ids everywhere."""

import re

import pytest
from records import verdicts

CONFTEST = '''
from tvm.tirx import Max
from pytest_mutatenn import operator

@operator("drop_maximum", category="kernel-arithmetic", on=Max, example=lambda x, y: (Max(x, y), x))
def drop_maximum(node):
    """Keep the first operand of a maximum."""
    yield node.a
'''


# -- operators -------------------------------------------------------------------------------------


def test_every_operator_is_listed(suite):
    result = suite.run("--mutatenn-list-operators", report=False, apart=True)

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            "Conditional statements and expressions (conditional)",
            "  boundary * kernel, device  [[]default[]]",
            "      i < n  ->  i <= n",
            "      Move a comparison by one: *",
            "Weights (weights)",
            "  scale_channel *  weights",
            "      parameter scale_channel.factor = -1.0",
        ]
    )
    last = [line for line in result.outlines if line.endswith(" operators")]
    from pytest_mutatenn.operators import catalogue

    assert last == [f"{len(catalogue.load())} operators"]
    assert "test session starts" not in result.stdout.str()  # nothing is collected, nothing run


def test_the_users_operators_are_listed(suite):
    suite.pytester.makeconftest(CONFTEST)
    result = suite.run("--mutatenn-list-operators", report=False, apart=True)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            "  drop_maximum * kernel, device",
            "      T.max(x, y)  ->  x",
            "      Keep the first operand of a maximum.",
        ]
    )


def test_a_selection_narrows_the_list_of_operators(suite):
    result = suite.run(
        "--mutatenn-list-operators",
        "--mutatenn-operators=weights,-scale_channel,boundary",
        "--mutatenn-parameter=gaussian_noise.strength=0.25",
        report=False,
        apart=True,
    )
    text = result.stdout.str()
    listed = re.findall(r"^  (\w+) ", text, re.MULTILINE)
    assert {"boundary", "gaussian_noise", "drop_bias"} <= set(listed)
    assert not {"scale_channel", "add_to_sub", "relu_to_sigmoid"} & set(listed)
    assert f"{len(listed)} operators" in text
    assert "parameter gaussian_noise.strength = 0.25" in text


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--mutatenn-operators=bondary", "unknown operator 'bondary'. Did you mean 'boundary'?"),
        ("--mutatenn-parameter=boundary.x=1", "the operator boundary has no parameter 'x'"),
    ],
)
def test_what_is_wrong_with_the_selection_is_said(option, said, suite):
    result = suite.run("--mutatenn-list-operators", option, report=False, apart=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in " ".join((result.stdout.str() + result.stderr.str()).split())


# -- mutants ---------------------------------------------------------------------------------------

LIST = ["--mutatenn-list", "--mutatenn-operators=relu_to_sigmoid,max_to_min,drop_bias"]


def test_a_list_says_where_mutants_come_from_counts_them_and_estimates(suite):
    result = suite.run(*LIST, report=False)

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            "tiny on llvm-O2: * mutants",
            "graph.relu_to_sigmoid@clip#1  clip (Clip relu6)",
            "kernel.max_to_min@softmax#1  softmax (Softmax probabilities)",
            "device.max_to_min@softmax#1@llvm-O2  softmax (Softmax probabilities)",
            "weights.drop_bias@offset#1  weight offset of * (Gemm logits)",
            "    - offset[[]0[]] = * (and 4 more)",
            "    + offset[[]0[]] = 0 (and 4 more)",
            "tiny on llvm-O2",
            "     1  Layer node replacement (layer), graph",
            "     2  Weights (weights), weights",
            "*  in all",
            "  about * on one worker: * s a mutant, measured on * of them; assertions not included",
        ]
    )
    counts = [int(line.split()[0]) for line in result.outlines if re.match(r" +[1-9]\d*  \w", line)]
    assert sum(counts[:-1]) == counts[-1]
    listed = [
        line for line in result.outlines if re.match(r"(graph|kernel|device|weights)\.", line)
    ]
    assert len(listed) == counts[-1]


def test_a_list_without_inputs_is_estimated_too(project):
    project.write(
        test_it="""
        import pytest

        @pytest.mark.mutatenn(model="tiny.onnx")
        def test_it(model):
            pass
        """
    )
    result = project.run(*LIST, report=False)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["  about * on one worker: *"])


def test_a_warm_list_imports_no_tvm(suite):
    first = suite.run(*LIST, report=False)
    suite.pytester.makeconftest(
        """
        import sys
        def pytest_unconfigure(config):
            print("loaded:", sorted({"tvm", "onnx"} & set(sys.modules)))
        """
    )
    result = suite.run(*LIST, report=False, apart=True)
    result.stdout.fnmatch_lines(["loaded: []*"])

    def printed(outlines):
        return [line for line in outlines if re.match(r"( {4}|\w+\.|tiny| +\d)", line)]

    assert printed(result.outlines) == printed(first.outlines)


# -- ids in several cells --------------------------------------------------------------------------

DEVICE = "device.max_to_min@softmax#1"


@pytest.mark.parametrize(
    ("asked", "cells"),
    [
        (DEVICE, ["llvm-O0", "llvm-O2"]),
        (f"{DEVICE}@llvm-O2", ["llvm-O2"]),
        (f"{DEVICE}@*", ["llvm-O0", "llvm-O2"]),
        ("*@llvm-O0", ["llvm-O0"]),
    ],
)
def test_a_device_mutant_is_named_with_its_cell_or_without(asked, cells, suite):
    # one that all cells have beside it: a cell in which nothing matches is an error
    result = suite.run(
        f"--mutatenn-mutants={asked},kernel.max_to_min@softmax#1",
        "--mutatenn-operators=max_to_min",
        "--mutatenn-opt-levels=0,2",
    )
    found = {key for key in verdicts(result.report) if key[0].startswith(DEVICE)}
    assert found == {(f"{DEVICE}@{cell}", cell) for cell in cells}
    kernel = {key for key in verdicts(result.report) if key[0] == "kernel.max_to_min@softmax#1"}
    assert kernel == {("kernel.max_to_min@softmax#1", cell) for cell in ("llvm-O0", "llvm-O2")}


def test_ids_of_graph_kernel_and_weights_are_the_same_in_every_cell(suite):
    levels = ["O0", "O2", "O3"]
    result = suite.run(
        f"--mutatenn-opt-levels={','.join(levels)}",
        "--mutatenn-operators=default,scale_channel",
        "--collect-only",
        "-q",
    )
    ids = {level: [] for level in levels}
    for line in result.outlines:
        match = re.fullmatch(r".*::test_finite\[llvm-(O\d)-(\w+\..*)\]", line)
        if match is not None:
            ids[match[1]].append(match[2])
    upper = {
        level: [name for name in names if not name.startswith("device.")]
        for level, names in ids.items()
    }
    assert len(upper["O0"]) > 100
    assert {name.partition(".")[0] for name in upper["O0"]} == {"graph", "kernel", "weights"}
    assert upper["O0"] == upper["O2"] == upper["O3"]
    device = [set(ids[level]) - set(upper[level]) for level in levels]
    assert device[0] != device[1] != device[2]


def test_a_cell_without_such_a_site_says_so(suite):
    # at O3 the batch norm is part of the convolution's weights
    result = suite.run(
        "--mutatenn-mutants=kernel.loop_extent_minus_one@batch_norm#3",
        "--mutatenn-opt-levels=2,3",
    )
    (mutant,) = result.report["mutants"]
    assert mutant["cells"]["llvm-O2"]["verdict"] in ("KILLED", "SURVIVED")
    there = mutant["cells"]["llvm-O3"]
    assert there["verdict"] == "SKIPPED"
    assert there["reason"].startswith("this cell's lowering has no such site")
