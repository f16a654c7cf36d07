"""pytest hooks, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from pytest_mutatenn import options
from pytest_mutatenn.fixtures import CELL, GROUP, PAIR, ROW
from pytest_mutatenn.gathering import TALLY, Gather, prepare_folder, tally_of

pytest_plugins = (
    "pytest_mutatenn.fixtures.row",
    "pytest_mutatenn.fixtures.model",
    "pytest_mutatenn.fixtures.mutant",
    "pytest_mutatenn.fixtures.device",
    "pytest_mutatenn.fixtures.cells",
)

MARKER_HELP = (
    "mutatenn(model, inputs, labels=None, shapes=None, output=0, preprocess=None, limit=None, "
    "seed=None): the network a test is about, and its inputs; see pytest-mutatenn"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare options and ini keys."""
    options.add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Print operators or devices; listing and exporting mutants needs no workers."""
    from pytest_mutatenn.listings import list_devices, list_operators

    for wanted, show in (
        (config.option.mutatenn_list_operators, list_operators),
        (config.option.mutatenn_list_devices, list_devices),
    ):
        if wanted:
            config._do_configure()
            try:
                return show(config)
            finally:
                config._ensure_unconfigure()
    alone = config.option.mutatenn_list or config.option.mutatenn_export
    if alone and getattr(config.option, "numprocesses", None):
        config.option.numprocesses = None
    return None


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker; check the options if any is given."""
    config.addinivalue_line("markers", MARKER_HELP)
    if options.given(config):
        from pytest_mutatenn.errors import MutatennError
        from pytest_mutatenn.session import session_of

        try:
            session = session_of(config)
            if session.settings.active and not hasattr(config, "workerinput"):
                session.check_devices()
        except MutatennError as error:
            raise pytest.UsageError(str(error)) from None
        if not hasattr(config, "workerinput"):
            tally_of(config, session.settings)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what will be run."""
    session = _session(config)
    if session is None or not session.settings.active:
        return None
    settings = session.settings
    what = "baseline only" if settings.baseline_only else f"operators {settings.operators}"
    cells = ", ".join(cell.id for cell in settings.cells)
    what += f"; shard {settings.shard}" if settings.shard is not None else ""
    return f"mutatenn: {cells}; {what}; reference {settings.reference.id}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every test that uses a network its rows."""
    names = metafunc.fixturenames
    if ROW not in names or not (options.active(metafunc.config) or GROUP in names):
        return
    from pytest_mutatenn.errors import MutatennError
    from pytest_mutatenn.session import session_of

    if GROUP in names and CELL in names:
        raise pytest.Collector.CollectError(
            f"{metafunc.definition.nodeid} asks for cells and for one cell: predictions, baseline, "
            "model, device and opt_level are of one. Each of cells, and of cell_pair, has its own, "
            "such as cells[0].predictions."
        )
    try:
        session = session_of(metafunc.config)
        subject = session.subject_of(metafunc.definition)
        rows: Sequence[Any]
        if GROUP in names:
            session.known.telling = True
            rows = session.grid.group_rows(subject, pairs=PAIR in names)
        else:
            rows = session.grid.rows(subject, compared="reference" in names)
    except MutatennError as error:
        raise pytest.Collector.CollectError(str(error)) from None
    if rows:
        metafunc.parametrize(ROW, rows, ids=[row.id for row in rows], indirect=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, None, None]:
    """Order rows by cell and mutant; keep the baseline of every row that is kept."""
    session = _session(config)
    if session is not None and session.settings.active:
        items[:0] = session.missing_baselines(items)
    collected = list(items)
    yield
    if session is None:
        return
    from pytest_mutatenn.session import compares, row_of

    session.set_order(collected)
    if not session.settings.active:
        return
    places = {row_id: i for i, row_id in enumerate(_row_order(collected))}
    # cells are compared when what each of them gives is known
    last = {_row_key(item): len(places) for item in collected if compares(item)}
    places = {key: i + last.get(key, 0) for key, i in places.items()}
    kept = set(items)
    needed = {
        (session.test_of(item), row.cell)
        for item in items
        if (row := row_of(item)) is not None and row.mutant is not None
    }
    for item in collected:
        row = row_of(item)
        if row is None or row.mutant is not None or item in kept:
            continue
        if (session.test_of(item), row.cell) in needed:
            items.append(item)
    rows = [item for item in items if row_of(item) is not None]
    others = [item for item in items if row_of(item) is None]
    rows.sort(key=lambda item: (places[_row_key(item)], session.order(item)))
    items[:] = others + rows


def _row_key(item: Any) -> tuple[int, str]:
    from pytest_mutatenn.session import row_of

    row = row_of(item)
    assert row is not None
    return (id(row.subject), row.id)


