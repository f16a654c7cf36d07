"""Runs that print, or write, what there is, and test nothing."""

from __future__ import annotations

from typing import Any

import pytest


def list_operators(config: pytest.Config) -> int:
    """Print the mutation operators; give the exit code."""
    from pytest_mutatenn.errors import MutatennError
    from pytest_mutatenn.operators.catalogue import load, select
    from pytest_mutatenn.report.operators import print_operators
    from pytest_mutatenn.session import session_of

    settings = session_of(config).settings
    try:
        catalogue = load(settings=settings.parameters)
        wanted = settings.operators if config.getoption("mutatenn_operators") else "all"
        chosen = {op.name: op for _, op in select(catalogue, wanted)}
        print_operators(chosen.values(), config.get_terminal_writer().line)
    except MutatennError as error:
        raise pytest.UsageError(str(error)) from None
    return 0


def list_devices(config: pytest.Config) -> int:
    """Print which devices are here; give the exit code."""
    from pytest_mutatenn.cells import read_aliases
    from pytest_mutatenn.errors import MutatennError
    from pytest_mutatenn.report.devices import print_devices

    try:
        aliases = read_aliases(config.rootpath, config.getini("mutatenn_aliases"))
    except MutatennError as error:
        raise pytest.UsageError(str(error)) from None
    print_devices(aliases, config.get_terminal_writer().line)
    return 0


def export_mutants(session: pytest.Session, ours: Any) -> None:
    """Write the mutants that were collected, so that each runs alone."""
    from pytest_mutatenn.errors import MutatennError
    from pytest_mutatenn.exporting import export_rows
    from pytest_mutatenn.session import row_of

    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        reporter.ensure_newline()
    try:
        for what, folder in export_rows(
            ours.grid, map(row_of, session.items), ours.settings.export
        ):
            if reporter is not None:
                reporter.write_line(f"{what}: {folder}")
    except MutatennError as error:
        raise pytest.UsageError(str(error)) from None


def list_mutants(session: pytest.Session, ours: Any) -> None:
    """Print the mutants that were collected, with an estimate of the time."""
    from pytest_mutatenn.report.listing import print_plans

    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        from pytest_mutatenn.describing import describe_subjects, estimate_times

        reporter.ensure_newline()
        if ours.used:
            print_plans(describe_subjects(ours), estimate_times(ours), reporter.write_line)
        else:
            reporter.write_line("No mutants: no test with a network was collected.")
