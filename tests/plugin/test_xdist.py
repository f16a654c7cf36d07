"""pytest-xdist in all its modes gives the report of a run without it."""

from types import SimpleNamespace

import pytest
from records import stable

from pytest_mutatenn import plugin, session

pytest.importorskip("xdist")
execnet = pytest.importorskip("execnet")

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
    suite.pytester.makeini("[pytest]")  # it makes the copy its root, and the ids the same
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
            Path(f"threads-{os.getpid()}").write_text(str(self.engines.threads))
        Grid.__init__ = init
        """
    )

    result = suite.run(*FEW, "-n2", "--mutatenn-threads=5", apart=True)
    assert result.ret == pytest.ExitCode.OK
    assert [path.read_text() for path in suite.path.glob("threads-*")] == ["2", "2"]
    same(result.report)


@pytest.mark.parametrize(
    ("asked", "workers", "variable", "threads"),
    [
        (None, None, None, 1),
        (None, 4, "3", 3),
        (None, 4, "all", 1),
        (8, None, "3", 8),
        (8, 3, "3", 2),
        (1, 4, None, 1),
    ],
)
def test_a_worker_has_its_share_of_the_threads(asked, workers, variable, threads, monkeypatch):
    monkeypatch.delenv("TVM_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("TVM_NUM_THREADS", variable)
    config = SimpleNamespace()
    if workers is not None:
        config.workerinput = {session.WORKERS_HERE: workers}
    assert session._threads(config, SimpleNamespace(threads=asked)) == threads


def test_workers_of_other_machines_have_threads_of_their_own():
    nodes = []

    specs = [execnet.XSpec(text) for text in ("popen", "ssh=a", "ssh=b", "ssh=a", "popen", "popen")]
    config = SimpleNamespace(stash={session._SESSION: object()})
    for spec in specs:
        node = SimpleNamespace(
            config=config,
            workerinput={},
            gateway=SimpleNamespace(spec=spec),
            nodemanager=SimpleNamespace(specs=specs),
        )
        plugin.pytest_configure_node(node)
        nodes.append(node.workerinput[session.WORKERS_HERE])
    assert nodes == [3, 2, 1, 2, 3, 3]


def test_workers_that_should_be_the_same_and_are_not_are_a_warning(suite):
    suite.pytester.makeconftest(
        """
        import os
        import pytest_mutatenn.describing as describing

        told = describing._cell
        def cell(*args):
            worker = os.environ.get("PYTEST_XDIST_WORKER", "")
            return {**told(*args), "fingerprint": f"processor of {worker}"}
        describing._cell = cell
        """
    )
    result = suite.run(*FEW, "-n2", apart=True)
    found = [text for text in result.report["warnings"] if "different processors" in text]
    assert [text.partition(":")[0] for text in found] == ["llvm-O0", "llvm-O2"]
    result.stdout.fnmatch_lines(["WARNING: llvm-O2: workers on different processors took part*"])
