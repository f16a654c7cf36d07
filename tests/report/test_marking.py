"""Where tests stand, and the markers that name their networks."""

import pytest

from pytest_mutatenn.report.marking import checkout_root, in_checkout, locate, marker_lines

SOURCE = """\
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.mutatenn(model="a.onnx"),
]

def test_module(): ...

@pytest.mark.slow
@pytest.mark.mutatenn(
    model="b.onnx",
)
def test_own(): ...

@pytest.mark.mutatenn(model="c.onnx")
class TestClass:
    def test_class(self): ...

    class TestInner:
        pytestmark = pytest.mark.mutatenn(limit=3)

        async def test_inner(self): ...
"""


def test_the_nearest_marker_counts():
    assert marker_lines(SOURCE) == {8: 5, 10: 11, 18: 16, 23: 21}


def test_markers_of_other_names_are_none():
    assert marker_lines("@pytest.mark.skip(mutatenn)\n@other.mutatenn\ndef test(): ...\n") == {}


def test_a_test_is_located(tmp_path):
    path = tmp_path / "test_a.py"
    path.write_text(SOURCE)
    (tmp_path / "test_b.py").write_text("def (")
    found = locate(
        [
            ("a::own", path, "sub\\test_a.py", 10),
            ("b::x", tmp_path / "test_b.py", "test_b.py", 1),
            ("c::x", tmp_path / "gone.py", "gone.py", 2),
        ]
    )
    assert found == {
        "a::own": {"file": "sub/test_a.py", "line": 10, "marker": 11},
        "b::x": {"file": "test_b.py", "line": 1, "marker": None},
        "c::x": {"file": "gone.py", "line": 2, "marker": None},
    }


@pytest.mark.parametrize("git", ["folder", "file"])
def test_paths_are_from_the_top_of_the_checkout(git, tmp_path):
    inner = tmp_path / "pkg" / "app"
    inner.mkdir(parents=True)
    if git == "folder":
        (tmp_path / ".git").mkdir()
    else:  # of a worktree
        (tmp_path / ".git").write_text("gitdir: elsewhere")
    assert checkout_root(tmp_path) == ""
    assert checkout_root(inner) == "pkg/app"
    assert in_checkout("pkg/app", "tests/test_a.py") == "pkg/app/tests/test_a.py"
    assert in_checkout("pkg/app", "../test_a.py") == "pkg/test_a.py"
    assert in_checkout("", "../test_a.py") is None
    assert in_checkout(None, "test_a.py") == "test_a.py"
