import os

import pytest


@pytest.fixture(scope="session")
def common(tmp_path_factory):
    """A folder that all workers share, so that kernels compile once and each lesson runs once."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "docs"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def store(common):
    """The option that has every run use the common store."""
    return f"--mutatenn-cache-dir={common / 'store'}"
