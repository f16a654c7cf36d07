"""Reports made up for the tests of their writers: every part filled in, of any size."""

import base64
import random
import struct
import urllib.parse
import zlib

from pytest_mutatenn.report.record import FIELDS
from pytest_mutatenn.report.scores import excluded_of, scores_of

SCRIPT = "<script>alert(1)</script>"

SOURCE = """# from tvm.script import tir as T

@T.prim_func(private=True)
def conv2d{number}(x: T.Buffer((1, 16, 8, 8), "float32"), w: T.Buffer((16,), "float32")):
    for i, j in T.grid(16, 64):
        with T.block("pad"):
            v_i, v_j = T.axis.remap("SS", [i, j])
            x[0, v_i, v_j // 8, v_j % 8] = T.float32(0.0)
    for i in range(16):
        for j in range(64):
            if i < {number} and j <= 63:
                x[0, i, j // 8, j % 8] = x[0, i, j // 8, j % 8] + w[i] * T.float32(0.5)
"""
C_SOURCE = """/* a kernel of
   two loops */
void conv2d{number}(float* x, const float* w) {{
  for (int i = 0; i < 16; ++i) {{
    x[i] = x[i] + w[i]; // "sum"
  }}
}}
"""
LEFT_OUT = {"sampled_out": 7, "not_selected": 1, "other_shards": 0}
_OPERATORS = {
    "boundary": ("conditional", "kernel"),
    "mul_to_add": ("kernel-arithmetic", "kernel"),
    "store_zero": ("stores", "device"),
    "relu_to_tanh": ("layer", "graph"),
    "bit_flip_exponent": ("weights", "weights"),
}
_VERDICTS = ["KILLED"] * 6 + ["SURVIVED"] * 2 + ["CRASHED", "TIMEOUT", "INVALID", "EQUIVALENT"]
_REASON = (
    "assert top1_agreement = {share} ({count} of 100 inputs differ: #{a} 3 -> 8, #{b} 1 -> 8, "
    "and 30 more) >= 0.95\n +  where top1_agreement = {share} = top1_agreement(<Predictions: 100 "
    "inputs x 10 classes, top-1 {a}, 8, 8, {b}>, <Predictions: 100 inputs x 10 classes>)"
)


def made(mutants=40, cells=("llvm-O0", "llvm-O2", "c-O2", "opencl-O2"), *, models=1, text=""):
    """A report; `text` goes into every place where a user's, or a file's, words may stand."""
    chance = random.Random(mutants)
    names = [f"net{n}{text}" for n in range(models)]
    sources = [source(kind, number) for kind in ("kernel", "code") for number in range(20)]
    found = [mutant(chance, names[n % models], n, cells, text) for n in range(mutants)]
    record = dict.fromkeys(FIELDS)
    record |= {
        "schema": "mutatenn/1",
        "run": run(text),
        "models": [model(name, text) for name in names],
        "cells": [cell(name) for name in cells],
        "sources": sources,
        "baseline": [
            {
                "test": test,
                "model": name,
                "cell": there,
                "outcome": "passed",
                "message": "",
                "margins": [
                    {"metric": "top1_agreement", "op": ">=", "bound": 0.95, "value": 1.0}
                    | {"margin": 0.05, "exact": True}
                ],
            }
            for name in names
            for there in cells
            for test in tests(text)
        ],
        "checks": [
            {
                "id": name,
                "model": names[0],
                "cell": there,
                "verdict": "KILLED" if name == "canary" else "SURVIVED",
                "killed_by": tests(text)[:1] if name == "canary" else [],
                "reason": "",
            }
            for there in cells
            for name in ("canary", "identity")
        ],
        "plans": [
            {"model": n, "cell": c, "mutants": mutants, **LEFT_OUT} for n in names for c in cells
        ],
        "mutants": found,
        "divergent": [explained(entry) for entry in found if entry["divergent"]],
        "differential": differential(found, names, cells),
        "latency": {"off": None, "cells": latencies(names, cells), "tests": []},
        "noise": {
            "repeats": 3,
            "off": "",
            "cells": [
                {"model": n, "cell": c, "repeats": 3, "off": "", "output": 1e-7}
                | {"metrics": {"top1_agreement": 0.0, "max_abs_diff": None}}
                for n in names
                for c in cells
            ],
            "pairs": [],
        },
        "margins": nearest(found),
        "gates": [gate(True), gate(False, "category:conditional")],
        "artefacts": {"folder": None, "kept": []},
        "absent": [
            {
                "model": names[0],
                "cell": c,
                "operator": "drop_sync",
                "stage": "device",
                "reason": text,
            }
            for c in cells
        ],
        "score": scores_of(found, True),
        "excluded": {},
        "warnings": [f"--mutatenn-accept: no mutant is {text or 'x'} any more."],
        "tests": [{"test": t, "file": "test_net.py", "line": 3, "marker": 1} for t in tests(text)],
        "operators": [
            {"id": name, "category": category, "summary": f"Change it. {text}"}
            for name, (category, _) in _OPERATORS.items()
        ],
    }
    record["excluded"] = excluded_of(found, record["plans"])
    return record


