"""Marks, what onnxruntime makes of them, and the masks that they become."""

from __future__ import annotations

import numpy as np
import pytest

from graph.nets import net, normal
from mho.config import Settings
from mho.evaluation import Layer
from mho.graph import units
from mho.graph.blocked import blockable, marked, opened, parsed, unharmed
from mho.graph.mask import mask_input, masked, substitute_input
from mho.graph.model import Model
from mho.runtime.session import Sessions

F = np.float32
SESSIONS = Sessions(Settings(provider="cpu", threads=1))


def optimised(model: Model) -> Model:
    data = SESSIONS.optimised(model)
    assert data is not None
    return parsed(model, data)


def cnn() -> Model:
    return net(
        """a = Conv<pads = [1,1,1,1]>(x, w1)  r = Relu(a)
        c = Conv(r, w2)  s = Relu(c)  d = Conv(r, w2)  b = Add(s, d)  t = Relu(b)
        n = Conv(t, w3)  y = GlobalAveragePool(n)""",
        "(float[N,2,6,7] x) => (float[N,3,1,1] y)",
        w1=normal(1, 16, 2, 3, 3),
        w2=normal(2, 16, 16, 1, 1, scale=0.3),
        w3=normal(3, 3, 16, 1, 1),
    )


def uses_blocks() -> bool:
    inside = optimised(cnn())
    return any(node.domain == "com.microsoft.nchwc" for node in inside.graph)


needs_blocks = pytest.mark.skipif(
    not uses_blocks(), reason="onnxruntime has no blocked layout on this processor"
)


def layers_of(model: Model, *names: str) -> list[Layer]:
    return [units.layer(model, name) for name in names]


def fed(layers: list[Layer], rows: int, keep: np.ndarray | None = None) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(3)
    found = {}
    for layer in layers:
        drawn = generator.choice([0.0, 0.3, 1.0], size=(rows, layer.units)).astype(F)
        found[mask_input(layer.name)] = drawn if keep is None else keep
        found[substitute_input(layer.name)] = generator.normal(size=(1, layer.units, 1, 1)).astype(
            F
        )
    return found


def test_only_images_in_float32_are_blockable() -> None:
    model = net(
        """r = Relu(x)  h = Cast<to = 10>(r)  s = Relu(h)  f = Flatten(r)  t = Relu(f)
        c = Transpose<perm = [0,2,3,1]>(r)  l = Relu(c)  g = GlobalAveragePool(l)""",
        "(float[N,4,3,3] x) => (float[N,3,1,1] g, float[N,36] t, float16[N,4,3,3] s)",
    )
    layers = [Layer("r", "Relu", 4, ("N", 4, 3, 3), 1), Layer("s", "Relu", 4, ("N", 4, 3, 3), 1)]
    layers += [Layer("t", "Relu", 36, ("N", 36), 1), Layer("l", "Relu", 4, ("N", 3, 3, 4), 3)]
    assert [layer.name for layer in blockable(model, layers)] == ["r"]


def test_a_mark_is_a_convolution_that_every_reader_reads() -> None:
    model = cnn()
    (layer,) = layers_of(model, "r")
    graph = marked(model, [layer]).graph
    activation = next(v for node in graph for v in node.outputs if v.name == "r")
    ((mark, _),) = activation.uses()
    assert mark.attributes["group"].as_int() == 16
    weight = mark.inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    assert (weight.const_value.numpy() == np.ones((16, 1, 1, 1))).all()
    assert len(mark.outputs[0].uses()) == 2


@needs_blocks
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("names", [("r",), ("r", "s", "t"), ("s", "d", "t"), ("a", "c")])
def test_opened_marks_are_masks(names: tuple[str, ...], rows: int) -> None:
    """Behind, before and beside activations; one mark is fused with the sum of two branches."""
    model = cnn()
    layers = layers_of(model, *names)
    inside = optimised(marked(model, layers))
    assert unharmed(inside, layers) == layers
    given = {"x": normal(5, rows, 2, 6, 7), **fed(layers, rows)}
    found = SESSIONS.get(opened(inside, layers, rows)).run(given)["y"]
    expected = SESSIONS.get(masked(model, layers)).run(given)["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@needs_blocks
def test_all_activations_stay_in_the_layout() -> None:
    model = cnn()
    layers = layers_of(model, "r", "s", "t")

    def reordered(inside: Model) -> int:
        return sum(node.op_type.startswith("Reorder") for node in inside.graph)

    inside = optimised(marked(model, layers))
    assert reordered(optimised(opened(inside, layers, 2))) == reordered(optimised(model))
    assert reordered(optimised(masked(model, layers))) > reordered(optimised(model))


@needs_blocks
def test_marks_that_something_was_folded_into_are_harmed() -> None:
    """A normalisation, and a constant factor, behind a mark become part of it."""
    model = net(
        """a = Conv(x, w1)  n = BatchNormalization(a, s, m, m, s)  r = Relu(n)
        c = Conv(r, w2)  f = Mul(c, s4)  t = Relu(f)  y = GlobalAveragePool(t)""",
        "(float[N,2,6,6] x) => (float[N,16,1,1] y)",
        w1=normal(1, 16, 2, 3, 3),
        w2=normal(2, 16, 16, 1, 1),
        s=np.full(16, 2, F),
        m=normal(3, 16),
        s4=np.full((1, 16, 1, 1), 3, F),
    )
    layers = layers_of(model, "a", "r", "c", "t")
    inside = optimised(marked(model, layers))
    assert [layer.name for layer in unharmed(inside, layers)] == ["r", "t"]


def test_channels_that_fill_no_block_are_harmed() -> None:
    model = net(
        "a = Conv(x, w)  r = Relu(a)  y = GlobalAveragePool(r)",
        "(float[N,2,6,6] x) => (float[N,5,1,1] y)",
        w=normal(1, 5, 2, 3, 3),
    )
    layers = layers_of(model, "r")
    assert unharmed(optimised(marked(model, layers)), layers) == []


@needs_blocks
def test_what_is_not_removed_is_the_model_exactly() -> None:
    model = cnn()
    layers = layers_of(model, "r", "s", "t")
    inside = optimised(marked(model, layers))
    x = normal(5, 2, 2, 6, 7)
    given = {"x": x, **fed(layers, 2, np.ones((2, 16), F))}
    found = SESSIONS.get(opened(inside, layers, 2)).run(given)["y"]
    np.testing.assert_array_equal(found, SESSIONS.get(model).run({"x": x})["y"])
