"""Stages put together are the model, and cut it where little is carried."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from graph.nets import evaluate, net, normal
from mho.evaluation import Layer
from mho.graph import stages as module
from mho.graph import units
from mho.graph.mask import mask_input, masked, substitute_input
from mho.graph.model import Model
from mho.graph.stages import Stage, expected_seconds, stages
from mho.graph.target import SCORES, scored

F = np.float32


@pytest.fixture
def _cut_anyway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RUN_SECONDS", 0.0)
    monkeypatch.setattr(module, "_CARRIED_BYTES_A_SECOND", 1e15)


def chain(signature: str = "(float[N,2,12,12] x) => (float[N,3] y)") -> Model:
    return scored(
        net(
            """a = Conv<pads = [1,1,1,1]>(x, w1)  r = Relu(a)
            p = MaxPool<kernel_shape = [2,2], strides = [2,2]>(r)
            b = Conv<pads = [1,1,1,1]>(p, w2)  s = Relu(b)
            c = Conv(s, w3)  t = Relu(c)  d = Conv(s, w3)  j = Add(t, d)  q = Relu(j)
            g = GlobalAveragePool(q)  f = Flatten(g)  h = Gemm(f, v)  u = Relu(h)
            y = Gemm(u, o)""",
            signature,
            w1=normal(1, 16, 2, 3, 3),
            w2=normal(2, 8, 16, 3, 3),
            w3=normal(3, 4, 8, 1, 1),
            v=normal(4, 4, 6),
            o=normal(5, 6, 3),
        )
    )


def run_in_stages(made: tuple[Stage, ...], fed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every stage with its masks, on what the stages below gave. A name is given once."""
    given: dict[str, np.ndarray] = {}
    for stage in made:
        assert set(stage.takes) <= set(given)
        wanted = {**{n: fed[n] for n in stage.reads}, **{n: given[n] for n in stage.takes}}
        for layer in stage.layers:
            for name in (mask_input(layer.name), substitute_input(layer.name)):
                wanted[name] = fed[name]
        found = evaluate(masked(stage.model, stage.layers), wanted)
        assert tuple(found) == stage.gives
        assert not set(found) & set(given)
        given |= found
    return given


def layers_of(model: Model, *names: str) -> list[Layer]:
    return [units.layer(model, name) for name in names]


