"""Streams that are named by counters, and minibatches."""

from __future__ import annotations

import numpy as np

from mho.sampling.draws import minibatch, stream


def test_counters_name_a_stream_and_others_are_independent() -> None:
    same = [stream(3, 1, 4).random(5) for _ in range(2)]
    np.testing.assert_array_equal(same[0], same[1])
    firsts = {float(stream(*name).random()) for name in [(3, 1, 4), (3, 4, 1), (3, 1), (3,), (4,)]}
    assert len(firsts) == 5
    many = np.array([[stream(seed, k).random() for k in range(100)] for seed in range(100)])
    assert abs(many.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(many[:, 0], many[:, 1])[0, 1]) < 0.35


def test_a_minibatch_has_different_inputs_all_equally_often() -> None:
    counts = np.zeros(7)
    for k in range(2000):
        found = minibatch(stream(0, k), 7, 3)
        assert found is not None
        assert len(set(found.tolist())) == 3
        counts[found] += 1
    np.testing.assert_allclose(counts / 2000, 3 / 7, atol=0.05)


def test_all_inputs_are_named_by_none() -> None:
    for size in (0, 7, 8):
        assert minibatch(stream(0), 7, size) is None
