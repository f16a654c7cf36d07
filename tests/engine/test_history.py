import numpy as np

from pytest_mutatenn.engine.history import add_kills, order_of, read_kills
from pytest_mutatenn.engine.store import Store


def test_counts_grow_and_are_kept_for_a_network_and_its_inputs(tmp_path):
    store = Store(tmp_path)
    assert read_kills(store, "m", "d") == []
    add_kills(store, "m", "d", [[3], [0, 3]])
    add_kills(store, "m", "d", [[5]])
    assert read_kills(store, "m", "d") == [1, 0, 0, 2, 0, 1]
    assert read_kills(store, "m", "other") == []


def test_all_workers_of_a_session_read_the_same(tmp_path):
    store, shared = Store(tmp_path / "store"), tmp_path / "shared"
    add_kills(store, "m", "d", [[1]])
    first = read_kills(store, "m", "d", shared)
    add_kills(store, "m", "d", [[2]])
    assert read_kills(store, "m", "d", shared) == first == [0, 1]
    assert read_kills(store, "m", "d") == [0, 1, 1]
    assert len(list(shared.iterdir())) == 1


def test_killers_come_first_then_the_least_sure_then_by_number():
    scores = np.float32(
        [[0.9, 0.1], [0.5, 0.5], [0.6, 0.4], [0.5, 0.5], [np.nan, 1], [0.9, 0.1], [0.9, 0.1]]
    )
    assert order_of([], scores) == [1, 3, 2, 0, 5, 6, 4]
    assert order_of([0, 0, 0, 0, 0, 1, 4], scores) == [6, 5, 1, 3, 2, 0, 4]
    # a store that knows of more inputs than there are says nothing of the others
    assert order_of([0, 0, 0, 0, 0, 0, 0, 9], scores) == [1, 3, 2, 0, 5, 6, 4]
    assert order_of([], np.zeros((3, 1), np.float32)) == [0, 1, 2]
