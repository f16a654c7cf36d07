"""What a change of makes an operator another one: its file, and what that imports."""

import pytest

from pytest_mutatenn.operators.sources import digest_of_sources


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "far_helper_x.py").write_text("FACTOR = 1\n")
    (tmp_path / "near_helper_x.py").write_text("from far_helper_x import FACTOR\n")
    (tmp_path / "conftest.py").write_text("import numpy\nfrom near_helper_x import FACTOR\n")
    (tmp_path / "stranger_x.py").write_text("FACTOR = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "differs"),
    [("conftest", True), ("near_helper_x", True), ("far_helper_x", True), ("stranger_x", False)],
)
def test_a_changed_import_counts_however_far(project, changed, differs):
    before = digest_of_sources(project / "conftest.py")
    assert digest_of_sources(project / "conftest.py") == before
    with (project / f"{changed}.py").open("a") as file:
        file.write("\n# changed\n")
    assert (digest_of_sources(project / "conftest.py") != before) == differs


def test_relative_imports_of_a_package(tmp_path, monkeypatch):
    package = tmp_path / "pack_x"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helper.py").write_text("A = 1\n")
    (package / "operators.py").write_text("from .helper import A\nfrom . import helper\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = digest_of_sources(package / "operators.py", "pack_x")
    (package / "helper.py").write_text("A = 2\n")
    assert digest_of_sources(package / "operators.py", "pack_x") != before


def test_a_file_that_is_no_python_is_left_to_whoever_imports_it(tmp_path):
    (tmp_path / "broken.py").write_text("1 +")
    assert digest_of_sources(tmp_path / "broken.py")
