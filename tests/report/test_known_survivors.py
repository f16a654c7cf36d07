"""The file of known survivors and divergent mutants."""

import pytest
from told import GREEN, build, plan, row

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.report.gates import Gates, judge_gates
from pytest_mutatenn.report.known_survivors import Known

A, B = "llvm-O2", "llvm-O3"
OPTION = "--mutatenn-baseline"


def report_of(mutants, digest="1", **options):
    """mutant -> what the only test does in each of the two cells."""
    rows = [row(None, "a", "passed", cell=cell) for cell in (A, B)]
    rows += [
        row(name, "a", does, cell=cell)
        for name, both in mutants.items()
        for cell, does in zip((A, B), both, strict=True)
    ]
    record = build(rows, {cell: plan(*mutants) for cell in (A, B)})
    record["models"] = [{"id": "m", "digest": digest}]
    record["run"]["options"] = {"operators": "default", "sample": None, **options}
    return record


DIES, LIVES, DIVERGES = ("failed", "failed"), ("passed", "passed"), ("failed", "passed")
FIRST = {"v@k#1": DIES, "x@k#1": LIVES, "y@k#1": DIVERGES}


@pytest.fixture
def gate(tmp_path):
    """Judge a report against the file; with `update`, write it."""

    def judge(record, update=False):
        found = judge_gates(record, Gates(baseline="known.toml", update=update), tmp_path,
                            "mutatenn-")  # fmt: skip
        assert [entry["gate"] for entry in found.entries] == ["baseline"]
        return found

    return judge


@pytest.fixture
def written(gate, tmp_path):
    found = gate(report_of(FIRST), update=True)
    assert found.errors == []
    assert (
        "written, with 2 survivors and 1 divergent mutant; survivals over all cells: 3 new, 0"
        in (found.entries[0]["text"])
    )
    return tmp_path / "known.toml"


def test_the_file_is_sorted_with_a_mutant_a_line(written):
    lines = written.read_text().splitlines()
    assert lines[lines.index('[survivors."m"]') :] == [
        '[survivors."m"]',
        '"x@k#1" = ["llvm-O2", "llvm-O3"]',
        '"y@k#1" = ["llvm-O3"]',
        "",
        '[divergent."m"]',
        '"y@k#1" = ["llvm-O2 KILLED", "llvm-O3 SURVIVED"]',
    ]


def test_it_is_read_as_it_was_written(written):
    assert Known.read(written, OPTION) == Known.of(report_of(FIRST))


def test_strange_names_are_written_too(tmp_path):
    known = Known(
        frozenset([('a "model"\\\n<b>\x7f', "x@k[é]#1", "llvm-O2")]), {("m.n", "y"): ("a K",)},
        {"m.n": "1"}, ("llvm-O2",), {"operators": "a,b"},
    )  # fmt: skip
    known.write(tmp_path / "known.toml", OPTION)
    assert Known.read(tmp_path / "known.toml", OPTION) == known


def test_what_is_known_passes(written, gate):
    found = gate(report_of(FIRST))
    assert (found.errors, found.warnings) == ([], [])
    assert found.entries[0]["text"] == (
        "--mutatenn-baseline=known.toml: no new survivor and no newly divergent mutant"
    )


def test_a_new_survivor_fails(written, gate):
    found = gate(report_of({**FIRST, "v@k#1": LIVES}))
    assert found.errors == [
        "--mutatenn-baseline=known.toml: required none that is new, reached 1 new survivor: "
        "v@k#1 in llvm-O2, llvm-O3"
    ]
    assert found.entries[0]["reached"] == 2  # in two cells


def test_one_that_survives_in_another_cell_too_is_new_there(written, gate):
    found = gate(report_of({**FIRST, "y@k#1": LIVES}))
    assert (
        "reached 1 new survivor: y@k#1 in llvm-O2; 1 known divergent mutant is no more"
        in (found.errors[0])
    )


