"""Runs on a device behind an RPC server, on loopback: verdicts are those of the device llvm."""

import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from records import verdicts

from pytest_mutatenn.devices.processor import processor_level

sys.path.append(str(Path(__file__).parents[1] / "devices"))
from servers import OURS, Server

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("tornado", "psutil", "cloudpickle")),
    reason="needs tornado, psutil and cloudpickle",
)

FEW = "--mutatenn-operators=boundary,relu_to_sigmoid,max_to_min,drop_bias"
STAGES = "--mutatenn-stages=graph,kernel,weights"
HOSTILE = "far_write,aborts,exits,endless_loop,not_a_number,ruins_weights,forks_away,fills_memory"
TOLD = """
from pathlib import Path

def pytest_runtest_logreport(report):
    if report.when == "call" and "baseline" not in report.nodeid:
        with Path("rows.txt").open("a") as file:
            file.write(report.nodeid + "\\n")
"""


@pytest.fixture
def server():
    found = Server(OURS, "--key=board", "--memory=256").await_answer()
    yield found
    found.kill()


def device_of(server, wait=30):
    level = processor_level()
    cpu = "" if level == "generic" else f",mcpu={level}"
    return f"rpc:127.0.0.1:{server.port}/board?target=llvm,wait={wait}{cpu}"


def of(report, device):
    """Mutant -> verdict on one device; what names the device in an id is left out."""
    return {
        mutant.partition("@rpc")[0].partition("@llvm")[0]: verdict
        for (mutant, cell), verdict in verdicts(report).items()
        if cell.startswith(device)
    }


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["plain", "xdist"])
def test_verdicts_are_those_of_the_same_processor(workers, suite, server, tmp_path):
    suite.cache = tmp_path / "store"
    device = device_of(server)
    result = suite.run(*workers, f"--mutatenn-devices=llvm,{device}", FEW, STAGES, apart=True)
    assert result.ret == pytest.ExitCode.OK
    assert of(result.report, "rpc") == of(result.report, "llvm")
    assert len(of(result.report, "rpc")) > 5
    for mutant in result.report["mutants"]:
        here, there = mutant["cells"].values()
        for name in ("code_digest", "infected", "propagated", "tau_mean", "undefined"):
            assert here[name] == there[name], (mutant["id"], name)


def test_hostile_mutants_crash_only_their_session(suite, server, tmp_path):
    source = Path(__file__).with_name("hostile.py").read_text()
    suite.pytester.makeconftest(source)
    result = suite.run(
        f"--mutatenn-devices={device_of(server)}",
        f"--mutatenn-operators={HOSTILE},relu_to_sigmoid",
        "--mutatenn-timeout-factor=1",
        "--mutatenn-timeout-constant=3",
        apart=True,
    )
    assert result.ret == pytest.ExitCode.OK
    found = {m["operator"]: next(iter(m["cells"].values())) for m in result.report["mutants"]}
    assert {name: there["verdict"] for name, there in found.items()} == {
        "far_write": "CRASHED",
        "aborts": "CRASHED",
        "exits": "CRASHED",
        "fills_memory": "CRASHED",
        "endless_loop": "TIMEOUT",
        "not_a_number": "KILLED",
        "ruins_weights": "KILLED",
        "forks_away": "SURVIVED",
        "relu_to_sigmoid": "KILLED",
    }
    assert "its process died of SIGSEGV" in found["far_write"]["reason"]
    assert "its process died of SIGABRT" in found["aborts"]["reason"]
    deadline = time.monotonic() + 20
    while server.sessions() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.sessions() == []


def test_a_server_that_is_killed_and_comes_back_changes_no_verdict(suite, server, tmp_path):
    suite.cache = tmp_path / "store"
    suite.pytester.makeconftest(TOLD)
    rows = suite.path / "rows.txt"
    killed = []

    def kill_and_start():
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if rows.exists() and len(rows.read_text().splitlines()) >= 6 and server.sessions():
                server.kill()
                killed.append(len(rows.read_text().splitlines()))
                time.sleep(1)
                server.start()
                return
            time.sleep(0.02)

    thread = threading.Thread(target=kill_and_start)
    thread.start()
    result = suite.run(f"--mutatenn-devices={device_of(server)}", FEW, STAGES, apart=True)
    thread.join()
    assert result.ret == pytest.ExitCode.OK
    assert killed
    assert killed[0] < len(rows.read_text().splitlines())
    local = suite.run("--mutatenn-devices=llvm", FEW, STAGES, apart=True)
    assert of(result.report, "rpc") == of(local.report, "llvm")


def test_a_server_that_stays_away_is_an_error_and_no_verdict(suite, server, tmp_path):
    suite.cache = tmp_path / "store"
    device = device_of(server, wait=1)
    server.kill()
    result = suite.run(f"--mutatenn-devices={device}", "--mutatenn-mutants=graph.relu*", apart=True)
    assert result.ret != pytest.ExitCode.OK
    result.stderr.fnmatch_lines([f"*no RPC server at 127.0.0.1:{server.port}*"])
    assert result.report is None


def test_a_server_that_goes_for_good_is_an_error_and_no_verdict(suite, server, tmp_path):
    suite.cache = tmp_path / "store"
    suite.pytester.makeconftest(TOLD)
    rows = suite.path / "rows.txt"

    def kill():
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if rows.exists() and len(rows.read_text().splitlines()) >= 6 and server.sessions():
                return server.kill()
            time.sleep(0.02)
        return None

    thread = threading.Thread(target=kill)
    thread.start()
    device = device_of(server, wait=1)
    result = suite.run(f"--mutatenn-devices={device}", FEW, STAGES, apart=True)
    thread.join()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "Is the server still there? Start it as python -m" in result.stdout.str()
    assert not {"CRASHED", "TIMEOUT"} & set(of(result.report, "rpc").values())
