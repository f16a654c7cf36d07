"""pytest-xdist in all its modes gives the report of a run without it."""

import pytest
from records import stable

pytest.importorskip("xdist")

FEW = (
    "--mutatenn-operators=relu_to_sigmoid,store_plus_one,drop_bias",
    "--mutatenn-mutants=*relu_to_sigmoid@*,kernel.store_plus_one@softmax*,*drop_bias*",
)


@pytest.fixture(scope="module")
def alone():
    """The report of a run without pytest-xdist; made by the first test."""
    return {}


@pytest.fixture
def same(suite, alone):
    """Check that a report is that of a run without pytest-xdist."""

    def check(report):
        if not alone:
            alone.update(stable(suite.run(*FEW, "-p", "no:xdist", apart=True).report))
            assert len(alone["mutants"]) > 6
        assert stable(report) == alone

    return check


@pytest.mark.parametrize(
    "mode", ["load", "loadscope", "loadfile", "loadgroup", "worksteal", "each", "no"]
)
def test_every_mode_gives_the_same_report(mode, suite, same):
    workers = ["--tx=2*popen"] if mode in ("each", "no") else ["-n2"]
    result = suite.run(*FEW, *workers, f"--dist={mode}", apart=True)
    assert result.ret == pytest.ExitCode.OK
    same(result.report)
    assert result.report["run"]["workers"] == (0 if mode == "no" else 2)


def test_a_worker_may_be_in_a_copy_of_the_project(suite, same, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    result = suite.run(
        *FEW,
        "--dist=load",
        f"--tx=popen//chdir={copy}",
        "--tx=popen",
        f"--rsyncdir={suite.path}",
        str(suite.path),
        apart=True,
    )
    assert result.ret == pytest.ExitCode.OK
    assert (copy / suite.path.name / "tiny.onnx").exists()
    same(result.report)


def test_threads_are_shared_among_the_workers(suite, same):
    suite.pytester.makeconftest(
        """
        import os
        from pathlib import Path
        from pytest_mutatenn.grid import Grid

        made = Grid.__init__
        def init(self, *args):
            made(self, *args)
            Path(f"threads-{os.getpid()}").write_text(str(self.threads))
        Grid.__init__ = init
        """
    )

    def threads(*args):
        for path in suite.path.glob("threads-*"):
            path.unlink()
        result = suite.run(*FEW, *args, apart=True)
        assert result.ret == pytest.ExitCode.OK
        same(result.report)
        return [path.read_text() for path in suite.path.glob("threads-*")]

    assert threads("-n2") == ["1", "1"]
    assert threads("-n2", "--mutatenn-threads=4") == ["2", "2"]
    assert threads("-n2", "--mutatenn-threads=1") == ["1", "1"]
    assert threads("--mutatenn-threads=3") == ["3"]


def test_workers_that_should_be_the_same_and_are_not_are_a_warning(suite):
    suite.pytester.makeconftest(
        """
        import os
        import pytest_mutatenn.session as session

        told = session._cell
        def cell(*args):
            worker = os.environ.get("PYTEST_XDIST_WORKER", "")
            return {**told(*args), "fingerprint": f"processor of {worker}"}
        session._cell = cell
        """
    )
    result = suite.run(*FEW, "-n2", apart=True)
    found = [text for text in result.report["warnings"] if "different processors" in text]
    assert [text.partition(":")[0] for text in found] == ["llvm-O0", "llvm-O2"]
    result.stdout.fnmatch_lines(["WARNING: llvm-O2: workers on different processors took part*"])