def empty(**parts):
    """A report of a run in which nothing was there."""
    record = made(0, ())
    nothing = {"models": [], "warnings": [], "gates": [], "sources": [], "plans": [], "absent": []}
    return {**record, **nothing, **parts}


def quoted(text):
    return urllib.parse.quote(str(text), safe="")


def combined(record):
    """The report as of several runs, whose machines differ."""
    runs = [record["run"], {**record["run"], "python": "3.12.1", "host": None}]
    several = dict.fromkeys(("version", "tvm", "python", "host", "seed", "options", "root"))
    return {**record, "run": {**record["run"], **several, "argv": [], "runs": runs}}


def tests(text):
    return [f"test_net.py::test_labels{text}", f"test_net.py::test_ranking{text}"]


def run(text):
    return {
        "version": "0.1.0",
        "tvm": "0.27.0",
        "python": "3.11.7",
        "host": {"cpu": "a processor", "cores": 2, "os": "Linux"},
        "started": "2026-11-21T20:12:24+00:00",
        "seconds": 254.283,
        "argv": [
            "-n", "2", f"--rootdir=it's here{text}", "--mutatenn-devices", "llvm,c",
            "--mutatenn-sample=24", "-k", "a or b",
        ],
        "seed": 0,
        "workers": 2,
        "shard": None, "ended_early": None,
        "root": f"/a/checkout{text}",
        "counters": {"kernels_compiled": 12},
        "options": {"operators": "default", "stages": ["kernel"], "sample": [24.0, False],
                    "order": ["site", 1], "seed": 0, "reference": "llvm-O0"},
    }  # fmt: skip


def model(name, text):
    return {
        "id": name,
        "source": f"/networks/{name}.onnx",
        "digest": "c7" * 32,
        "inputs": [{"name": f"image{text}", "dtype": "float32", "shape": [1, 3, 32, 32]}],
        "output": {"name": "probs", "dtype": "float32", "shape": [1, 10]},
        "layers": {f"conv2d_{n}": f"conv2d_{n} (Conv block{n}{text})" for n in range(20)},
        "dataset": {
            "source": "images.npz",
            "digest": "04" * 32,
            "count": 100,
            "labelled": True,
            "names": [f"{n}.png{text}" for n in range(100)],
            "thumbnails": {"images": {str(n): image(n) for n in range(30)}, "left_out": 70},
        },
    }


