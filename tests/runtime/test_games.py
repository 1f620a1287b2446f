"""Games from options: who plays, where they are masked, and what V is without them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from graph.nets import net, normal
from mho.errors import InvalidData, InvalidOption, UnknownLayer
from mho.methods.ablation import Ablation
from runtime.bound import bound, data
from runtime.small_cnn import UNITS, X, forward, made, removing


def write(folder: Path, content: object) -> Path:
    path = folder / "g.json"
    path.write_text(json.dumps(content))
    return path


def names(found: object) -> list[str]:
    return [player.name for player in found.evaluator.players]  # type: ignore[attr-defined]


def layers(found: object) -> list[str]:
    return [layer.name for layer in found.layers]  # type: ignore[attr-defined]


def test_every_unit_once_after_its_activation_and_not_the_classes() -> None:
    found = made()
    assert layers(found) == ["r", "s"]
    assert names(found)[:2] == ["r:0", "r:1"]
    assert len(found.evaluator.players) == 9


def test_a_layer_plays_as_one() -> None:
    found = made(players="layers")
    assert names(found) == ["r", "s"]
    assert [dict(player.members) for player in found.evaluator.players] == [
        {name: tuple(range(count))} for name, count in UNITS.items()
    ]
    assert names(made(players="layers", layers=("s",))) == ["s"]


def test_units_are_masked_before_their_activation() -> None:
    found = made(masked="before")
    assert layers(found) == ["n", "b"]
    assert names(found)[-1] == "b:3"
    assert names(made(masked="before", players="layers")) == ["n", "b"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("r",), ["r"]),
        (("[rs]",), ["n", "b"]),
        (("r*",), ["n"]),
        (("a*",), ["n"]),
        (("[anr]",), ["n"]),
        (("r", "s*"), ["r", "b"]),
        (("r", "[rs]"), ["r", "b"]),
    ],
)
def test_globs_choose_units_and_names_choose_tensors(
    asked: tuple[str, ...], expected: list[str]
) -> None:
    found = made(masked="before", layers=asked)
    assert layers(found) == expected
    idle = "option 'masked' was set, but layers that are named exactly are masked where they are"
    assert any(note.startswith(idle) for note in found.notes) == (asked == ("r",))


def without(found: object, removed: list[int]) -> float:
    """V of the game without the players ``removed``."""
    kept = np.ones((1, len(found.evaluator.players)), dtype=bool)  # type: ignore[attr-defined]
    kept[0, removed] = False
    return float(found.evaluator.values(kept)[0])  # type: ignore[attr-defined]


@pytest.mark.parametrize(("masked", "first", "second"), [("after", "r", "s"), ("before", "n", "b")])
def test_v_without_units_masked_on_either_side(masked: str, first: str, second: str) -> None:
    found = made(masked=masked, value="logit", target="1")
    clean = forward(X)
    means = {name: clean[name].mean(axis=(0, 2, 3))[:, None, None] for name in (first, second)}
    gone = {first: [0, 3], second: [1]}
    expected = forward(X, removing(gone, means))["z"][:, 1].mean()
    assert without(found, [0, 3, 6]) == pytest.approx(expected, rel=1e-4)
    other = "before" if masked == "after" else "after"
    assert without(made(masked=other, value="logit", target="1"), [0, 3, 6]) != pytest.approx(
        expected, rel=1e-3
    )


def test_v_without_a_layer_is_that_without_all_its_units() -> None:
    options = {"value": "logit", "target": "0"}
    one = without(made(players="layers", **options), [1])
    assert one == pytest.approx(without(made(**options), [5, 6, 7, 8]), rel=1e-6)


def test_groups_play_as_one_in_the_order_of_the_graph(tmp_path: Path) -> None:
    path = write(tmp_path, {"late": {"s": [0, 3], "r": [4]}, "early": {"r": [0, 1]}})
    found = made({"groups": path}, groups="g.json", layers=("s",))
    assert names(found) == ["late", "early"]
    assert layers(found) == ["r", "s"]
    assert "option 'layers' was set, but the groups say which units play" in found.notes


def test_groups_overrule_layers_and_say_where_they_are_masked(tmp_path: Path) -> None:
    path = write(tmp_path, {"early": {"n": [0, 1]}, "late": {"s": [2]}})
    found = made({"groups": path}, groups="g.json", players="layers", masked="before")
    assert layers(found) == ["n", "s"]
    assert "option 'players' was set, but the groups say who plays" in found.notes
    assert any("groups name the very tensors" in note for note in found.notes)


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
        made({"groups": write(tmp_path, groups)}, groups="g.json")


def test_layers_that_cannot_play() -> None:
    with pytest.raises(UnknownLayer, match="'nowhere'"):
        made(layers=("nowhere",))
    for name in ("y", "m", "o"):
        with pytest.raises(InvalidOption, match=f"layer '{name}' has no influence on the score"):
            made(layers=(name,))
    assert layers(made(output="o", layers=("r",))) == ["r"]


def test_a_network_of_one_layer_has_no_players() -> None:
    model = net("y = Gemm(x, w)", "(float[N,3] x) => (float[N,2] y)", w=normal(1, 3, 2))
    for masked in ("after", "before"):
        with pytest.raises(InvalidOption, match="no layer is left to play"):
            bound(Ablation(value="logit", masked=masked), model, data(normal(2, 4, 3)))


def test_units_that_play_twice_are_noted() -> None:
    twice = "holds units that play elsewhere too"
    assert any(twice in note for note in made(layers=("r", "n")).notes)
    assert any(
        note.startswith("r holds") for note in made(layers=("r", "n"), masked="before").notes
    )
    assert not any(twice in note for note in made(layers=("[rs]",), masked="before").notes)


def test_values_that_need_something() -> None:
    with pytest.raises(InvalidOption, match="value 'accuracy' needs a label for every input"):
        made(given=data(X), value="accuracy")
    with pytest.raises(InvalidOption, match="takes scores before softmax"):
        made(value="cross_entropy", score="probability")
    with pytest.raises(InvalidOption, match="label of input 1 is 7"):
        made(given=data(X[:2], [0, 7]), value="accuracy")


def test_the_attacked_inputs_are_those_of_the_game() -> None:
    clean = made(value="logit", target="label")
    moved = made(value="logit", target="label", attack="fgsm", epsilon=0.3)
    everyone = np.ones((1, 9), dtype=bool)
    assert moved.evaluator.values(everyone)[0] < clean.evaluator.values(everyone)[0] - 0.1
    # substitutes are taken from the inputs as they are given: without anybody nothing is left
    nobody = np.zeros((1, 9), dtype=bool)
    np.testing.assert_allclose(
        moved.evaluator.values(nobody), clean.evaluator.values(nobody), rtol=1e-5
    )
    assert moved.facts["attack"]["kind"] == "fgsm"
    assert "attack" not in clean.facts


def test_options_of_an_attack_that_mean_nothing_are_noted() -> None:
    idle = "option '{}' was set, but has no meaning for attack '{}'"
    notes = made(epsilon=0.5, attack_steps=3).notes
    assert idle.format("epsilon", "none") in notes
    assert idle.format("attack_steps", "none") in notes
    notes = made(attack="fgsm", epsilon=0.5, attack_steps=3).notes
    assert idle.format("attack_steps", "fgsm") in notes
    assert idle.format("epsilon", "fgsm") not in notes
    assert not any("no meaning for attack" in note for note in made().notes)
    said = "target 'argmax' is what the unchanged model answers to the attacked inputs"
    assert said in made(attack="fgsm", value="logit").notes
    assert said not in made(attack="fgsm", value="accuracy").notes


def test_orders_are_bound_with_the_game() -> None:
    found = made(orders=("activation", "weight_norm"))
    assert set(found.evaluator.rankings) == {"activation", "weight_norm"}
    assert found.evaluator.rankings["activation"].shape == (9,)
