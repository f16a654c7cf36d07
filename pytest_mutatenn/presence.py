"""Devices that are not here: what is done about their rows."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_mutatenn.devices.base import check, why_missing, why_not_compiled
from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.errors import MutatennError

POLICIES = ("skip", "fail", "compile")


@dataclass(frozen=True)
class Presence:
    """Whether a device is here, and what is done where it is not.

    Attributes
    ----------
    reason
        Why it is not here; empty where it is.
    compiled
        Whether its code is compiled, and not run.
    """

    reason: str = ""
    compiled: bool = False


SPARED = (
    " With --mutatenn-missing-device=skip its rows are skipped, with compile its code is compiled "
    "and not run."
)
"""What there is to do about a device that fails, where mutants were to run on it."""


def presence(cell: Cell, policy: str, option: str, way_out: str = SPARED) -> Presence:
    """Find out whether a cell's device is here.

    Parameters
    ----------
    cell
        The cell.
    policy
        One of :data:`POLICIES`.
    option
        What names the device, for messages.
    way_out
        What else there is to do where it fails.

    Raises
    ------
    MutatennError
        If the device is not here and that is to fail, or if its options mean nothing to its
        compiler.
    """
    try:
        check(cell.spec)
    except MutatennError as error:
        raise MutatennError(f"{option}: {cell.device}: {error}") from None
    reason = why_missing(cell.spec)
    if reason is None:
        return Presence()
    if policy == "fail":
        raise MutatennError(
            f"{option}: the device {cell.device} is not here: {reason}.{way_out} "
            "--mutatenn-list-devices shows what is here."
        )
    if policy == "skip":
        return Presence(reason)
    without = why_not_compiled(cell.spec)
    return Presence(f"{reason}; {without}" if without else reason, compiled=without is None)
