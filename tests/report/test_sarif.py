"""Findings as SARIF."""

import copy
import json

import jsonschema
import pytest
from hostile_record import A, B
from npm import npm_package

from pytest_mutatenn.report.formats import sarif


def written(record, tmp_path):
    sarif.write(record, tmp_path / "x.sarif")
    return json.loads((tmp_path / "x.sarif").read_text(encoding="utf-8"))


@pytest.fixture
def run(record, tmp_path):
    return written(record, tmp_path)["runs"][0]


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    folder = npm_package("@microsoft/jest-sarif@1.0.0-beta.0", tmp_path_factory.mktemp("sarif"))
    return json.loads((folder / "lib/schemas/sarif-2.1.0-rtm.5.json").read_text())


def test_it_is_valid(record, schema, tmp_path):
    validator = jsonschema.validators.validator_for(schema)(schema)

    assert list(validator.iter_errors(written(record, tmp_path))) == []
    # and the schema does refuse
    assert list(validator.iter_errors({"version": "2.1.0", "runs": [{}]}))


def test_warnings_come_first_and_every_finding_is_there(run):
    found = [(r["properties"]["finding"], r["properties"]["mutant"], r["level"])
             for r in run["results"]]  # fmt: skip
    assert found == [
        ("survived", "conv@k#1", "warning"),
        ("divergent", "conv@k#2", "warning"),
        ("survived", "conv@k#2", "warning"),
        ("survived", "pool@k#1", "note"),
    ]
    assert run["results"][1]["properties"]["verdicts"] == {A: "SURVIVED", B: "KILLED"}


def test_a_rule_is_an_operator_with_its_help(run):
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["conv", "pool"]
    assert rules[0]["help"]["text"].startswith(rules[0]["shortDescription"]["text"])
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]


def test_a_result_stands_at_the_marker_and_in_its_source(run):
    result = run["results"][0]
    (place,) = result["locations"]
    assert place["physicalLocation"]["region"] == {"startLine": 3}
    assert place["physicalLocation"]["artifactLocation"]["uri"].startswith("sub/tests/test_%3Cscr")
    assert "%FF" in place["physicalLocation"]["artifactLocation"]["uri"]  # as the path has it
    (within,) = result["relatedLocations"]
    assert within["physicalLocation"]["region"] == {
        "startLine": 3, "startColumn": 5, "endLine": 3, "endColumn": 9,
    }  # fmt: skip
    artifact = run["artifacts"][within["physicalLocation"]["artifactLocation"]["index"]]
    assert artifact["location"]["uri"] == "mutatenn/sources/00112233445566ff.py"
    assert artifact["contents"]["text"].startswith("@T.prim_func\n")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ([3, 5, 3, 9, "<="], "this becomes <="),
        ([3, 5, 3, 5, "-"], "- is put in"),
        ([3, 5, 3, 9, ""], "this is left out"),
    ],
)
def test_an_edit_is_said_in_words(edit, said, record, tmp_path):
    for there in record["mutants"][0]["cells"].values():
        there["change"]["edits"] = [edit]
    (within,) = written(record, tmp_path)["runs"][0]["results"][0]["relatedLocations"]
    assert within["message"]["text"] == f"{A}, {B}: {said}"


def test_what_no_test_is_known_for_stands_in_its_source(record, tmp_path):
    record["tests"] = []
    place = written(record, tmp_path)["runs"][0]["results"][0]["locations"][0]
    uri = place["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "mutatenn/sources/00112233445566ff.py"


def test_a_link_in_a_text_is_none(run):
    text = run["results"][0]["message"]["text"]
    assert r"\[x\](http://y)" in text
    assert "\x1b" not in text
    assert r"\x1b[1m" in text


def test_fingerprints_are_of_the_finding_alone(record, run, tmp_path):
    other = copy.deepcopy(record)
    other["mutants"].reverse()
    other["run"].update(started="2040", version="9", seconds=99.0)
    other["mutants"][0]["cells"][A]["before"] = "another line"

    def prints(found):
        return {
            (r["properties"]["mutant"], r["properties"]["finding"]): r["partialFingerprints"]
            for r in found["results"]
        }

    again = prints(written(other, tmp_path)["runs"][0])
    assert again == prints(run)
    assert len({json.dumps(one) for one in again.values()}) == len(again) == 4
