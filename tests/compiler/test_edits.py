import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mutatenn.compiler.edits import apply_edits, edits_between

KERNEL = """\
def main(a: T.Buffer((8,), "float32")):
    for i in range(8):
        if 0 < i and i < 7:
            a[i] = a[i] * T.float32(1.5)
"""


@pytest.mark.parametrize(
    ("old", "new", "edit"),
    [
        ("i < 7", "i <= 7", (3, 24, 3, 25, "<=")),
        ("range(8)", "T.parallel(8)", (2, 14, 2, 19, "T.parallel")),
        ("T.float32(1.5)", "T.float32(1.25)", (4, 37, 4, 40, "1.25")),
        ("a[i] * ", "a[i] + ", (4, 25, 4, 26, "+")),
    ],
)
def test_one_change_is_one_edit_of_whole_words(old, new, edit):
    assert edits_between(KERNEL, KERNEL.replace(old, new)) == [edit]


def test_lines_that_come_and_go():
    without = KERNEL.replace("            a[i] = a[i] * T.float32(1.5)\n", "")
    assert edits_between(KERNEL, without) == [(4, 1, 5, 1, "")]
    assert edits_between(without, KERNEL) == [
        (4, 1, 4, 1, "            a[i] = a[i] * T.float32(1.5)\n")
    ]


def test_many_sites_are_many_edits():
    edits = edits_between(KERNEL, KERNEL.replace("8", "9").replace("1.5", "2.5"))
    assert [edit[:2] for edit in edits] == [(1, 23), (2, 20), (4, 37)]


def test_several_changes_of_a_line_are_several_edits():
    edits = edits_between(KERNEL, KERNEL.replace("0 < i and i < 7", "0 <= i and i <= 7"))
    assert [edit[1:] for edit in edits] == [(14, 3, 15, "<="), (24, 3, 25, "<=")]


def test_equal_texts_have_none():
    assert edits_between(KERNEL, KERNEL) == []


@pytest.mark.parametrize("edit", [(9, 1, 9, 2, ""), (1, 0, 1, 2, ""), (1, 1, 1, 99, "")])
def test_an_edit_that_is_not_in_the_text_is_refused(edit):
    with pytest.raises(ValueError, match="no place"):
        apply_edits(KERNEL, [edit])


def test_edits_that_overlap_are_refused():
    with pytest.raises(ValueError, match="not after"):
        apply_edits(KERNEL, [(1, 1, 1, 5, ""), (1, 3, 1, 6, "")])


texts = st.text(alphabet="ab1<=+. \n\r\u2028", max_size=60)


@given(texts, texts)
def test_edits_make_one_text_the_other(before, after):
    edits = edits_between(before, after)
    assert apply_edits(before, edits) == after
    places = [place for edit in edits for place in (edit[:2], edit[2:4])]
    assert places == sorted(places)
    assert bool(edits) == (before != after)