def image(number):
    """A PNG of one pixel."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    pixel = bytes([0, number * 8 % 256, 128, 255 - number * 8 % 256])
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    data += chunk(b"IDAT", zlib.compress(pixel)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(data).decode()


def cell(name):
    device, _, level = name.rpartition("-O")
    return {
        "id": name,
        "device": device,
        "opt_level": int(level),
        "target": '{"kind":"llvm"}',
        "fingerprint": f"{device} x86_64",
        "available": True,
        "reason": "",
    }


def source(stage, number):
    kernel = stage == "kernel"
    return {
        "id": f"{stage}{number}",
        "model": "net0",
        "stage": stage,
        "name": f"conv2d_{number}",
        "cells": ["llvm-O0"],
        "language": "tvmscript" if kernel else "c",
        "text": (SOURCE if kernel else C_SOURCE).format(number=number),
    }


def mutant(chance, name, number, cells, text):
    operator = list(_OPERATORS)[number % len(_OPERATORS)]
    category, stage = _OPERATORS[operator]
    layer = f"conv2d_{number % 20}"
    where = {there: in_cell(chance, number, text) for there in cells}
    alone = {entry["alone"] for entry in where.values()} & {"KILLED", "SURVIVED", "CRASHED"}
    return {
        "id": f"{stage}.{operator}@{layer}#{number}",
        "model": name,
        "operator": operator,
        "category": category,
        "stage": stage,
        "kernel": layer,
        "site": number,
        "layers": [layer],
        "layer": f"{layer} (Conv block{number % 20}{text})",
        "weight": f"w{number}{text}" if stage == "weights" else None,
        "before": f"if i < {number % 20} and j <= 63:",
        "after": f"if i <= {number % 20} and j <= 63:",
        "parameters": {"strength": 0.1} if number % 7 == 0 else {},
        "cells": where,
        "groups": {},
        "divergent": len(alone) > 1,
    }


def in_cell(chance, number, text):
    verdict = chance.choice(_VERDICTS)
    ran = verdict in ("KILLED", "SURVIVED")
    numbers = sorted(chance.sample(range(100), chance.randrange(4, 12)))
    reason = _REASON.format(
        share=round(chance.random(), 6), count=chance.randrange(100), a=numbers[0], b=numbers[1]
    )
    killed, survived = tests(text)
    return {
        "verdict": verdict,
        "alone": verdict,
        "planned": True,
        "reason": reason + text if verdict == "KILLED" else "",
        "killed_by": [killed] if verdict == "KILLED" else [],
        "survived": [killed, survived] if verdict == "SURVIVED" else [],
        "outcome": "returned" if ran else None,
        "seconds_compile": chance.random(),
        "seconds_run": chance.random() / 100,
        "inputs_run": 100 if ran else None,
        "infected": 100 if ran else None,
        "propagated": len(numbers) + 20 if ran else None,
        "top1_changed": len(numbers) if ran else None,
        "nonfinite": 0 if ran else None,
        "tau_mean": chance.random() if ran else None,
        "code_digest": f"{chance.getrandbits(256):064x}",
        "undefined": "",
        "before": f"if i < {number % 20} and j <= 63:",
        "after": f"if i <= {number % 20} and j <= 63:",
        "stderr": f"Fatal{text}" if verdict == "CRASHED" else "",
        "change": {
            "source": f"kernel{number % 20}",
            "edits": [[11, 18, 11, 19, "<="]],
            "others": [],
        },
        "code": {"source": f"code{number % 20}", "edits": [[5, 17, 5, 18, "-"], [6, 1, 7, 1, ""]]},
        "inputs": {
            "run": "0-99",
            "infected": "0-99",
            "propagated": ",".join(map(str, numbers)) + ",50-69",
            "top1_changed": ",".join(map(str, numbers)),
        }
        if ran
        else None,
        "margins": [margin(chance, test) for test in (killed, survived)] if ran else [],
        "output_difference": 0.25 if ran else None,
        "accepted": False,
        "index": number,
        "indistinguishable": None if number % 3 else False,
        "artefacts": [],
    }


def margin(chance, test):
    value = chance.random()
    return {
        "test": test,
        "metric": "top1_agreement",
        "op": ">=",
        "bound": 0.95,
        "value": value,
        "margin": value - 0.95,
        "exact": True,
        "relative": value,
    }


def nearest(mutants):
    found = [
        {"model": entry["model"], "mutant": entry["id"], "cell": name, **there["margins"][0]}
        for entry in mutants[:200]
        for name, there in entry["cells"].items()
        if there["verdict"] == "SURVIVED"
    ]
    found.sort(key=lambda entry: abs(entry["margin"]))
    return {
        "nearly_killed": found[:20],
        "barely_killed": [],
        "left_out": {"nearly_killed": 3, "barely_killed": 0},
        "not_known": {"killed by something else": 2},
    }


def explained(entry):
    where = entry["cells"]
    detected = [n for n, e in where.items() if e["alone"] in ("KILLED", "CRASHED", "TIMEOUT")]
    survived = [n for n, e in where.items() if e["alone"] == "SURVIVED"]
    a, b = (detected + survived)[0], (detected + survived)[-1]
    keys = ("reason", "outcome", "inputs_run", "infected", "propagated", "top1_changed", "tau_mean")
    return {
        "model": entry["model"],
        "mutant": entry["id"],
        "verdicts": {name: there["alone"] for name, there in where.items()},
        "cells": [a, b],
        "same_change": True,
        "before": {name: where[name]["before"] for name in (a, b)},
        "after": {name: where[name]["after"] for name in (a, b)},
        "figures": {name: {key: where[name][key] for key in keys} for name in (a, b)},
        "between": None,
    }


def differential(mutants, models, cells):
    def pair(name):
        return {
            "model": name,
            "a": cells[0],
            "b": cells[1],
            "inputs": 100,
            "differing": 3,
            "k": 5,
            "top1_dissimilar": [],
            "topk_dissimilar": [],
            "tau_mean": 1.0,
            "tau_min": 0.99,
            "max_abs_diff": 1e-6,
        }

    several = len(cells) > 1
    return {
        "reference": cells[0] if cells else None,
        "cells": [],
        "baseline": [pair(name) for name in models] if several else [],
        "mutants": [{**pair(m["model"]), "mutant": m["id"]} for m in mutants] if several else [],
        "not_compared": {"gave no answer in a cell": 3} if mutants else {},
    }


def latencies(models, cells):
    return [
        {
            "model": name,
            "cell": there,
            "warmup": 1,
            "repeats": 5,
            "seconds_median": 0.001,
            "seconds_p95": 0.002,
            "seconds_mean": 0.0011,
            "seconds_per_input": [0.001, 0.002],
        }
        for name in models
        for there in cells
    ]


def gate(passed, scope=""):
    return {
        "gate": "fail-under",
        "scope": scope,
        "required": 80,
        "reached": 90.0 if passed else 70.0,
        "by": "score",
        "passed": passed,
        "text": "",
    }
