"""The pages about reports name what there is."""

import importlib

from pages import ROOT, section, table, words

from pytest_mutatenn.report.comparing import CONDITIONS
from pytest_mutatenn.report.writers import kinds

PAGE = (ROOT / "docs" / "reports.md").read_text("utf-8")


def test_every_type_is_in_the_table_with_where_it_goes():
    listed = {row[0].strip("`"): row[1].strip("`") for row in table(PAGE.partition("\n## ")[0])}
    assert listed == {
        kind: importlib.import_module(module).DEFAULT for kind, module in kinds().items()
    }


def test_every_condition_of_compare_is_named():
    rows = table(section(PAGE, "From one run to the next"))
    assert words(next(row for row in rows if row[0].startswith("`--fail-on"))[1]) == set(CONDITIONS)
