"""The page as bytes: what is in it, and what cannot get out of it."""

import base64
import hashlib
import html.parser
import json
import re

import made
import pytest

from pytest_mutatenn.report.formats.html.pack import HOLE, pack
from pytest_mutatenn.report.formats.html.page import page_of
from pytest_mutatenn.report.formats.html.prepare import TOGETHER, prepare
from pytest_mutatenn.report.writers import Destination, parse_destination, write_report


def unpack(packed):
    """What `js/record.js` does, which the tests in a browser look at."""
    shapes, values = packed["shapes"], packed["values"]

    def item(found):
        return value(values[int(found, 36)]) if isinstance(found, str) else found

    def value(found):
        if isinstance(found, str):
            return found
        kind, *items = found
        if kind == -1:
            return [item(one) for one in items]
        if kind == -2:
            pieces = item(items[0]).split(HOLE)
            numbers = [*map(str, items[1:]), ""]
            return "".join(a + b for a, b in zip(pieces, numbers, strict=True))
        return dict(zip(shapes[kind], map(item, items), strict=True))

    return item(packed["root"])


class Elements(html.parser.HTMLParser):
    """The elements of a page: their names and attributes, and the text of each script."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.scripts = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.found and self.found[-1][0] == "script":
            self.scripts[-1] += data


LONG = "assert 0.05 of 100 inputs differ: #007, #0, 12345678901234567890 and 1e-05 " * 2


@pytest.mark.parametrize(
    "value",
    [
        [1, 1.0, True, 0, 0.0, False, None, "1", "true", ""],
        {"a": {"b": [LONG, LONG.replace("7", "8"), f"{LONG}{HOLE}", "7" * 90]}, "__proto__": {}},
        [[], {}, [[]], [{}], {"": []}],
        [{"x": n % 3, "y": str(n)} for n in range(100)],
    ],
)
def test_what_is_packed_comes_out_again(value):
    packed = json.loads(json.dumps(pack(value)))
    found = unpack(packed)
    assert found == value
    assert repr(found) == repr(value)  # 1 is not True


def test_the_same_is_written_once():
    line = {"test": "a test", "inputs": ["0-3", "7"]}
    assert len(pack([line] * 50)["values"]) == len(pack([line])["values"])


def test_the_page_is_the_report_whatever_stands_in_it():
    record = made.made(2 * TOGETHER + 1, text=made.SCRIPT)
    page = Elements(page_of(record))
    data = [s for (_, a), s in zip(scripts(page), page.scripts, strict=True) if "type" in a]
    first, *chunks = [unpack(json.loads(text)) for text in data]

    expected, details, texts = prepare(record)
    assert first == json.loads(json.dumps(rounded(expected)))
    assert [len(chunk) for chunk in details] == [TOGETHER, TOGETHER, 1]
    assert chunks == [*json.loads(json.dumps(rounded(details))), *texts]
    assert texts == [source["text"] for source in record["sources"]]


def scripts(page):
    return [element for element in page.found if element[0] == "script"]


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [rounded(entry) for entry in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def test_list_and_details_together_are_all_of_a_mutant():
    record = made.made(3)
    first, [details], _ = prepare(record)
    for whole, listed, rest in zip(
        record["mutants"], first["record"]["mutants"], details, strict=True
    ):
        for cell, there in whole["cells"].items():
            assert {**listed["cells"][cell], **rest["cells"][cell]} == there


def test_the_same_report_gives_the_same_bytes():
    assert page_of(made.made(30)) == page_of(json.loads(json.dumps(made.made(30))))


def test_text_of_a_model_is_no_markup():
    wild = f"</script>{made.SCRIPT}<img src=x onerror=alert(1)>&amp;\u2028]]>"
    tame = Elements(page_of(made.made(4, text="tame")))
    page = page_of(made.made(4, text=wild))
    assert [name for name, _ in Elements(page).found] == [name for name, _ in tame.found]
    assert "<img" not in page
    assert "\u2028" not in "".join(Elements(page).scripts)


def test_the_policy_allows_the_page_its_own_script_and_style():
    page = page_of(made.made(3))
    policy = next(
        attributes["content"]
        for name, attributes in Elements(page).found
        if name == "meta" and "http-equiv" in attributes
    )
    for element, directive in (("script", "script-src"), ("style", "style-src")):
        text = re.search(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")


def test_the_page_names_no_address():
    page = re.sub(r'<script type="application/json".*?</script>', "", page_of(made.empty()))
    assert re.findall(r"https?:|//[a-z]+\.|@import|url\(", page) == []


@pytest.mark.parametrize(
    ("target", "file"),
    [
        ("out/", "out/index.html"),
        ("deep/page.html", "deep/page.html"),
        ("there", "there/index.html"),
    ],
)
def test_a_folder_has_an_index(target, file, tmp_path):
    (tmp_path / "there").mkdir()
    write_report(made.empty(), Destination("html", target), tmp_path)
    assert (tmp_path / file).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_it_has_a_file_of_its_own_where_none_is_named():
    assert parse_destination("html").target == "mutatenn.html"
