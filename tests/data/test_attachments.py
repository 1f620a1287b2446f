"""Files that options name: arrays, groups, scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mho.data import attachments
from mho.errors import InvalidData


def test_arrays_one_or_many(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6.0).reshape(2, 3))
    np.savez(tmp_path / "a.npz", **{"fire9/concat": np.ones(3)})
    one = attachments.array(tmp_path / "a.npy", "baseline")
    many = attachments.array(tmp_path / "a.npz", "substitute")
    assert isinstance(one, np.ndarray)
    assert one.shape == (2, 3)
    assert isinstance(many, dict)
    np.testing.assert_array_equal(many["fire9/concat"], [1, 1, 1])


def test_a_bad_array_names_the_option(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    with pytest.raises(InvalidData, match="of 'baseline' cannot be read") as caught:
        attachments.array(path, "baseline")
    assert caught.value.subject == "baseline"
    path.write_text("text", encoding="utf-8")
    with pytest.raises(InvalidData, match=r"of 'baseline' is neither \.npy nor \.npz"):
        attachments.array(path, "baseline")
    np.save(path, np.array([1.0, np.nan]))
    with pytest.raises(InvalidData, match=r"of 'baseline' holds NaN at index \(1,\)"):
        attachments.array(path, "baseline")
    np.savez(tmp_path / "a.npz", x=np.array([np.inf]))
    with pytest.raises(InvalidData, match=r"array 'x' in .* holds inf"):
        attachments.array(tmp_path / "a.npz", "baseline")


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_groups_are_read_as_they_are_written(tmp_path: Path, suffix: str) -> None:
    written = {"heads": {"attn/0": [0, 1, 2], "attn/1": [5]}, "rest": {"attn/0": [7]}}
    text = json.dumps(written)
    if suffix == ".yaml":
        text = "heads:\n  attn/0: [0, 1, 2]\n  attn/1: [5]\nrest:\n  attn/0:\n    - 7\n"
    path = tmp_path / f"groups{suffix}"
    path.write_text(text, encoding="utf-8")
    assert attachments.groups(path) == written


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", r"the file is \[1\]; a mapping from group names"),
        ("{}", "the file is {}"),
        ("{1: {a: [0]}}", "a group's name is 1"),
        ('{"g": [0]}', r"group 'g' is \[0\]; a mapping from layers to units"),
        ('{"g": {}}', "group 'g' is {}"),
        ('{"g": {"a": []}}', "'a' in group 'g' is .*not empty"),
        ('{"g": {"a": 3}}', "'a' in group 'g' is 3"),
        ('{"g": {"a": [-1]}}', "a unit of 'a' in group 'g' is -1; an index from 0"),
        ('{"g": {"a": [0.5]}}', "is 0.5; an index"),
        ('{"g": {"a": [true]}}', "is True; an index"),
        ('{"g": {"a": [1, 1]}}', "names every unit once"),
        ('{"g": {"a": [1]}, "h": {"a": [1]}}', "unit 1 of 'a' is in the groups 'g' and 'h'"),
        ("{g: {a: [0}", r"no valid JSON or YAML \(line 1\)"),
        ("[" * 10_000, "no valid JSON or YAML"),
    ],
)
def test_bad_groups_are_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "groups.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidData, match=said) as caught:
        attachments.groups(path)
    assert caught.value.subject == "groups"


def test_scores_come_from_a_file_or_its_folder(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "scores.npz",
        **{
            "fire9/concat": np.arange(3, dtype=np.float32),
            "fire9/concat/std_error": np.ones(3),
            "odd/std_error": np.ones(2),  # a layer that happens to be called so
            "curves/top": np.ones(4),
        },
    )
    for path in (tmp_path, tmp_path / "scores.npz"):
        found = attachments.scores(path)
        assert set(found) == {"fire9/concat", "odd/std_error"}
        np.testing.assert_array_equal(found["fire9/concat"], [0, 1, 2])
        assert found["fire9/concat"].dtype == np.float64


def test_the_best_guess_by_which_to_rank_is_preferred_to_the_scores(tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    arrays = {"conv": np.ones(2), "ranking/conv": np.array([1.0, 2.0]), "fc": np.zeros(3)}
    np.savez(path, **arrays, **{"maps/fc": np.ones((1, 4, 4))})
    found = attachments.scores(path)
    assert set(found) == {"conv", "fc"}
    np.testing.assert_array_equal(found["conv"], [1, 2])
    np.testing.assert_array_equal(found["fc"], np.zeros(3))


def test_a_layer_may_be_called_as_what_stands_beside_another(tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    np.savez(path, **{"maps/a": np.ones(2), "maps/a/std_error": np.full(2, np.inf)})
    found = attachments.scores(path)
    assert set(found) == {"maps/a"}


def test_files_without_scores_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"scores.npz of 'scores' cannot be read"):
        attachments.scores(tmp_path)
    np.save(tmp_path / "a.npy", np.ones(3))
    with pytest.raises(InvalidData, match="one array and name no layer"):
        attachments.scores(tmp_path / "a.npy")
    np.savez(tmp_path / "scores.npz", **{"curves/top": np.ones(3)})
    with pytest.raises(InvalidData, match="holds no scores of layers"):
        attachments.scores(tmp_path)
    np.savez(tmp_path / "scores.npz", x=np.array(1.0))
    with pytest.raises(InvalidData, match=r"the scores of 'x' .* are float64 \(\)"):
        attachments.scores(tmp_path)


def test_scores_whose_errors_are_not_known(tmp_path: Path) -> None:
    """A run that flipped some players only says so by an infinite standard error."""
    path = tmp_path / "scores.npz"
    np.savez(path, **{"conv": np.array([1.0, 2.0]), "conv/std_error": np.array([0.1, np.inf])})
    np.testing.assert_array_equal(attachments.scores(path)["conv"], [1.0, 2.0])
    np.savez(path, conv=np.array([1.0, np.inf]))
    with pytest.raises(InvalidData, match="conv"):
        attachments.scores(path)
