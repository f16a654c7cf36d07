"""Mutants that do their worst: each gets its verdict, and nothing else feels it."""

import os
from pathlib import Path

import pytest
from processes import sandboxes
from records import verdicts

HARMLESS = "relu_to_sigmoid,max_to_min"
# every operator on stores that is none of the package's own
HOSTILE = "stores,-store_*,-constant_*,-pad_*,-loop_*,-index_*,-drop_*,-parallel_race"
LIMITS = [
    "--mutatenn-timeout-factor=1",
    "--mutatenn-timeout-constant=2",
    "--mutatenn-memory-limit=256",
]
# operator -> verdict, and what its reason says
EXPECTED = {
    "far_write": ("CRASHED", "SIGSEGV"),
    "aborts": ("CRASHED", "SIGABRT"),
    "exits": ("CRASHED", "exited with status 0"),
    "calls_nothing": ("CRASHED", "no_such_function"),
    "closes": ("CRASHED", "exited with status 0"),
    "scribbles": ("CRASHED", "it wrote to the channel of its results"),
    "fills_memory": ("CRASHED", "memory limit"),
    "endless_loop": ("TIMEOUT", "no answer within "),
    "stops": ("TIMEOUT", "no answer within "),
    "not_a_number": ("KILLED", "all_finite"),
    "ruins_weights": ("KILLED", "all_finite"),
    "babbles": ("CRASHED", "SIGABRT"),
    # these give the right answer, whatever they do besides
    "truncates": ("SURVIVED", ""),
    "forks": ("SURVIVED", ""),
    "forks_away": ("SURVIVED", ""),
    "forks_back": ("SURVIVED", ""),
}


def tree(folder):
    """What lies there, but for what pytest and pytester make."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    made = (".pytest_cache", "__pycache__", "runpytest-")
    return sorted(name for name in names if not name.startswith(made))


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["plain", "xdist"])
def test_hostile_mutants_harm_nothing_but_themselves(workers, suite, tmp_path, monkeypatch):
    source = Path(__file__).with_name("hostile.py").read_text()
    suite.pytester.makeconftest(source)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", os.fspath(temporary))
    alone = suite.run(*LIMITS, f"--mutatenn-operators={HARMLESS}", apart=True)
    before = tree(suite.path)

    result = suite.run(*workers, *LIMITS, f"--mutatenn-operators={HARMLESS},{HOSTILE}", apart=True)

    assert result.ret == pytest.ExitCode.OK
    found = {
        mutant["operator"]: mutant["cells"]["llvm-O2"]
        for mutant in result.report["mutants"]
        if mutant["operator"] in EXPECTED
    }
    assert {name: there["verdict"] for name, there in found.items()} == {
        name: verdict for name, (verdict, _) in EXPECTED.items()
    }
    for name, (_, reason) in EXPECTED.items():
        assert reason in found[name]["reason"], name
    assert found["fills_memory"]["outcome"] == "out_of_memory"
    assert "sixty-four characters" in found["babbles"]["stderr"]
    assert found["babbles"]["stderr"].startswith("[... ")
    assert len(found["babbles"]["stderr"]) < 10_000
    # the others' verdicts are what they are without such neighbours
    harmless = verdicts(alone.report)
    assert {key: v for key, v in verdicts(result.report).items() if key in harmless} == harmless
    # nothing is left: no process, no file but the report and the store
    assert sandboxes(suite.cache) == []
    assert list((suite.cache / "tmp").iterdir()) == []
    assert list(temporary.iterdir()) == []
    assert tree(suite.path) == before
