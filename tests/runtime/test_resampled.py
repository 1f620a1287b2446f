"""Units that take their activation on another input, against the definition in NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from graph.nets import normal
from mho.graph.mask import substitute_input
from mho.methods.ablation import Ablation
from mho.runtime.resampled import DonorRows
from mho.runtime.substitutes import Donors
from mho.types import IntArray
from runtime.bound import SETTINGS, bound, data, problem
from runtime.small_cnn import LABELS, X, cnn, forward, made, removing

OTHER = normal(9, 3, 2, 6, 6)
COALITIONS = np.random.default_rng(1).random((7, 9)) < 0.5


def by_definition(kept: np.ndarray, donor: IntArray, donors: np.ndarray) -> float:
    """The mean logit of class 1, one input after the other."""
    found = []
    units = {"r": list(np.flatnonzero(~kept[:5])), "s": list(np.flatnonzero(~kept[5:]))}
    for index, x in enumerate(X):
        own = forward(donors[donor[index]][None])
        found.append(forward(x[None], removing(units, own))["z"][0, 1])
    return float(np.mean(found))


def played(**options: Any) -> Any:
    return made(substitute="resample", value="logit", target="1", **options).evaluator


@pytest.mark.parametrize("reference", [None, OTHER])
def test_v_by_definition(reference: np.ndarray | None) -> None:
    game = played(reference=None if reference is None else data(reference), seed=5)
    donor = game.substitutes.donor
    expected = [
        by_definition(kept, donor, X if reference is None else reference) for kept in COALITIONS
    ]
    np.testing.assert_allclose(game.values(COALITIONS), expected, rtol=1e-4)


def test_v_of_some_inputs() -> None:
    """The donor belongs to the input, whatever the others of a batch are."""
    game = played(seed=5)
    samples = np.array([[3, 1], [1, 4], [4, 3]])
    found = game.values(COALITIONS[:3], samples)
    for coalition, row, value in zip(COALITIONS[:3], samples, found, strict=True):
        alone = [game.values(coalition[None], np.array([[index]]))[0] for index in row]
        assert value == pytest.approx(np.mean(alone), rel=1e-5)


def test_v_does_not_depend_on_the_batch() -> None:
    method = Ablation(substitute="resample", value="logit", target="1")
    expected = bound(method, cnn(), data(X, LABELS)).evaluator.values(COALITIONS)
    small = replace(SETTINGS, memory_bytes=1)
    for settings, single in ((small, False), (SETTINGS, True)):
        found = bound(method, cnn(), data(X, LABELS), settings=settings, single=single)
        np.testing.assert_allclose(found.evaluator.values(COALITIONS), expected, rtol=1e-5)


@pytest.mark.parametrize(("share", "runs"), [(1.0, 6), (0.5, 9), (0.0, 12)])
def test_donors_are_held_as_far_as_the_memory_goes(share: float, runs: int) -> None:
    """Of six donors none, half or all are run again when they are asked for again."""
    one = 4 * (5 * 4 * 4 + 4 * 4 * 4)  # bytes of both layers
    settings = replace(SETTINGS, memory_bytes=int(2 * 6 * one * share))
    of = problem(cnn(), data(X), "r", "s", settings=settings)
    rows = DonorRows(of, Donors({"x": X}, np.array([1, 2, 3, 4, 5, 0])))
    ran: list[int] = []
    read = rows._read

    def counted(new: list[int]) -> Any:
        ran.extend(new)
        return read(new)

    rows._read = counted  # type: ignore[method-assign]
    for _ in range(2):
        for sample in range(0, 6, 2):
            found = rows.feeds(np.array([sample, sample + 1, sample]))
            for name, values in forward(X).items():
                if name in ("r", "s"):
                    expected = values[[(sample + 1) % 6, (sample + 2) % 6, (sample + 1) % 6]]
                    np.testing.assert_allclose(
                        found[substitute_input(name)], expected, rtol=1e-4, atol=1e-5
                    )
    assert len(ran) == runs


def test_rows_of_one_input_share_its_donor() -> None:
    of = problem(cnn(), data(X), "r", "s")
    rows = DonorRows(of, Donors({"x": X}, np.array([1, 2, 3, 4, 5, 0])))
    assert rows.feeds(np.array([2, 2, 2]))[substitute_input("r")].shape == (1, 5, 4, 4)
    game = played(seed=5)
    many = game.values(COALITIONS, np.full((7, 1), 3))
    alone = [game.values(kept[None], np.array([[3]]))[0] for kept in COALITIONS]
    np.testing.assert_allclose(many, alone, rtol=1e-5)


def worth(masks: np.ndarray, donor: IntArray) -> float:
    """The mean logit of class 1 with every unit mixed by its mask with that of the donor."""
    found = []
    for index, x in enumerate(X):
        own = forward(X[donor[index]][None])

        def mixed(name: str, tensor: np.ndarray, own: dict[str, np.ndarray] = own) -> np.ndarray:
            if name not in ("r", "s"):
                return tensor
            mask = (masks[:5] if name == "r" else masks[5:])[:, None, None]
            return mask * tensor + (1 - mask) * own[name]

        found.append(forward(x[None], mixed)["z"][0, 1])
    return float(np.mean(found))


def test_slopes_in_the_masks() -> None:
    """A logit is its own argument: what a player would be worth if the network were linear in its
    mask is the slope."""
    game = played(seed=2)
    masks = np.random.default_rng(3).uniform(0.2, 0.8, (2, 9))
    found = game.linearised(masks)
    step = 1e-5 * np.eye(9)
    expected = [
        [
            (worth(row + one, game.substitutes.donor) - worth(row - one, game.substitutes.donor))
            / 2e-5
            for one in step
        ]
        for row in masks
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
