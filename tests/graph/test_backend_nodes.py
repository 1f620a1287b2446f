"""Gradients of the operator cases of the onnx package, and a reason for each that has none."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import cache

import pytest

from graph import agreement, backend_nodes
from graph.agreement import Verdict, operators
from graph.backend_nodes import cases, verdict
from mho.graph.rule import NoGradient, Rule, entries

OPERATORS = sorted(
    op_type
    for (domain, op_type), entry in entries().items()
    if isinstance(entry, Rule | NoGradient) and not domain
)
COMPOSED = tuple("abcdefghijklmnopqrstuvwxyz")
"""Cases of several operators, by the first letter of what they spell out."""

FAILED = (agreement.WRONG, agreement.BROKEN, agreement.NO_DERIVATIVE, agreement.NO_ORACLE)

_RANDOM = "outputs differ from run to run"
EXCEPTIONS = {
    "test_bernoulli": _RANDOM,
    "test_bernoulli_expanded": _RANDOM,
    "test_bernoulli_double": _RANDOM,
    "test_bernoulli_double_expanded": _RANDOM,
    "test_bernoulli_seed": _RANDOM,
    "test_bernoulli_seed_expanded": _RANDOM,
    "test_range_bfloat16_type_positive_delta_expanded": "onnx.reference's Loop adds an axis",
}
"""Case -> why it can't be compared."""


@cache
def by_operator() -> dict[str, list[str]]:
    """Operator, or letter, -> cases."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, case in cases().items():
        types = {op_type for _domain, op_type in operators(case.model)}
        key = types.pop() if len(types) == 1 else name.removeprefix("test_")[0]
        found[key].append(name)
    return found


def failures(names: list[str]) -> list[str]:
    judged = {name: verdict(name) for name in names if name not in EXCEPTIONS}
    return [f"{n}: {v.kind}: {v.detail}" for n, v in judged.items() if v.kind in FAILED]


@pytest.mark.parametrize("op_type", OPERATORS)
def test_the_cases_of_one_operator(op_type: str) -> None:
    found = failures(by_operator().get(op_type, []))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("letter", COMPOSED)
def test_cases_of_several_operators(letter: str) -> None:
    found = failures(by_operator().get(letter, []))
    assert not found, "\n".join(found)


def table(kinds: Mapping[str, Counter[str]]) -> str:
    """How many cases ended how, and of those without a comparison why."""
    lines = []
    for kind, details in kinds.items():
        lines.append(f"{details.total():5} {kind}")
        lines += [f"{times:11} {detail}" for detail, times in sorted(details.items()) if detail]
    return "\n".join(lines) + "\n"


def test_every_case_is_checked_or_has_a_reason() -> None:
    """Prints the table: ``pytest -rP`` shows it."""
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for name in cases():
        found = verdict(name) if name not in EXCEPTIONS else Verdict(EXCEPTIONS[name], name)
        detail = "" if found.kind in (agreement.CHECKED, agreement.ZERO) else found.detail
        kinds[found.kind][detail] += 1
    counts = {kind: details.total() for kind, details in kinds.items()}
    assert sum(counts.values()) == len(cases())
    sys.stdout.write(table(kinds))
    assert counts[agreement.CHECKED] > 880
    assert backend_nodes.NO_RULE not in kinds, kinds[backend_nodes.NO_RULE]
    assert not set(FAILED) & set(kinds)
