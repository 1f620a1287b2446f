"""Gradients of a small model held to central differences along random directions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from graph.slopes import (
    Reference,
    Run,
    along,
    differentiated,
    doubled,
    gradient_output,
    proto_of,
    run_proto,
    seed_input,
)
from mho.graph.model import Model

CHECKED = "the gradient agrees with central differences"
ZERO = "the gradient is zero by nature, and central differences are"
NO_ORACLE = "neither onnx.reference nor onnxruntime runs it"
NO_DERIVATIVE = "no derivative exists at the inputs or nearby"
REPLACED = "the model itself replaces a NaN that it makes, and its gradient is NaN"
WRONG = "the gradient is wrong"
BROKEN = "the gradient cannot be computed"

_MISTAKEN = {"LpNormalization", "MaxPool"}
"""onnx.reference takes no absolute values of the one, and pads the other wrongly where the kernel
is not as long as wide."""
_DIRECTIONS = 3
_NUDGES = 6


@dataclass(frozen=True)
class Verdict:
    """kind: one of the sentences above. detail: the operator, or what was found."""

    kind: str
    detail: str = ""


def operators(proto: onnx.ModelProto) -> set[tuple[str, str]]:
    """(domain, operator) of all nodes at the top level."""
    return {
        ("" if node.domain == "ai.onnx" else node.domain, node.op_type) for node in proto.graph.node
    }


class _Exactly:
    """A model run by onnx.reference in float64, which is set up at the first run."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self._proto = proto
        self._reference: Reference | None = None

    def __call__(self, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._reference is None:
            wrong = {op_type for _domain, op_type in operators(self._proto)} & _MISTAKEN
            if wrong:
                raise NotImplementedError(f"onnx.reference gets {', '.join(wrong)} wrong")
            self._reference = Reference(self._proto)
        return self._reference(feeds)


@dataclass(frozen=True)
class _Oracle:
    """A function of the feeds, the step of differences, and how far they can be trusted."""

    run: Run
    step: float
    tolerance: float


@dataclass(frozen=True)
class Comparison:
    """Of the gradients of ``targets`` with respect to ``wrt`` with central differences."""

    model: Model
    feeds: dict[str, Any]
    expected: dict[str, Any]
    targets: list[str]
    wrt: list[str]
    rng: np.random.Generator

    def verdict(self) -> Verdict:
        kind = NO_ORACLE
        for oracle in self._oracles():
            point = self._smooth_point(oracle.run, oracle.step)
            if point is not None:
                return self._at(oracle, *point)
            kind = NO_DERIVATIVE
        return Verdict(kind)

    def _at(
        self,
        oracle: _Oracle,
        feeds: dict[str, Any],
        seeds: dict[str, np.ndarray],
        moving: list[str],
    ) -> Verdict:
        made = differentiated(self.model, self.targets, self.wrt)
        given = {output.name for output in made.graph.outputs}
        wrt = [name for name in self.wrt if gradient_output(name) in given]
        found = self._gradients(made, {**feeds, **_entries(seeds)}, wrt)
        if isinstance(found, Verdict):
            return found
        gradients, rounding = found
        for direction in self._directions(feeds, moving):
            slope = along(oracle.run, feeds, seeds, direction, oracle.step)
            parts = [(gradients[n] * direction[n]).sum() for n in wrt if n in moving]
            size = max(1.0, abs(slope), *(abs(float(p)) for p in parts))
            if np.isnan(sum(parts)) and _makes_nan(proto_of(self.model), feeds):
                return Verdict(REPLACED)
            if not abs(slope - sum(parts)) <= max(oracle.tolerance, rounding) * size:
                return Verdict(WRONG, f"{sum(parts):.8g} is found and {slope:.8g} expected")
        return Verdict(CHECKED if wrt else ZERO, ", ".join(wrt))

    def _oracles(self) -> Iterator[_Oracle]:
        """Whoever has the operators and gives what the case expects, the most exact first.

        onnx.reference rounds some operators to float32 on the way, where a smooth point is not
        found.
        """
        single = proto_of(self.model)
        double = doubled(single)
        choices = [
            (_Exactly(double), 1e-5, 1e-5),
            (lambda feeds: run_proto(double, feeds), 1e-5, 1e-5),
            (lambda feeds: run_proto(single, feeds), 1e-2, 2e-2),
        ]
        for run, step, tolerance in choices:
            try:
                found = run(self.feeds)
            except Exception:  # noqa: BLE001 - whatever it lacks, the next one may have
                continue
            if all(_close(found[name], self.expected[name]) for name in self.targets):
                yield _Oracle(run, step, tolerance)

    def _smooth_point(
        self, run: Run, step: float
    ) -> tuple[dict[str, Any], dict[str, np.ndarray], list[str]] | None:
        """Feeds near the case's own at which a derivative exists, seeds that are 0 where an output
        is infinite, and the inputs that may move: an output's shape may depend on the others."""
        for attempt in range(_NUDGES):
            feeds = {**self.feeds, **(self._nudged(0.01 * 2**attempt) if attempt else {})}
            base = run(feeds)
            values = {name: np.asarray(base[name], np.float64) for name in self.targets}
            finite = {name: np.isfinite(value) for name, value in values.items()}
            if attempt < _NUDGES - 1 and not all(known.all() for known in finite.values()):
                continue
            seeds = {
                n: np.where(k, self.rng.standard_normal(k.shape), 0) for n, k in finite.items()
            }
            moving = [
                name for name in self.wrt if self._keeps_shapes(run, feeds, values, name, step)
            ]
            directions = self._directions(feeds, moving)
            if moving and all(_smooth(run, feeds, seeds, d, step) for d in directions):
                return feeds, seeds, moving
        return None

    def _keeps_shapes(
        self, run: Run, feeds: dict[str, Any], values: dict[str, np.ndarray], name: str, step: float
    ) -> bool:
        for by in (step, -step):
            found = run({**feeds, name: feeds[name] + by})
            if any(np.shape(found[target]) != value.shape for target, value in values.items()):
                return False
        return True

    def _nudged(self, size: float) -> dict[str, Any]:
        """Inputs moved at random, with numbers for what is none."""
        moved = {}
        for name in self.wrt:
            array = np.asarray(self.feeds[name]).astype(np.float64)
            array = np.nan_to_num(array, nan=0.3, posinf=2.0, neginf=-2.0)
            moved[name] = array + size * self.rng.uniform(-1, 1, array.shape)
        return moved

    def _directions(self, feeds: dict[str, Any], moving: list[str]) -> list[dict[str, np.ndarray]]:
        rng = np.random.default_rng(5)
        return [
            {name: rng.standard_normal(np.shape(feeds[name])) for name in moving}
            for _ in range(_DIRECTIONS)
        ]

    def _gradients(
        self, made: Model, feeds: dict[str, Any], wrt: list[str]
    ) -> tuple[dict[str, np.ndarray], float] | Verdict:
        """Input -> gradient, and how exact it is; in float64 by whoever has the operators."""
        single = proto_of(made)
        double = doubled(single)
        runs = [
            (_Exactly(double), 0.0),
            (lambda feeds: run_proto(double, feeds), 0.0),
            (lambda feeds: run_proto(single, feeds), 1e-4),
        ]
        said = []
        for run, rounding in runs:
            try:
                found = run(feeds)
            except Exception as error:  # noqa: BLE001 - the next one may have what is missing here
                said.append(f"{type(error).__name__}: {error}")
                continue
            gradients = {n: np.asarray(found[gradient_output(n)], np.float64) for n in wrt}
            for name, gradient in gradients.items():
                if gradient.shape != np.shape(feeds[name]):
                    return Verdict(WRONG, f"the gradient of '{name}' has shape {gradient.shape}")
            return gradients, rounding
        return Verdict(BROKEN, " / ".join(said))


def _smooth(
    run: Run,
    feeds: dict[str, Any],
    seeds: dict[str, np.ndarray],
    direction: dict[str, np.ndarray],
    step: float,
) -> bool:
    """Whether slopes to both sides agree for each output element, and those of half the step."""

    def at(by: float) -> dict[str, np.ndarray]:
        found = run({**feeds, **{n: feeds[n] + by * d for n, d in direction.items()}})
        return {name: np.asarray(found[name], np.float64) for name in seeds}

    base, up, down, half = at(0.0), at(step), at(-step), at(step / 2)
    bend = 1e2 * step if step < 1e-3 else 10 * step
    for name, seed in seeds.items():
        if any(ends[name].shape != seed.shape for ends in (up, down, half)):
            return False
        right, left = (up[name] - base[name]) / step, (base[name] - down[name]) / step
        near = (half[name] - base[name]) / (step / 2)
        limit = bend * np.maximum(1.0, np.abs(right))
        agrees = (np.abs(right - left) <= limit) & (np.abs(right - near) <= limit)
        if not (agrees | (seed == 0)).all():
            return False
    return True


def _makes_nan(plain: onnx.ModelProto, feeds: dict[str, Any]) -> bool:
    """Whether a tensor on the way is NaN; infinities are common, as masks before a softmax."""
    shown = onnx.ModelProto()
    shown.CopyFrom(plain)
    known = {info.name for info in shown.graph.output}
    inner = [name for node in shown.graph.node for name in node.output if name not in known]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner if name)
    found = Reference(doubled(shown))(feeds)
    return any(np.isnan(v).any() for v in found.values() if np.asarray(v).dtype.kind == "f")


def _entries(seeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {seed_input(name): seed for name, seed in seeds.items()}


def _close(found: Any, expected: Any) -> bool:
    """As close as the type of ``expected`` can be."""
    coarse = {"float16": 5e-3, "bfloat16": 3e-2}.get(np.asarray(expected).dtype.name, 1e-3)
    found, expected = (np.asarray(a).astype(np.float64) for a in (found, expected))
    return found.shape == expected.shape and np.allclose(
        found, expected, rtol=coarse, atol=coarse, equal_nan=True
    )
