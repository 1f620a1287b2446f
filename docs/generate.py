"""Writes the tables of README.md and docs/ that follow from the code.

    python docs/generate.py --write     brings them up to date
    python docs/generate.py --check     fails where they are not

A table stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``; NAME is one of ``TABLES``.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Callable
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import api_reference
from tables import table

import mho.artifacts.summary
import mho.config
from mho.config import Settings
from mho.estimator import Estimator
from mho.method import GameMethod, Method, Option, options_of
from mho.registry import entries
from mho.telemetry import metrics
from mho.value import Value

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/api.md", "docs/cli.md", "docs/operations.md", "docs/results.md")

_MARKED = re.compile(r"(<!-- ([a-z-]+) -->\n).*?(<!-- /\2 -->)", re.DOTALL)


def methods() -> list[str]:
    """What methods there are."""
    rows = [(f"`{name}`", kind.summary) for name, kind in _methods().items()]
    return table(("method", "what it gives"), rows)


def estimators() -> list[str]:
    """What ``--estimator`` takes."""
    kinds = entries("mho.estimators", Estimator)  # type: ignore[type-abstract]
    return table(
        ("estimator", "what it does"), [(f"`{name}`", k.summary) for name, k in kinds.items()]
    )


def values() -> list[str]:
    """What ``--value`` takes."""
    kinds = entries("mho.values", Value)  # type: ignore[type-abstract]
    return table(
        ("value", "V of a coalition", "needs"),
        [(f"`{n}`", k.summary, _needs(k)) for n, k in kinds.items()],
    )


def options() -> list[str]:
    """Every option with the methods to which it means something."""
    kinds = _methods()
    rows: dict[str, tuple[str, ...]] = {}
    for kind in (Method, GameMethod, *kinds.values()):  # in order of declaration, shared ones first
        for entry, described in options_of(kind):
            used = ", ".join(name for name, k in kinds.items() if entry.name in k.uses)
            default = "" if entry.default in ("", ()) else f"`{entry.default}`"
            flag = f"`--{entry.name.replace('_', '-')}`"
            takes = _takes(entry.default, described)
            rows.setdefault(entry.name, (flag, described.help, takes, default, used))
    return table(("option", "meaning", "takes", "default", "used by"), rows.values())


def settings() -> list[str]:
    """Every setting of ``mho.config``; its meaning is what stands under it in the source."""
    source = ast.parse(Path(mho.config.__file__).read_text(encoding="utf-8"))
    body = next(n for n in source.body if isinstance(n, ast.ClassDef) and n.name == "Settings").body
    meaning = {
        field.target.id: text.value.value
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }
    rows = [
        (
            f"`{f.name}`",
            f"`MHO_{f.name.upper()}`",
            f"`{f.default}`" if f.default != "" else "",
            str(meaning.get(f.name, "")),
        )
        for f in fields(Settings)
    ]
    return table(("setting", "environment", "default", "meaning"), rows)


def operator_metrics() -> list[str]:
    """Every metric of ``mho.telemetry.metrics``."""
    return table(
        ("metric", "type", "labels", "meaning"),
        [
            (f"`{name}`", kind, ", ".join(f"`{label}`" for label in labels), meaning)
            for name, kind, labels, meaning in metrics.described()
        ],
    )


def result_keys() -> list[str]:
    """The keys of ``result.json``, from the docstring of the module that writes it."""
    document = mho.artifacts.summary.__doc__ or ""
    found: list[list[str]] = []
    for line in document.split("\n==============", 2)[1].splitlines()[1:]:
        key, text = line[:16].strip(), line[16:].strip()
        if key:
            found.append([key, text])
        else:
            found[-1][1] += " " + text
    return table(
        ("key", "content"),
        [(", ".join(f"`{k}`" for k in key.split(", ")), text) for key, text in found],
    )


TABLES: dict[str, Callable[[], list[str]]] = {
    "methods": methods,
    "estimators": estimators,
    "values": values,
    "options": options,
    "settings": settings,
    "metrics": operator_metrics,
    "result-keys": result_keys,
    "api-calls": api_reference.calls,
    "api-errors": api_reference.reasons,
    "api-messages": api_reference.messages,
}


def written(text: str) -> str:
    """``text`` with every marked table brought up to date; KeyError for an unknown name."""

    def replaced(match: re.Match[str]) -> str:
        return match[1] + "\n".join(TABLES[match[2]]()) + "\n" + match[3]

    return _MARKED.sub(replaced, text)


def _methods() -> dict[str, type[Method[Any, Any]]]:
    return entries("mho.methods", Method)  # type: ignore[type-abstract]


def _takes(default: Any, described: Option) -> str:
    """What may be written for an option."""
    if described.metavar:
        return f"`{described.metavar}`"
    words = [f"`{choice}`" for choice in described.choices] + (["a file"] if described.file else [])
    if words:
        return ", ".join(words)
    return "a whole number" if isinstance(default, int) else "a number"


def _needs(value: type[Value]) -> str:
    return ", ".join(sorted(need.value for need in value.needs)) or "nothing"


def main() -> int:
    """The command; the exit status is 1 where ``--check`` finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true", help="bring the tables up to date")
    what.add_argument("--check", action="store_true", help="fail where they are not")
    arguments = parser.parse_args()
    stale = []
    for page in PAGES:
        before = (ROOT / page).read_text(encoding="utf-8")
        after = written(before)
        if before != after:
            stale.append(page)
            if arguments.write:
                (ROOT / page).write_text(after, encoding="utf-8")
    for page in stale:
        verb = "wrote" if arguments.write else "out of date, run python docs/generate.py --write:"
        sys.stderr.write(f"{verb} {page}\n")
    return 1 if stale and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
