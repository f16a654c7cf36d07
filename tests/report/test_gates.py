"""What turns the exit code."""

import pytest
from told import GREEN, build, entry, plan, row

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.report.conditions import CONDITIONS, parse_conditions
from pytest_mutatenn.report.gates import NAMES, Gates, judge_gates, read_gates

A, B = "llvm-O2", "llvm:mcpu=znver4-O3"


def asked(cells=(A, B), update=False, **texts):
    given = {name: (texts.get(name.replace("-", "_"), ""), f"--{name}") for name in NAMES}
    return read_gates(given, cells, update=update)


def judged(record, folder=None, **texts):
    return judge_gates(record, asked(**texts), folder, "mutatenn-")


@pytest.fixture
def record():
    """A mutant that one cell detects and the other does not, and one that dies in both."""
    rows = [*GREEN, *({**green, "cell": B} for green in GREEN)]
    rows += [row("x@k#1", "a", "failed"), row("x@k#1", "a", "passed", cell=B)]
    rows += [row("y@k#1", "a", "failed"), row("y@k#1", "a", "failed", cell=B)]
    mutants = [
        {**entry("x@k#1", "stores", "kernel"), "index": 0},
        {**entry("y@k#1", "conditional", "graph"), "index": 1},
    ]
    found = build(rows, {A: {**plan(), "mutants": mutants}, B: {**plan(), "mutants": mutants}})
    found["cells"] = [{"id": cell, "available": True, "reason": ""} for cell in (A, B)]
    return found


def test_all_is_well(record):
    found = judged(record)
    assert (found.entries, found.errors, found.warnings) == ([], [], [])


# -- the score, and the number of survivors ------------------------------------------------------


@pytest.mark.parametrize(
    ("gate", "text", "passed", "said"),
    [
        ("fail_under", "75", True, "fail-under: required 75 %, reached 75.00 % by the score, 3 of"),
        ("fail_under", "75.01", False, "fail-under: required 75.01 %, reached 75.00 % by the sco"),
        ("fail_under", "category:conditional=100", True, "fail-under, category:conditional: requ"),
        ("fail_under", "category:stores=51", False, "reached 50.00 % by the score, 1 of 2 detect"),
        ("fail_under", f"cell:{A}=100", True, f"fail-under, cell:{A}: required 100 %, reached 10"),
        ("fail_under", f"cell:{B}=60", False, f"fail-under, cell:{B}: required 60 %, reached 50."),
        ("fail_under", "stage:graph=100", True, "fail-under, stage:graph: required 100 %, reach"),
        ("fail_under", "operator:x=60", False, "fail-under, operator:x: required 60 %, reached"),
        ("max_survivors", "1", True, "max-survivors: required at most 1, reached 1 by count of"),
        ("max_survivors", "0", False, "reached 1 by count of the mutants that survive: x@k#1"),
        ("max_survivors", "stage:graph=0", True, "max-survivors, stage:graph: required at most"),
        ("max_survivors", "stage:kernel=0", False, "max-survivors, stage:kernel: required at"),
        ("max_survivors", f"cell:{A}=0", True, f"max-survivors, cell:{A}: required at most 0"),
        ("max_survivors", f"cell:{B}=0", False, f"max-survivors, cell:{B}: required at most 0"),
    ],
)
def test_a_bound_says_what_is_required_and_reached_and_by_what(gate, text, passed, said, record):
    found = judged(record, **{gate: text})
    (told,) = found.entries
    assert told["passed"] is passed
    assert said in told["text"]
    assert found.errors == ([] if passed else [told["text"]])
    assert (told["gate"], told["by"]) == (
        ("fail-under", "score") if gate == "fail_under" else ("max-survivors", "count")
    )


def test_several_bounds_are_judged_one_by_one(record):
    found = judged(record, fail_under=f"70, category:stores=60\ncell:{B}=10")
    assert [(e["scope"], e["required"], e["reached"], e["passed"]) for e in found.entries] == [
        ("", 70, 75, True),
        ("category:stores", 60, 50, False),
        (f"cell:{B}", 10, 50, True),
    ]


def test_of_a_sample_the_lower_end_of_the_interval_counts(record):
    rows = [*GREEN, *(row(f"x@k#{i}", "a", "failed") for i in range(10))]
    names = [f"x@k#{i}" for i in range(10)]
    found = judged(build(rows, {A: plan(*names)}, sampled=True), fail_under="80,category:stores=72")
    # Wilson's lower end of ten in ten is 72.25 %
    assert [entry["passed"] for entry in found.entries] == [False, True]
    assert found.entries[0]["by"] == "low"
    assert found.errors == [
        "--mutatenn-fail-under: required 80 %, reached 72.24 % by the lower end of the sample's "
        "95 % interval (score 100.00 %), 10 of 10 detected"
    ]


