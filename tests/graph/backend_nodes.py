"""The operator cases of the onnx package, and whether our gradients of each are right.

Each case ends in a ``Verdict``: checked against central differences along random directions, or a
reason why there is nothing to check.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

from graph.nets import loaded
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
from mho.errors import MhoError
from mho.graph.backward import obstacles
from mho.graph.emit import tensor_named
from mho.graph.flow import is_float
from mho.graph.model import Model
from mho.graph.rule import Refused, entries

CHECKED = "the gradient agrees with central differences"
ZERO = "the gradient is zero by nature, and central differences are"
NO_FLOAT_IN = "no float tensor goes in"
NO_FLOAT_OUT = "no float tensor comes out"
NO_TENSOR = "sequences, optionals or maps"
NO_RULE = "an operator has no rule"
REFUSED = "an operator is refused"
NODE_REFUSED = "a rule refuses the node"
NOT_LOADED = "the model is not loaded"
NO_ORACLE = "neither onnx.reference nor onnxruntime runs it"
NO_DERIVATIVE = "no derivative exists at the inputs or nearby"
REPLACED = "the model itself replaces a NaN that it makes, and its gradient is NaN"
WRONG = "the gradient is wrong"
BROKEN = "the gradient cannot be computed"

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
_DIRECTIONS = 3
_NUDGES = 6


@dataclass(frozen=True)
class Verdict:
    """kind: one of the sentences above. detail: the operator, or what was found."""

    kind: str
    detail: str = ""


@cache
def cases() -> dict[str, TestCase]:
    """Name -> case."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # cases about overflows and infinities
        return {case.name: case for case in load_model_tests(kind="node")}


def operators(proto: onnx.ModelProto) -> set[tuple[str, str]]:
    """(domain, operator) of all nodes at the top level."""
    return {
        ("" if node.domain == "ai.onnx" else node.domain, node.op_type) for node in proto.graph.node
    }


@cache
def verdict(name: str) -> Verdict:
    case = cases()[name]
    known = _by_types(case.model) or _by_entries(case.model)
    if known is not None:
        return known
    feeds = _named(case.model.graph.input, case.data_sets[0][0])
    found = _by_numbers(case, case.model, feeds)
    if found.kind == NODE_REFUSED:
        found = _by_numbers(case, *_with_constants(case.model, feeds))
    return found


def _by_types(proto: onnx.ModelProto) -> Verdict | None:
    kinds = [i.type.WhichOneof("value") for i in (*proto.graph.input, *proto.graph.output)]
    if any(kind != "tensor_type" for kind in kinds):
        return Verdict(NO_TENSOR)
    if not any(i.type.tensor_type.elem_type in FLOATS for i in proto.graph.input):
        return Verdict(NO_FLOAT_IN)
    if not any(i.type.tensor_type.elem_type in FLOATS for i in proto.graph.output):
        return Verdict(NO_FLOAT_OUT)
    return None


def _by_entries(proto: onnx.ModelProto) -> Verdict | None:
    """What is said of the operators; only of one that stands alone, for others may not be met."""
    found = operators(proto)
    if len(found) > 1:
        return None
    ((domain, op_type),) = found
    entry = entries().get((domain, op_type))
    name = f"{domain}.{op_type}" if domain else op_type
    if entry is None and (domain, op_type) not in _functions(proto):
        return Verdict(NO_RULE, name)
    if isinstance(entry, Refused):
        return Verdict(REFUSED, f"{name}: {entry.why}")
    return None


def _functions(proto: onnx.ModelProto) -> set[tuple[str, str]]:
    return {(function.domain, function.name) for function in proto.functions}


