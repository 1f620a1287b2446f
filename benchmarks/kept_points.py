"""What contenders said, kept in a folder, so that a campaign goes on where it was interrupted."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from contenders import Point

_FIELDS = ("values", "ranking", "std_error")


class KeptPoints:
    """Points by game, contender, seed and budget; one .npz for each of the first three.

    fingerprint: what the points depend on besides; those of another one are forgotten.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        folder.mkdir(parents=True, exist_ok=True)

    def point(
        self, contender: str, seed: int, budget: int, play: Callable[[], Point | None] | None
    ) -> Point | None:
        """The one that is kept; where none is, the one that ``play`` gives, which is then kept.
        None where the contender cannot serve the budget, or there is nobody to play."""
        path = self._folder / f"{re.sub('[^a-z0-9]+', '-', contender.lower())}-{seed}.npz"
        known = self._read(path)
        if budget not in known:
            if play is None:
                return None
            known[budget] = play()
            self._write(path, known)
        return known[budget]

    def _read(self, path: Path) -> dict[int, Point | None]:
        if not path.exists():
            return {}
        with np.load(path) as found:
            if str(found["fingerprint"]) != self._fingerprint:
                return {}
            points: dict[int, Point | None] = {}
            for place, budget in enumerate(found["budgets"].tolist()):
                cost = float(found["cost"][place])
                arrays = {name: found[name][place] for name in _FIELDS}
                point = Point(cost, **arrays, biased=bool(found["biased"][place]))
                points[budget] = None if np.isnan(cost) else point
        return points

    def _write(self, path: Path, points: dict[int, Point | None]) -> None:
        there = next((point for point in points.values() if point is not None), None)
        nothing = np.full(1 if there is None else len(there.values), np.nan)
        none = Point(np.nan, nothing, nothing, nothing, biased=False)
        rows = [none if point is None else point for point in points.values()]
        partial = path.with_suffix(".partial.npz")
        np.savez(
            partial,
            fingerprint=np.array(self._fingerprint),
            budgets=np.array(list(points), dtype=np.int64),
            cost=np.array([row.cost for row in rows]),
            biased=np.array([row.biased for row in rows]),
            values=np.stack([row.values for row in rows]),
            ranking=np.stack([row.ranking for row in rows]),
            std_error=np.stack([row.std_error for row in rows]),
        )
        partial.replace(path)
