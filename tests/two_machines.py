"""Reports of one network and its mutants from two machines, to be made one."""

import copy

from told import plan, row

from pytest_mutatenn.report.differences import without_keys
from pytest_mutatenn.report.record import Gathered, build_record

A, B = "llvm-O2", "cuda-O2"
OPTIONS = {"sample": None, "mutants": [], "reference": "llvm-O0", "operators": "default"}
MODEL = {
    "id": "m", "source": "m.onnx", "digest": "1", "inputs": [{"name": "x", "shape": [1, 3]}],
    "output": {"name": "y", "shape": [1, 2]}, "layers": {},
    "dataset": {"source": "m.npz", "digest": "2", "count": 2, "labelled": False,
                "names": ["cat", "dog"]},
}  # fmt: skip


def report(cell, results, started="2030-01-01", mutants=(), **options):
    """A run in a cell: mutant -> what the only test did."""
    rows = [row(None, "t", "passed", cell=cell)]
    rows += [row(name, "t", result, cell=cell) for name, result in results.items()]
    told = {"id": cell, "fingerprint": f"processor of {cell}", "available": True, "reason": ""}
    gathered = Gathered(
        rows=rows,
        models={"m": copy.deepcopy(MODEL)},
        plans={("m", cell): plan(*results, *mutants)},
        cells={cell: told},
        counters={"evaluations_run": len(results)},
    )
    run = {
        "version": "1", "tvm": "2", "python": "3", "host": {"cpu": cell}, "started": started,
        "seconds": 2.0, "argv": [], "root": "", "seed": 0, "workers": 0,
        "options": {**OPTIONS, **options}, "shard": None, "ended_early": None,
    }  # fmt: skip
    record = build_record(gathered, run, full_matrix=False, sampled=False)
    best = [[0], [1]] if cell == A else [[0], [0]]
    record["differential"] = {
        **record["differential"],
        "reference": "llvm-O0",
        "cells": [{"model": "m", "cell": cell, "topk": best}],
    }
    return without_keys(record)


def two_reports():
    """The same two mutants on two machines, which disagree on one."""
    ours = report(A, {"x@k#1": "failed", "y@k#1": "passed"})
    theirs = report(B, {"x@k#1": "failed", "y@k#1": "failed"}, started="2030-01-02")
    return [("a.json", ours), ("b.json", theirs)]
