"""The lessons: they pass on the network, and their mutants show what they say."""

import json
import shutil

import pytest
from filelock import FileLock
from pages import README, ROOT, run_pytest, section, table, words

LESSONS = {
    1: "test_01_digits.py",
    2: "test_02_weak.py",
    3: "03_own_operator/test_03_own_operator.py",
    4: "test_04_devices.py",
}
# which mutants a lesson is about; the others are run on the same few
CHOICE = {
    3: ["--mutatenn-operators=clip_lower,coarse_weights"],
    4: ["--mutatenn-opt-levels=2,3", "--mutatenn-sample=16"],
}


@pytest.fixture(scope="module")
def folder(common):
    """A copy of the examples."""
    with FileLock(common / "lock"):
        if not (common / "examples").exists():
            shutil.copytree(ROOT / "examples", common / "examples")
    return common


@pytest.fixture(scope="module")
def lesson(folder, store):
    """Run a lesson on the same few mutants; give its report."""

    def run(number):
        written = folder / f"{number}.json"
        with FileLock(folder / "lock"):
            if not written.exists():
                done = run_pytest(
                    folder,
                    f"examples/tests/{LESSONS[number]}",
                    store,
                    *CHOICE.get(number, ["--mutatenn-sample=16"]),
                    f"--mutatenn-report=json:{written}",
                )
                assert done.returncode == 0, done.stdout
        return json.loads(written.read_text())

    return run


def test_lessons_pass_on_the_network(folder, store):
    done = run_pytest(folder, "examples/tests", store)
    assert done.returncode == 0, done.stdout


def test_every_lesson_is_listed():
    tests = ROOT / "examples" / "tests"
    there = {path.relative_to(tests).as_posix() for path in tests.rglob("test_*.py")}
    assert there == set(LESSONS.values())
    listed = (ROOT / "examples" / "README.md").read_text("utf-8")
    assert all(f"`tests/{name}`" in listed for name in there)


@pytest.mark.parametrize("number", LESSONS)
def test_lessons_kill_the_canary_and_pass_on_the_identity(lesson, number):
    verdicts = {(check["id"], check["verdict"]) for check in lesson(number)["checks"]}
    assert verdicts == {("canary", "KILLED"), ("identity", "SURVIVED")}


def test_the_strong_suite_kills_more(lesson):
    strong, weak = (lesson(number)["score"]["overall"] for number in (1, 2))
    assert strong["detected"] > weak["detected"] > 0
    assert weak["survived"] > strong["survived"]


def test_the_weak_suite_lets_through_what_its_assertions_allow(lesson):
    cells = [mutant["cells"]["llvm-O2"] for mutant in lesson(2)["mutants"]]
    assert any(there["verdict"] == "SURVIVED" and there["propagated"] for there in cells)


def test_own_operators_have_the_verdicts_that_their_lesson_names(lesson):
    verdicts = {}
    for mutant in lesson(3)["mutants"]:
        there = mutant["cells"]["llvm-O2"]["verdict"]
        verdicts.setdefault(mutant["operator"], []).append(there)
    assert verdicts["clip_lower"] == ["SURVIVED"] * 4
    assert sorted(verdicts["coarse_weights"]) == ["KILLED"] + ["SURVIVED"] * 4


def test_lesson_4_compares_the_cells_where_tests_of_one_leave_something(lesson):
    report = lesson(4)
    compared = {e["cell"] for e in report["baseline"] if e["test"].endswith("devices_agree")}
    assert compared == {"llvm-O2~llvm-O3"}
    columns = [m["groups"] for m in report["mutants"] if "device" not in m["stage"]]
    assert columns
    assert all(list(groups) == ["llvm-O2~llvm-O3"] for groups in columns)
    (pair,) = report["differential"]["baseline"]
    assert pair["top1_dissimilar"] == []


def test_the_parameter_of_lesson_3_decides_how_many_die(folder, store):
    killed = {}
    for bits in (8, 2):
        written = folder / f"{bits}_bits.json"
        done = run_pytest(
            folder,
            f"examples/tests/{LESSONS[3]}",
            store,
            "--mutatenn-operators=coarse_weights",
            f"--mutatenn-parameter=coarse_weights.bits={bits}",
            f"--mutatenn-report=json:{written}",
        )
        assert done.returncode == 0, done.stdout
        killed[bits] = json.loads(written.read_text())["score"]["overall"]["detected"]
    assert killed == {8: 0, 2: 4}


def test_the_report_has_the_fields_of_the_readme(lesson):
    report = lesson(1)
    fields = {
        row[0]: words(row[1]) for row in table(section(README.read_text(), "The JSON report"))
    }
    assert {name.strip("`") for name in fields if name.startswith("`")} == set(report)
    mutant = report["mutants"][0]
    there = mutant["cells"]["llvm-O2"]
    exact = {
        "`run`": report["run"],
        "`cells`": report["cells"][0],
        "`baseline`": report["baseline"][0],
        "`checks`": report["checks"][0],
        "`mutants`": mutant,
        "a mutant's `cells`": there,
        "`excluded`": report["excluded"],
        "a run's `counters`": report["run"]["counters"],
        "`plans`": report["plans"][0],
        "`differential`": report["differential"],
        "`latency`": report["latency"],
        "`score`": report["score"] | report["score"]["overall"],
        "`models`": report["models"][0] | report["models"][0]["dataset"],
    }
    for name, found in exact.items():
        assert fields[name] == set(found), name
    for absent in report["absent"]:
        assert fields["`absent`"] == set(absent)
