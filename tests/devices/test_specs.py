"""How devices are written, and names of the user's own for them."""

import pytest

from pytest_mutatenn.cells import cells_of, read_aliases, read_cell, read_devices
from pytest_mutatenn.devices.specs import alias_lines, pieces, pyproject_aliases, split_devices
from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.errors import MutatennError

KNOWN = {"llvm", "c", "opencl", "rpc", "board"}


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("llvm", ["llvm"]),
        ("llvm,c  opencl\nboard", ["llvm", "c", "opencl", "board"]),
        ("llvm:mcpu=haswell,mattr=+avx2,-fma,c", ["llvm:mcpu=haswell,mattr=+avx2,-fma", "c"]),
        ("c:-O3 -march=native,llvm", ["c:-O3 -march=native", "llvm"]),
        (
            "opencl:0.1,rpc:host:9090/key?target=llvm",
            ["opencl:0.1", "rpc:host:9090/key?target=llvm"],
        ),
        ("llvm:sse2,llvm:avx2,", ["llvm:sse2", "llvm:avx2"]),
        ("", []),
    ],
)
def test_a_list_of_devices_is_split_where_a_known_name_begins(text, devices):
    assert split_devices(text, KNOWN, "--x") == devices


@pytest.mark.parametrize("text", ["opncl", "llvm,opncl", "llvm:sse2,opncl:0", "-O3,llvm"])
def test_what_is_no_device_and_no_option_is_named(text):
    with pytest.raises(MutatennError, match=r"--x: unknown device '[^']+'"):
        split_devices(text, KNOWN, "--x")


def test_options_are_read_as_they_are_typed_and_as_ids_have_them():
    assert (
        pieces("mcpu=a,mattr=+b,-c") == pieces("mcpu=a;mattr=+b;-c") == ["mcpu=a", "mattr=+b", "-c"]
    )


def test_a_cell_id_has_no_comma_and_reads_back_as_the_same_device():
    (cell,) = cells_of(read_devices("llvm:sse2,opt-level=2", "--x", {}), [3])

    assert cell.id == "llvm:sse2;opt-level=2-O3"
    assert read_cell(cell.id, "--y", {}).id == cell.id
    assert cells_of(
        read_devices("llvm:sse2,opt-level=2 llvm:sse2;opt-level=2", "--x", {}), [3]
    ) == (cell,)


def test_names_of_the_users_own_come_from_pyproject_and_from_any_ini_file(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        "[tool.mutatenn.devices.old]\nkind = 'llvm'\nmcpu = 'nehalem'\nmattr = ['+avx', '-ssse3']\n"
        "fast-math = true\nopt-level = 2\n"
        "[tool.mutatenn.devices.cc]\nkind = 'c'\noptions = '-O1,-march=x86-64'\n"
    )

    aliases = read_aliases(tmp_path, ["slow = llvm:opt-level=0"])

    assert aliases == {
        "old": "llvm:mcpu=nehalem,mattr=+avx,-ssse3,fast-math,opt-level=2",
        "cc": "c:-O1,-march=x86-64",
        "slow": "llvm:opt-level=0",
    }
    assert read_devices("slow,llvm,cc", "--x", aliases) == {
        "slow": "llvm:opt-level=0",
        "llvm": "",
        "cc": "c:-O1,-march=x86-64",
    }
    cell = read_cell("old-O1", "--x", aliases)
    assert (cell, cell.id, cell.spec) == (Cell("old", 1), "old-O1", aliases["old"])


def test_a_table_of_an_address_or_a_file_has_its_options_after_a_question_mark(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        "[tool.mutatenn.devices.board]\nkind = 'rpc'\noptions = 'board.local:9090/board'\n"
        "mtriple = 'aarch64-linux-gnu'\nmattr = ['+neon', '-sve']\nwait = 5\n"
        "[tool.mutatenn.devices.more]\nkind = 'rpc'\noptions = 'b:1/k?cc=gcc'\nwait = 5\n"
        "[tool.mutatenn.devices.gpu]\nkind = 'recorded'\noptions = 'gpu.zip'\ndevice = 'cuda'\n"
    )

    assert read_aliases(tmp_path, []) == {
        "board": "rpc:board.local:9090/board?mtriple=aarch64-linux-gnu,mattr=+neon,-sve,wait=5",
        "more": "rpc:b:1/k?cc=gcc,wait=5",
        "gpu": "recorded:gpu.zip?device=cuda",
    }


@pytest.mark.parametrize(
    ("text", "device", "level"),
    [
        ("c:-O2", "c:-O2", 0),
        ("c:-O2-O3", "c:-O2", 3),
        ("c:-march=x86-64,-O1", "c:-march=x86-64,-O1", 0),
        ("recorded:my-Output.zip", "recorded:my-Output.zip", 0),
        ("recorded:my-Output.zip-O2", "recorded:my-Output.zip", 2),
    ],
)
def test_what_only_looks_like_a_level_is_part_of_the_device(text, device, level):
    assert read_cell(text, "--x", {}) == Cell(device, level)


@pytest.mark.parametrize("text", ["llvm-O9", "llvm-O"])
def test_a_level_that_is_none_is_named(text):
    with pytest.raises(MutatennError, match="is no cell"):
        read_cell(text, "--x", {})


def test_a_project_without_tables_has_no_names(tmp_path):
    assert pyproject_aliases(tmp_path) == {}
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    assert pyproject_aliases(tmp_path) == {}


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[tool.mutatenn.devices.a]\nmcpu = 'x'\n", r"devices.a\] must be a table with a kind"),
        ("[tool.mutatenn.devices]\na = 'llvm'\n", r"devices.a\] must be a table with a kind"),
        (
            "[tool.mutatenn.devices.a]\nkind = 'lvm'\n",
            "'a' is of an unknown kind 'lvm'. Did you mean",
        ),
        ("[tool.mutatenn.devices.llvm]\nkind = 'c'\n", "'llvm' is a kind of device"),
        ("[tool.mutatenn.devices.'a b']\nkind = 'c'\n", "'a b' cannot be the name of a device"),
        ("[tool.mutatenn.devices.a]\nkind='c'\noptions=1\n", "options must be a string"),
        (
            "[tool.mutatenn.devices.a]\nkind='c'\nx={y=1}\n",
            "x must be a string, a number or a list",
        ),
        ("[tool.mutatenn]\ndevice = 'c'\n", "has 'device', and takes nothing but devices"),
        ("[tool", "cannot be read"),
    ],
)
def test_a_wrong_table_is_named(toml, message, tmp_path):
    (tmp_path / "pyproject.toml").write_text(toml)

    with pytest.raises(MutatennError, match=message):
        read_aliases(tmp_path, [])


def test_a_name_stands_in_one_place_and_takes_no_options(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.mutatenn.devices.a]\nkind = 'c'\n")

    with pytest.raises(MutatennError, match="the device 'a' is named elsewhere, too"):
        read_aliases(tmp_path, ["a = llvm"])
    with pytest.raises(MutatennError, match="must be NAME = KIND:OPTIONS"):
        alias_lines(["a"], "the ini key mutatenn_aliases")
    with pytest.raises(MutatennError, match="'a' is a name for 'c', and takes no options"):
        read_devices("a:x", "--x", {"a": "c"})
