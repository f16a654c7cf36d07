"""Devices on the command line: names and ids, what is here, and what is done where one is not."""

import os
from importlib.util import find_spec

import pytest
from records import verdicts

from pytest_mutatenn.devices.base import kinds, why_missing
from pytest_mutatenn.devices.cuda import Device as Cuda

NOWHERE = "c:cc=no-such-compiler"
REASON = "no C compiler 'no-such-compiler' is in the PATH; install it, or leave out cc="
FEW = "--mutatenn-mutants=graph.relu_to_sigmoid@*,kernel.max_to_min@softmax#1,kernel.boundary@*"
X86 = pytest.mark.skipif(why_missing("llvm:sse2") is not None, reason="is about x86-64")


def says(result, *lines):
    result.stdout.fnmatch_lines([f"*{line}*" for line in lines])


# -- names ----------------------------------------------------------------------------------------


@X86
def test_options_and_names_of_the_users_own_are_cells_in_ids_and_reports(suite):
    suite.pytester.makepyprojecttoml(
        "[tool.mutatenn.devices.old]\nkind = 'llvm'\nmcpu = 'x86-64'\nopt-level = 0\n"
    )
    devices = "--mutatenn-devices=llvm:sse2,opt-level=0,old"

    alone = suite.run(FEW, devices)
    spread = suite.run(FEW, devices, "-n2")
    chosen = suite.run(FEW, devices, "-k", "llvm:sse2 and boundary")

    ids = [cell["id"] for cell in alone.report["cells"]]
    assert ids == ["llvm-O0", "llvm:sse2;opt-level=0-O2", "old-O2"]
    assert [cell["device"] for cell in alone.report["cells"]][2] == "old"
    # the same processor and the same options: the same code
    assert len({cell["fingerprint"] for cell in alone.report["cells"]}) == 2
    assert verdicts(alone.report) == verdicts(spread.report)
    run = {(m["id"], cell) for m in chosen.report["mutants"] for cell, there in m["cells"].items()
           if there["outcome"] is not None}  # fmt: skip
    assert run
    assert all("boundary" in mutant and cell == ids[1] for mutant, cell in run)


@X86
def test_a_device_mutant_is_named_with_a_cell_that_has_options(suite):
    cell = "llvm:sse2;opt-level=0-O2"
    whole = suite.run(
        "--mutatenn-devices=llvm:sse2,opt-level=0", "--mutatenn-operators=device.max_to_min"
    )
    name = whole.report["mutants"][0]["id"]
    assert name.endswith(f"@{cell}")

    one = suite.run("--mutatenn-devices=llvm:sse2;opt-level=0", f"--mutatenn-mutants={name}")

    assert [mutant["id"] for mutant in one.report["mutants"]] == [name]


def test_an_unknown_processor_is_a_usage_error_with_the_nearest_name(suite):
    result = suite.pytester.runpytest_inprocess("--mutatenn-devices=llvm:mcpu=no-such-cpu")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --mutatenn-devices: llvm:mcpu=no-such-cpu: LLVM knows no*"]
    )


# -- what is here ---------------------------------------------------------------------------------


def test_the_list_of_devices_needs_no_test_and_says_what_is_lacking(pytester):
    pytester.makeini("[pytest]\nmutatenn_aliases =\n    slow = llvm:opt-level=0\n"
                     f"    away = {NOWHERE}\n")  # fmt: skip

    result = pytester.runpytest_inprocess("--mutatenn-list-devices")

    assert result.ret == pytest.ExitCode.OK
    lines = result.stdout.str()
    for kind in kinds():
        assert any(line.split(" ")[0] == kind for line in lines.splitlines())
    says(result, "llvm*here*code for", "slow*here*(llvm:opt-level=0)", f"away*missing*{REASON}")