def _with_constants(
    proto: onnx.ModelProto, feeds: dict[str, Any]
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Integers as initialisers: models have axes and the like so, the cases have them as inputs."""
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    varying = [info for info in made.graph.input if info.type.tensor_type.elem_type in FLOATS]
    names = {info.name for info in varying}
    made.graph.ClearField("input")
    made.graph.input.extend(varying)
    made.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(feeds[name]), name)
        for name in feeds
        if name not in names
    )
    return made, {name: value for name, value in feeds.items() if name in names}


def _by_numbers(case: TestCase, proto: onnx.ModelProto, feeds: dict[str, Any]) -> Verdict:
    try:
        model = loaded(proto)
    except MhoError as error:
        return Verdict(NOT_LOADED, str(error))
    targets = [v.name or "" for v in model.graph.outputs if is_float(v)]
    floats = [v.name or "" for v in model.graph.inputs if is_float(v)]
    blocked: dict[str, str] = {}
    for target in targets:
        for value, obstacle in obstacles(model.graph, tensor_named(model.graph, target)).items():
            blocked.setdefault(value.name or "", obstacle.message())
    wrt = [name for name in floats if name not in blocked]
    if not wrt:
        reason = next(blocked[name] for name in floats)
        return Verdict(_kind_of_obstacle(model), reason.partition(" (on the way")[0])
    with np.errstate(all="ignore"):  # some cases are about infinities
        return _Comparison(case, model, feeds, targets, wrt).verdict()


def _kind_of_obstacle(model: Model) -> str:
    known = [entries().get((node.domain, node.op_type)) for node in model.graph]
    if any(entry is None for entry in known):
        return NO_RULE
    return REFUSED if any(isinstance(entry, Refused) for entry in known) else NODE_REFUSED


class _Comparison:
    """Of the gradients of one case with central differences."""

    def __init__(
        self,
        case: TestCase,
        model: Model,
        feeds: dict[str, Any],
        targets: list[str],
        wrt: list[str],
    ) -> None:
        self.model, self.feeds, self.targets, self.wrt = model, feeds, targets, wrt
        self.rng = np.random.default_rng(zlib.crc32(case.name.encode()))
        self.expected = _named(case.model.graph.output, case.data_sets[0][1])

    def verdict(self) -> Verdict:
        plain = proto_of(self.model)
        oracle = self._oracle(plain)
        if oracle is None:
            return Verdict(NO_ORACLE)
        run, step, tolerance = oracle
        point = self._smooth_point(run, step)
        if point is None:
            return Verdict(NO_DERIVATIVE)
        feeds, seeds, moving = point
        made = differentiated(self.model, self.targets, self.wrt)
        given = {output.name for output in made.graph.outputs}
        wrt = [name for name in self.wrt if gradient_output(name) in given]
        found = self._gradients(made, {**feeds, **_entries(seeds)}, wrt)
        if isinstance(found, Verdict):
            return found
        gradients, rounding = found
        for direction in self._directions(feeds, moving):
            slope = along(run, feeds, seeds, direction, step)
            parts = [(gradients[n] * direction[n]).sum() for n in wrt if n in moving]
            size = max(1.0, abs(slope), *(abs(float(p)) for p in parts))
            if np.isnan(sum(parts)) and _makes_nan(plain, feeds):
                return Verdict(REPLACED)
            if not abs(slope - sum(parts)) <= max(tolerance, rounding) * size:
                return Verdict(WRONG, f"{sum(parts):.8g} is found and {slope:.8g} expected")
        return Verdict(CHECKED if wrt else ZERO, ", ".join(wrt))

    def _oracle(self, plain: onnx.ModelProto) -> tuple[Run, float, float] | None:
        """A function of the feeds, the step of differences, and how far they can be trusted.

        onnx.reference in float64, unless it lacks the operator or does not give what the case
        expects.
        """
        choices: list[tuple[Callable[[], Run], float, float]] = [
            (lambda: Reference(doubled(plain)), 1e-5, 1e-5),
            (lambda: lambda feeds: run_proto(plain, feeds), 1e-2, 2e-2),
        ]
        for make, step, tolerance in choices:
            try:
                run = make()
                found = run(self.feeds)
            except Exception:  # noqa: BLE001 - whatever it lacks, the next one may have
                continue
            if all(_close(found[name], self.expected[name]) for name in self.targets):
                return run, step, tolerance
        return None

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
        runs: list[tuple[Callable[[], Mapping[str, Any]], float]] = [
            (lambda: Reference(double)(feeds), 0.0),
            (lambda: run_proto(double, feeds), 0.0),
            (lambda: run_proto(single, feeds), 1e-4),
        ]
        said = []
        for run, rounding in runs:
            try:
                found = run()
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
    for name, seed in seeds.items():
        if any(ends[name].shape != seed.shape for ends in (up, down, half)):
            return False
        right, left = (up[name] - base[name]) / step, (base[name] - down[name]) / step
        near = (half[name] - base[name]) / (step / 2)
        limit = 1e3 * step * np.maximum(1.0, np.abs(right))
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


def _named(infos: Any, values: Any) -> dict[str, Any]:
    """Name -> array; onnx gives some as messages."""
    return {
        info.name: numpy_helper.to_array(v) if isinstance(v, TensorProto) else v
        for info, v in zip(infos, values, strict=False)
    }


def _entries(seeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {seed_input(name): seed for name, seed in seeds.items()}


def _close(found: Any, expected: Any) -> bool:
    """As close as the type of ``expected`` can be."""
    coarse = {"float16": 5e-3, "bfloat16": 3e-2}.get(np.asarray(expected).dtype.name, 1e-3)
    found, expected = (np.asarray(a).astype(np.float64) for a in (found, expected))
    return found.shape == expected.shape and np.allclose(
        found, expected, rtol=coarse, atol=coarse, equal_nan=True
    )
