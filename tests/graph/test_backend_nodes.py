"""Gradients of the operator cases of the onnx package, and a reason for each that has none."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from functools import cache

import pytest

from graph import backend_nodes as nodes
from graph.backend_nodes import Verdict, cases, verdict
from mho.graph.rule import NoGradient, Rule, entries

OPERATORS = sorted(
    op_type
    for (domain, op_type), entry in entries().items()
    if isinstance(entry, Rule | NoGradient) and not domain
)
COMPOSED = tuple("abcdefghijklmnopqrstuvwxyz")
"""Cases of several operators, by the first letter of what they spell out."""

FAILED = (nodes.WRONG, nodes.BROKEN, nodes.NO_DERIVATIVE, nodes.NO_ORACLE)

_RANDOM = "outputs differ from run to run"
_ROUNDED = "onnx.reference rounds to float32 on the way, which is too coarse for differences"
EXCEPTIONS = {
    "test_bernoulli": _RANDOM,
    "test_bernoulli_expanded": _RANDOM,
    "test_bernoulli_double": _RANDOM,
    "test_bernoulli_double_expanded": _RANDOM,
    "test_bernoulli_seed": _RANDOM,
    "test_bernoulli_seed_expanded": _RANDOM,
    "test_range_bfloat16_type_positive_delta_expanded": "onnx.reference's Loop adds an axis",
    "test_maxpool_3d_default": "onnx.reference pools wrongly in three dimensions",
    "test_l1normalization_axis_last": "one of its inputs is 0, where |x| has a kink",
    **dict.fromkeys(
        (
            "test_affine_grid_2d",
            "test_affine_grid_2d_align_corners",
            "test_affine_grid_3d",
            "test_affine_grid_3d_align_corners",
            "test_group_normalization_example",
            "test_group_normalization_epsilon",
            "test_gridsample",
            "test_gridsample_zeros_padding",
            "test_gridsample_border_padding",
            "test_gridsample_bilinear",
            "test_gridsample_aligncorners_true",
            "test_gridsample_bilinear_align_corners_0_additional_1",
            "test_gridsample_bilinear_align_corners_1_additional_1",
            "test_gridsample_volumetric_bilinear_align_corners_0",
            "test_gridsample_volumetric_bilinear_align_corners_1",
        ),
        _ROUNDED,
    ),
}
"""Case -> why it can't be compared."""


@cache
def by_operator() -> dict[str, list[str]]:
    """Operator, or letter, -> cases."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, case in cases().items():
        types = {op_type for _domain, op_type in nodes.operators(case.model)}
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


def test_every_case_is_checked_or_has_a_reason(
    record_property: Callable[[str, object], None],
) -> None:
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for name in cases():
        found = verdict(name) if name not in EXCEPTIONS else Verdict(EXCEPTIONS[name], name)
        detail = "" if found.kind in (nodes.CHECKED, nodes.ZERO) else found.detail
        kinds[found.kind][detail] += 1
    counts = {kind: details.total() for kind, details in kinds.items()}
    assert sum(counts.values()) == len(cases())
    for kind, count in counts.items():
        record_property(kind, count)
    sys.stdout.write(table(kinds))
    assert counts[nodes.CHECKED] > 600
    assert not kinds[nodes.NO_RULE], kinds[nodes.NO_RULE]
