"""Games on real models and inputs, in which every coalition is run once for all that ask for it.

Cross-entropy and accuracy are read off the same scores, and estimators with the same seed draw the
same coalitions at every budget, so that far fewer rows are run than evaluations are charged for.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cases import ROOT, SHARED

from mho.config import Settings
from mho.data.source import Source
from mho.evaluation import Layer, Player
from mho.jobs.attribution import open_run
from mho.jobs.task import Task
from mho.runtime.coalitions import MaskedCoalitions
from mho.types import BoolArray, Float32Array, FloatArray, IntArray
from mho.value import Samples, Value
from mho.values.accuracy import Accuracy
from mho.values.cross_entropy import CrossEntropy

VALUES: Mapping[str, type[Value]] = {"cross_entropy": CrossEntropy, "accuracy": Accuracy}
_PHOTOGRAPHS = "{crop: 227, channels: BGR, mean: [104, 117, 123]}"


@dataclass(frozen=True)
class Setting:
    """A model, inputs and layers, from which games of several values are made.

    players, samples: what they are called. source: writes so many inputs with labels into a folder.
    layers: globs; none are all. few_layers: of a game that is quick. values: V of the games. walks:
    permutations up to which estimators are followed; more_walks: up to which plain permutation
    sampling alone is. reference: evaluations of the run that stands for the truth.
    """

    name: str
    title: str
    players: str
    samples: str
    model: Path
    source: Callable[[Path, int], Source]
    inputs: int
    layers: tuple[str, ...]
    few_layers: tuple[str, ...]
    values: tuple[str, ...]
    walks: int
    more_walks: int
    reference: int


@contextmanager
def opened(setting: Setting, settings: Settings) -> Iterator[dict[str, PlayedGame]]:
    """The games of ``setting`` by the name of V; they share what was evaluated."""
    with tempfile.TemporaryDirectory() as name:
        source = setting.source(Path(name), setting.inputs)
        plain: dict[str, MaskedCoalitions] = {}
        for value in setting.values:
            options = {"layers": list(setting.layers), "value": value}
            task = Task("shapley", options, setting.model, source, cost_accepted=True)
            plain[value] = open_run(task, settings).evaluator
        shared = SharedWorth(next(iter(plain.values())), [VALUES[v]() for v in setting.values])
        yield {
            value: PlayedGame(game, shared, column)
            for column, (value, game) in enumerate(plain.items())
        }


class PlayedGame:
    """A ``CoalitionEvaluator`` whose values are remembered, and whose slopes are as well."""

    def __init__(self, game: MaskedCoalitions, shared: SharedWorth, column: int) -> None:
        self._game = game
        self._shared = shared
        self._column = column
        self._slopes: dict[bytes, FloatArray] = {}
        self.rankings: Mapping[str, FloatArray] = {}

    @property
    def players(self) -> Sequence[Player]:
        return self._game.players

    @property
    def layers(self) -> Sequence[Layer]:
        return self._game.layers

    @property
    def samples(self) -> int:
        return self._game.samples

    @property
    def linear(self) -> bool:
        return self._game.linear

    @property
    def chunk(self) -> int:
        return self._game.chunk

    @property
    def surrogate(self) -> str:
        return self._game.surrogate

    @property
    def classes(self) -> int:
        """How many classes the model tells apart."""
        return int(self._game.problem.scores().shape[1])

    def values(self, coalitions: BoolArray, samples: IntArray | None = None) -> FloatArray:
        return self._shared.values(coalitions, samples)[:, self._column]

    def linearised(self, masks: FloatArray, samples: IntArray | None = None) -> FloatArray:
        found = np.empty(masks.shape)
        for row, mask in enumerate(masks):
            chosen = None if samples is None else samples[row : row + 1]
            key = _digest(mask.tobytes(), chosen)
            if key not in self._slopes:
                self._slopes[key] = self._game.linearised(mask[None], chosen)[0]
            found[row] = self._slopes[key]
        return found


class SharedWorth:
    """Every V of coalitions, from one run of the model."""

    def __init__(self, game: MaskedCoalitions, values: Sequence[Value]) -> None:
        labels = game.problem.data.labels
        assert labels is not None
        self._several = Several(values)
        self._game = MaskedCoalitions(
            game.problem, game.players, game.substitutes, self._several, Samples(labels)
        )
        self._worth: dict[bytes, FloatArray] = {}

    def values(self, coalitions: BoolArray, samples: IntArray | None = None) -> FloatArray:
        """``(coalitions, values)``; the arguments are those of a ``CoalitionEvaluator``."""
        keys = [
            _digest(packed.tobytes(), None if samples is None else samples[row])
            for row, packed in enumerate(np.packbits(coalitions, axis=1))
        ]
        missing: dict[bytes, int] = {}
        for row, key in enumerate(keys):
            if key not in self._worth:
                missing.setdefault(key, row)
        rows = list(missing.values())
        if rows:
            self._game.values(coalitions[rows], None if samples is None else samples[rows])
            self._worth |= dict(zip(missing, self._several.found.T, strict=True))
        return np.array([self._worth[key] for key in keys]).reshape(len(keys), -1)


class Several(Value):
    """The first of several values, all of which are left in ``found`` ``(values, coalitions)``."""

    name = "several"
    summary = "several values of the same scores"

    def __init__(self, values: Sequence[Value]) -> None:
        super().__init__()
        self._values = values
        self.found: FloatArray = np.zeros((len(values), 0))

    def per_sample(self, scores: Float32Array, samples: Samples) -> FloatArray:
        return self._values[0].per_sample(scores, samples)

    def worth(self, scores: Float32Array, samples: Samples, weights: FloatArray) -> FloatArray:
        self.found = np.stack([value.worth(scores, samples, weights) for value in self._values])
        return np.asarray(self.found[0])


def present() -> dict[str, Setting]:
    """Those whose model is here, by name."""
    return {setting.name: setting for setting in _ALL if setting.model.exists()}


def _digest(content: bytes, samples: IntArray | None) -> bytes:
    drawn = b"" if samples is None else np.ascontiguousarray(samples).tobytes()
    return hashlib.blake2b(content + drawn, digest_size=16).digest()


def _shapes(folder: Path, count: int) -> Source:
    """Pictures of the example, drawn as its demonstration draws those that it judges by."""
    path = ROOT / "examples" / "shapes" / "draw.py"
    spec = importlib.util.spec_from_file_location("shapes_draw", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    drawn = module.draw(count, 7, "shuffled")
    pixels = drawn.images.astype(np.float32).transpose(0, 3, 1, 2)
    return _arrays(folder, (pixels / 255 - 0.5) / 0.5, drawn.labels)


def _sentences(folder: Path, count: int) -> Source:
    """The first sentences of the test set; 1 stands for words that the model does not know."""
    known = json.loads((SHARED / "textcnn_mr.json").read_text(encoding="utf-8"))["vocab"]
    index = {word: number for number, word in enumerate(known)}
    lines = (SHARED / "mr_test.tsv").read_text(encoding="utf-8").splitlines()[:count]
    tokens = np.zeros((len(lines), 64), dtype=np.int64)
    labels = []
    for row, line in enumerate(lines):
        label, sentence = line.split("\t")
        words = [index.get(word, 1) for word in sentence.split()][:64]
        tokens[row, : len(words)] = words
        labels.append(int(label == "positive"))
    return _arrays(folder, tokens, np.array(labels))


def _photographs(folder: Path, count: int) -> Source:
    """Random ones of the set, always the same."""
    there = SHARED / "imagenet600"
    head, *lines = (there / "labels.tsv").read_text(encoding="utf-8").splitlines()
    chosen = np.random.default_rng(0).permutation(len(lines))[:count]
    for row in chosen:
        name = lines[row].split("\t")[0]
        (folder / name).write_bytes((there / name).read_bytes())
    text = "\n".join([head, *(lines[row] for row in chosen)]) + "\n"
    (folder / "labels.tsv").write_text(text, encoding="utf-8")
    return Source(folder, None, _PHOTOGRAPHS)


def _arrays(folder: Path, inputs: Float32Array | IntArray, labels: IntArray) -> Source:
    np.save(folder / "inputs.npy", inputs)
    np.save(folder / "labels.npy", labels)
    return Source(folder / "inputs.npy", folder / "labels.npy")


_ALL = (
    Setting(
        "shapes",
        "shapes (the example)",
        "units",
        "pictures",
        ROOT / "examples/shapes/shapes.onnx",
        _shapes,
        inputs=64,
        layers=(),
        few_layers=("conv1/relu", "conv2/relu"),
        values=("cross_entropy", "accuracy"),
        walks=16,
        more_walks=64,
        reference=8_000,
    ),
    Setting(
        "text",
        "text CNN",
        "units",
        "sentences",
        SHARED / "textcnn_mr.onnx",
        _sentences,
        inputs=64,
        layers=(),
        few_layers=("relu", "relu_4"),
        values=("cross_entropy", "accuracy"),
        walks=8,
        more_walks=32,
        reference=12_000,
    ),
    Setting(
        "squeezenet",
        "SqueezeNet, fire8 and fire9",
        "filters",
        "photographs",
        SHARED / "squeezenet1.0.onnx",
        _photographs,
        inputs=8,
        layers=("fire8/*/relu", "fire9/*/relu"),
        few_layers=("fire9/conv1x1_1/relu",),
        values=("cross_entropy",),
        walks=2,
        more_walks=4,
        reference=10_000,
    ),
)
