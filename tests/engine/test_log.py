import multiprocessing
import os
import shutil
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mutatenn.engine import log as module
from pytest_mutatenn.engine.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def again(store):
    """The same store as another process sees it."""
    return Store(store.root)


def segments(store):
    return sorted((store.root / "recipes").rglob("*.log"))


def test_entries_are_read_as_they_were_written(store):
    written = {"a": {"lines": ["x\ny", "\r\u2028"], "number": 0.1}, "b": [], "c": ""}
    for key, value in written.items():
        store.log("recipes", "group").put(key, value)
    for one in (store, again(store)):
        log = one.log("recipes", "group")
        assert {key: log.get(key) for key in written} == written
        assert log.get("d") is None
        assert one.log("recipes", "other").get("a") is None
    assert len(segments(store)) == 1


def test_reading_makes_no_folder(store):
    assert store.log("recipes", "group").get("key") is None
    assert not store.root.exists()


def test_what_was_written_last_counts(store):
    log = store.log("recipes", "group")
    log.put("key", 1)
    log.put("key", 2)
    assert log.get("key") == 2
    assert again(store).log("recipes", "group").get("key") == 2


def test_a_reader_finds_what_another_process_writes_later(store):
    reader = again(store).log("recipes", "group")
    assert reader.get("key") is None
    store.log("recipes", "group").put("key", 1)
    assert reader.get("key") == 1
    store.log("recipes", "group").put("next", 2)
    assert reader.get("next") == 2


@given(cut=st.integers(0, 1000), byte=st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_a_torn_or_damaged_entry_is_a_miss_and_the_others_are_there(tmp_path_factory, cut, byte):
    store = Store(tmp_path_factory.mktemp("damaged"))
    values = {f"key{i}": {"n": i, "filler": "x" * 40} for i in range(4)}
    for key, value in values.items():
        store.log("recipes", "group").put(key, value)
    (segment,) = segments(store)
    whole = segment.read_bytes()
    place = cut % len(whole)
    for damaged in (whole[:place], whole[:place] + bytes([byte]) + whole[place + 1 :]):
        segment.write_bytes(damaged)
        log = again(store).log("recipes", "group")
        found = {key: log.get(key) for key in values}
        missing = [key for key, value in found.items() if value is None]
        assert {**found, **{key: values[key] for key in missing}} == values
        # a line end that is lost takes two
        assert len(missing) <= (4 if damaged == whole[:place] else 2)
        for key in missing:
            log.put(key, values[key])
            assert again(store).log("recipes", "group").get(key) == values[key]


def write_many(root, name):
    log = Store(root).log("recipes", "group")
    for i in range(200):
        log.put(f"{name}{i}", {"n": i, "filler": name * 500})
        if log.get(f"{name}{i // 2}") != {"n": i // 2, "filler": name * 500}:
            os._exit(1)


def test_writers_at_the_same_time_lose_nothing(store):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(store.root, name)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    log = store.log("recipes", "group")
    for name in "abc":
        for i in range(200):
            assert log.get(f"{name}{i}") == {"n": i, "filler": name * 500}
    assert len(segments(store)) == 3


def test_the_stores_of_two_machines_are_copied_into_one(tmp_path):
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    here.log("recipes", "group").put("a", 1)
    there.log("recipes", "group").put("b", 2)
    shutil.copytree(there.root, here.root, dirs_exist_ok=True)
    log = again(here).log("recipes", "group")
    assert (log.get("a"), log.get("b")) == (1, 2)


def test_many_segments_become_one_but_for_those_still_written_to(store, monkeypatch):
    monkeypatch.setattr(module, "_MANY", 3)
    for i in range(5):
        again(store).log("recipes", "group").put(f"old{i}", i)
    old = segments(store)
    hour_ago = time.time() - 3700
    for path in old:
        os.utime(path, (hour_ago, hour_ago))
    again(store).log("recipes", "group").put("young", 7)
    before = again(store).log("recipes", "group")  # has not looked yet

    log = again(store).log("recipes", "group")
    assert [log.get(f"old{i}") for i in range(5)] == [0, 1, 2, 3, 4]

    assert len(segments(store)) == 2
    assert not set(segments(store)) & set(old)
    for one in (log, before, again(store).log("recipes", "group")):
        assert [one.get(f"old{i}") for i in range(5)] == [0, 1, 2, 3, 4]
        assert one.get("young") == 7


def opened_short(path, mode, buffering):
    file = open(path, mode, buffering)  # noqa: PTH123, SIM115

    class Half:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            file.close()

        def write(self, line):
            return file.write(line[: len(line) // 2])

    return Half()


def test_a_write_that_was_cut_short_is_an_error_and_nothing_is_appended_to_it(store, monkeypatch):
    log = store.log("recipes", "group")
    log.put("a", 1)
    with monkeypatch.context() as patch:
        # a disk that is full takes a part
        patch.setattr(type(segments(store)[0]), "open", opened_short)
        with pytest.raises(OSError, match="only a part of an entry"):
            log.put("b", 2)
    log.put("c", 3)
    fresh = again(store).log("recipes", "group")
    assert [fresh.get(key) for key in "abc"] == [1, None, 3]
    assert len(segments(store)) == 2


def test_a_store_that_was_deleted_meanwhile_is_made_again(store):
    log = store.log("recipes", "group")
    log.put("a", 1)
    shutil.rmtree(store.root)
    log.put("b", 2)
    assert again(store).log("recipes", "group").get("b") == 2
