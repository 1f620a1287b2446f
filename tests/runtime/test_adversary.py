"""Attacks against a plain torch implementation of FGSM and PGD that begins at the same points."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from graph.nets import net, normal
from mho.data.preprocess import Preprocess
from mho.errors import InvalidData, InvalidOption, TooExpensive
from mho.graph.model import Model
from mho.graph.target import scored
from mho.methods.ablation import Ablation
from mho.runtime import cost
from mho.runtime.adversary import _ATTACK, Attack, attack_of, attacked
from mho.runtime.problem import Problem
from mho.sampling.draws import stream
from mho.value import chosen
from runtime.bound import SETTINGS, data, problem

F = np.float32
W, B, V = normal(1, 6, 3, 3, 3, scale=0.2), normal(2, 6, scale=0.2), normal(4, 4, 5)
U = normal(3, 4, 6, 3, 3, scale=0.1)
SPEC = Preprocess(scale=1 / 255, mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, -0.2))
X = normal(5, 12, 3, 8, 8)
LABELS = np.arange(12) % 5
PIXELS = np.random.default_rng(6).integers(0, 256, (12, 8, 8, 3)).astype(F)


def cnn() -> Model:
    return net(
        """a = Conv(x, w, b)  r = Softplus(a)  c = Conv(r, u)  t = Tanh(c)
        g = GlobalAveragePool(t)  f = Flatten(g)  y = Gemm(f, v)""",
        "(float[N,3,8,8] x) => (float[N,5] y)", w=W, b=B, u=U, v=V,
    )  # fmt: skip


def by_torch(x: torch.Tensor) -> torch.Tensor:
    a = torch.nn.functional.softplus(torch.conv2d(x, torch.from_numpy(W), torch.from_numpy(B)))
    t = torch.tanh(torch.conv2d(a, torch.from_numpy(U)))
    return t.mean(dim=(2, 3)) @ torch.from_numpy(V)


def fgsm(x: np.ndarray, labels: np.ndarray, epsilon: np.ndarray, ends: np.ndarray) -> np.ndarray:
    at = torch.tensor(x, requires_grad=True)
    torch.nn.functional.cross_entropy(
        by_torch(at), torch.tensor(labels), reduction="sum"
    ).backward()
    assert at.grad is not None
    moved = at.detach() + torch.tensor(epsilon) * at.grad.sign()
    return torch.clamp(moved, torch.tensor(ends[0]), torch.tensor(ends[1])).numpy()


def pgd(
    x: np.ndarray, start: np.ndarray, classes: np.ndarray, epsilon: np.ndarray, ends: np.ndarray,
    steps: int, sign: float = 1.0,
) -> np.ndarray:  # fmt: skip
    clean, half = torch.tensor(x), torch.tensor(epsilon)
    low, high = torch.tensor(ends[0]), torch.tensor(ends[1])
    at = torch.clamp(torch.tensor(start), low, high)
    for _ in range(steps):
        at = at.detach().requires_grad_()
        loss = torch.nn.functional.cross_entropy(
            by_torch(at), torch.tensor(classes), reduction="sum"
        )
        (slope,) = torch.autograd.grad(loss, at)
        moved = at.detach() + sign * 2.5 * half / steps * slope.sign()
        moved = torch.minimum(torch.maximum(moved, clean - half), clean + half)
        at = torch.clamp(moved, low, high)
    return at.numpy()


def start(x: np.ndarray, epsilon: np.ndarray, seed: int) -> np.ndarray:
    """The points from which inputs begin, drawn anew."""
    noise = [stream(seed, _ATTACK, row).uniform(-1, 1, x.shape[1:]) for row in range(len(x))]
    return (x + epsilon * np.stack(noise)).astype(F)


def attack(kind: str, **options: Any) -> Attack:
    given = {"epsilon": 0.1, "steps": 7, "seed": 3, "goal": None, "probabilities": False}
    return Attack(kind, **{**given, **options})


def moved(of: Problem, by: Attack) -> Any:
    return attacked(of, by, lambda _: None)


ANYWHERE = np.array([-np.inf, np.inf], F).reshape(2, 1, 1, 1, 1)


def test_fgsm_as_torch_has_it() -> None:
    found = moved(problem(cnn(), data(X, LABELS)), attack("fgsm")).data.inputs["x"]
    expected = fgsm(X, LABELS, np.full((3, 1, 1), 0.1, F), ANYWHERE)
    assert (np.abs(found - expected) < 1e-6).mean() > 0.999
    assert np.abs(found - X).max() == pytest.approx(0.1, rel=1e-4)


def test_pgd_as_torch_has_it() -> None:
    found = moved(problem(cnn(), data(X, LABELS)), attack("pgd")).data.inputs["x"]
    epsilon = np.full((3, 1, 1), 0.1, F)
    expected = pgd(X, start(X, epsilon, 3), LABELS, epsilon, ANYWHERE, 7)
    # a sign turns where a slope is rounded to the other side of 0
    assert (np.abs(found - expected) < 1e-5).mean() > 0.999
    assert np.abs(found - X).max() <= 0.1 + 1e-6


def preprocessed() -> np.ndarray:
    return np.stack([SPEC._scaled(picture) for picture in PIXELS])


def test_epsilon_is_a_share_of_the_pixel_range() -> None:
    """Through scale and std of each colour; and no pixel leaves 0 to 255."""
    x = preprocessed()
    of = problem(cnn(), data(x, LABELS, SPEC))
    ends = np.stack([SPEC._scaled(np.full((1, 1, 3), pixel, F)) for pixel in (0.0, 255.0)])
    ends = np.sort(ends, axis=0)[:, None]
    epsilon = (0.1 / np.abs(np.array(SPEC.std, F))).reshape(3, 1, 1)
    for kind in ("fgsm", "pgd"):
        found = moved(of, attack(kind))
        made = found.data.inputs["x"]
        if kind == "fgsm":
            expected = fgsm(x, LABELS, epsilon, ends)
        else:
            expected = pgd(x, start(x, epsilon, 3), LABELS, epsilon, ends, 7)
        assert (np.abs(made - expected) < 1e-5).mean() > 0.999
        pixels = np.stack([SPEC.unscaled(row) for row in made])
        assert pixels.min() >= -1e-3
        assert pixels.max() <= 255 + 1e-3
        assert np.abs(pixels - PIXELS).max() <= 25.5 + 1e-3
        assert (pixels < 1e-3).any()
        assert not any("own units" in note for note in found.notes)


def test_colours_may_come_last() -> None:
    model = net(
        "t = Transpose<perm = [0,3,1,2]>(x)  a = Conv(t, w)  g = GlobalAveragePool(a)"
        "f = Flatten(g)  y = Identity(f)",
        "(float[N,8,8,3] x) => (float[N,6] y)", w=W,
    )  # fmt: skip
    spec = replace(SPEC, layout="NHWC")
    x = np.stack([spec._scaled(picture) for picture in PIXELS])
    made = moved(problem(model, data(x, LABELS, spec)), attack("fgsm")).data.inputs["x"]
    pixels = np.stack([spec.unscaled(row) for row in made])
    assert np.abs(pixels - PIXELS).max() == pytest.approx(25.5, rel=1e-4)


def test_what_lies_beyond_the_range_is_not_pulled_in() -> None:
    x = preprocessed()
    x[0, 0] = 1.2  # 281 of 255
    made = moved(problem(cnn(), data(x, LABELS, SPEC)), attack("fgsm")).data.inputs["x"]
    assert (made[0, 0] <= 1.2 + 1e-6).all()
    assert (np.abs(made[0, 0] - 1.2) <= 0.1 / 0.5 + 1e-6).all()


def test_towards_a_goal() -> None:
    of = problem(cnn(), data(X, LABELS))
    found = moved(of, attack("pgd", goal=2, epsilon=0.3))
    made, epsilon = found.data.inputs["x"], np.full((3, 1, 1), 0.3, F)
    expected = pgd(X, start(X, epsilon, 3), np.full(12, 2), epsilon, ANYWHERE, 7, sign=-1.0)
    there = LABELS == 2
    assert (np.abs(made - expected)[~there] < 1e-5).mean() > 0.999
    np.testing.assert_array_equal(made[there], X[there])
    report = found.facts["attack"]
    answers = by_torch(torch.tensor(made)).argmax(dim=1).numpy()
    assert report["fooled_after"] == pytest.approx((answers == 2).mean())
    assert report["fooled_after"] > report["fooled_before"]
    assert any(note.startswith(f"{there.sum()} inputs are of class 2") for note in found.notes)


def test_what_is_reported() -> None:
    of = problem(cnn(), data(X, LABELS))
    found = moved(of, attack("pgd", epsilon=0.3))
    right = by_torch(torch.tensor(X)).argmax(dim=1).numpy() == LABELS
    after = by_torch(torch.tensor(found.data.inputs["x"])).argmax(dim=1).numpy()
    assert found.facts["attack"] == {
        "kind": "pgd", "epsilon": 0.3, "steps": 7, "goal": None, "away_from": "labels",
        "fooled_before": pytest.approx((~right).mean()),
        "fooled_after": pytest.approx((after != LABELS).mean()),
    }  # fmt: skip
    assert (after != LABELS).mean() > (~right).mean()
    wrong = [f"input{index}" for index in np.flatnonzero(~right)]
    said = f"{len(wrong)} of 12 inputs were wrong before the attack already: "
    assert any(note.startswith(said + ", ".join(wrong[:5])) for note in found.notes)
    assert any("in the own units of x" in note for note in found.notes)
    assert found.data.labels is not None
    np.testing.assert_array_equal(found.data.labels, LABELS)


def test_without_labels_it_moves_away_from_the_answers() -> None:
    answers = by_torch(torch.tensor(X)).argmax(dim=1).numpy()
    found = moved(problem(cnn(), data(X)), attack("fgsm"))
    expected = moved(problem(cnn(), data(X, answers)), attack("fgsm"))
    np.testing.assert_array_equal(found.data.inputs["x"], expected.data.inputs["x"])
    np.testing.assert_array_equal(found.data.labels, answers)
    assert found.facts["attack"]["away_from"] == "answers"
    assert found.facts["attack"]["fooled_before"] == 0
    assert any("moves them away from the model's own answers" in note for note in found.notes)


def test_probabilities_are_attacked_through_their_scores() -> None:
    of = problem(cnn(), data(X, LABELS))
    squashed = replace(of, model=scored(cnn(), score="probability"))
    by_scores = moved(of, attack("fgsm")).data.inputs["x"]
    by_chances = moved(squashed, attack("fgsm", probabilities=True)).data.inputs["x"]
    assert (by_scores == by_chances).mean() > 0.999


def test_no_epsilon_no_change() -> None:
    for kind in ("fgsm", "pgd"):
        found = moved(problem(cnn(), data(X, LABELS)), attack(kind, epsilon=0.0))
        np.testing.assert_array_equal(found.data.inputs["x"], X)


def test_batches_change_nothing() -> None:
    one = moved(problem(cnn(), data(X, LABELS), single=True), attack("pgd")).data.inputs["x"]
    many = moved(problem(cnn(), data(X, LABELS)), attack("pgd")).data.inputs["x"]
    assert (np.abs(one - many) < 1e-5).mean() > 0.999


def test_progress_is_said() -> None:
    said: list[str] = []
    small = replace(SETTINGS, memory_bytes=1)
    attacked(problem(cnn(), data(X[:3], LABELS[:3]), settings=small), attack("pgd"), said.append)
    assert said == [f"attack pgd: {done} of 3 inputs" for done in range(3)]


def test_an_attack_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(np.arange(100) * 10.0)
    monkeypatch.setattr(cost.time, "monotonic", lambda: next(clock))
    small = replace(SETTINGS, memory_bytes=1, cost_limit_seconds=25.0)
    of = problem(cnn(), data(X[:3], LABELS[:3]), settings=small)
    with pytest.raises(TooExpensive, match=r"pgd over 3 inputs is estimated to take 60 s, beyond "):
        moved(of, attack("pgd"))
    moved(replace(of, settings=replace(small, cost_limit_seconds=61.0)), attack("pgd"))


def test_inputs_besides_stay_and_all_real_ones_move() -> None:
    model = net(
        """e = Gather(table, i)  q = Cast<to = 1>(h)  c = Concat<axis = 1>(e, p, q)
        y = MatMul(c, w)""",
        "(int64[N] i, float[N,2] p, float16[N,2] h) => (float[N,3] y)",
        table=normal(1, 4, 2), w=normal(2, 6, 3),
    )  # fmt: skip
    inputs = {
        "i": np.array([0, 1, 3]), "p": normal(3, 3, 2), "h": normal(4, 3, 2).astype(np.float16)
    }  # fmt: skip
    made = moved(problem(model, data(inputs, [0, 1, 2])), attack("fgsm")).data.inputs
    np.testing.assert_array_equal(made["i"], inputs["i"])
    for name in ("p", "h"):
        assert made[name].dtype == inputs[name].dtype
        np.testing.assert_allclose(
            np.abs(made[name].astype(F) - inputs[name].astype(F)), 0.1, atol=2e-3
        )


def test_a_slope_that_is_not_finite_moves_nothing() -> None:
    model = net(
        "l = Sqrt(x)  y = MatMul(l, w)", "(float[N,2] x) => (float[N,3] y)", w=normal(1, 2, 3)
    )
    x = np.array([[0.0, 1.0], [1.0, 2.0]], F)
    found = moved(problem(model, data(x, [0, 1])), attack("fgsm"))
    np.testing.assert_array_equal(found.data.inputs["x"][0], x[0])
    assert (found.data.inputs["x"][1] != x[1]).all()
    assert any("not finite somewhere on the way of 1 inputs" in note for note in found.notes)


def test_an_attack_that_leaves_the_model_s_domain() -> None:
    model = net(
        "l = Sqrt(x)  y = MatMul(l, w)", "(float[N,2] x) => (float[N,3] y)", w=normal(1, 2, 3)
    )
    with pytest.raises(InvalidData, match="score is NaN"):
        moved(problem(model, data(np.full((2, 2), 0.01, F), [0, 1])), attack("fgsm"))


def test_models_that_cannot_be_attacked() -> None:
    tokens = net(
        "e = Gather(table, x)  m = ReduceMean<keepdims = 0>(e, one)  y = MatMul(m, w)",
        "(int64[N,4] x) => (float[N,3] y)",
        table=normal(1, 9, 2), w=normal(2, 2, 3), one=np.array([1]),
    )  # fmt: skip
    with pytest.raises(InvalidOption, match=r"the model takes 'x' \(int64\), on which"):
        moved(problem(tokens, data(np.ones((2, 4), np.int64), [0, 1])), attack("pgd"))
    rounded = net(
        "r = Round(x)  y = MatMul(r, w)", "(float[N,2] x) => (float[N,3] y)", w=normal(1, 2, 3)
    )
    with pytest.raises(InvalidOption, match=r"takes 'x' \(float32\), on which its score does not"):
        moved(problem(rounded, data(normal(2, 2, 2), [0, 1])), attack("pgd"))
    blocked = net(
        "d = Det(x)  u = Unsqueeze(d, one)  y = MatMul(u, w)", "(float[N,2,2] x) => (float[N,3] y)",
        one=np.array([1]), w=normal(1, 1, 3),
    )  # fmt: skip
    with pytest.raises(InvalidOption, match="with respect to 'x': operator Det"):
        moved(problem(blocked, data(normal(2, 2, 2, 2), [0, 1])), attack("pgd"))
    single = net("y = MatMul(x, w)", "(float[N,2] x) => (float[N,1] y)", w=normal(1, 2, 1))
    with pytest.raises(InvalidOption, match="has one score for each input"):
        moved(problem(single, data(normal(2, 2, 2), [0, 0])), attack("pgd"))
    with pytest.raises(InvalidOption, match="label of input 1 is 9"):
        moved(problem(cnn(), data(X[:2], [0, 9])), attack("pgd"))


def test_what_options_ask_for() -> None:
    def asked(**options: Any) -> Attack | None:
        method = Ablation(**options)
        return attack_of(method, chosen(method))

    assert asked() is None
    assert asked(attack="pgd", seed=4) == Attack("pgd", 16 / 255, 30, 4, None, False)
    towards = asked(attack="fgsm", value="attack_success", classes=("3", "1"))
    assert towards is not None
    assert towards.goal == 3
    away = asked(attack="fgsm", value="attack_success", score="probability")
    assert away is not None
    assert (away.goal, away.probabilities) == (None, True)
    elsewhere = asked(attack="fgsm", value="recall", classes=("3",))
    assert elsewhere is not None
    assert elsewhere.goal is None
    with pytest.raises(InvalidOption, match="'squared_error' compares its outputs with targets"):
        asked(attack="pgd", value="squared_error")
