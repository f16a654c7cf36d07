"""The file of accepted survivors: what it may hold, and what it covers."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mutatenn.accepted import Accepted, read_accepted
from pytest_mutatenn.errors import MutatennError

TODAY = date(2026, 5, 1)
GOOD = """
[[accepted]]
mutant = "kernel.boundary@conv2d_1#4"
reason = "padding"
expires = 2026-05-01
"""


@pytest.fixture
def read(tmp_path):
    def read(text, today=TODAY):
        file = tmp_path / "accepted.toml"
        file.write_text(text, "utf-8")
        return read_accepted(file, "--mutatenn-accept", today)

    return read


def refused(read, text):
    with pytest.raises(MutatennError) as caught:
        read(text)
    message = str(caught.value)
    assert message.startswith("--mutatenn-accept: ")
    assert "accepted.toml" in message
    return message


def test_entries_in_order(read):
    more = GOOD.replace("#4", "#5") + 'model = "digits"\ncell = "llvm-O3"\n'
    assert read(GOOD + more) == (
        Accepted("kernel.boundary@conv2d_1#4", "padding", TODAY),
        Accepted("kernel.boundary@conv2d_1#5", "padding", TODAY, "digits", "llvm-O3"),
    )


def test_an_empty_file_accepts_nothing(read):
    assert read("") == ()


def test_the_last_day_counts(read):
    assert len(read(GOOD, TODAY)) == 1
    message = refused(lambda text: read(text, TODAY + timedelta(days=1)), GOOD)
    assert "kernel.boundary@conv2d_1#4 expired on 2026-05-01 (padding)" in message
    assert "Kill it with a test, or look at it again and write a new date." in message


def test_all_that_have_expired_are_named(read):
    old = GOOD.replace("2026-05-01", "2026-04-30")
    message = refused(read, old + 'cell = "llvm-O3"' + GOOD + old.replace("#4", "#5"))
    assert "#4, cell llvm-O3 expired on 2026-04-30" in message
    assert "#5 expired on 2026-04-30" in message
    assert "2026-05-01" not in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[accepted]", "cannot be read: "),
        ("[accepted]\nmutant = 'x'", "has 'accepted'; it takes tables [[accepted]] and nothing"),
        ("accepted = 3", "has 'accepted'; it takes tables [[accepted]] and nothing else"),
        ("accepted = [3]", "entry 1 is no table; begin each with [[accepted]]"),
        ("[[accept]]", "has 'accept'; it takes tables [[accepted]] and nothing else"),
        (GOOD + "who = 'x'", "entry 1 has the unknown key 'who'. Keys: mutant, reason,"),
        (GOOD.replace("reason", "reson"), "unknown key 'reson'. Did you mean 'reason'?"),
        (GOOD + GOOD.replace("expires", "expire"), "entry 2 has the unknown key 'expire'. Did you"),
        (GOOD.replace('"padding"', '" "'), "entry 1 needs reason = a text, got ' '"),
        (GOOD.replace('"padding"', "3"), "entry 1 needs reason = a text, got 3"),
        (GOOD.replace('reason = "padding"', ""), "entry 1 needs reason = a text, got None"),
        (GOOD.replace("mutant", "#"), "entry 1 needs mutant = a text, got None"),
        (GOOD + "cell = ''", "entry 1 needs cell = a text, got ''"),
        (GOOD + "model = ['a']", "entry 1 needs model = a text, got ['a']"),
        (GOOD.replace("expires", "#"), "needs expires = a date such as 2027-06-30, got None"),
        (GOOD.replace("2026-05-01", "'2026-05-01'"), "a date such as 2027-06-30, got '2026-05-01'"),
        (GOOD.replace("2026-05-01", "2026-05-01T10:00:00"), "needs expires = a date such as"),
        (GOOD.replace("2026-05-01", "2026-05-32"), "cannot be read: "),
    ],
)
def test_what_is_wrong_is_said(text, said, read):
    assert said in refused(read, text)


def test_a_file_that_is_no_text(tmp_path):
    file = tmp_path / "accepted.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MutatennError, match=r"accepted\.toml cannot be read: .*utf-8"):
        read_accepted(file, "--mutatenn-accept", TODAY)


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path):
    for file in (tmp_path / "accepted.toml", tmp_path):
        with pytest.raises(MutatennError, match=r"^the ini key x: .* cannot be read: \w"):
            read_accepted(file, "the ini key x", TODAY)


IDS = ("device.boundary@conv2d#1", "device.boundary@conv2d#1@llvm-O2")


@pytest.mark.parametrize(
    ("entry", "covered"),
    [
        ({}, True),
        ({"model": "digits"}, True),
        ({"model": "other"}, False),
        ({"cell": "llvm-O2"}, True),
        ({"cell": "llvm-O3"}, False),
        ({"model": "digits", "cell": "llvm-O3"}, False),
    ],
)
def test_where(entry, covered):
    one = Accepted("device.*", "so", TODAY, **entry)
    assert one.covers("digits", "llvm-O2", IDS) == covered


@pytest.mark.parametrize(
    ("pattern", "covered"),
    [
        ("device.boundary@conv2d#1", True),
        ("device.boundary@conv2d#1@llvm-O2", True),
        ("device.boundary@conv2d#1@*", True),
        ("device.boundary@*", True),
        ("*", True),
        ("device.boundary@conv2d#", False),
        ("device.boundary@conv2d#1@llvm-O3", False),
        ("Device.*", False),
        ("boundary", False),
    ],
)
def test_which_mutants(pattern, covered):
    assert Accepted(pattern, "so", TODAY).covers("digits", "llvm-O2", IDS) == covered


@given(st.text(min_size=1, max_size=20))
def test_an_id_as_it_stands_is_always_covered(text):
    assert Accepted(text, "so", TODAY).covers("m", "c", [text])


def test_an_entry_as_text_names_what_it_is_about():
    assert str(Accepted("x", "so", TODAY)) == "x"
    assert str(Accepted("x", "so", TODAY, "digits", "llvm-O3")) == "x, model digits, cell llvm-O3"