def test_a_probe_that_raises_is_a_reason(monkeypatch, pytester):
    monkeypatch.setattr("pytest_mutatenn.devices.llvm.Device.missing", lambda _: 1 / 0)

    result = pytester.runpytest_inprocess("--mutatenn-list-devices")

    assert result.ret == pytest.ExitCode.OK
    says(result, "llvm*missing*its probe failed: ZeroDivisionError: division by zero")


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine with TVM, and without what any other device stands on."""
    for module in ("pyopencl", "onnxruntime", "nvidia", "tornado", "cloudpickle"):
        text = f"raise ModuleNotFoundError('No module named {module}', name='{module}')\n"
        (tmp_path / f"{module}.py").write_text(text)
    path = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
    monkeypatch.setenv("OCL_ICD_VENDORS", str(tmp_path))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    return tmp_path


def test_without_packages_and_drivers_llvm_works(bare, suite):
    result = suite.run("--mutatenn-operators=graph.relu_to_sigmoid", apart=True)

    assert result.ret == pytest.ExitCode.OK
    assert result.report["score"]["overall"]["detected"] == 1


def test_without_packages_and_drivers_the_list_names_them(bare, monkeypatch, pytester):
    monkeypatch.setenv("PATH", str(bare))

    result = pytester.runpytest_subprocess("--mutatenn-list-devices")

    assert result.ret == pytest.ExitCode.OK
    says(result, "c *missing*Debian's packages gcc and libc6-dev")
    if "opencl" in kinds():
        says(result, "opencl*missing*pytest-mutatenn?opencl?")
    if why_missing("cuda") is not None:
        says(result, "cuda*missing*NVIDIA")
    says(result, "llvm *missing*needs ld, or a C compiler")


@pytest.mark.skipif(find_spec("pyopencl") is None, reason="needs pyopencl")
def test_without_an_opencl_platform_the_drivers_package_is_named(monkeypatch, tmp_path, pytester):
    monkeypatch.setenv("OCL_ICD_VENDORS", str(tmp_path))

    result = pytester.runpytest_subprocess("--mutatenn-list-devices")

    assert result.ret == pytest.ExitCode.OK
    says(result, "opencl*missing*no OpenCL platform*pocl-opencl-icd")


# -- where one is missing -------------------------------------------------------------------------


def test_a_device_on_the_command_line_that_is_not_here_fails(suite):
    result = suite.pytester.runpytest_inprocess(f"--mutatenn-devices=llvm,{NOWHERE}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: --mutatenn-devices: the device {NOWHERE} is not here: {REASON}. With "
         "--mutatenn-missing-device=skip*"]
    )  # fmt: skip


def test_a_reference_that_is_not_here_always_fails(suite):
    result = suite.pytester.runpytest_inprocess(
        "--mutatenn", f"--mutatenn-reference={NOWHERE}-O0", "--mutatenn-missing-device=skip"
    )

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --mutatenn-reference: the device {NOWHERE} is not here*"])


def test_skipped_its_rows_and_its_cell_say_why(suite):
    result = suite.run(
        FEW, f"--mutatenn-devices=llvm,{NOWHERE}", "--mutatenn-missing-device=skip", "-rs"
    )

    assert result.ret == pytest.ExitCode.OK
    away = next(cell for cell in result.report["cells"] if not cell["available"])
    assert (away["id"], away["reason"]) == (f"{NOWHERE}-O2", REASON)
    baselines = [e for e in result.report["baseline"] if e["cell"] == away["id"]]
    assert [entry["outcome"] for entry in baselines] == ["skipped"] * 3
    there = [mutant["cells"][away["id"]] for mutant in result.report["mutants"]]
    assert {(cell["verdict"], cell["reason"]) for cell in there} == {
        ("SKIPPED", f"no such device: {REASON}")
    }
    assert result.report["score"]["by_cell"]["llvm-O2"]["score"] is not None
    says(result, f"{away['id']} skipped, no such device: {REASON}")


def test_devices_of_the_ini_file_are_skipped_unless_it_says_otherwise(suite):
    ini = f"[pytest]\nmutatenn_devices = llvm {NOWHERE}\n"
    suite.pytester.makeini(ini)
    skipped = suite.run(FEW)
    plain = suite.plain()
    suite.pytester.makeini(f"{ini}mutatenn_missing_device = fail\n")
    failed = suite.pytester.runpytest_inprocess("--mutatenn")

    assert skipped.ret == pytest.ExitCode.OK
    plain.assert_outcomes(passed=3)
    assert failed.ret == pytest.ExitCode.USAGE_ERROR


def test_without_mutants_too_a_missing_device_is_skipped_or_fails(suite):
    suite.pytester.makeini(f"[pytest]\nmutatenn_devices = {NOWHERE}\n")
    suite.plain().assert_outcomes(skipped=3)

    suite.plain("--mutatenn-missing-device=fail").assert_outcomes(errors=3)


def test_a_run_with_no_device_at_all_is_not_green(suite):
    result = suite.run(f"--mutatenn-devices={NOWHERE}", "--mutatenn-missing-device=skip")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    says(result, "ERROR: No mutant was tested: no device that was named is here.")


def test_a_run_without_mutants_and_without_a_device_is_not_green(suite):
    options = ("--mutatenn-baseline-only", "--mutatenn-missing-device=skip")
    nowhere = suite.run(f"--mutatenn-devices={NOWHERE}", *options)
    one = suite.run(f"--mutatenn-devices=llvm,{NOWHERE}", *options)

    assert nowhere.ret == pytest.ExitCode.TESTS_FAILED
    says(nowhere, "ERROR: Nothing was tested: no device that was named is here.")
    assert one.ret == pytest.ExitCode.OK


def test_a_policy_that_is_none_is_named(suite):
    result = suite.pytester.runpytest_inprocess("--mutatenn", "--mutatenn-missing-device=ignore")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--mutatenn-missing-device must be skip, fail or compile, got*"])


# -- compiled only --------------------------------------------------------------------------------

NO_GPU = pytest.mark.skipif(
    why_missing("cuda") is None or Cuda().why_not_compiled() is not None,
    reason="needs a compiler for CUDA, and no GPU",
)


@NO_GPU
def test_compiled_only_every_mutant_compiles_or_is_invalid(suite):
    result = suite.run(
        "--mutatenn-devices=llvm,cuda",
        "--mutatenn-missing-device=compile",
        "--mutatenn-operators=max_to_min,relu_to_sigmoid,kernel.boundary",
    )

    report = result.report
    assert result.ret == pytest.ExitCode.OK
    cell = next(cell for cell in report["cells"] if cell["id"] == "cuda-O2")
    assert not cell["available"]
    assert cell["fingerprint"].startswith("cuda sm_80 ")
    outcomes = {e["cell"]: e["outcome"] for e in report["baseline"]}
    assert outcomes == {"llvm-O2": "passed", "cuda-O2": "compiled"}
    there = [m["cells"]["cuda-O2"] for m in report["mutants"] if "cuda-O2" in m["cells"]]
    assert {(c["verdict"], c["reason"].partition(" (")[0]) for c in there} >= {
        ("SKIPPED", "compiled only: no such device")
    }
    assert {c["verdict"] for c in there} <= {"SKIPPED", "INVALID", "EQUIVALENT"}
    assert all(c["outcome"] in (None, "rejected") for c in there)
    says(result, "cuda-O2 compiled only, no such device:")


@NO_GPU
def test_compiled_only_the_unmutated_network_can_be_a_gate_of_its_own(suite):
    options = ("--mutatenn-devices=cuda", "--mutatenn-missing-device=compile")

    baseline = suite.run(*options, "--mutatenn-baseline-only")
    mutants = suite.run(*options, "--mutatenn-operators=max_to_min")
    plain = suite.plain("--mutatenn-missing-device=compile")

    assert baseline.ret == pytest.ExitCode.OK
    assert {entry["outcome"] for entry in baseline.report["baseline"]} == {"compiled"}
    assert mutants.ret == pytest.ExitCode.TESTS_FAILED
    says(mutants, "ERROR: No mutant was tested: *compiled only: no such device")
    plain.assert_outcomes(passed=3)


def test_what_no_compiler_is_here_for_is_skipped_though_it_was_to_be_compiled(suite):
    result = suite.run(
        FEW, f"--mutatenn-devices=llvm,{NOWHERE}", "--mutatenn-missing-device=compile"
    )

    away = next(cell for cell in result.report["cells"] if not cell["available"])
    assert away["reason"] == f"{REASON}; its code cannot be compiled without it"
    assert {e["outcome"] for e in result.report["baseline"] if e["cell"] == away["id"]} == {
        "skipped"
    }
