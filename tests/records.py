"""Reading a report in a test."""


def verdicts(report):
    """(mutant, cell) -> verdict."""
    return {
        (mutant["id"], cell): there["verdict"]
        for mutant in report["mutants"]
        for cell, there in mutant["cells"].items()
    }


def stable(report):
    """The report without what depends on time or on the run's order."""

    def strip(value):
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if not k.startswith("seconds_")}
        return [strip(v) for v in value] if isinstance(value, list) else value

    return {k: strip(v) for k, v in report.items() if k not in ("run", "latency")}


def differing(a, b, where=""):
    """Where two reports differ, and how."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [text for key in a for text in differing(a[key], b[key], f"{where}.{key}")]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        pairs = enumerate(zip(a, b, strict=True))
        return [text for i, (x, y) in pairs for text in differing(x, y, f"{where}[{i}]")]
    return [] if a == b else [f"{where}: {a!r}, {b!r}"]


def numbers_of(text):
    """The numbers that ranges such as `0-3,7` stand for."""
    found = []
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