def masks(layers: list[Layer], rows: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(8)
    found = {}
    for layer in layers:
        shape = [layer.units if i == layer.axis else 1 for i in range(len(layer.shape))]
        found[mask_input(layer.name)] = generator.choice(
            [0.0, 0.5, 1.0], size=(rows, layer.units)
        ).astype(F)
        found[substitute_input(layer.name)] = generator.normal(size=shape).astype(F)
    return found


def check(model: Model, layers: list[Layer], x: np.ndarray, *, least: int) -> tuple[Stage, ...]:
    """At least so many stages, which give what the masked model gives."""
    made = stages(model, layers, SCORES)
    assert len(made) >= least
    placed = [layer.name for stage in made for layer in stage.layers]
    assert set(placed) == {layer.name for layer in layers}
    fed = {"x": x, **masks(layers, len(x))}
    found = run_in_stages(made, fed)[SCORES]
    expected = evaluate(masked(model, layers), fed)[SCORES]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    return made


@pytest.mark.usefixtures("_cut_anyway")
@pytest.mark.parametrize(
    "names",
    [("r", "s", "t", "q", "u"), ("a", "b", "c", "d", "h"), ("p", "s"), ("q", "u"), ("u",), ("x",)],
)
def test_stages_put_together_are_the_masked_model(names: tuple[str, ...]) -> None:
    """Layers after and before activations, in branches, behind a long head, and the input."""
    model = chain()
    check(model, layers_of(model, *names), normal(9, 3, 2, 12, 12), least=1 + (names != ("x",)))


@pytest.mark.usefixtures("_cut_anyway")
def test_an_input_is_masked_wherever_it_is_read() -> None:
    model = scored(
        net(
            """a = Conv(x, w)  r = Relu(a)  b = Conv(r, v)  s = Relu(b)  c = Add(s, x)
            y = GlobalAveragePool(c)""",
            "(float[N,4,3,3] x) => (float[N,4,1,1] y)",
            w=normal(1, 4, 4, 1, 1),
            v=normal(2, 4, 4, 1, 1),
        )
    )
    made = check(model, layers_of(model, "x", "r", "s"), normal(3, 2, 4, 3, 3), least=2)
    assert sum("x" in [layer.name for layer in stage.layers] for stage in made) >= 2


@pytest.mark.usefixtures("_cut_anyway")
def test_nothing_masked_below_makes_a_head_without_layers() -> None:
    model = chain()
    first = stages(model, layers_of(model, "t", "u"), SCORES)[0]
    assert first.layers == ()
    assert first.gives == ("s",) or set(first.gives) <= {"s", "c", "d", "t/entrance"}


@pytest.mark.usefixtures("_cut_anyway")
def test_what_tells_shapes_is_computed_anew_from_what_is_carried() -> None:
    model = scored(
        net(
            """n = Shape<start = 0, end = 1>(x)  a = MatMul(x, w)  r = Relu(a)
            full = Concat<axis = 0>(n, rest)  e = Reshape(r, full)  b = MatMul(e, v)  s = Relu(b)
            again = Expand(one, full)  c = Add(s, again)
            y = ReduceMean<keepdims = 0>(c, axis)""",
            "(float[N,4,3] x) => (float[N,6] y)",
            w=normal(1, 3, 3),
            v=normal(2, 6, 6),
            rest=np.array([2, 6]),
            one=np.ones(1, F),
            axis=np.array([1]),
        )
    )
    layers = [
        Layer("r", "Relu", 3, ("N", 4, 3), 2),
        Layer("s", "Relu", 6, ("N", 2, 6), 2),
    ]
    made = check(model, layers, normal(3, 2, 4, 3), least=1)
    assert all("full" not in stage.takes for stage in made)


@pytest.mark.usefixtures("_cut_anyway")
def test_tensors_whose_leading_axis_is_not_the_batch_are_not_carried() -> None:
    model = scored(
        net(
            """a = MatMul(x, w)  f = Reshape(a, flat)  r = Relu(f)  g = MatMul(r, v)
            b = Reshape(g, back)  s = Relu(b)  y = ReduceMean<keepdims = 0>(s, axis)""",
            "(float[N,4,3] x) => (float[N,5] y)",
            w=normal(1, 3, 3),
            v=normal(2, 3, 5),
            flat=np.array([-1, 3]),
            back=np.array([-1, 4, 5]),
            axis=np.array([1]),
        )
    )
    layers = [Layer("a", "MatMul", 3, ("N", 4, 3), 2), Layer("s", "Relu", 5, ("N", 4, 5), 2)]
    made = check(model, layers, normal(3, 2, 4, 3), least=2)
    carried = {name for stage in made for name in stage.takes}
    assert carried
    assert not carried & {"f", "r", "g"}


def test_borders_lie_where_little_is_carried() -> None:
    """Wide layers at both sides of narrow ones: the narrow ones are carried."""
    body, weights, at = [], {}, "x"
    for i in range(5):
        body.append(f"a{i} = Conv(p{i}, n{i})" if i else "a0 = Conv(x, n0)")
        body.append(f"m{i} = Relu(a{i})  b{i} = Conv<pads = [1,1,1,1]>(m{i}, w{i})")
        body.append(f"p{i + 1} = Relu(b{i})")
        weights |= {f"n{i}": normal(i, 4, 64, 1, 1), f"w{i}": normal(i, 64, 4, 3, 3)}
        at = f"p{i + 1}"
    body.append(f"y = GlobalAveragePool({at})")
    model = scored(net(" ".join(body), "(float[N,64,60,60] x) => (float[N,64,1,1] y)", **weights))
    layers = layers_of(model, *(f"{k}{i + (k == 'p')}" for i in range(5) for k in "mp"))
    made = stages(model, layers, SCORES)
    assert len(made) > 2
    carried = {name.split("/")[0][0] for stage in made for name in stage.takes}
    assert carried <= {"a", "m"}
    whole = sum(stage.seconds for stage in made)
    assert expected_seconds(made) < 0.8 * whole
    assert all(stage.bytes == 4 * 60 * 60 * 4 for stage in made[:-1])


def test_one_stage_where_calls_cost_more_than_they_save() -> None:
    model = chain()
    (only,) = stages(model, layers_of(model, "r", "s", "t"), SCORES)
    assert [layer.name for layer in only.layers] == ["r", "s", "t"]
    assert only.takes == {}
    assert expected_seconds([only]) == only.seconds


@pytest.mark.usefixtures("_cut_anyway")
def test_a_batch_that_is_fixed_to_one_is_carried_too() -> None:
    model = chain("(float[1,2,12,12] x) => (float[1,3] y)")
    check(model, layers_of(model, "r", "s", "q"), normal(9, 1, 2, 12, 12), least=2)
