import re

import pytest
from pages import PAGES, ROOT

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_within_the_repository_lead_somewhere(page):
    for target in LINK.findall(page.read_text("utf-8")):
        if not target.startswith(("https://", "#")):
            path = (page.parent / target.partition("#")[0]).resolve()
            assert path.exists(), f"{target} is not there"
            assert path.is_relative_to(ROOT), f"{target} is outside the repository"


def test_every_page_of_docs_is_linked_from_the_readme():
    text = (ROOT / "README.md").read_text("utf-8")
    for page in ROOT.glob("docs/*.md"):
        assert f"(docs/{page.name})" in text
