"""The plugin costs a project nothing that does not use it, and its imports run one way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_mutatenn

PACKAGE = Path(pytest_mutatenn.__file__).parent
HEAVY = {"tvm", "onnx", "numpy", "scipy"}

# what imports what: a part imports only parts of its own line and of the lines below it
LAYERS = [
    ("plugin", "gathering", "listings", "scheduling", "progress", "junit"),
    ("session", "describing", "exporting", "rows", "tally", "fixtures"),
    ("__main__", "commands"),
    (
        "report",
        "grid",
        "engines",
        "selection",
        "shards",
        "subject",
        "settings",
        "parsing",
        "upcoming",
    ),
    ("options", "accepted", "place", "cells", "presence"),
    ("analysis",),
    ("engine",),
    ("devices",),
    ("compiler",),
    ("operators", "model"),
    ("errors",),
]
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
# where a part is needed from above, with the reason
ALLOWED = {
    # the public API names what users import, from wherever it lies
    "__init__",
}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports(path, *, at_the_top=False, typing=True):
    """Modules that a file imports, anywhere in it or only when it is itself imported."""
    tree = ast.parse(path.read_text())
    found = set()

    def visit(node, typed):
        for child in ast.iter_child_nodes(node):
            guarded = typed or (
                isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
            )
            if isinstance(child, ast.Import) and (typing or not guarded):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and (typing or not guarded):
                found.add(child.module)
                # `from package import module`
                found.update(f"{child.module}.{alias.name}" for alias in child.names)
            if not (at_the_top and isinstance(child, (ast.FunctionDef, ast.Lambda))):
                visit(child, guarded)

    visit(tree, False)
    return found


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_run_one_way(path):
    part = name_of(path).partition(".")[0]
    if part in ALLOWED:
        return
    for module in imports(path):
        package, _, rest = (module or "").partition(".")
        other = rest.partition(".")[0]
        if package == "pytest_mutatenn" and other in RANK:
            assert RANK[other] >= RANK[part], f"{name_of(path)} imports {module}"


def test_every_part_has_a_place_in_the_order():
    parts = {name_of(path).partition(".")[0] for path in modules()} - ALLOWED
    assert parts == set(RANK)


def test_modules_import_each_other_in_no_circle():
    graph = {}
    for path in modules():
        known = {name_of(other) for other in modules()}
        wanted = {m.removeprefix("pytest_mutatenn.") for m in imports(path, typing=False) if m}
        graph[name_of(path)] = (wanted & known) - {name_of(path), "__init__"}
    done = set()

    def visit(name, way):
        assert name not in way, " -> ".join([*way, name])
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*way, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize(
    "path",
    [p for p in modules() if RANK.get(name_of(p).partition(".")[0], 0) >= RANK["commands"]],
    ids=name_of,
)
def test_nothing_from_the_report_downward_imports_pytest(path):
    found = {module for module in imports(path, typing=False) if module}
    assert not {module for module in found if module.split(".")[0] in ("pytest", "_pytest")}


def test_the_plugin_imports_neither_tvm_nor_onnx_nor_numpy():
    found = {module.split(".")[0] for module in imports(PACKAGE / "plugin.py") if module}
    assert not found & HEAVY


@pytest.mark.parametrize("arguments", [[], ["-p", "no:terminal"], ["-n1"]], ids=" ".join)
def test_a_project_that_does_not_use_the_plugin_loads_nothing_of_it(arguments, pytester):
    pytester.makeconftest(
        f"""
        import sys
        from pathlib import Path

        def pytest_unconfigure(config):
            tell(config)

        def pytest_sessionfinish(session):
            tell(session.config)  # a worker that is slow to end is not waited for

        def tell(config):
            heavy = sorted({HEAVY!r} & set(sys.modules))
            ours = sorted(name for name in sys.modules if name.startswith("pytest_mutatenn."))
            name = "worker" if hasattr(config, "workerinput") else "main"
            Path(name + ".txt").write_text(f"{{heavy}} {{ours}}")
        """
    )
    pytester.makepyfile("def test_it():\n    pass\n")

    result = pytester.runpytest_subprocess(*arguments)

    assert result.ret == 0
    told = [path.read_text() for path in pytester.path.glob("*.txt")]
    assert len(told) == (2 if "-n1" in arguments else 1)
    for text in told:
        heavy, _, ours = text.partition("] ")
        assert heavy == "["
        for part in ("session", "grid", "tally", "engine.evaluate", "engine.sandbox", "report"):
            assert f"'pytest_mutatenn.{part}'" not in ours


def test_the_public_names_are_loaded_when_asked_for():
    code = (
        "import sys, pytest_mutatenn as m; loaded = {n.split('.')[0] for n in sys.modules}; "
        f"assert not loaded & {HEAVY!r}; assert callable(m.top1_agreement); "
        "assert sorted(set(m.__all__) - set(dir(m))) == []; "
        "[getattr(m, name) for name in m.__all__]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no_such_name"):
        pytest_mutatenn.no_such_name  # noqa: B018
