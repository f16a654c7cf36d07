"""``--mutatenn-list-devices``: what is here, and what is lacking."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_mutatenn.devices.base import about, kinds, variants, why_missing, why_not_compiled

Write = Callable[..., None]


def print_devices(aliases: Mapping[str, str], line: Write) -> None:
    """Print every kind of device with its ready-made options, and the user's own names.

    Parameters
    ----------
    aliases
        Name -> kind and options.
    line
        Called with a text and, as keywords, what colours it as in pytest's ``TerminalWriter``.
    """
    names: dict[str, str] = {}
    for kind in kinds():
        names[kind] = kind
        names.update({f"{kind}:{options}": f"{kind}:{options}" for options in _variants(kind)})
    names.update(aliases)
    width = max(map(len, names))
    for name, spec in names.items():
        reason = why_missing(spec)
        named = f" ({spec})" if name != spec else ""
        if reason is None:
            line(f"{name:{width}}  here     {_about(spec)}{named}", green=True)
        else:
            compiles = why_not_compiled(spec) is None
            only = "; code can be compiled for it, and not run" if compiles else ""
            line(f"{name:{width}}  missing  {reason}{only}{named}", yellow=True)


def _variants(kind: str) -> tuple[str, ...]:
    try:
        return variants(kind)
    except Exception:  # whatever is wrong with a kind is said of the kind itself
        return ()


def _about(spec: str) -> str:
    try:
        return about(spec)
    except Exception as error:
        return f"({type(error).__name__}: {error})"
