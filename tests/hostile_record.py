"""A report in which every text from a network, a path or a test is as bad as it can be."""

from told import plan, row

from pytest_mutatenn.report.record import Gathered, build_record

A, B = "llvm-O0", "llvm-O2"
BAD = (
    "<script>alert(1)</script> ]]> a|b `x` %0A ::error:: \"q\" 'q' [x](http://y) @me "
    "\x1b[1m\x00\udcff\u202e"
)
LINES = f"{BAD}\n::error::{BAD}\r\n=1+1"
TEST = f"test_{BAD}.py::test_it[{LINES}]"
NAMES = ("conv@k#1", "conv@k#2", "pool@k#1", "pool@k#2", "pool@k#3")


def mutants(**more):
    made = plan(*NAMES, **more)
    for entry in made["mutants"]:
        entry.update(before=f"old {LINES}", after=f"- {LINES}", layers=["k"], summary=LINES)
    return made


def shown(**more):
    told = {"infected": 2, "propagated": 2, "top1_changed": 1, "inputs_run": 2}
    return {"outcome": "returned", "seconds_run": 0.5, **told, **more}


def hostile():
    rows = [row(None, TEST, "passed", cell=cell) for cell in (A, B)]
    for cell in (A, B):
        rows.append(row("conv@k#1", TEST, "passed", cell=cell, stats=shown()))
        died = "passed" if cell == A else "failed"
        rows.append(row("conv@k#2", TEST, died, cell=cell, reason=LINES, stats=shown()))
        quiet = shown(infected=0, propagated=0, top1_changed=0, stderr=LINES)
        rows.append(row("pool@k#1", TEST, "passed", cell=cell, stats=quiet))
        told = {"cell": cell, "reason": LINES, "verdict": "INVALID"}
        rows.append(row("pool@k#2", TEST, "verdict", **{**told, "stats": {}}))
        rows.append(row("pool@k#3", TEST, "failed", cell=cell, reason=LINES, stats=shown()))
    gathered = Gathered(
        rows=rows,
        models={
            "m": {
                "id": "m",
                "source": f"nets/{LINES}.onnx",
                "digest": "1",
                "inputs": [],
                "output": None,
                "layers": {"k": f"k ({LINES})"},
                "dataset": None,
            }
        },
        plans={("m", cell): mutants() for cell in (A, B)},
        cells={
            cell: {"id": cell, "fingerprint": "f", "available": True, "reason": ""}
            for cell in (A, B)
        },
        tests={TEST: {"file": f"tests/test_{BAD}.py", "line": 7, "marker": 3}},
    )
    run = {"version": "1", "tvm": "2", "started": "2030-01-01T00:00:00+00:00", "seconds": 2.0,
           "root": "sub", "options": {}}  # fmt: skip
    record = build_record(gathered, run, full_matrix=False, sampled=False)
    record["sources"] = [
        {
            "id": "00112233445566ff",
            "model": "m",
            "stage": "kernel",
            "name": LINES,
            "cells": [A, B],
            "language": "tvmscript",
            "text": f"@T.prim_func\ndef f():\n    {BAD}\n",
        }
    ]
    change = {"source": "00112233445566ff", "edits": [[3, 5, 3, 9, LINES]]}
    for mutant in record["mutants"]:
        for there in mutant["cells"].values():
            there["change"] = change if there["verdict"] != "SKIPPED" else None
    return record
