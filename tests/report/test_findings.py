"""What a report finds, and how important it is."""

import pytest
from hostile_record import TEST, A, B

from pytest_mutatenn.report.findings import Spot, findings_of


def first(record):
    """The finding of the survivor that shows."""
    return next(one for one in findings_of(record) if one.mutant["id"] == "conv@k#1")


def survivor(record, **told):
    for there in record["mutants"][0]["cells"].values():
        there.update(told)


@pytest.mark.parametrize(
    ("told", "level", "said"),
    [
        ({}, "warning", "The output differs for 2 inputs, the top-1 for 1: the assertions allow"),
        ({"top1_changed": 0}, "warning", "the top-1 for 0"),
        ({"propagated": 0}, "note", "The fault shows inside for 2 inputs, and the network masks"),
        ({"infected": 0, "propagated": 0}, "note", "No input shows it"),
        ({"indistinguishable": True}, "note", "All of the difference is under the noise"),
        ({"undefined": "reads A[9]"}, "warning", "reads A[9]: undefined, and another device"),
    ],
)
def test_what_may_need_no_mending_is_a_note(told, level, said, record):
    survivor(record, **told)
    found = first(record)
    assert found.level == level
    assert any(said in line for line in found.lines)


def test_the_nearest_test_is_named(record):
    margin = {"metric": "accuracy", "op": ">=", "bound": 0.9, "exact": True, "test": "x.py::a"}
    survivor(
        record,
        margins=[
            {**margin, "value": 0.97, "relative": 0.7},
            {**margin, "value": 0.91, "relative": 0.1, "test": "x.py::T::b[1::2]"},
            {**margin, "value": 0.9, "relative": 0.0, "exact": False},
            {**margin, "value": 0.9, "relative": None},
        ],
    )
    assert (
        "Nearest to failing: b[1::2], where accuracy is 0.91, wanted >= 0.9." in first(record).lines
    )


def test_where_codes_differ_too_it_is_a_note(record):
    record["divergent"][0]["same_change"] = False
    found = next(one for one in findings_of(record) if one.kind == "divergent")
    assert found.level == "note"
    assert found.cells == (A, B)


def test_every_file_whose_tests_let_it_pass_is_a_place(record):
    survivor(record, survived=[TEST, "b", "c", "gone", "outside"])
    for test, file, line, marker in (
        ("b", "b.py", 9, None),
        ("c", "b.py", 12, None),
        ("outside", "../../b.py", 1, 1),
    ):
        record["tests"].append({"test": test, "file": file, "line": line, "marker": marker})
    spots = first(record).spots
    assert spots[0].line == 3
    assert spots[1:] == (Spot("sub/b.py", 9), Spot("sub/b.py", 12))


def test_cells_with_the_same_change_are_named_together(record):
    assert [cells for cells, _ in first(record).changes] == [(A, B)]
    record["mutants"][0]["cells"][B]["change"] = {"source": "00112233445566ff", "edits": []}
    assert [cells for cells, _ in first(record).changes] == [(A,), (B,)]
    record["mutants"][0]["cells"][B]["change"] = None
    assert [cells for cells, _ in first(record).changes] == [(A,)]