def test_what_is_just_below_a_bound_is_not_rounded_up_to_it():
    rows = [*GREEN, row("x@k#1", "a", "passed"), row("y@k#1", "a", "failed")]
    record = build(rows, {A: plan("x@k#1", "y@k#1")})
    lives, dies = record["mutants"]
    record["mutants"] = [lives] * 4001 + [dies] * 16000
    assert "required 80 %, reached 79.99 %" in judged(record, fail_under="80").errors[0]


def test_a_part_of_which_nothing_was_tested_is_not_green(record):
    found = judged(record, fail_under="category:weights=10", max_survivors="stage:device=0")
    assert [(e["passed"], e["reached"], e["by"]) for e in found.entries] == 2 * [
        (False, None, "nothing")
    ]
    assert found.errors[0].startswith("--mutatenn-fail-under, category:weights: required 10, and ")


def test_a_part_says_why_nothing_of_it_was_tested():
    refused = {"verdict": "INVALID", "result": "verdict"}
    rows = [*GREEN, row("x@k#1", "a", "failed"), {**row("y@k#1", "a", ""), **refused}]
    found = judged(build(rows, {A: plan("x@k#1", "y@k#1")}), fail_under="operator:y=1")
    assert found.errors[0].endswith("required 1, and no mutant of it was tested: 1 x INVALID")


def test_an_operator_that_is_not_there_is_named_with_the_nearest(record):
    record["absent"] = [{"operator": "boundary", "stage": "kernel"}]
    found = judged(record, fail_under="operator:bondary=1")
    assert (
        "there is no operator 'bondary' in this report. Did you mean 'boundary'?"
        in (found.errors[0])
    )


def test_a_group_of_cells_has_bounds_too(record):
    for mutant, verdict in zip(record["mutants"], ("SURVIVED", "KILLED"), strict=True):
        mutant["groups"] = {"a-O0~b-O0": {"verdict": verdict}}
    found = judged(record, fail_under="group:a-O0~b-O0=50", max_survivors="group:a-O0~b-O0=0")
    assert [entry["passed"] for entry in found.entries] == [True, False]


@pytest.mark.parametrize(
    ("gate", "text", "said"),
    [
        ("fail_under", "categry:stores=1", "is no part of a run. Did you mean 'category'? Write"),
        ("fail_under", "category:storse=1", "unknown category 'storse'. Did you mean 'stores'?"),
        ("fail_under", "stage:kernal=1", "unknown stage 'kernal'. Did you mean 'kernel'?"),
        ("fail_under", "stage:kernel+devic=1", "unknown stage 'devic'. Did you mean 'device'?"),
        ("fail_under", "cell:llvm-O3=1", "unknown cell 'llvm-O3'. Did you mean 'llvm-O2'?"),
        (
            "fail_under",
            "category=1",
            "'category' is no part of a run. Write one of category:NAME",
        ),
        ("fail_under", "category:stores", "category:stores says no number; write category:store"),
        ("fail_under", "category:stores=x", "category:stores must be a percentage between 0 and"),
        ("fail_under", "category:stores=101", "must be a percentage between 0 and 100, got '101'"),
        ("fail_under", "=5", "'' is no part of a run."),
        ("fail_under", "nan", "must be a percentage between 0 and 100, got 'nan'"),
        ("fail_under", "80,90", "--fail-under has two bounds for the whole; leave one."),
        ("fail_under", "stage:graph=1,stage:graph=2", "has two bounds for stage:graph"),
        ("fail_under", ",", "--fail-under names no bound; write 80, or category:conditional=70."),
        ("max_survivors", "1.5", "must be a number of mutants of at least 0, got '1.5'"),
        ("max_survivors", "-1", "must be a number of mutants of at least 0, got '-1'"),
    ],
)
def test_a_wrong_bound_is_refused(gate, text, said):
    with pytest.raises(MutatennError) as error:
        asked(**{gate: text})
    assert said in str(error.value)


def test_of_an_option_given_twice_every_part_counts_and_of_one_part_the_later_bound():
    found = asked(fail_under="80,stage:graph=10\ncategory:types=70\nstage:graph=20").fail_under
    bounds = {"": 80, "stage:graph": 20, "category:types": 70}
    assert {bound.scope: bound.value for bound in found} == bounds


