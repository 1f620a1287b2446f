"""On a GPU: the scores of the CPU, where nodes are placed, and how many evaluations a second it
makes.

Skipped where onnxruntime finds no CUDA device that it can use.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

import shapes
from graph.nets import net, normal
from mho.config import Settings
from mho.errors import Unsupported
from mho.evaluation import Integrand, Intervals
from mho.graph import units
from mho.graph.load import load
from mho.graph.model import Model, serialized
from mho.graph.path_sums import LOWER, SLOPE_LOWER, SLOPE_UPPER, UPPER, path_sums
from mho.graph.target import TARGET, scored, targeted
from mho.methods.conductance import Conductance
from mho.methods.gradient import Gradient
from mho.methods.integrated_gradients import IntegratedGradients
from mho.methods.shapley import Shapley
from mho.results import Result
from mho.runtime.provider import CPU, CUDA, choose
from mho.runtime.session import Sessions
from runtime.bound import bound, data, finished

ON_GPU = Settings(provider="cuda", threads=1)
ON_CPU = Settings(provider="cpu", threads=1)
CLOSE = 1e-3
"""Relative to the largest score of a layer."""
SAME = 1.0
"""At this tolerance a path keeps its first intervals, so that both sides have the same nodes."""


def why_not() -> str:
    """Why there is no usable CUDA device; empty where there is one."""
    try:
        choose(ON_GPU)
    except Unsupported as error:
        return str(error)
    return ""


pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(bool(why_not()), reason=f"no usable CUDA device: {why_not()}"),
]


def small() -> Model:
    return net(
        """q = Conv<pads = [1, 1, 1, 1]>(x, w, wb)  s = Relu(q)
        p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(s)
        c = Conv(p, k, kb)  t = Tanh(c)
        a = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(t)
        f = Flatten(a)  h = Gemm(f, u)  r = Sigmoid(h)  y = MatMul(r, v)""",
        "(float[N,3,14,14] x) => (float[N,4] y)",
        w=normal(1, 8, 3, 3, 3, scale=0.3),
        wb=normal(2, 8, scale=0.3),
        k=normal(3, 6, 8, 2, 2, scale=0.3),
        kb=normal(4, 6, scale=0.3),
        u=normal(5, 54, 10, scale=0.3),
        v=normal(6, 10, 4),
    )


@cache
def model_of(name: str) -> tuple[Model, np.ndarray]:
    if name == "small":
        return small(), normal(7, 4, 3, 14, 14)
    drawn = shapes.drawing_module().draw(4, 5, "shuffled")
    pixels = drawn.images.astype(np.float32).transpose(0, 3, 1, 2)
    return load(shapes.MODEL), (pixels / 255 - 0.5) / 0.5


def solved(method: Any, name: str, settings: Settings) -> Result:
    model, x = model_of(name)
    given = data({model.inputs[0].name: x}, labels=np.zeros(len(x)))
    result: Result = finished(method, bound(method, model, given, settings=settings).evaluator)
    return result


METHODS = [
    Conductance(target="1", tolerance=SAME),
    Conductance(target="1", tolerance=SAME, engine="finite_difference"),
    IntegratedGradients(target="1", tolerance=SAME),
    Gradient(target="1"),
    Shapley(target="1", value="logit", evaluations=400),
]


@pytest.mark.parametrize("model", ["example", "small"])
@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m.name}-{m.engine}")
def test_the_scores_of_the_cpu(model: str, method: Any) -> None:
    found, expected = (solved(method, model, where).scores for where in (ON_GPU, ON_CPU))
    assert found.keys() == expected.keys()
    for name, own in expected.items():
        atol = CLOSE * np.abs(own).max()
        np.testing.assert_allclose(found[name], own, rtol=CLOSE, atol=atol, err_msg=name)


def sums_graph(name: str) -> tuple[bytes, Model]:
    """The graph of the path integrals of all layers, as the gradient engine runs it."""
    model = targeted(scored(model_of(name)[0]))
    made = path_sums(model, Integrand.CONDUCTANCE, units=units.layers(model))
    serial = serialized(made.ir)
    assert serial is not None
    return serial, made


def placed(serial: bytes, feeds: dict[str, Any], folder: Path) -> dict[str, set[str]]:
    """Operator -> the providers that ran its nodes, by onnxruntime's own profile."""
    provider = choose(ON_GPU)
    options = ort.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    options.log_severity_level = 4
    session = ort.InferenceSession(
        serial, options, providers=[(provider.name, dict(provider.options)), (CPU, {})]
    )
    wanted = {entry.name for entry in session.get_inputs()}
    session.run(None, {key: value for key, value in feeds.items() if key in wanted})
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    found: dict[str, set[str]] = defaultdict(set)
    for event in events:
        where = event.get("args", {}).get("provider")
        if event.get("cat") == "Node" and where:
            found[event["args"]["op_name"]].add(where)
    return dict(found)


