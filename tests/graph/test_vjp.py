"""Every derivative rule against finite differences in float64, and run by onnxruntime."""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np
import pytest

from graph import vjp_cases
from graph.vjp_case import Case, by_differences, by_rule, outputs_of, run_onnxruntime, run_reference
from mho.graph.rule import Rule, entries

CASES: list[Case] = []
for family in sorted(module.name for module in pkgutil.iter_modules(vjp_cases.__path__)):
    CASES += importlib.import_module(f"graph.vjp_cases.{family}").CASES

_STEP = 1e-5


def seeds_of(case: Case, arrays: list[np.ndarray | None]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        name: rng.standard_normal(value.shape)
        for name, value in outputs_of(case, arrays).items()
        if int(name[1:]) not in case.unasked
    }


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rule_gives_what_finite_differences_give(case: Case) -> None:
    arrays = case.draw()
    seeds = seeds_of(case, arrays)
    wanted = by_differences(case, arrays, seeds, _STEP)
    assert wanted
    scale = max(1.0, *(float(np.abs(slope).max(initial=0.0)) for slope in wanted.values()))
    for symbolic in (False, True):
        if case.oracle is None:
            found = by_rule(case, arrays, seeds, np.float64, run_reference, symbolic=symbolic)
            for name, slope in wanted.items():
                assert found[name].dtype == np.float64
                assert found[name].shape == slope.shape
                np.testing.assert_allclose(
                    found[name], slope, rtol=0, atol=case.tolerance * scale, err_msg=name
                )
        if not case.no_kernel:
            single = by_rule(case, arrays, seeds, np.float32, run_onnxruntime, symbolic=symbolic)
            for name, slope in wanted.items():
                assert single[name].shape == slope.shape
                np.testing.assert_allclose(
                    single[name], slope, rtol=0, atol=case.single_tolerance * scale, err_msg=name
                )


_STRAIGHT_THROUGH = ("QuantizeLinear", "DequantizeLinear")
"""Differences see nothing but their steps; test_vjp_quantised.py says what their gradients are."""


def test_every_rule_has_a_case() -> None:
    tried = {(case.domain, case.op) for case in CASES}
    tried |= {(domain, op) for domain in ("", "com.microsoft") for op in _STRAIGHT_THROUGH}
    ruled = {key for key, entry in entries().items() if isinstance(entry, Rule)}
    assert ruled <= tried, f"rules without a case: {sorted(ruled - tried)}"