def test_a_newly_divergent_mutant_fails(written, gate):
    # it survives where it did, and where it was not known to die it dies now
    found = gate(report_of({**FIRST, "x@k#1": DIVERGES}))
    assert "reached 1 newly divergent mutant: x@k#1" in found.errors[0]


def test_entries_that_are_gone_are_told(written, gate):
    found = gate(report_of({"v@k#1": DIES, "x@k#1": DIES}))
    assert found.errors == []
    assert found.entries[0]["text"].endswith(
        "; 2 known survivors are detected now, 1 known survivor did not run, 1 known divergent "
        "mutant is no more (--mutatenn-update-baseline takes out what is gone)"
    )


def test_of_another_run_it_says_so(written, gate):
    found = gate(report_of(FIRST, digest="2", sample=[10.0, True]))
    (text,) = found.warnings
    assert text == (
        "--mutatenn-baseline: known.toml is of another run: the network m was another; "
        "--mutatenn-sample was not given, and is 10%. What is new may only not have been run "
        "before."
    )
    assert found.errors == []


def test_of_other_cells_it_says_so(written, gate, tmp_path):
    text = written.read_text().replace('cells = ["llvm-O2", "llvm-O3"]', 'cells = ["llvm-O2"]')
    written.write_text(text)
    assert "llvm-O3 was not run" in gate(report_of(FIRST)).warnings[0]


def test_it_is_written_anew_with_what_came_and_went(written, gate):
    found = gate(report_of({"v@k#1": LIVES, "x@k#1": DIES}), update=True)
    assert "survivals over all cells: 2 new, 3 gone" in found.entries[0]["text"]
    assert gate(report_of({"v@k#1": LIVES, "x@k#1": DIES})).errors == []


def test_it_is_left_alone_where_tests_fail_on_the_unmutated_network(written, gate):
    record = report_of({**FIRST, "v@k#1": LIVES})
    record["baseline"][0]["outcome"] = "failed"
    before = written.read_text()
    found = gate(record, update=True)
    assert "left as it is, since 1 test fails on the unmutated model" in found.errors[0]
    assert written.read_text() == before


def test_it_is_left_alone_where_a_test_breaks_on_a_mutant(tmp_path):
    gates = Gates(baseline="known.toml", update=True)
    found = judge_gates(report_of(FIRST), gates, tmp_path, failed=True)
    assert found.errors == ["--baseline=known.toml: left as it is, since a test has failed"]
    assert not (tmp_path / "known.toml").exists()


def test_it_is_left_alone_where_nothing_was_tested(written, gate):
    before = written.read_text()
    record = build(GREEN, {A: plan("x@k#1")})
    record["models"] = []
    found = gate(record, update=True)
    assert found.errors[0].startswith("No mutant was tested")
    assert not found.entries[0]["passed"]
    assert written.read_text() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "known.toml is not there. Add --mutatenn-update-baseline once, to write it."),
        ("[", "known.toml cannot be read: "),
        ("a = 1", "known.toml is no file of known survivors. Delete it, and have it written."),
        ('schema = "x"', "known.toml has the schema 'x'"),
        (
            'schema = "mutatenn-baseline/1"\ncells = []\nsurvivors = 3\n[options]\n[networks]\n',
            "known.toml is no file of known survivors",
        ),
    ],
)
def test_what_is_no_such_file_is_refused(text, said, tmp_path):
    if text is not None:
        (tmp_path / "known.toml").write_text(text)
    with pytest.raises(MutatennError) as error:
        Known.read(tmp_path / "known.toml", OPTION)
    assert said in str(error.value)


def test_a_file_that_is_damaged_can_be_written_anew(gate, tmp_path):
    (tmp_path / "known.toml").write_text("[")
    assert gate(report_of(FIRST), update=True).errors == []
    assert gate(report_of(FIRST)).errors == []


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(MutatennError, match=r"--x: .* could not be written: Is a directory"):
        Known().write(tmp_path, "--x")
