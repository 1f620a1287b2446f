"""Every value function against a slow version; a value without a row in ``slow.py`` fails."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from mho.errors import InvalidOption
from mho.value import Asked, Needs
from values.slow import IDS, KNOWN, LABELS, SCORES, SLOW, TRUTH, VALUES, Row, stand_in, worth


def test_every_value_has_a_slow_version() -> None:
    assert {row.name for row in SLOW} == set(VALUES)
    assert all(kind.summary for kind in VALUES.values())


@pytest.mark.parametrize("row", SLOW, ids=IDS)
def test_value(row: Row) -> None:
    value = row.value()
    np.testing.assert_allclose(worth(value, SCORES[None]), [row.slow()], rtol=1e-6, atol=1e-12)
    assert value.words == row.words
    value.check(4)


@pytest.mark.parametrize("row", SLOW, ids=IDS)
def test_coalitions_do_not_mix(row: Row) -> None:
    value = row.value()
    scores = np.random.default_rng(1).normal(size=(3, 6, 4)).astype(np.float32)
    one_by_one = [worth(value, scores[k : k + 1])[0] for k in range(3)]
    np.testing.assert_allclose(worth(value, scores), one_by_one)


@pytest.mark.parametrize("row", SLOW, ids=IDS)
def test_minibatches_give_the_value_on_average(row: Row) -> None:
    value = row.value()
    matter = int((value.weights(KNOWN) != 0).sum())
    for size in range(1, matter):
        batches = [np.array(batch) for batch in combinations(range(matter), size)]
        average = np.mean([worth(value, SCORES[None], batch)[0] for batch in batches])
        if value.linear:
            np.testing.assert_allclose(average, row.slow(), rtol=1e-6, atol=1e-12)
        elif size == 1:
            assert average != pytest.approx(row.slow())  # a ratio of sums is no sum of ratios


@pytest.mark.parametrize("row", SLOW, ids=IDS)
def test_higher_is_better(row: Row) -> None:
    """A model that is always right has the highest V that there is; an attack has the lowest."""
    value = row.value()
    perfect = (LABELS[:, None] == np.arange(4)) * np.float32(9)
    if row.name == "squared_error":
        perfect = TRUTH.astype(np.float32)
    if row.name in ("gap", "logit", "probability", "margin") and (row.asked != Asked()):
        return  # the target is another than the label, or neither side is better
    best = worth(value, perfect[None])[0]
    others = np.random.default_rng(2).normal(size=(50, 6, 4)).astype(np.float32)
    found = worth(value, others)
    assert (found >= best).all() if row.name == "attack_success" else (found <= best).all()


@pytest.mark.parametrize("row", SLOW, ids=IDS)
def test_a_smooth_value_is_its_surrogate(row: Row) -> None:
    value = row.value()
    if value.smooth:
        assert value.stand_in == ""
        np.testing.assert_allclose(
            value.per_sample(SCORES, KNOWN), stand_in(value, SCORES), rtol=1e-6, atol=1e-7
        )
    else:
        assert value.surrogate.value in value.stand_in


@pytest.mark.parametrize("row", SLOW, ids=IDS)
def test_a_surrogate_points_the_way_of_its_value(row: Row) -> None:
    """Over many random scores the two go up and down together."""
    value = row.value()
    if row.asked.probabilities:
        return  # random scores are none
    weights = value.weights(KNOWN)
    scores = np.random.default_rng(3).normal(size=(300, 6, 4)).astype(np.float32)
    smooth = [float((weights * stand_in(value, each)).sum()) for each in scores]
    assert np.corrcoef(smooth, worth(value, scores))[0, 1] > 0.5


@pytest.mark.parametrize("name", VALUES)
def test_values_say_what_they_cannot_be_without(name: str) -> None:
    kind = VALUES[name]
    options = {
        need.value
        for need in (Needs.CLASSES, Needs.SUBGROUPS)
        if need in kind.needs
    }  # fmt: skip
    if options:
        with pytest.raises(InvalidOption, match=f"value '{name}'") as caught:
            kind()
        assert caught.value.subject in options
    else:
        assert kind().asked == Asked()
    assert options <= kind.takes


@pytest.mark.parametrize("name", VALUES)
def test_outputs_that_do_not_do(name: str) -> None:
    value = VALUES[name](Asked(classes=(1, 5), rank=1, subgroups=("few",)))
    if value.compares:
        with pytest.raises(InvalidOption, match=f"'{name}' compares classes, but the output has o"):
            value.check(1)
    if "classes" in value.takes:
        with pytest.raises(
            InvalidOption, match=r"class 5 of --classes is beyond .* classes 0 to 4"
        ):
            value.check(5)
    value.check(6)
