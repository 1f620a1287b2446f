"""Both engines give one conductance: models of many architectures, a layer half way up and one near
the output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("transformers")

import shapes  # noqa: E402
from graph import hub, zoo  # noqa: E402
from graph.exports import distance, exported  # noqa: E402
from mho.evaluation import Intervals, PathEvaluator  # noqa: E402
from mho.graph import units  # noqa: E402
from mho.graph.load import load  # noqa: E402
from mho.graph.model import Model  # noqa: E402
from mho.graph.target import scored  # noqa: E402
from mho.methods.conductance import Conductance  # noqa: E402
from mho.results import Result  # noqa: E402
from runtime.bound import bound, data, finished  # noqa: E402

nn = torch.nn
Build = Callable[[], Any]

AGREED = 1e-2
"""Relative l2 per layer up to which the engines may differ."""
TOLERANCE = 2e-4
"""Fine enough for ``AGREED``: errors of single units cancel in the flow, so at 1e-3 a layer can
be off by a hundredth. Where intervals end at float32's limits, scores agree all the same."""
FINE = 1024
"""Even intervals for layers of which no tolerance speaks."""
ENGINES = ("gradient", "finite_difference")


def image(side: int) -> Build:
    return lambda: torch.randn(1, 3, side, side)


def tokens() -> Any:
    return torch.randint(0, 40, (1, 9))


def recurrent(kind: Any, **options: object) -> Build:
    """With a layer between the embedding and the recurrence, so that chords run through that."""

    def build() -> Any:
        module = zoo.Recurrent(kind, **options)
        module.embed = nn.Sequential(module.embed, nn.Linear(8, 8), nn.Tanh())
        return module

    return build


NETWORKS: dict[str, tuple[Build, Build]] = {
    "AlexNet": (zoo.AlexNet, image(67)),
    "VGG": (zoo.Vgg, image(32)),
    "ResNet": (zoo.ResNet, image(37)),
    "DenseNet": (zoo.DenseNet, image(17)),
    "Inception": (zoo.Inception, image(33)),
    "MobileNetV2": (lambda: zoo.MobileNet(nn.ReLU6), image(32)),
    "MobileNetV3": (lambda: zoo.MobileNet(nn.Hardswish, nn.Hardsigmoid), image(32)),
    "EfficientNet": (lambda: zoo.MobileNet(nn.SiLU, nn.Sigmoid), image(32)),
    "ShuffleNet": (zoo.ShuffleNet, image(32)),
    "U-Net": (zoo.UNet, image(16)),
    "text CNN": (zoo.TextCnn, tokens),
    "MLP": (zoo.Mlp, lambda: torch.randn(1, 12)),
    "LSTM": (recurrent(nn.LSTM, bidirectional=True), tokens),
    "GRU": (recurrent(nn.GRU), tokens),
    "BERT": (hub.bert, tokens),
    "GPT-2": (hub.gpt2, tokens),
    "ViT": (hub.vit, image(16)),
    "ConvNeXt": (hub.convnext, image(32)),
}
NEWER_ONLY = ("AlexNet", "GPT-2")
"""The older exporter lacks operators for these."""


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def built(name: str) -> tuple[Model, np.ndarray]:
    """A network whose score really changes on the way from zeros to its input.

    As torch draws weights, signals fade until F(x) - F(x') is not much more than rounding; and
    where all biases are 0, a normalisation meets nothing but zeros at the baseline, and jumps.
    """
    build, draw = NETWORKS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = build().eval()
        for part in module.modules():
            if isinstance(part, nn.modules.conv._ConvNd | nn.Linear):
                nn.init.kaiming_normal_(part.weight)
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.running_mean.normal_(0, 0.1)
                part.running_var.uniform_(0.5, 1.5)
            if isinstance(getattr(part, "bias", None), nn.Parameter):
                nn.init.normal_(part.bias, 0, 0.1)
        x = draw()
    model = exported(module, {"x": x.expand(2, *x.shape[1:])}, dynamo=name in NEWER_ONLY)
    return model, x.numpy()


def cuts_of(model: Model, x: np.ndarray) -> list[tuple[str, ...]]:
    """Two sets of layers, half way up and the last before the answers, each of which carries all of
    the flow: that is what a tolerance speaks of."""
    answers = units.layers(scored(model))[-1].name
    evaluator = bound(Conductance(), model, data({model.inputs[0].name: x})).evaluator
    cuts = [cut.layers for group in evaluator.groups for cut in group.cuts if cut.complete]
    below = [names for names in cuts if answers not in names]
    return [below[len(below) // 2], below[-1]]


def asked(engine: str, layers: tuple[str, ...]) -> Conductance:
    return Conductance(layers=layers, engine=engine, tolerance=TOLERANCE)


def by(engine: str, model: Model, x: np.ndarray, layers: tuple[str, ...]) -> PathEvaluator:
    found = bound(asked(engine, layers), model, data({model.inputs[0].name: x}))
    assert found.engine == engine
    evaluator: PathEvaluator = found.evaluator
    return evaluator


def adaptive(
    engine: str, model: Model, x: np.ndarray, layers: tuple[str, ...]
) -> Mapping[str, np.ndarray]:
    result: Result = finished(asked(engine, layers), by(engine, model, x, layers))
    return result.scores


def agree(model: Model, x: np.ndarray, record: Callable[[str, object], None]) -> None:
    cuts = cuts_of(model, x)
    layers = tuple(dict.fromkeys(name for names in cuts for name in names))
    exact, other = (adaptive(engine, model, x, layers) for engine in ENGINES)
    for names in cuts:
        # parallel branches together: one of them may carry less than the tolerance lets pass
        found, expected = (
            np.concatenate([scores[name] for name in names], axis=1) for scores in (other, exact)
        )
        assert np.linalg.norm(expected) > 0
        error = distance(found, expected)
        record(f"relative l2 at {', '.join(names)}", error)
        assert error < AGREED, (names, error)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_engines_agree(name: str, record_property: Callable[[str, object], None]) -> None:
    agree(*built(name), record_property)


def test_the_engines_agree_on_the_example(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    pictures, _ = shapes.inputs(tmp_path, 1)
    agree(load(shapes.MODEL), np.load(pictures), record_property)


@pytest.mark.parametrize("name", ["Inception", "ResNet", "DenseNet", "U-Net", "text CNN", "ViT"])
def test_layers_beside_which_something_passes(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    """Both on the same fine intervals: a tolerance does not speak of such a layer alone, which may
    carry a thousandth of the flow."""
    model, x = built(name)
    listed = [layer.name for layer in units.layers(scored(model))]
    layer = listed[len(listed) // 2]
    edges = np.linspace(0, 1, FINE + 1)
    fine = Intervals(np.zeros(FINE, np.int64), edges[:-1], edges[1:])
    exact, other = (
        by(engine, model, x, (layer,)).interval_sums(0, fine).scores[layer].sum(axis=0)
        for engine in ENGINES
    )
    assert np.linalg.norm(exact) > 0
    error = distance(other, exact)
    record_property(f"relative l2 at {layer}", error)
    assert error < AGREED
