"""Rankings of players from the scores of another run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from graph.nets import net, normal
from mho.errors import InvalidData, InvalidOption
from mho.methods.ablation import Ablation
from mho.players import GIVEN
from runtime.bound import bound, data
from runtime.small_cnn import made


def given(folder: Path, content: dict[str, np.ndarray], **options: object) -> object:
    """The game that plays by the scores ``content``."""
    np.savez(folder / "scores.npz", **content)  # type: ignore[arg-type]
    files = {"scores": folder / "scores.npz", **options.pop("files", {})}  # type: ignore[dict-item]
    return made(files, scores="scores.npz", **options)  # type: ignore[arg-type]


def ranking(found: object) -> np.ndarray:
    return found.evaluator.rankings[GIVEN]  # type: ignore[attr-defined, no-any-return]


def test_scores_of_any_shape(tmp_path: Path) -> None:
    r, s = normal(1, 6, 5, 4, 4), normal(2, 6, 4)
    found = given(tmp_path, {"r": r, "s": s, "s/std_error": s})
    expected = np.concatenate([r.sum(axis=(2, 3)).mean(axis=0), s.mean(axis=0)])
    np.testing.assert_allclose(ranking(found), expected, rtol=1e-5)


def test_positions_as_many_as_units_are_not_mistaken_for_them(tmp_path: Path) -> None:
    s = normal(2, 6, 4, 4, 4)  # four channels of 4 x 4
    found = given(tmp_path, {"s": s})
    assert [layer.name for layer in found.layers] == ["s"]  # type: ignore[attr-defined]
    np.testing.assert_allclose(
        ranking(found), s.sum(axis=(2, 3)).mean(axis=0), rtol=1e-5, atol=1e-6
    )


def test_token_layers_add_up_tokens(tmp_path: Path) -> None:
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
    np.testing.assert_allclose(ranking(found), r.sum(axis=1).mean(axis=0), rtol=1e-5)


def test_groups(tmp_path: Path) -> None:
    (tmp_path / "g.json").write_text(json.dumps({"a": {"r": [0, 1]}, "b": {"s": [2]}}))
    options = {"files": {"groups": tmp_path / "g.json"}, "groups": "g"}
    r, s = normal(1, 5), normal(2, 4)
    found = given(tmp_path, {"r": r, "s": s}, **options)
    np.testing.assert_allclose(ranking(found), [r[0] + r[1], s[2]])
    found = given(tmp_path, {"groups": np.array([2.0, 1.0])}, **options)
    np.testing.assert_array_equal(ranking(found), [2, 1])
    with pytest.raises(InvalidData, match="those of 3 groups, but 2 groups play"):
        given(tmp_path, {"groups": np.array([2.0, 1.0, 0.0])}, **options)


def test_whole_layers(tmp_path: Path) -> None:
    r, s = normal(1, 5), normal(2, 4)
    found = given(tmp_path, {"r": r, "s": s}, players="layers")
    np.testing.assert_allclose(ranking(found), [r.sum(), s.sum()], rtol=1e-6)
    found = given(tmp_path, {"groups": np.array([3.0, 4.0])}, players="layers")
    np.testing.assert_array_equal(ranking(found), [3, 4])


def test_scores_behind_an_activation_rank_units_masked_before_it(tmp_path: Path) -> None:
    r, s = normal(1, 5), normal(2, 4)
    found = given(tmp_path, {"r": r, "s": s}, masked="before")
    assert [layer.name for layer in found.layers] == ["n", "b"]  # type: ignore[attr-defined]
    np.testing.assert_allclose(ranking(found), np.concatenate([r, s]))
    # a tensor's own scores come first, and those nearest behind it next
    found = given(tmp_path, {"a": s, "n": r, "b": s, "s": -s}, masked="before")
    np.testing.assert_allclose(ranking(found), np.concatenate([r, s]))


def test_scores_before_an_activation_mask_there(tmp_path: Path) -> None:
    found = given(tmp_path, {"n": normal(1, 5), "b": normal(2, 4)})
    assert [layer.name for layer in found.layers] == ["n", "b"]  # type: ignore[attr-defined]


def test_scores_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"scores of 'r' have shape \(4,\); \(5,\) or"):
        given(tmp_path, {"r": np.ones(4)})
    with pytest.raises(InvalidData, match=r"scores of 'r' have shape \(4,\); \(5,\) or"):
        given(tmp_path, {"r": np.ones(4)}, masked="before")
    with pytest.raises(InvalidOption, match="no layer is left to play"):
        given(tmp_path, {"q": np.ones(4)})
    with pytest.raises(InvalidData, match="none for layer 's'"):
        given(tmp_path, {"r": np.ones(5)}, layers=("r", "s"))
