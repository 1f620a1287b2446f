"""What removed units become, against the definitions in NumPy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graph.nets import net, normal
from mho.errors import InvalidData, InvalidOption, ResourceExhausted
from mho.graph.model import Model
from mho.methods.ablation import Ablation
from mho.runtime.substitutes import Donors
from runtime.bound import SETTINGS, bound, data
from runtime.small_cnn import UNITS, X, cnn, forward, made, removing

F = np.float32
OTHER = normal(9, 3, 2, 6, 6)
RNG = np.random.default_rng(0)
ALL = {"value": "logit", "target": "1"}


def chosen(found: object, layer: str) -> np.ndarray:
    return found.evaluator.substitutes[layer]  # type: ignore[attr-defined, no-any-return]


def tokens() -> Model:
    """A model of any number of tokens."""
    return net(
        "h = MatMul(x, w)  r = Relu(h)  m = ReduceMean<keepdims = 0>(r, one)  y = MatMul(m, v)",
        "(float[N,T,3] x) => (float[N,2] y)",
        w=normal(1, 3, 4), v=normal(2, 4, 2), one=np.array([1]),
    )  # fmt: skip


def test_the_mean_over_inputs_or_reference() -> None:
    np.testing.assert_allclose(chosen(made(), "r"), forward(X)["r"].mean(axis=(0, 2, 3)), rtol=1e-4)
    found = made(reference=data(OTHER))
    np.testing.assert_allclose(
        chosen(found, "r"), forward(OTHER)["r"].mean(axis=(0, 2, 3)), rtol=1e-4
    )
    assert found.facts["substitute"] == "mean"


def test_the_mean_at_each_position() -> None:
    for reference in (None, data(OTHER)):
        found = made(substitute="position_mean", reference=reference)
        over = forward(X if reference is None else OTHER)
        for name in UNITS:
            np.testing.assert_allclose(
                chosen(found, name), over[name].mean(axis=0), rtol=1e-4, atol=1e-6
            )
        assert found.facts["substitute"] == "position_mean"
    before = made(substitute="position_mean", masked="before")
    np.testing.assert_allclose(
        chosen(before, "n"), forward(X)["n"].mean(axis=0), rtol=1e-4, atol=1e-5
    )


def test_v_with_means_at_each_position() -> None:
    found = made(substitute="position_mean", **ALL)
    clean = forward(X)
    means = {name: clean[name].mean(axis=0) for name in UNITS}
    kept = RNG.random((5, 9)) < 0.5
    expected = [forward(X, removing(gone(row), means))["z"][:, 1].mean() for row in kept]
    np.testing.assert_allclose(found.evaluator.values(kept), expected, rtol=1e-4)


def gone(kept: np.ndarray) -> dict[str, list[int]]:
    """Layer -> the units that a coalition of single units leaves out."""
    return {
        "r": list(np.flatnonzero(~kept[:5])),
        "s": list(np.flatnonzero(~kept[5:])),
    }


def test_means_at_positions_of_dense_layers_are_those_of_units() -> None:
    model = net(
        "h = Gemm(x, w)  r = Relu(h)  y = Gemm(r, v)",
        "(float[N,3] x) => (float[N,2] y)", w=normal(1, 3, 4), v=normal(2, 4, 2),
    )  # fmt: skip
    x = normal(4, 6, 3)
    found = bound(Ablation(substitute="position_mean", value="logit"), model, data(x))
    expected = np.maximum(x @ normal(1, 3, 4), 0).mean(axis=0)
    np.testing.assert_allclose(chosen(found, "r"), expected, rtol=1e-5)
    assert found.evaluator.values(np.zeros((1, 4), dtype=bool)).shape == (1,)


def test_positions_whose_number_is_free_are_averaged_where_it_is_the_same() -> None:
    method = Ablation(substitute="position_mean", value="logit")
    x, other = normal(4, 6, 5, 3), normal(5, 2, 5, 3)
    found = bound(method, tokens(), data(x), reference=data(other))
    expected = np.maximum(other @ normal(1, 3, 4), 0).mean(axis=0)
    np.testing.assert_allclose(chosen(found, "r"), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(InvalidOption, match=r"'r' has the shape \[7, 4\] on the reference and \[5"):
        bound(method, tokens(), data(x), reference=data(normal(5, 2, 7, 3)))


def test_means_at_positions_beyond_the_memory() -> None:
    # 5 x 4 x 4 and 4 x 4 x 4 numbers of eight bytes
    fits, short = 8 * (80 + 64), 8 * (80 + 64) - 1
    method = Ablation(substitute="position_mean", value="logit")
    bound(method, cnn(), data(X), settings=replace(SETTINGS, memory_bytes=fits))
    with pytest.raises(ResourceExhausted, match=r"of 2 layers take 1152 bytes; at most 1151 are"):
        bound(method, cnn(), data(X), settings=replace(SETTINGS, memory_bytes=short))


def test_zero_and_a_file(tmp_path: Path) -> None:
    assert not chosen(made(substitute="zero"), "s").any()
    np.savez(tmp_path / "s.npz", r=np.arange(5), s=normal(1, 4, 4, 4))
    found = made({"substitute": tmp_path / "s.npz"}, substitute="s.npz")
    assert found.facts["substitute"] == "file"
    np.testing.assert_array_equal(chosen(found, "r"), np.arange(5))
    np.testing.assert_array_equal(chosen(found, "s"), normal(1, 4, 4, 4))
    np.save(tmp_path / "s.npy", np.ones(4))
    found = made({"substitute": tmp_path / "s.npy"}, substitute="s.npy", layers=("s",))
    np.testing.assert_array_equal(chosen(found, "s"), np.ones(4))


def test_a_reference_without_a_use_is_noted(tmp_path: Path) -> None:
    said = "option 'reference' was set, but the substitute is {}, which needs none"
    assert said.format("zero") in made(substitute="zero", reference=data(OTHER)).notes
    np.savez(tmp_path / "s.npz", r=np.ones(5), s=np.ones(4))
    found = made({"substitute": tmp_path / "s.npz"}, reference=data(OTHER), substitute="s.npz")
    assert said.format("a file") in found.notes
    assert not any("needs none" in note for note in made(reference=data(OTHER)).notes)


def test_given_values_at_positions_whose_number_is_free(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", normal(3, 5, 4))
    found = bound(
        Ablation(layers=("r",), value="logit", target="1", substitute="s.npy"),
        tokens(),
        data(normal(4, 2, 5, 3)),
        files={"substitute": tmp_path / "s.npy"},
    )
    value = found.evaluator.values(np.zeros((1, 4), dtype=bool))[0]
    expected = normal(3, 5, 4).mean(axis=0) @ normal(2, 4, 2)
    np.testing.assert_allclose(value, expected[1], rtol=1e-5)


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.ones(4))
    with pytest.raises(InvalidData, match="is one array, but 2 layers are masked"):
        made({"substitute": tmp_path / "s.npy"}, substitute="s")
    np.savez(tmp_path / "s.npz", r=np.ones(5))
    with pytest.raises(InvalidData, match=r"has no array 's'"):
        made({"substitute": tmp_path / "s.npz"}, substitute="s")
    np.savez(tmp_path / "s.npz", r=np.ones(5), s=np.ones(5))
    with pytest.raises(InvalidData, match=r"of 's' has shape \(5,\)"):
        made({"substitute": tmp_path / "s.npz"}, substitute="s")
    with pytest.raises(InvalidOption, match="neither mean, position_mean, zero, resample nor a"):
        made(substitute="gone.npy")


def test_a_mean_that_is_not_finite() -> None:
    model = net(
        "h = Gemm(x, w)  l = Log(h)  c = Clip(l, low, high)  y = Gemm(c, w)",
        "(float[N,2] x) => (float[N,2] y)",
        w=np.eye(2, dtype=F), low=F(-9), high=F(9),
    )  # fmt: skip
    for substitute in ("mean", "position_mean"):
        method = Ablation(layers=("l",), value="logit", substitute=substitute)
        with pytest.raises(InvalidData, match="mean activation of layer 'l' is not finite"):
            bound(method, model, data(np.zeros((2, 2), F)))


def donors(**options: object) -> Donors:
    found = made(substitute="resample", **options).evaluator.substitutes  # type: ignore[arg-type]
    assert isinstance(found, Donors)
    return found


def test_no_input_stands_in_for_itself_and_every_one_stands_in_once() -> None:
    for seed in range(30):
        donor = donors(seed=seed).donor
        assert sorted(donor) == list(range(6))
        assert (donor != np.arange(6)).all()
    assert (donors(seed=1).donor == donors(seed=1).donor).all()
    assert len({tuple(donors(seed=seed).donor) for seed in range(8)}) > 1


def test_donors_from_a_reference() -> None:
    found = donors(reference=data(OTHER), seed=3)
    assert found.inputs["x"] is OTHER
    assert set(found.donor) <= {0, 1, 2}
    bound_game = made(substitute="resample", reference=data(OTHER), seed=3)
    assert bound_game.facts["donors"] == [f"input{index}" for index in found.donor]
    assert any("an input of the reference, drawn once" in note for note in bound_game.notes)
    assert any(
        "another input, drawn once for each input from seed 0" in note
        for note in made(substitute="resample").notes
    )


def test_donors_that_cannot_be_had() -> None:
    with pytest.raises(InvalidOption, match="takes activations on another input, but there is"):
        made(substitute="resample", given=data(X[:1]), value="logit")
    assert (
        made(substitute="resample", given=data(X[:1]), value="logit", reference=data(OTHER)).facts[
            "substitute"
        ]
        == "resample"
    )
    with pytest.raises(InvalidOption, match=r"the reference has the shape \[7, 3\] for 'x'"):
        bound(
            Ablation(substitute="resample", value="logit"),
            tokens(),
            data(normal(4, 6, 5, 3)),
            reference=data(normal(5, 2, 7, 3)),
        )
