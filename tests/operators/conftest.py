"""The benches: networks in process, loaded once."""

import pytest
from benches import NETWORKS, Bench


@pytest.fixture(scope="session")
def make_bench(tmp_path_factory, store_folder):
    return lambda model: Bench(model, tmp_path_factory.mktemp("network"), store_folder)


@pytest.fixture(scope="session")
def benches(make_bench):
    return {name: make_bench(model) for name, model in NETWORKS.items()}
