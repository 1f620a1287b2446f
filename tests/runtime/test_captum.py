"""Against Captum on the same weights: a torch network and its export get the same scores.

Each side has its own quadrature: Captum takes many equal steps, mho refines until the flow closes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
attr = pytest.importorskip("captum.attr")

from graph.exports import distance, exported  # noqa: E402
from mho.graph import units  # noqa: E402
from mho.graph.model import Model  # noqa: E402
from mho.methods.conductance import Conductance  # noqa: E402
from mho.methods.grad_cam import GradCam  # noqa: E402
from mho.methods.gradient_x_activation import GradientXActivation  # noqa: E402
from mho.methods.integrated_gradients import IntegratedGradients  # noqa: E402
from mho.methods.internal_influence import InternalInfluence  # noqa: E402
from mho.methods.layer_integrated_gradients import LayerIntegratedGradients  # noqa: E402
from mho.results import Result  # noqa: E402
from runtime.bound import bound, data, finished  # noqa: E402

nn = torch.nn

TARGET = 2
TOLERANCE = 2e-4
"""Of the flow. Errors of single units cancel in that, so at 1e-3 a layer can be off by 1e-2."""
QUADRATURE = 1e-2
"""Relative l2 per layer where both sides integrate."""
POINTWISE = 1e-4
"""The same where nothing is integrated."""
DIFFERENCES: dict[str, Any] = {"n_steps": 500, "method": "riemann_trapezoid"}
"""Of these points Captum's LayerConductance takes the differences; both ends must be among them."""
MIDDLES: dict[str, Any] = {"n_steps": 500, "method": "riemann_middle"}
"""Weights that add up to 1; those of Captum's trapezoids add up to (n + 1) / n."""


