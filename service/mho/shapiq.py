"""V of coalitions of units as a game of shapiq, for its approximators and interaction indices.

shapiq (Muschalik et al. 2024) needs one function of a game: V of many coalitions. Its approximators
ask for all of theirs at once, some one by one, and several ask for the same ones again. So they are
evaluated in batches of the size that suits the model, and what was evaluated once is remembered.

The package shapiq comes with the extra of that name.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mho import config
from mho.artifacts.npz import write_npz
from mho.config import Settings
from mho.data.source import Source
from mho.errors import InvalidData, InvalidOption
from mho.evaluation import CoalitionEvaluator
from mho.jobs.attribution import open_run
from mho.jobs.task import Task
from mho.method import GAME_OPTIONS, options_of
from mho.methods.shapley import Shapley
from mho.types import JSON, Array, BoolArray, FloatArray

try:
    from shapiq import Game
except ModuleNotFoundError as error:
    if error.name != "shapiq":
        raise
    raise ModuleNotFoundError(
        "mho.shapiq needs the package shapiq, which is not installed; install it with "
        "pip install 'mho[shapiq]', or by itself: pip install 'shapiq>=1.4'",
        name="shapiq",
    ) from error

_REMEMBERED = 1 << 20
"""Coalitions, at about 170 bytes each; all those of 20 players."""
_DIGEST = 16
"""Bytes that tell coalitions apart: two of 2^32 are taken for one with a chance below 2^-64."""


class CoalitionGame(Game):
    """The game of any ``CoalitionEvaluator``.

    normalize: whether shapiq is to see V(S) - V(none) instead of V(S); Shapley values and
    interactions are the same, ``baseline_value`` is not. remembered: how many values are kept, the
    oldest go first. notes: what the user should know of how the game was made.

    Players are numbered in the evaluator's order; ``player_name_lookup`` has their names.
    """

    def __init__(
        self,
        evaluator: CoalitionEvaluator,
        *,
        normalize: bool = True,
        remembered: int = _REMEMBERED,
        notes: Sequence[str] = (),
    ) -> None:
        if remembered < 0:
            raise InvalidOption(
                f"remembered is {remembered}; give how many values are kept, 0 for none",
                subject="remembered",
            )
        self.evaluator = evaluator
        self.notes = tuple(notes)
        self.evaluations = 0
        """How many coalitions were evaluated so far; those that were remembered do not count."""
        self._remembered = remembered
        self._worth: dict[bytes, float] = {}
        players = evaluator.players
        v_empty = None
        if normalize:
            v_empty = float(self.value_function(np.zeros((1, len(players)), dtype=bool))[0])
        super().__init__(
            n_players=len(players),
            normalize=normalize,
            normalization_value=v_empty,
            player_names=[player.name for player in players],
        )

    @property
    def names(self) -> tuple[str, ...]:
        """``(players,)``: what the players are called."""
        return tuple(player.name for player in self.evaluator.players)

    # shapiq 1.4 makes a number of an array of one, which NumPy refuses from 2.4 on.
    @property
    def empty_coalition_value(self) -> float:
        """V of no players as shapiq sees it: 0 where it is normalised."""
        return float(self(self.empty_coalition)[0])

    @property
    def grand_coalition_value(self) -> float:
        """V of all players as shapiq sees it."""
        return float(self(self.grand_coalition)[0])

    def value_function(self, coalitions: BoolArray) -> FloatArray:
        """V ``(coalitions,)``, not normalised, of ``coalitions`` ``(coalitions, players)``.

        What was evaluated when an error or an interruption comes is remembered all the same.
        """
        kept = np.asarray(coalitions, dtype=bool)
        keys = [_digest(row) for row in np.packbits(kept, axis=1)]
        found = {key: self._worth[key] for key in keys if key in self._worth}
        missing: dict[bytes, int] = {}
        for row, key in enumerate(keys):
            if key not in found:
                missing.setdefault(key, row)
        wanted = list(missing.items())
        for start in range(0, len(wanted), self.evaluator.chunk):
            part = wanted[start : start + self.evaluator.chunk]
            worth = self.evaluator.values(kept[[row for _, row in part]])
            had = {key: float(v) for (key, _), v in zip(part, worth, strict=True)}
            self.evaluations += len(had)
            self._remember(had)
            found |= had
        return np.array([found[key] for key in keys], dtype=np.float64)

    def _remember(self, had: Mapping[bytes, float]) -> None:
        self._worth |= had
        while len(self._worth) > self._remembered:
            del self._worth[next(iter(self._worth))]


def open_game(
    model: str | Path,
    inputs: str | Path | Array | Mapping[str, Array],
    labels: str | Path | Array | None = None,
    *,
    preprocess: str | None = None,
    settings: Settings | None = None,
    normalize: bool = True,
    remembered: int = _REMEMBERED,
    **options: JSON | Path,
) -> CoalitionGame:
    """The game that ``mho run shapley`` plays on a model file, for shapiq to play.

    inputs: a file or folder, as ``--inputs`` takes it; an array ``(inputs, ...)`` for a model of
    one graph input; or graph input -> array, with what an .npz may hold besides. labels: a file or
    an array ``(inputs,)``. preprocess: as ``--preprocess``. settings: those of the environment
    where None. options: those of ``mho run shapley`` that say what the game is, such as
    ``layers=["conv1/relu"]``, ``value="cross_entropy"`` or ``players="layers"``, spelt with
    underscores.

    InvalidOption for an option that says how values are estimated, which is shapiq's part. Any
    other MhoError where the model, the data and the options do not fit together.
    """
    for name in options:
        if name in {entry.name for entry, _ in options_of(Shapley)} - GAME_OPTIONS:
            raise InvalidOption(
                f"option '{name}' says nothing of the game, only of how mho plays it; give the "
                "budget and the seed to shapiq's approximator, and leave the option out",
                subject=name,
            )
    with tempfile.TemporaryDirectory(prefix="mho-") as folder:
        source = Source(
            _inputs_file(inputs, Path(folder)), _labels_file(labels, Path(folder)), preprocess
        )
        written, files = _parted(options)
        task = Task(Shapley.name, written, Path(model), source, files, cost_accepted=True)
        run = open_run(task, config.load() if settings is None else settings)
    return CoalitionGame(run.evaluator, normalize=normalize, remembered=remembered, notes=run.notes)


def _digest(packed: Array) -> bytes:
    return hashlib.blake2b(packed.tobytes(), digest_size=_DIGEST).digest()


def _inputs_file(inputs: str | Path | Array | Mapping[str, Array], folder: Path) -> Path:
    """The file that was named, or one in ``folder`` that holds the arrays."""
    if isinstance(inputs, str | Path):
        return Path(inputs)
    if isinstance(inputs, Mapping):
        arrays = {name: _plain(array, name) for name, array in inputs.items()}
        write_npz(folder / "inputs.npz", arrays)
        return folder / "inputs.npz"
    np.save(folder / "inputs.npy", _plain(inputs, "inputs"))
    return folder / "inputs.npy"


def _labels_file(labels: str | Path | Array | None, folder: Path) -> Path | None:
    if labels is None or isinstance(labels, str | Path):
        return None if labels is None else Path(labels)
    np.save(folder / "labels.npy", _plain(labels, "labels"))
    return folder / "labels.npy"


def _plain(array: Array, name: str) -> Array:
    """``array`` where it holds numbers; InvalidData where it holds Python objects."""
    found = np.asarray(array)
    if found.dtype.hasobject:
        raise InvalidData(
            f"'{name}' holds Python objects (dtype {found.dtype}); give an array of numbers, all "
            "rows of the same shape",
            subject=name,
        )
    return found


def _parted(options: Mapping[str, Any]) -> tuple[dict[str, JSON], dict[str, Path]]:
    """The options that are written out, and the files that others name. What is neither a keyword
    nor a file stays written, and is refused where the run is opened."""
    described = {entry.name: option for entry, option in options_of(Shapley)}
    written: dict[str, JSON] = {}
    files: dict[str, Path] = {}
    for name, value in options.items():
        option = described.get(name)
        takes_file = option is not None and option.file and value not in option.choices
        named = isinstance(value, str | Path) and value != "" and Path(value).exists()
        if takes_file and named:
            files[name] = Path(value)
        else:
            written[name] = str(value) if isinstance(value, Path) else value
    return written, files
