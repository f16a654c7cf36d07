import multiprocessing
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mutatenn.engine.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_an_entry_is_read_as_it_was_written(store):
    store.put("kind", "key", b"body\nwith\x00lines")
    assert store.get("kind", "key") == b"body\nwith\x00lines"
    assert store.get("kind", "other") is None
    assert store.get("other", "key") is None


def test_reading_makes_no_folder(store):
    assert store.get("kind", "key") is None
    assert not store.root.exists()


@given(body=st.binary(max_size=200), cut=st.integers(0, 300), byte=st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_an_entry_damaged_anywhere_is_a_miss_and_is_removed(tmp_path_factory, body, cut, byte):
    store = Store(tmp_path_factory.mktemp("damaged"))
    store.put("kind", "key", body)
    path = store.path("kind", "key")
    whole = path.read_bytes()
    place = cut % len(whole)
    for damaged in (whole[:place], whole[:place] + bytes([byte]) + whole[place + 1 :]):
        path.write_bytes(damaged)
        if damaged == whole:
            continue
        assert store.get("kind", "key") is None
        assert not path.exists()


def test_arrays_keep_dtype_shape_and_bits(store):
    arrays = {
        "nan": np.array([np.nan, -0.0, 0.0], np.float32),
        "empty": np.zeros((0, 3), np.int8),
        "scalar": np.array(7, np.int64),
    }
    store.put_arrays("kind", "key", {"a": [1, None]}, arrays)

    value, found = store.get_arrays("kind", "key")

    assert value == {"a": [1, None]}
    assert {name: (a.dtype, a.shape, a.tobytes()) for name, a in found.items()} == {
        name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()
    }


def test_a_file_lies_under_its_digest_and_a_damaged_one_is_a_miss(store):
    name = store.put_file("code", b"library", ".so")
    path = store.file("code", name)
    assert path.name == name
    assert path.suffix == ".so"
    assert path.read_bytes() == b"library"

    path.write_bytes(b"librarY")

    assert store.file("code", name) is None
    assert store.put_file("code", b"library", ".so") == name
    assert store.file("code", name).read_bytes() == b"library"


def write_many(root, seed):
    store = Store(root)
    for i in range(150):
        store.put_json("kind", f"{i % 5:02d}key", {"writer": seed, "filler": "x" * (seed * 5000)})
        found = store.get_json("kind", f"{(i + 1) % 5:02d}key")
        if found is not None and len(found["filler"]) != found["writer"] * 5000:
            os._exit(1)


def test_writers_at_the_same_time_leave_whole_entries(store):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(store.root, seed)) for seed in (1, 2, 3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    for i in range(5):
        found = store.get_json("kind", f"{i:02d}key")
        assert len(found["filler"]) == found["writer"] * 5000
    names = {path.name for path in store.root.rglob("*") if path.is_file()}
    assert names == {f"{i:02d}key" for i in range(5)} | {".gitignore", "CACHEDIR.TAG"}


def test_a_write_that_fails_leaves_nothing(store, monkeypatch):
    store.put("kind", "key", b"old")

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="No space left"):
        store.put("kind", "key", b"new")
    assert store.get("kind", "key") == b"old"
    files = [path.name for path in store.root.rglob("*") if path.is_file()]
    assert sorted(files) == [".gitignore", "CACHEDIR.TAG", "key"]


def test_what_a_killed_process_leaves_is_swept_by_the_next(store):
    gone = multiprocessing.get_context("spawn").Process(target=os.getpid)
    gone.start()
    gone.join()
    left = store.temporary(gone.pid, "0123abcd")
    left.mkdir(parents=True)
    (left / "half").write_text("half")
    half = store.temporary(gone.pid, "entry")
    half.write_text("half an entry")
    # a store may be shared by machines: there the process may well be at work
    elsewhere = half.with_name(half.name.replace("@", "@not-"))
    elsewhere.mkdir()
    living = store.scratch()
    mine = store.scratch()

    store.remove(mine)

    # another engine of this process may be at work
    assert set((store.root / "tmp").iterdir()) == {living, elsewhere}

    store.clear()

    assert list((store.root / "tmp").iterdir()) == [elsewhere]


def test_it_keeps_itself_out_of_version_control(store):
    store.put("kind", "key", b"")
    assert (store.root / ".gitignore").read_text().endswith("*\n")
    assert (store.root / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f")


def test_a_lock_that_another_has_is_not_waited_for(tmp_path):
    store, other = Store(tmp_path), Store(tmp_path)
    with store.lock("a") as held, other.lock("a", wait=False) as again:
        assert (held, again) == (True, False)
        with other.lock("b", wait=False) as elsewhere:
            assert elsewhere
    with other.lock("a", wait=False) as held:
        assert held