def cnn() -> Any:
    """Every module is a layer of its own, so that the n-th module has one tensor in the export."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 5, 3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(20, 10),
        nn.SiLU(),
        nn.Linear(10, 4),
    )


def mlp() -> Any:
    return nn.Sequential(
        nn.Linear(7, 12),
        nn.Tanh(),
        nn.Linear(12, 10),
        nn.ReLU(),
        nn.Linear(10, 8),
        nn.GELU(),
        nn.Linear(8, 4),
    )


BUILDS = {"CNN": (cnn, (2, 3, 16, 16), (0, 1, 3, 4, 5, 6, 8, 9)), "MLP": (mlp, (3, 7), range(6))}


@dataclass(frozen=True)
class Pair:
    """One network on both sides. layers: tensor of the export -> module of torch."""

    module: Any
    model: Model
    x: Any
    layers: dict[str, Any]

    def positions(self, name: str) -> tuple[int, ...]:
        """The shape of a layer behind its units; () where it has no positions."""
        found = units.layer(self.model, name).shape[2:]
        return tuple(length for length in found if isinstance(length, int))

    def scores(self, method: Any, **files: Path) -> Result:
        evaluator = bound(method, self.model, data(self.x.numpy()), files=files).evaluator
        result: Result = finished(method, evaluator)
        return result


@cache
def pair(name: str) -> Pair:
    build, shape, chosen = BUILDS[name]
    with torch.random.fork_rng():
        torch.manual_seed(5)
        module = build().eval()
        x = torch.randn(*shape)
    model = exported(module, {"x": x}, dynamo=False)
    made = [node.outputs[0].name for node in model.graph]
    tensors = {int(n.strip("/").split("/")[0]): n for n in made if n and n.startswith("/")}
    return Pair(module, model, x, {tensors[i]: module[i] for i in chosen})


@pytest.fixture(params=BUILDS)
def both(request: pytest.FixtureRequest) -> Pair:
    return pair(request.param)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def agree(found: Any, expected: Any, limit: float) -> None:
    """Every layer within ``limit``; a layer without scores would be no comparison."""
    assert found.keys() == expected.keys()
    errors = {name: distance(found[name], own) for name, own in expected.items()}
    assert all(np.linalg.norm(own) > 0 for own in expected.values())
    assert {name: error for name, error in errors.items() if not error < limit} == {}


def double(tensor: Any) -> np.ndarray:
    array: np.ndarray = tensor.detach().numpy().astype(np.float64)
    return array


def channels(array: np.ndarray) -> np.ndarray:
    """Summed over the positions."""
    summed: np.ndarray = array.reshape(*array.shape[:2], -1).sum(axis=2)
    return summed


def by_captum(kind: Any, both: Pair, **options: Any) -> dict[str, np.ndarray]:
    """Of every layer, with positions."""
    return {
        name: double(kind(both.module, part).attribute(both.x, target=TARGET, **options))
        for name, part in both.layers.items()
    }


PATHS = [
    (Conductance, attr.LayerConductance, DIFFERENCES),
    (InternalInfluence, attr.InternalInfluence, MIDDLES),
    (LayerIntegratedGradients, attr.LayerIntegratedGradients, MIDDLES),
]


@pytest.mark.parametrize(("kind", "oracle", "options"), PATHS, ids=lambda v: getattr(v, "name", ""))
def test_scores_along_a_path(kind: Any, oracle: Any, options: Any, both: Pair) -> None:
    asked = {"layers": tuple(both.layers), "target": str(TARGET), "tolerance": TOLERANCE}
    expected = by_captum(oracle, both, **options)
    neurons = both.scores(kind(granularity="neuron", **asked)).scores
    agree(neurons, expected, QUADRATURE)
    summed = {name: channels(own) for name, own in expected.items()}
    agree(both.scores(kind(**asked)).scores, summed, QUADRATURE)


def test_integrated_gradients(both: Pair) -> None:
    method = IntegratedGradients(target=str(TARGET), tolerance=TOLERANCE)
    oracle = attr.IntegratedGradients(both.module)
    expected = oracle.attribute(both.x, target=TARGET, **MIDDLES)
    agree(both.scores(method).scores, {"x": double(expected)}, QUADRATURE)


def test_integrated_gradients_from_another_baseline(both: Pair, tmp_path: Path) -> None:
    start = both.x.flip(0)[:1] / 2
    np.save(tmp_path / "b.npy", start.numpy())
    method = IntegratedGradients(target=str(TARGET), tolerance=TOLERANCE, baseline="b.npy")
    found = both.scores(method, baseline=tmp_path / "b.npy").scores
    oracle = attr.IntegratedGradients(both.module)
    expected = oracle.attribute(both.x, baselines=start, target=TARGET, **MIDDLES)
    agree(found, {"x": double(expected)}, QUADRATURE)


def test_conductance_of_one_unit_resolved_to_the_input(both: Pair) -> None:
    """Captum's neuron is one position; a range of them would multiply sums over positions."""
    chosen = {name: 3 for name in both.layers if math.prod(both.positions(name)) <= 16}
    named = tuple(f"{name}:{unit}" for name, unit in chosen.items())
    found = both.scores(Conductance(units=named, target=str(TARGET), tolerance=TOLERANCE)).scores
    expected = {}
    for name, unit in chosen.items():
        oracle = attr.NeuronConductance(both.module, both.layers[name])
        of_positions = [
            double(oracle.attribute(both.x, (unit, *place), target=TARGET, **MIDDLES))
            for place in np.ndindex(*both.positions(name))
        ]
        expected[name] = np.sum(of_positions, axis=0)[:, None]
    agree(found, expected, QUADRATURE)


def test_gradient_times_activation(both: Pair) -> None:
    expected = by_captum(attr.LayerGradientXActivation, both)
    asked = {"layers": tuple(both.layers), "target": str(TARGET)}
    neurons = both.scores(GradientXActivation(granularity="neuron", **asked)).scores
    agree(neurons, expected, POINTWISE)
    summed = {name: channels(own) for name, own in expected.items()}
    agree(both.scores(GradientXActivation(**asked)).scores, summed, POINTWISE)


def test_grad_cam_and_the_parts_of_its_map() -> None:
    both = pair("CNN")
    layers = {name: part for name, part in both.layers.items() if both.positions(name)}
    convolutional = replace(both, layers=layers)
    found = both.scores(GradCam(layers=tuple(layers), target=str(TARGET)))
    seen = by_captum(attr.LayerGradCam, convolutional, relu_attributions=True)
    agree(found.maps, {name: own[:, 0] for name, own in seen.items()}, POINTWISE)
    parts = by_captum(attr.LayerGradCam, convolutional, attr_dim_summation=False)
    agree(found.scores, {name: channels(own) for name, own in parts.items()}, POINTWISE)
