"""Rows and plans as the processes of a run tell them, and the report that they give."""

from pytest_mutatenn.report.record import Gathered, build_record

CELL = "llvm-O2"


def row(mutant, test, result, order=0, cell=CELL, **more):
    reason = more.pop("reason", "")
    return {
        "model": "m",
        "cell": cell,
        "mutant": mutant,
        "test": test,
        "order": order,
        "result": result,
        "reason": reason,
        "verdict": "",
        "stats": {},
        **more,
    }


def entry(name, category="stores", stage="kernel"):
    return {
        "id": name,
        "name": name,
        "parameters": {},
        "operator": name.partition("@")[0],
        "category": category,
        "stage": stage,
        "kernel": "k",
        "site": 1,
        "layers": ["k"],
        "before": "a",
        "after": "b",
        "summary": "Change it.",
    }


def plan(*names, **more):
    empty = {"absent": [], "sampled_out": [], "not_selected": [], "accepting": {}, "accepted": {}}
    empty |= {"without": "", "elsewhere": []}
    mutants = [{**entry(name), "index": index} for index, name in enumerate(names)]
    return {"mutants": mutants, **empty, **more}


def build(rows, plans, full_matrix=False, sampled=False):
    gathered = Gathered(rows=rows, plans={("m", cell): p for cell, p in plans.items()})
    run = {"started": "now", "options": {}, "shard": None, "ended_early": None}
    return build_record(gathered, run, full_matrix=full_matrix, sampled=sampled)


GREEN = [row(None, "a", "passed"), row(None, "b", "passed", 1)]
