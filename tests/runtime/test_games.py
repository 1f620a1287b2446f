"""Games from options: who plays, what replaces a unit, and rankings from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from graph.nets import net, normal
from mho.data.dataset import Dataset
from mho.errors import InvalidData, InvalidOption, UnknownLayer
from mho.graph.model import Model
from mho.methods.ablation import Ablation
from mho.methods.shapley import Shapley
from runtime.bound import bound, data

F = np.float32
W, U, V = normal(1, 5, 2, 3, 3), normal(2, 4, 5, 1, 1), normal(3, 4, 3)
X = normal(4, 6, 2, 6, 6)
LABELS = [0, 1, 2, 0, 1, 2]


def cnn() -> Model:
    return net(
        """a = Conv(x, w)  r = Relu(a)  b = Conv(r, u)  s = Relu(b)
        g = GlobalAveragePool(s)  f = Flatten(g)  z = Gemm(f, v)  y = Softmax(z)
        n = Neg(r)  o = GlobalMaxPool(n)""",
        "(float[N,2,6,6] x) => (float[N,3] y, float[N,5,1,1] o)",
        w=W,
        u=U,
        v=V,
    )


def conv(x: np.ndarray) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    return np.maximum(np.einsum("nihwkl,oikl->nohw", windows, W), 0)


def made(files: dict[str, Path] | None = None, given: Dataset | None = None, **options: object):  # type: ignore[no-untyped-def]
    reference = options.pop("given_reference", None)
    method = (Ablation if "scores" in (files or {}) else Shapley)(**options)  # type: ignore[arg-type]
    return bound(method, cnn(), given or data(X, LABELS), files=files, reference=reference)  # type: ignore[arg-type]


def write(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def substitute(evaluator: object, layer: str) -> np.ndarray:
    return next(
        value
        for name, value in evaluator._substitutes.items()  # type: ignore[attr-defined]
        if name.endswith(f"/{layer}")
    )


def test_every_unit_once_after_its_activation_and_not_the_classes() -> None:
    found = made()
    assert [layer.name for layer in found.layers] == ["r", "s"]
    assert [p.name for p in found.evaluator.players[:2]] == ["r #0", "r #1"]
    assert len(found.evaluator.players) == 9


def test_the_mean_over_inputs_or_reference() -> None:
    np.testing.assert_allclose(
        substitute(made().evaluator, "r").ravel(), conv(X).mean(axis=(0, 2, 3)), rtol=1e-4
    )
    other = normal(9, 3, 2, 6, 6)
    found = made(given_reference=data(other))
    np.testing.assert_allclose(
        substitute(found.evaluator, "r").ravel(), conv(other).mean(axis=(0, 2, 3)), rtol=1e-4
    )


def test_zero_and_a_file(tmp_path: Path) -> None:
    assert not substitute(made(substitute="zero").evaluator, "s").any()
    np.savez(tmp_path / "s.npz", r=np.arange(5), s=normal(1, 4, 4, 4))
    found = made({"substitute": tmp_path / "s.npz"}, substitute="s.npz")
    assert found.facts == {"substitute": "file"}
    np.testing.assert_array_equal(substitute(found.evaluator, "r").ravel(), np.arange(5))
    np.testing.assert_array_equal(substitute(found.evaluator, "s"), normal(1, 1, 4, 4, 4))
    np.save(tmp_path / "s.npy", np.ones(4))
    found = made({"substitute": tmp_path / "s.npy"}, substitute="s.npy", layers=("s",))
    np.testing.assert_array_equal(substitute(found.evaluator, "s").ravel(), np.ones(4))


def test_substitutes_at_positions_whose_number_is_free(tmp_path: Path) -> None:
    model = net(
        "h = MatMul(x, w)  r = Relu(h)  m = ReduceMean<keepdims = 0>(r, one)  y = MatMul(m, v)",
        "(float[N,T,3] x) => (float[N,2] y)",
        w=normal(1, 3, 4), v=normal(2, 4, 2), one=np.array([1]),
    )  # fmt: skip
    np.save(tmp_path / "s.npy", normal(3, 5, 4))
    found = bound(
        Shapley(layers=("r",), value="logit", substitute="s.npy"), model, data(normal(4, 2, 5, 3)),
        files={"substitute": tmp_path / "s.npy"},
    )  # fmt: skip
    value = found.evaluator.scores(np.zeros((1, 4), dtype=bool))[0]
    expected = normal(3, 5, 4).mean(axis=0) @ normal(2, 4, 2)
    np.testing.assert_allclose(value, np.tile(expected, (2, 1)), rtol=1e-5)


def test_files_of_substitutes_that_do_not_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.ones(4))
    with pytest.raises(InvalidData, match="is one array, but 2 layers are masked"):
        made({"substitute": tmp_path / "s.npy"}, substitute="s")
    np.savez(tmp_path / "s.npz", r=np.ones(5))
    with pytest.raises(InvalidData, match=r"has no array 's'"):
        made({"substitute": tmp_path / "s.npz"}, substitute="s")
    np.savez(tmp_path / "s.npz", r=np.ones(5), s=np.ones(5))
    with pytest.raises(InvalidData, match=r"of 's' has shape \(5,\)"):
        made({"substitute": tmp_path / "s.npz"}, substitute="s")
    with pytest.raises(InvalidOption, match="neither mean, zero nor a file"):
        made(substitute="gone.npy")


def test_groups_play_as_one_in_the_order_of_the_graph(tmp_path: Path) -> None:
    path = write(tmp_path, "g.json", {"late": {"s": [0, 3], "r": [4]}, "early": {"r": [0, 1]}})
    found = made({"groups": path}, groups="g.json", layers=("s",))
    assert [player.name for player in found.evaluator.players] == ["late", "early"]
    assert [layer.name for layer in found.layers] == ["r", "s"]
    assert "option 'layers' was set, but the groups say which units play" in found.notes


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        ({"a": {"r": [5]}}, InvalidData, "'a' names unit 5 of 'r', which has units 0 to 4"),
        ({"a": {"q": [0]}}, UnknownLayer, "no tensor or layer 'q'"),
        ({"a": {"r": [0]}, "b": {"r": [0]}}, InvalidData, "is in the groups 'a' and 'b'"),
    ],
)
def test_groups_that_cannot_play(
    groups: object, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        made({"groups": write(tmp_path, "g.json", groups)}, groups="g.json")


def test_layers_that_cannot_play() -> None:
    with pytest.raises(UnknownLayer, match="'nowhere'"):
        made(layers=("nowhere",))
    for name in ("y", "n", "o"):
        with pytest.raises(InvalidOption, match=f"layer '{name}' has no influence on the score"):
            made(layers=(name,))
    assert [layer.name for layer in made(output="o", layers=("r",)).layers] == ["r"]


def test_values_that_need_something() -> None:
    with pytest.raises(InvalidOption, match="value 'accuracy' needs a label for every input"):
        made(given=data(X), value="accuracy")
    with pytest.raises(InvalidOption, match="takes scores before softmax"):
        made(value="cross_entropy", score="probability")
    with pytest.raises(InvalidOption, match="label of input 1 is 7"):
        made(given=data(X[:2], [0, 7]), value="accuracy")
    assert made(given=data(X), value="logit", target="1").evaluator._judged_by.tolist() == [1] * 6


def test_a_ranking_from_scores_of_any_shape(tmp_path: Path) -> None:
    r, s = normal(1, 6, 5, 4, 4), normal(2, 6, 4)
    np.savez(tmp_path / "scores.npz", r=r, s=s, **{"s/std_error": s})
    found = made({"scores": tmp_path / "scores.npz"}, scores="scores.npz")
    expected = np.concatenate([r.sum(axis=(2, 3)).mean(axis=0), s.mean(axis=0)])
    np.testing.assert_allclose(found.evaluator.ranking, expected, rtol=1e-5)


def test_positions_as_many_as_units_are_not_mistaken_for_them(tmp_path: Path) -> None:
    s = normal(2, 6, 4, 4, 4)  # four channels of 4 x 4
    np.savez(tmp_path / "scores.npz", s=s)
    found = made({"scores": tmp_path / "scores.npz"}, scores="scores.npz")
    assert [layer.name for layer in found.layers] == ["s"]
    np.testing.assert_allclose(
        found.evaluator.ranking, s.sum(axis=(2, 3)).mean(axis=0), rtol=1e-5, atol=1e-6
    )


def test_rankings_of_token_layers_add_up_tokens(tmp_path: Path) -> None:
    model = net(
        "h = MatMul(x, w)  r = Relu(h)  m = ReduceMean<keepdims = 0>(r, one)  y = MatMul(m, v)",
        "(float[N,4,3] x) => (float[N,2] y)",
        w=normal(1, 3, 4), v=normal(2, 4, 2), one=np.array([1]),
    )  # fmt: skip
    r = normal(3, 6, 4, 4)
    np.savez(tmp_path / "scores.npz", r=r)
    found = bound(
        Ablation(scores="scores.npz", value="logit"), model, data(normal(4, 6, 4, 3)),
        files={"scores": tmp_path / "scores.npz"},
    )  # fmt: skip
    np.testing.assert_allclose(found.evaluator.ranking, r.sum(axis=1).mean(axis=0), rtol=1e-5)


def test_rankings_of_groups(tmp_path: Path) -> None:
    groups = {"a": {"r": [0, 1]}, "b": {"s": [2]}}
    files = {"groups": write(tmp_path, "g.json", groups), "scores": tmp_path / "scores.npz"}
    r, s = normal(1, 5), normal(2, 4)
    np.savez(files["scores"], r=r, s=s)
    found = made(files, groups="g", scores="s").evaluator.ranking
    np.testing.assert_allclose(found, [r[0] + r[1], s[2]])
    np.savez(files["scores"], groups=np.array([2.0, 1.0]))
    np.testing.assert_array_equal(made(files, groups="g", scores="s").evaluator.ranking, [2, 1])
    np.savez(files["scores"], groups=np.array([2.0, 1.0, 0.0]))
    with pytest.raises(InvalidData, match="those of 3 groups, but 2 groups play"):
        made(files, groups="g", scores="s")


def test_rankings_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    np.savez(path, r=np.ones(4))
    with pytest.raises(InvalidData, match=r"scores of 'r' have shape \(4,\); \(5,\) or"):
        made({"scores": path}, scores="s")
    np.savez(path, q=np.ones(4))
    with pytest.raises(InvalidOption, match="no layer is left to play"):
        made({"scores": path}, scores="s")
    np.savez(path, r=np.ones(5))
    with pytest.raises(InvalidData, match="none for layer 's'"):
        made({"scores": path}, scores="s", layers=("r", "s"))


def test_a_mean_that_is_not_finite() -> None:
    model = net(
        "h = Gemm(x, w)  l = Log(h)  c = Clip(l, low, high)  y = Gemm(c, w)",
        "(float[N,2] x) => (float[N,2] y)",
        w=np.eye(2, dtype=F), low=F(-9), high=F(9),
    )  # fmt: skip
    with pytest.raises(InvalidData, match="mean activation of layer 'l' is not finite"):
        bound(Shapley(layers=("l",), value="logit"), model, data(np.zeros((2, 2), F)))