def _row_order(items: list[pytest.Item]) -> list[tuple[int, str]]:
    from pytest_mutatenn.session import row_of

    return list(dict.fromkeys(_row_key(item) for item in items if row_of(item) is not None))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """With --mutatenn-list or --mutatenn-export: print, or write, and run nothing."""
    ours = _session(session.config)
    if ours is not None and ours.settings.export is not None and not session.testsfailed:
        from pytest_mutatenn.listings import export_mutants

        export_mutants(session, ours)
        return True
    if ours is None or not ours.settings.list_only or session.testsfailed:
        return None
    from pytest_mutatenn.listings import list_mutants

    list_mutants(session, ours)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Run what a test has left of its mutant's predictions, where its verdict needs it."""
    session = _session(item.config)
    if session is None:
        return (yield)
    from pytest_mutatenn.fixtures.noting import noted
    from pytest_mutatenn.session import RUN

    run = item.stash.get(RUN, None)
    if run is None:
        return (yield)
    with noted(run):
        try:
            yield
        except (KeyboardInterrupt, SystemExit, pytest.exit.Exception):
            raise
        except BaseException:
            run.finish(passed=False)
            raise
        run.finish(passed=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails on a mutant has killed it, and has not failed."""
    session = _session(item.config)
    if session is None:
        return (yield)
    from pytest_mutatenn.junit import tell_case
    from pytest_mutatenn.rows import read_row, shorten

    shorten(item, call)
    report = yield
    read_row(session, item, call, report)
    tell_case(item, report)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(
    report: pytest.CollectReport | pytest.TestReport,
) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Letters and words of the verdicts."""
    status = getattr(report, "mutatenn_status", None)
    if not status:
        return None
    from pytest_mutatenn.rows import words_of

    return words_of(status)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Gather rows where they end: in the controller, or in the only process."""
    if not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(Gather(session.config), "mutatenn-gather")
        ours = _session(session.config)
        option = session.config.option
        runs = not (option.collectonly or option.mutatenn_list or option.mutatenn_export)
        if ours is not None and runs and ours.settings.keep:
            prepare_folder(session.config, ours.settings)
        if ours is not None and ours.settings.active and not session.config.option.collectonly:
            from pytest_mutatenn.progress import line_for

            line = line_for(session.config)
            if line is not None:
                session.config.pluginmanager.register(line, "mutatenn-progress")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Publish what this process knows, or build the report and pass the gates."""
    config = session.config
    ours = _session(config)
    if ours is None:
        return
    from pytest_mutatenn.describing import describe_subjects, tell
    from pytest_mutatenn.junit import tell_suite

    if hasattr(config, "workerinput"):
        config.workeroutput["mutatenn"] = tell(ours)  # type: ignore[attr-defined]
        ours.close()
        return
    told = describe_subjects(ours) if ours.used else None
    ours.close()
    tally = config.stash.get(TALLY, None)
    if tally is None or not ours.settings.active or ours.settings.list_only:
        return
    if config.option.collectonly or ours.settings.export is not None:
        return
    if told is not None:
        tally.add_process(told)
    gather = config.pluginmanager.get_plugin("mutatenn-gather")
    tally.finish(gather.ended_early(session) if gather is not None else "")
    if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        tally.gate(config.rootpath, failed=bool(session.testsfailed))
    tally.write(config.invocation_params.dir)
    tell_suite(config, tally.record, tally.errors)
    if not config.pluginmanager.hasplugin("terminalreporter"):
        sys.stdout.writelines(tally.printed)
    if tally.errors and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the score, the survivors, the reports and the gates."""
    tally = config.stash.get(TALLY, None)
    if tally is None or tally.record is None:
        return
    from pytest_mutatenn.operators.registry import CATEGORIES
    from pytest_mutatenn.report.terminal import write_summary

    if not tally.record["baseline"] and not tally.errors and not tally.settings.reports:
        return
    terminalreporter.section("mutation testing")
    verbose = config.get_verbosity() > 0
    write_summary(tally.record, terminalreporter.write_line, titles=CATEGORIES, verbose=verbose)
    for text in tally.printed:
        terminalreporter.write(text)
    for text in tally.written:
        terminalreporter.write_line(text)
    for text in tally.errors:
        terminalreporter.write_line(f"ERROR: {text}", red=True, bold=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave no process behind, however the session ended."""
    session = _session(config)
    if session is not None:
        session.close()


def _session(config: pytest.Config) -> Any:
    """The process' session, if anything has needed it; asking costs nothing."""
    module = sys.modules.get("pytest_mutatenn.session")
    return module.existing_session(config) if module is not None else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker how many there are on its machine: they share its threads."""
    if _session(node.config) is not None:
        from pytest_mutatenn.session import WORKERS_HERE

        machines = [(spec.ssh, spec.vagrant_ssh, spec.socket) for spec in node.nodemanager.specs]
        spec = node.gateway.spec
        here = machines.count((spec.ssh, spec.vagrant_ssh, spec.socket))
        node.workerinput[WORKERS_HERE] = max(1, here)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of one row on one worker, in order."""
    if config.getvalue("dist") != "load" or not options.active(config):
        return None
    from pytest_mutatenn.scheduling import RowScheduling

    return RowScheduling(config, log)