def test_where_nobody_knows_the_cells_yet_none_is_refused():
    (bound,) = asked(cells=None, fail_under="cell:any-O2=1").fail_under
    assert (bound.kind, bound.name, bound.value) == ("cell", "any-O2", 1)


# -- nothing tested --------------------------------------------------------------------------------


def test_nothing_tested_is_not_green():
    record = build(GREEN, {A: plan("x@k#1")})
    assert judged(record).errors[0].startswith("No mutant was tested: 1 x not run")
    found = judged(record, fail_under="1", max_survivors="9", fail_on="divergent")
    assert len(found.errors) == 1
    assert [entry["passed"] for entry in found.entries] == [False, False, True]


def test_a_red_baseline_is_what_is_said_where_nothing_was_tested():
    record = build([row(None, "a", "failed")], {A: plan("x@k#1")})
    found = judged(record, fail_under="10").errors
    assert len(found) == 1
    assert found[0].startswith("1 test fails on the unmutated model")


# -- conditions ------------------------------------------------------------------------------------


def with_verdict(verdict):
    def change(record):
        record["mutants"][0]["cells"][A]["verdict"] = verdict

    return change


def away(record):
    record["cells"][0]["available"] = False
    record["mutants"][1]["cells"][A].update(verdict="SKIPPED", planned=False)


def planned(record):
    record["mutants"][1]["cells"][A].update(verdict="SKIPPED")


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("divergent", lambda r: None, "cells disagree on 1 mutant: x@k#1"),
        ("timeout", with_verdict("TIMEOUT"), "1 mutant gave no answer in time: x@k#1"),
        ("crashed", with_verdict("CRASHED"), "the process of 1 mutant died: x@k#1"),
        ("invalid", with_verdict("INVALID"), "the compiler refused 1 mutant: x@k#1"),
        ("skipped", away, "1 mutant should have run in a cell, and did not: y@k#1"),
        ("skipped", planned, "1 mutant should have run in a cell, and did not: y@k#1"),
        (
            "indistinguishable",
            lambda r: r["mutants"][0]["cells"][B].update(indistinguishable=True),
            "1 mutant cannot be told from the unmutated network: x@k#1",
        ),
        (
            "canary",
            lambda r: r["checks"].append(
                {"id": "canary", "model": "m", "cell": A, "verdict": "SURVIVED"}
            ),
            "1 canary lives: no test sees that an output has the wrong sign: that of m in llvm-O2",
        ),
        ("warnings", lambda r: r["warnings"].append("look"), "there are 1 warning: look"),
    ],
)
def test_a_condition_that_holds_is_said(name, change, said, record):
    record["noise"]["repeats"] = 2
    change(record)
    found = judged(record, fail_on=name)
    assert found.errors == [f"--mutatenn-fail-on={name}: {said}"]
    (told,) = found.entries
    assert (told["gate"], told["scope"], told["reached"]) == ("fail-on", name, 1)


def test_a_condition_that_does_not_hold_is_passed(record):
    record["divergent"] = []
    record["noise"]["repeats"] = 2
    found = judged(record, fail_on=",".join(CONDITIONS))
    assert found.errors == []
    assert {e["scope"]: e["passed"] for e in found.entries} == dict.fromkeys(CONDITIONS, True)


def test_a_condition_of_which_nobody_knows_is_not_passed(record):
    (text,) = judged(record, fail_on="indistinguishable").errors
    assert text.endswith("=indistinguishable: not known, since nothing was repeated (--mutatenn-r"
                         "epeats)")  # fmt: skip


def test_what_was_left_out_on_purpose_is_not_skipped(record):
    there = record["mutants"][1]["cells"][A]
    there.update(verdict="SKIPPED", accepted=True)
    assert judged(record, fail_on="skipped").errors == []
    there.update(accepted=False, planned=False)  # sampled out, or the cell has no such site
    assert judged(record, fail_on="skipped").errors == []


def test_unknown_conditions_are_refused():
    with pytest.raises(MutatennError, match=r"--fail-on: unknown condition 'divergant'.* Did you"):
        parse_conditions("divergant", "--fail-on")
    assert parse_conditions("divergent, divergent", "--fail-on") == ("divergent",)


# -- as data ---------------------------------------------------------------------------------------


def test_gates_are_read_back_from_the_report_of_a_shard():
    gates = asked(
        fail_under="80,stage:graph=1", max_survivors="3", fail_on="canary", baseline="k.toml"
    )
    assert Gates.of(gates.plain()) == gates
    assert str(gates) == (
        "fail-under=80,stage:graph=1, max-survivors=3, baseline=k.toml, fail-on=canary"
    )
    assert not Gates()
    assert gates
