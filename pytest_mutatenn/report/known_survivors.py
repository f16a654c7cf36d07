"""The file of ``--mutatenn-baseline``: the survivors and divergent mutants that are known.

A run that has it fails for new ones only. It is TOML, sorted, a mutant a line, so that a change of
it can be read in a review::

    [survivors.digits]
    "kernel.store_plus_one@permute_dims#1" = ["llvm-O0", "llvm-O2"]

    [divergent.digits]
    "kernel.boundary@conv2d_1#4" = ["llvm-O0 KILLED", "llvm-O2 SURVIVED"]
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.report.words import count_of, typed

SCHEMA = "mutatenn-baseline/1"

_OF_LIST = ("operators", "stages", "mutants", "order", "positions", "parameters", "sample", "seed")
"""The options that decide which mutants there are."""
_HEAD = """\
# Survivors and divergent mutants that are known: --mutatenn-baseline lets them pass, and fails for
# new ones. --mutatenn-update-baseline writes the file. What is taken out by hand is new again.
"""

Place = tuple[str, str, str]
"""Network, mutant and cell."""


@dataclass(frozen=True)
class Known:
    """What is in the file.

    Attributes
    ----------
    survivors
        Where which mutants survived.
    divergent
        (network, mutant) -> the verdicts that disagree, each with its cell.
    networks
        Network -> digest of its file.
    cells
        The cells of the run.
    options
        The options that decide which mutants there are, as text.
    """

    survivors: frozenset[Place] = frozenset()
    divergent: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    networks: Mapping[str, str] = field(default_factory=dict)
    cells: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Known:
        """What a report has to say."""
        given = record["run"]["options"] or {}
        return cls(
            frozenset(
                (mutant["model"], mutant["id"], cell)
                for mutant in record["mutants"]
                for cell, there in mutant["cells"].items()
                if there["verdict"] == "SURVIVED"
            ),
            {
                (entry["model"], entry["mutant"]): tuple(
                    f"{cell} {verdict}" for cell, verdict in sorted(entry["verdicts"].items())
                )
                for entry in record["divergent"]
            },
            {model["id"]: model["digest"] for model in record["models"]},
            tuple(sorted({plan["cell"] for plan in record["plans"]})),
            {name: text for name in _OF_LIST if (text := typed(given.get(name)))},
        )

    @classmethod
    def read(cls, path: Path, option: str) -> Known:
        """Read the file.

        Raises
        ------
        MutatennError
            If it is not there, or is no such file.
        """
        try:
            found = tomllib.loads(path.read_text("utf-8"))
            if found["schema"] != SCHEMA:
                raise MutatennError(f"{option}: {path} has the schema {found['schema']!r}.")
            return cls(
                frozenset(
                    (model, mutant, cell)
                    for model, mutants in found.get("survivors", {}).items()
                    for mutant, cells in mutants.items()
                    for cell in cells
                ),
                {
                    (model, mutant): tuple(verdicts)
                    for model, mutants in found.get("divergent", {}).items()
                    for mutant, verdicts in mutants.items()
                },
                dict(found["networks"]),
                tuple(found["cells"]),
                dict(found["options"]),
            )
        except FileNotFoundError:
            update = option.replace("-baseline", "-update-baseline")
            raise MutatennError(
                f"{option}: {path} is not there. Add {update} once, to write it."
            ) from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            raise MutatennError(f"{option}: {path} cannot be read: {said}.") from None
        except (KeyError, TypeError, ValueError, AttributeError):
            raise MutatennError(
                f"{option}: {path} is no file of known survivors. Delete it, and have it written."
            ) from None

    def write(self, path: Path, option: str) -> None:
        """Write the file.

        Raises
        ------
        MutatennError
            If it cannot be written.
        """
        lines = [_HEAD + f'schema = "{SCHEMA}"', f"cells = {_list(self.cells)}"]
        lines += ["", "[options]", *(f"{k} = {_quoted(v)}" for k, v in self.options.items())]
        lines += ["", "[networks]"]
        lines += [f"{_quoted(k)} = {_quoted(v)}" for k, v in sorted(self.networks.items())]
        survivors: dict[tuple[str, str], list[str]] = {}
        for model, mutant, cell in sorted(self.survivors):
            survivors.setdefault((model, mutant), []).append(cell)
        for title, entries in (("survivors", survivors), ("divergent", self.divergent)):
            for model in sorted({model for model, _ in entries}):
                lines += ["", f"[{title}.{_quoted(model)}]"]
                lines += [
                    f"{_quoted(mutant)} = {_list(told)}"
                    for (of, mutant), told in sorted(entries.items())
                    if of == model
                ]
        try:
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        except OSError as error:
            raise MutatennError(
                f"{option}: {path} could not be written: {error.strerror or error}."
            ) from None

    def differences(self, now: Known) -> list[str]:
        """Say in what a run differs, so that its mutants are not the same."""
        found = [
            f"the network {name} was another"
            for name in sorted(self.networks.keys() & now.networks.keys())
            if self.networks[name] != now.networks[name]
        ]
        for name in _OF_LIST:
            ours, theirs = self.options.get(name, ""), now.options.get(name, "")
            if ours != theirs:
                option = f"--mutatenn-{name.replace('_', '-')}"
                found.append(f"{option} was {ours or 'not given'}, and is {theirs or 'not given'}")
        added = [cell for cell in now.cells if cell not in self.cells]
        if added:
            found.append(f"{', '.join(added)} {'was' if len(added) == 1 else 'were'} not run")
        return found


def told(places: Iterable[Place], limit: int = 3) -> str:
    """Some mutants with their cells, in words."""
    by_mutant: dict[str, list[str]] = {}
    for _, mutant, cell in sorted(places):
        by_mutant.setdefault(mutant, []).append(cell)
    texts = [
        mutant if mutant.endswith(f"@{cells[0]}") else f"{mutant} in {', '.join(cells)}"
        for mutant, cells in by_mutant.items()
    ]
    more = f", and {len(texts) - limit} more" if len(texts) > limit else ""
    return "; ".join(texts[:limit]) + more


def gone(known: Known, record: Mapping[str, Any]) -> str:
    """Say how many entries of the file are no more; empty where all are."""
    now = Known.of(record)
    verdicts = {
        (mutant["model"], mutant["id"], cell): there["verdict"]
        for mutant in record["mutants"]
        for cell, there in mutant["cells"].items()
    }
    lost = known.survivors - now.survivors
    left = [place for place in lost if verdicts.get(place, "SKIPPED") == "SKIPPED"]
    agreeing = known.divergent.keys() - now.divergent.keys()
    parts = [
        (len(lost) - len(left), "known survivor", ("is detected now", "are detected now")),
        (len(left), "known survivor", ("did not run", "did not run")),
        (len(agreeing), "known divergent mutant", ("is no more", "are no more")),
    ]
    return ", ".join(
        f"{count_of(count, noun)} {what[count > 1]}" for count, noun, what in parts if count
    )


def _quoted(text: str) -> str:
    """A text as TOML has it, which JSON has too but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"
