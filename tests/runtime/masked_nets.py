"""Small nets with masks for the tests of this folder, and their scores run row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest

from graph.nets import net, normal
from mho.evaluation import Layer
from mho.graph import stages
from mho.graph.mask import broadcast_shape, mask_input, masked, substitute_input
from mho.graph.model import Model
from mho.graph.target import SCORES
from mho.runtime.problem import Problem
from mho.runtime.session import Sessions
from runtime.bound import SETTINGS, data, problem

F = np.float32


def cnn() -> Model:
    return net(
        """a = Conv<pads = [1,1,1,1]>(x, w1, b1)  r = Relu(a)
        p = MaxPool<kernel_shape = [2,2], strides = [2,2]>(r)
        c = Conv<pads = [1,1,1,1]>(p, w2)  s = Relu(c)
        d = Conv(s, w3)  t = Relu(d)
        g = GlobalAveragePool(t)  f = Flatten(g)  y = Gemm(f, v)""",
        "(float[N,2,8,8] x) => (float[N,3] y)",
        w1=normal(1, 16, 2, 3, 3),
        b1=normal(2, 16),
        w2=normal(3, 32, 16, 3, 3, scale=0.2),
        w3=normal(4, 16, 32, 1, 1, scale=0.3),
        v=normal(5, 16, 3),
    )


def residual() -> Model:
    """Two blocks with batch normalisation; the masks of b and e are before an addition."""
    statistics = {
        f"{kind}{i}": np.random.default_rng(10 * i).uniform(0.5, 1.5, 16).astype(F)
        for i in range(1, 5)
        for kind in "svmu"
    }
    body = """a = Conv<pads = [1,1,1,1]>(x, w1)  an = BatchNormalization(a, s1, m1, u1, v1)
        r = Relu(an)
        b0 = Conv<pads = [1,1,1,1]>(r, w2)  b = BatchNormalization(b0, s2, m2, u2, v2)
        ba = Add(b, r)  q = Relu(ba)
        c = Conv(q, w3)  cn = BatchNormalization(c, s3, m3, u3, v3)  t = Relu(cn)
        e0 = Conv<pads = [1,1,1,1]>(t, w4)  e = BatchNormalization(e0, s4, m4, u4, v4)
        ea = Add(q, e)  z = Relu(ea)
        g = GlobalAveragePool(z)  f = Flatten(g)  y = Gemm(f, o)"""
    return net(
        body,
        "(float[N,2,6,6] x) => (float[N,3] y)",
        w1=normal(1, 16, 2, 3, 3),
        w2=normal(2, 16, 16, 3, 3, scale=0.1),
        w3=normal(3, 16, 16, 1, 1, scale=0.3),
        w4=normal(4, 16, 16, 3, 3, scale=0.1),
        o=normal(5, 16, 3),
        **statistics,
    )


def tokens() -> Model:
    """An embedding, attention that a mask of the words reaches into, and two linear layers."""
    return net(
        """h = Gather(words, x)  pad = Cast<to = 1>(x)  some = Sub(pad, two)
        k = MatMul(h, wk)  kt = Transpose<perm = [0,2,1]>(k)  qk = MatMul(h, kt)
        wide = Unsqueeze(some, one)  lit = Add(qk, wide)  at = Softmax(lit)
        m = MatMul(at, h)  n = Add(m, h)
        i = MatMul(n, w1)  r = Relu(i)  j = MatMul(r, w2)  o = Add(j, n)
        i2 = MatMul(o, w3)  s = Relu(i2)
        last = Add(s, wide2)  mean = ReduceMean<keepdims = 0>(last, one)  y = MatMul(mean, v)""",
        "(int64[N,5] x) => (float[N,2] y)",
        words=normal(1, 7, 4),
        wk=normal(2, 4, 4),
        w1=normal(3, 4, 6),
        w2=normal(4, 6, 4),
        w3=normal(5, 4, 5),
        v=normal(6, 5, 2),
        two=F(2),
        one=np.array([1]),
        wide2=normal(7, 1, 1, 5),
    )


@dataclass(frozen=True)
class Net:
    """samples: of the data set. layers: that are masked, from the lowest to the highest."""

    make: Callable[[], Model]
    inputs: Callable[[int], np.ndarray]
    layers: tuple[str, ...]

    def problem(
        self, samples: int = 3, *, single: bool = False, memory: int = SETTINGS.memory_bytes,
        threads: int = 1,
    ) -> Problem:  # fmt: skip
        settings = replace(SETTINGS, memory_bytes=memory, threads=threads)
        given = data(self.inputs(samples))
        return problem(self.make(), given, *self.layers, single=single, settings=settings)


NETS = {
    "cnn": Net(cnn, lambda n: normal(9, n, 2, 8, 8), ("r", "s", "t")),
    "residual": Net(residual, lambda n: normal(9, n, 2, 6, 6), ("r", "b", "q", "t", "e", "z")),
    "tokens": Net(
        tokens, lambda n: np.random.default_rng(9).integers(7, size=(n, 5)), ("k", "r", "s")
    ),
}

KINDS = ("random", "flips", "walk", "fractions")


def means(made: Problem, *, per_position: bool = False) -> dict[str, np.ndarray]:
    found = {}
    for seed, layer in enumerate(made.layers):
        sizes = [d for d in layer.shape[1:] if isinstance(d, int)]
        shape = sizes if per_position else [layer.units]
        found[layer.name] = normal(100 + seed, *shape) ** 2
    return found


def drawn(made: Problem, kind: str, count: int = 9, seed: int = 0) -> dict[str, np.ndarray]:
    """Layer -> masks ``(count, units)``: single flips at one coalition, units removed one after
    another, …"""
    generator = np.random.default_rng(seed)
    units = sum(layer.units for layer in made.layers)
    if kind == "random":
        masks = generator.random((count, units)) < 0.7
    elif kind == "fractions":
        masks = generator.choice([0.0, 0.25, 0.8, 1.0], size=(count, units))
    elif kind == "flips":
        masks = np.repeat(generator.random((1, units)) < 0.7, count, axis=0)
        masks[np.arange(1, count), generator.choice(units, count - 1, replace=False)] ^= True
    else:
        order = generator.permutation(units)
        masks = np.array([~np.isin(np.arange(units), order[:i]) for i in range(count)])
    found, start = {}, 0
    for layer in made.layers:
        found[layer.name] = masks[:, start : start + layer.units].astype(F)
        start += layer.units
    return found


def pairs(made: Problem, count: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """All coalitions on all inputs."""
    samples = len(made.data)
    return np.repeat(np.arange(count), samples), np.tile(np.arange(samples), count)


def row_by_row(
    made: Problem,
    substitutes: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray],
    coalition: np.ndarray,
    sample: np.ndarray,
) -> np.ndarray:
    """Scores of the plainly masked model, one row at a time."""
    session = Sessions(SETTINGS).get(masked(made.model, made.layers))
    given = {substitute_input(one.name): _spread(one, substitutes) for one in made.layers}
    rows = []
    for c, s in zip(coalition, sample, strict=True):
        fed = {name: array[s : s + 1] for name, array in made.data.inputs.items()}
        fed |= {mask_input(name): mask[c : c + 1] for name, mask in masks.items()}
        rows.append(session.run(fed | given)[SCORES])
    return np.concatenate(rows)


def assert_alike(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal within 1e-5 of the largest score of a row."""
    assert found.shape == expected.shape
    scale = np.abs(expected).max(axis=1, keepdims=True)
    np.testing.assert_array_less(np.abs(found - expected) / scale, 1e-5)


def _spread(layer: Layer, substitutes: Mapping[str, np.ndarray]) -> np.ndarray:
    array = np.asarray(substitutes[layer.name], F)
    return array.reshape(broadcast_shape(layer)) if array.ndim == 1 else array[None]


def cut_anyway(patch: pytest.MonkeyPatch) -> None:
    """Let stages pay in nets as small as these."""
    patch.setattr(stages, "_RUN_SECONDS", 0.0)
    patch.setattr(stages, "_CARRIED_BYTES_A_SECOND", 1e15)
