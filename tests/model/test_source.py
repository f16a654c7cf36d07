"""Where a network may come from, its digest, and every message."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.model.source import resolve_model


@pytest.fixture
def proto():
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "my net",
        [value("x", TensorProto.FLOAT, [1, 40])],
        [value("y", TensorProto.FLOAT, [1, 40])],
        [numpy_helper.from_array(np.ones((40, 40), np.float32), "w")],
    )
    return helper.make_model(graph)


@pytest.fixture
def resolve(tmp_path):
    return lambda spec: resolve_model(spec, base=tmp_path, scratch=tmp_path / "scratch")


def external(proto, path, location="w.bin"):
    onnx.save(
        proto, path, save_as_external_data=True, location=Path(location).name, size_threshold=0
    )
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    path.write_bytes(model.SerializeToString())


def test_path(tmp_path, resolve, proto):
    path = tmp_path / "nets" / "mobile-net v2.onnx"
    path.parent.mkdir()
    onnx.save(proto, path)
    for spec in ("nets/mobile-net v2.onnx", Path("nets/mobile-net v2.onnx"), str(path), path):
        source = resolve(spec)
        assert source.id == "mobile_net_v2"
        assert source.source == "nets/mobile-net v2.onnx"
        assert source.path == path
        assert source.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_path_relative_to_the_current_directory(tmp_path, monkeypatch, proto):
    onnx.save(proto, tmp_path / "net.onnx")
    base = tmp_path / "tests"
    base.mkdir()
    monkeypatch.chdir(tmp_path)
    source = resolve_model("net.onnx", base=base, scratch=tmp_path)
    assert (source.path, source.source) == (tmp_path / "net.onnx", "net.onnx")


def test_missing_path(tmp_path, resolve, proto):
    with pytest.raises(MutatennError, match=r"model 'net\.onnx'.*has no \.onnx file"):
        resolve("net.onnx")
    onnx.save(proto, tmp_path / "mobilenetv2.onnx")
    with pytest.raises(MutatennError, match=r"no such file.*did you mean 'mobilenetv2\.onnx'\?"):
        resolve("mobilnetv2.onnx")
    with pytest.raises(MutatennError, match=r"there are: 'mobilenetv2\.onnx'"):
        resolve("zzz")
    with pytest.raises(MutatennError, match="the folder 'no/such' is not there either"):
        resolve("no/such/net.onnx")
    with pytest.raises(MutatennError, match=r"that is a folder; name a file in it: mobilenetv2"):
        resolve(".")
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(MutatennError, match=r"empty\.onnx.*0 bytes"):
        resolve("empty.onnx")


def test_proto_bytes_and_functions(tmp_path, resolve, proto):
    data = proto.SerializeToString(deterministic=True)
    digest = hashlib.sha256(data).hexdigest()
    stored = tmp_path / "scratch" / f"{digest}.onnx"

    def make_net():
        return proto

    cases = {
        "my_net": proto,
        "make_net": make_net,
        "lambda": lambda: data,
        "model": data,
    }
    for name, spec in cases.items():
        source = resolve(spec)
        assert (source.id, source.path, source.digest) == (name, stored, digest)
    assert stored.read_bytes() == data
    assert [one.name for one in stored.parent.iterdir()] == [stored.name]
    assert resolve(make_net).source.endswith("make_net")


def test_function_that_returns_a_path(tmp_path, resolve, proto):
    onnx.save(proto, tmp_path / "net.onnx")
    source = resolve(lambda: "net.onnx")
    assert source.path == tmp_path / "net.onnx"
    assert source.digest == resolve("net.onnx").digest


def test_module_and_function(tmp_path, resolve, proto, monkeypatch):
    (tmp_path / "src_nets_a.py").write_text(
        "import onnx\nfrom pathlib import Path\n"
        "def load():\n    return onnx.load(Path(__file__).with_name('n.bin'))\n"
        "def broken():\n    raise ValueError('no weights\\nmore')\n"
        "def number():\n    return 5\n"
        "WIDTH = 3\n"
    )
    (tmp_path / "n.bin").write_bytes(proto.SerializeToString())
    (tmp_path / "src_nets_b.py").write_text("import not_installed_at_all\n")
    (tmp_path / "src_nets_c.py").write_text("1 / 0\n")
    before = list(sys.path)
    source = resolve("src_nets_a:load")
    assert (source.id, source.source) == ("load", "src_nets_a:load")
    for spec, message in {
        "src_nets_a:laod": r"'src_nets_a' has no 'laod'; did you mean 'load'\?",
        "src_nets_a:WIDTH": "that is a int, not a function",
        "src_nets_a:broken": r"the function raised ValueError: no weights; call it",
        "src_nets_a:number": r"model 'src_nets_a:number': the function returned a int; return an",
        "src_nets_b:load": "importing 'src_nets_b' failed, module 'not_installed_at_all'",
        "src_nets_c:load": "importing 'src_nets_c' failed with ZeroDivisionError",
        "src_nets_d:load": "there is no module 'src_nets_d' beside",
    }.items():
        with pytest.raises(MutatennError, match=message):
            resolve(spec)
    assert sys.path == before


def test_something_else(resolve):
    with pytest.raises(MutatennError, match="a int is no network; give a path"):
        resolve(5)
    with pytest.raises(MutatennError, match="0 bytes"):
        resolve(b"")


def test_garbage_is_left_to_the_import(tmp_path, resolve):
    (tmp_path / "bad.onnx").write_bytes(b"\xff\xff\x0a\x08location")
    assert resolve("bad.onnx").id == "bad"
    assert resolve(b"\xff\xff\x0a\x08location").id == "model"


def test_external_data_are_in_the_digest(tmp_path, resolve, proto):
    external(proto, tmp_path / "net.onnx")
    first = resolve("net.onnx").digest
    assert first != hashlib.sha256((tmp_path / "net.onnx").read_bytes()).hexdigest()
    data = bytearray((tmp_path / "w.bin").read_bytes())
    data[5] ^= 1
    (tmp_path / "w.bin").write_bytes(data)
    assert resolve("net.onnx").digest != first


def test_external_data_may_lie_deeper(tmp_path, resolve, proto):
    external(proto, tmp_path / "net.onnx", "data/w.bin")
    with pytest.raises(MutatennError, match=r"'w' keeps its data in 'data/w\.bin', but the folder"):
        resolve("net.onnx")
    (tmp_path / "data").mkdir()
    (tmp_path / "w.bin").rename(tmp_path / "data" / "w.bin")
    assert resolve("net.onnx").id == "net"


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../w.bin", "a/../../w.bin", "..\\w.bin", "C:\\w.bin", ""]
)
def test_external_data_never_outside(tmp_path, resolve, proto, location):
    external(proto, tmp_path / "net.onnx", "w.bin")
    model = onnx.load(tmp_path / "net.onnx", load_external_data=False)
    model.graph.initializer[0].external_data[0].value = location
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(MutatennError, match="not a name inside the file's own folder"):
        resolve("net.onnx")


def test_external_data_never_by_a_link(tmp_path, resolve, proto):
    home = tmp_path / "home"
    home.mkdir()
    external(proto, home / "net.onnx")
    (home / "w.bin").rename(tmp_path / "w.bin")
    (home / "w.bin").symlink_to(tmp_path / "w.bin")
    with pytest.raises(MutatennError, match="a link that leaves"):
        resolve("home/net.onnx")


def test_missing_external_data(tmp_path, resolve, proto):
    external(proto, tmp_path / "net.onnx")
    (tmp_path / "w.bin").rename(tmp_path / "w2.bin")
    with pytest.raises(MutatennError, match=r"w\.bin is not there; did you mean 'w2\.bin'\?"):
        resolve("net.onnx")


def test_proto_with_external_data(tmp_path, resolve, proto):
    external(proto, tmp_path / "net.onnx")
    with pytest.raises(MutatennError, match="a proto has no folder"):
        resolve(onnx.load(tmp_path / "net.onnx", load_external_data=False))


def test_neither_tvm_nor_onnx_is_imported(tmp_path, proto):
    onnx.save(proto, tmp_path / "net.onnx")
    code = """
import pathlib, sys
from pytest_mutatenn.model import inputs, source
base = pathlib.Path(sys.argv[1])
source.resolve_model("net.onnx", base=base, scratch=base)
assert not {"tvm", "onnx", "PIL"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
