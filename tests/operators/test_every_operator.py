"""Every operator on kernels, at each of its stages, on a real network: it shows."""

import numpy as np
import pytest

from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.engine.evaluate import Engine
from pytest_mutatenn.engine.outcome import Failure
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.model.source import resolve_model
from pytest_mutatenn.operators import catalogue

OPERATORS = catalogue.load()
CASES = [
    (stage, name)
    for name, op in OPERATORS.items()
    for stage in op.stages
    if stage in ("kernel", "device")
]
# no site in this network: no CPU has threads and barriers (tests/operators/test_threads.py has
# them in CUDA's code), and for the others tests/operators has kernels
NOT_HERE = {
    *(("device", "thread_extent"), ("device", "drop_sync")),
    *((stage, name) for stage in ("kernel", "device") for name in ("GT_to_LT", "GT_to_GE")),
    *(("kernel", "or_to_and"), ("device", "or_to_and")),
    *(("kernel", "index_int32_to_int16"), ("device", "index_int32_to_int16")),
    *(("device", "index_swap"), ("kernel", "reassociate")),
}
# what is to change no bit, or shows on several threads only
SILENT = {"store_times_1_00000001", "parallel_race"}
TRIES = 8


@pytest.fixture(scope="module")
def engine(examples, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("every"))
    source = resolve_model("digits.onnx", base=examples, scratch=store.root)
    found = Engine(source, Cell("llvm", 2), store)
    yield found
    found.close()


@pytest.fixture(scope="module")
def listed(engine):
    stages = ("kernel", "device")
    found = engine.list_mutants("all", stages, ("site", 1), (0, None), 0)["mutants"]
    ids = {}
    for entry in found:
        ids.setdefault((entry["stage"], entry["operator"]), []).append(entry["id"])
    return ids


@pytest.fixture(scope="module")
def digits(examples):
    images = np.load(examples / "digits.npz")["images"][:6]
    return {"image": (images.reshape(6, 1, 1, 8, 8) / 16).astype(np.float32)}


@pytest.mark.parametrize(("stage", "name"), CASES)
def test_it_has_a_site_and_shows(stage, name, engine, listed, digits):
    ids = listed.get((stage, name), [])
    assert bool(ids) == ((stage, name) not in NOT_HERE)
    if not ids:
        return
    base = engine.baseline(digits, "six digits", keep=True)
    differs = False
    for mutant in ids[:: max(1, len(ids) // TRIES)]:
        recipe = engine.recipe(mutant)
        assert recipe.status == "prepared", recipe.reason
        result = engine.evaluate(mutant, digits, "six digits", keep=True)
        if isinstance(result, Failure):
            continue
        differs = any(
            not np.array_equal(result.outputs[output], base.outputs[output], equal_nan=True)
            for output in base.outputs
        )
        if differs:
            break
    assert differs == (name not in SILENT)