HEAVY = ("Conv", "Gemm", "MatMul", "Pool")
"""Parts of the names of operators, fused ones included, that make up the work of a model."""


@pytest.mark.parametrize("model", ["example", "small"])
def test_heavy_nodes_run_on_the_gpu(
    model: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    serial, made = sums_graph(model)
    found = placed(serial, feeds_of(model, made), tmp_path)
    record_property("placed", {op: sorted(where) for op, where in sorted(found.items())})
    heavy = {op: where for op, where in found.items() if any(part in op for part in HEAVY)}
    assert any("Conv" in op for op in heavy), found
    assert {op: where for op, where in heavy.items() if where != {CUDA}} == {}


def feeds_of(name: str, made: Model) -> dict[str, Any]:
    """Eight points on the path to the first input, and the seven intervals between them."""
    source, x = model_of(name)
    alpha = np.linspace(0, 1, 8, dtype=np.float32).reshape(-1, *[1] * (x.ndim - 1))
    begin, end = np.arange(7), np.arange(1, 8)
    known: dict[str, Any] = {
        source.inputs[0].name: alpha * x[:1],
        TARGET: np.ones(8, np.int64),
        LOWER: begin,
        UPPER: end,
        SLOPE_LOWER: begin,
        SLOPE_UPPER: end,
    }
    return {spec.name: known[spec.name] for spec in made.inputs}


def test_tf32_is_off() -> None:
    """Finite differences need all of float32: a product of 4096 terms is exact to a few of its
    roundings, where TF32 keeps ten bits."""
    assert dict(choose(ON_GPU).options)["use_tf32"] == "0"
    a, b = normal(8, 64, 4096), normal(9, 4096, 64)
    model = net("y = MatMul(x, b)", "(float[N,4096] x) => (float[N,64] y)", b=b)
    session = Sessions(ON_GPU).get(model)
    assert session._session.get_provider_options()[CUDA]["use_tf32"] == "0"
    found = session.run({"x": a})["y"]
    exact = a.astype(np.float64) @ b.astype(np.float64)
    assert np.linalg.norm(found - exact) / np.linalg.norm(exact) < 1e-5


@pytest.mark.parametrize("settings", [ON_GPU, ON_CPU], ids=lambda s: s.provider)
def test_evaluations_per_second(
    settings: Settings, record_property: Callable[[str, object], None]
) -> None:
    """Points of the gradient graph of all layers of the example, by wall clock; only recorded."""
    model, x = model_of("example")
    method = Conductance(target="1")
    given = data({model.inputs[0].name: x})
    evaluator = bound(method, model, given, settings=settings).evaluator
    edges = np.linspace(0, 1, 257)
    whole = Intervals(np.zeros(256, np.int64), edges[:-1], edges[1:])
    evaluator.interval_sums(0, whole)  # the first run loads kernels and takes memory
    before, start = evaluator.spent["gradient"], time.perf_counter()
    evaluator.interval_sums(0, whole)
    seconds = time.perf_counter() - start
    points = evaluator.spent["gradient"] - before
    assert points >= 257
    record_property("gradients per second", round(points / seconds, 1))
