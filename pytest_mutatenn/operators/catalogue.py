"""All operators: where they are found, what the user sets of them, and how some are picked."""

from __future__ import annotations

import difflib
import fnmatch
import functools
import hashlib
import importlib
import importlib.util
import math
import pkgutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from pytest_mutatenn.errors import MutatennError, nearest
from pytest_mutatenn.operators import registry
from pytest_mutatenn.operators.plugins import GROUP, plugins
from pytest_mutatenn.operators.registry import CATEGORIES, STAGES, Operator

Setting = tuple[str, str, str]
"""Operator, parameter and the value as the user wrote it."""


_GIVEN = "--mutatenn-parameter, or the ini key mutatenn_parameters"


class Catalogue(dict[str, Operator]):
    """All operators by name, sorted, with the user's parameters; others are made on demand."""

    def __init__(self, operators: Iterable[Operator], settings: Iterable[Setting] = ()) -> None:
        self.settings = tuple(settings)
        super().__init__(
            (op.name, self._configured(op)) for op in sorted(operators, key=lambda op: op.name)
        )
        for name, parameter, value in self.settings:
            if self.find(name) is None:
                raise MutatennError(
                    f"{_GIVEN}: {name}.{parameter} = {value}: there is no operator "
                    f"{name!r}.{nearest(name, self)}"
                )

    def find(self, name: str) -> Operator | None:
        """The operator of that name, made if its family makes such ones; None if none is."""
        if name in self:
            return self[name]
        if name in registry.MADE & registry.REGISTRY.keys() or self._make(name):
            self[name] = self._configured(registry.REGISTRY[name])
        return self.get(name)

    @staticmethod
    def _make(name: str) -> bool:
        if not any(define(name) for define in registry.ON_DEMAND):
            return False
        registry.MADE.add(name)
        return True

    def _configured(self, op: Operator) -> Operator:
        given = {parameter: value for name, parameter, value in self.settings if name == op.name}
        if not given:
            return op
        values = dict(op.parameters)
        for parameter, text in given.items():
            if parameter not in values:
                has = ", ".join(values) or "none"
                raise MutatennError(
                    f"{_GIVEN}: the operator {op.name} has no parameter {parameter!r}."
                    f"{nearest(parameter, values)} It has: {has}."
                )
            values[parameter] = _value(f"{op.name}.{parameter}", text, values[parameter])
        changed = functools.partial(op.replacements, **values)
        return replace(op, parameters=values, replacements=changed)


def _value(what: str, text: str, default: Any) -> Any:
    if isinstance(default, str):
        return text
    try:
        value = type(default)(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise MutatennError(f"{_GIVEN}: {what} must be {kind}, got {text!r}.")
    return value


def load(files: Iterable[Path] = (), settings: Iterable[Setting] = ()) -> Catalogue:
    """Import every family of ours, the installed plugins' and the users' files.

    Parameters
    ----------
    files
        Python files of the user's that define operators (a ``conftest.py``, say).
    settings
        Values of operators' parameters.

    Raises
    ------
    MutatennError
        If a user's file does not import, or a setting fits no operator.
    """
    package = importlib.import_module("pytest_mutatenn.operators")
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(info.name)
    for plugin in plugins():
        _import_plugin(plugin)
    for file in files:
        _import_file(Path(file).resolve())
    listed = (op for op in registry.REGISTRY.values() if op.name not in registry.MADE)
    return Catalogue(listed, settings)


def _import_plugin(plugin: EntryPoint) -> None:
    try:
        plugin.load()
    except MutatennError:
        raise
    except Exception as error:
        raise MutatennError(
            f"The mutation operators of {plugin.value} (entry point {plugin.name!r} of the group "
            f"{GROUP}) could not be imported: {type(error).__name__}: {error}"
        ) from error


def _import_file(file: Path) -> None:
    if any(op.origin == file for op in registry.REGISTRY.values()):
        return
    name = "mutatenn_user_" + hashlib.sha256(str(file).encode()).hexdigest()[:16]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise MutatennError(f"The operator file {file} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except MutatennError:
        raise
    except Exception as error:
        raise MutatennError(
            f"The operator file {file} could not be imported: {type(error).__name__}: {error}"
        ) from error


def select(operators: Catalogue, patterns: str) -> list[tuple[str, Operator]]:
    """Pick (stage, operator) pairs by a comma-separated list of names, globs and groups.

    A part is an operator's id or a glob over ids, a group (``all``, ``default``, ``mutatenn``), a
    category or a stage; ``stage.part`` narrows it to a stage; a leading ``-`` takes away (after
    PIT's ``--mutators``). A list that only takes away starts from ``default``.

    Raises
    ------
    MutatennError
        For a part that names nothing, with the nearest name.
    """
    parts = [part.strip() for part in patterns.split(",") if part.strip()]
    for part in parts:
        operators.find(part.removeprefix("-").rpartition(".")[2])
    everything = [
        (stage, op) for stage in STAGES for _, op in sorted(operators.items()) if stage in op.stages
    ]
    if not parts or all(part.startswith("-") for part in parts):
        parts = ["default", *parts]
    chosen: dict[tuple[str, str], Operator] = {}
    for part in parts:
        remove, body = part.startswith("-"), part.removeprefix("-")
        matched = [(stage, op) for stage, op in everything if _matches(body, stage, op)]
        if not matched and body not in {"all", "default", "mutatenn", *STAGES, *CATEGORIES}:
            raise MutatennError(_unknown(body, operators))
        for stage, op in matched:
            if remove:
                chosen.pop((stage, op.name), None)
            else:
                chosen[stage, op.name] = op
    return [(stage, op) for stage, op in everything if (stage, op.name) in chosen]


def _matches(part: str, stage: str, op: Operator) -> bool:
    head, dot, rest = part.partition(".")
    if dot and head in STAGES:
        return head == stage and _matches(rest, stage, op)
    return (
        part == "all"
        or part in op.groups
        or part in (stage, op.category)
        or fnmatch.fnmatchcase(op.name, part)
    )


def _unknown(part: str, operators: dict[str, Operator]) -> str:
    head, dot, rest = part.partition(".")
    wanted, prefix = (rest, head + ".") if dot and head in STAGES else (part, "")
    groups = dict.fromkeys(["all", "default", "mutatenn", *CATEGORIES, *STAGES])
    near = difflib.get_close_matches(wanted, [*operators, *groups], n=3, cutoff=0.5)
    hint = f" Did you mean {prefix + near[0]!r}?" if near else ""
    if near[1:]:
        hint += f" Or {' or '.join(repr(prefix + name) for name in near[1:])}?"
    return (
        f"--mutatenn-operators: unknown operator {part!r}.{hint} Groups: {', '.join(groups)}; "
        "--mutatenn-list-operators prints the operators."
    )
