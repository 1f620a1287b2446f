"""What a value function V is: the worth of a model's outputs, from which games are made.

V of a coalition is a weighted sum over the samples of what each is worth by itself. Higher is
better, always: a positive Shapley value means that the unit helps. A value whose derivative means
nothing (accuracy counts) names a smooth one that stands in for it where estimators take slopes.

To add one: put a file in ``values/`` with one subclass of ``Value`` and a row in
``tests/values/slow.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Protocol

import numpy as np

from mho.errors import InvalidOption
from mho.registry import find
from mho.types import BoolArray, Float32Array, FloatArray, IntArray


class Surrogate(Enum):
    """Smooth worths of a sample: a function, the link, of an argument that is a formula of the
    scores z in the graph (``graph/worth.py``).

    T are the classes that the sample is judged by: its label, the target, or a group of classes.
    Of probabilities the argument are the log-odds of T under softmax (of a single output, z), which
    a change of the network moves more nearly in proportion than the probability itself: so a
    marginal is better told from a slope of the argument than from one of the worth.
    """

    SCORE = "mean score"
    """Mean of z over T."""
    LOG_PROBABILITY = "log-probability"
    """Logarithm of the probability of T."""
    PROBABILITY = "probability"
    """The probability of T."""
    MARGIN = "margin"
    """Highest z in T minus the highest z of all others."""
    SQUARED_ERROR = "squared error"
    """Mean over the outputs of (z - truth)^2."""

    def link(self, argument: FloatArray) -> FloatArray:
        """The worth, in the shape of the argument."""
        if self is Surrogate.LOG_PROBABILITY:
            return -np.logaddexp(0.0, -argument)
        if self is Surrogate.PROBABILITY:
            return np.exp(-np.logaddexp(0.0, -argument))
        return argument


class Needs(Enum):
    """What a value must know of the samples or be told by options, as the docs call it."""

    LABELS = "labels"
    TRUTH = "targets"
    CLASSES = "classes"
    SUBGROUPS = "subgroups"


@dataclass(frozen=True)
class Asked:
    """What options say about a value besides its name.

    classes: the classes that it looks at, each once. rank: how many highest scores count as an
    answer. subgroups: names of subgroups of the data, each once. probabilities: the scores are
    those after softmax.
    """

    classes: tuple[int, ...] = ()
    rank: int = 5
    subgroups: tuple[str, ...] = ()
    probabilities: bool = False

    @staticmethod
    def of(
        classes: Sequence[str] = (), rank: int = 5, subgroups: Sequence[str] = (), score: str = ""
    ) -> Asked:
        """From options as they are written. InvalidOption where a class is no index."""
        for name in classes:
            if not (name.isascii() and name.isdigit()) or len(name) > 10:
                raise InvalidOption(
                    f"class '{name[:40]}' of --classes is no class index; give whole numbers from "
                    "0, such as --classes 3 7",
                    subject="classes",
                )
        return Asked(
            tuple(dict.fromkeys(int(name) for name in classes)),
            rank,
            tuple(dict.fromkeys(subgroups)),
            score == "probability",
        )


class Options(Protocol):
    """The options of a method that say which value it plays for."""

    @property
    def value(self) -> str: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def rank(self) -> int: ...
    @property
    def subgroups(self) -> tuple[str, ...]: ...
    @property
    def score(self) -> str: ...


@dataclass(frozen=True)
class Samples:
    """What is known of samples; all arrays are aligned.

    judged: ``(samples,)``, the class that each is judged by: its label, or the run's target.
    subgroups: name -> ``(samples,)``, which belong to a subgroup. truth: ``(samples, outputs)``,
    what a regressor should answer, or None.
    """

    judged: IntArray
    subgroups: Mapping[str, BoolArray] = field(default_factory=dict)
    truth: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.judged)

    def take(self, index: IntArray) -> Samples:
        """Those at ``index``, which may name one several times."""
        return Samples(
            self.judged[index],
            {name: members[index] for name, members in self.subgroups.items()},
            None if self.truth is None else self.truth[index],
        )


class Value(ABC):
    """One value function. ``name`` is what users write; ``summary`` is one line for the help.

    needs: what must be there. takes: the options that change V, of target, classes, rank,
    subgroups and score; another one that is set gets a note. grouped: classes that are asked for
    are T of every sample. compares: a single output is too few. on_scores: takes scores before
    softmax only. on_output: takes the model's output as it is.
    linear: V is a sum over the samples, so that a random part of them gives V on average.
    surrogate, sign: the smooth worth that has slopes, times its sign; smooth: whether that is the
    value itself.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    needs: ClassVar[frozenset[Needs]] = frozenset({Needs.LABELS})
    takes: ClassVar[frozenset[str]] = frozenset()
    grouped: ClassVar[bool] = False
    compares: ClassVar[bool] = True
    on_scores: ClassVar[bool] = False
    on_output: ClassVar[bool] = False
    linear: ClassVar[bool] = True
    surrogate: ClassVar[Surrogate]
    smooth: ClassVar[bool] = False
    sign: float = 1.0

    def __init__(self, asked: Asked | None = None) -> None:
        """InvalidOption where ``asked`` lacks what the value cannot be without."""
        self.asked = Asked() if asked is None else asked
        if Needs.CLASSES in self.needs and not self.asked.classes:
            raise InvalidOption(
                f"value '{self.name}' is that of one class or several; name them by index with "
                "--classes",
                subject="classes",
            )
        if Needs.SUBGROUPS in self.needs and not self.asked.subgroups:
            raise InvalidOption(
                f"value '{self.name}' is that of subgroups of the data; name them with --subgroups",
                subject="subgroups",
            )

    @abstractmethod
    def per_sample(self, scores: Float32Array, samples: Samples) -> FloatArray:
        """What each row is worth by itself, ``(rows,)``.

        scores: ``(rows, classes)``, the model's scores before softmax, or its probabilities where
        the run asks for them. samples: one for each row.
        """

    def weights(self, samples: Samples) -> FloatArray:
        """``(samples,)``: V is the sum of weight times worth. Samples of weight zero are never
        run. InvalidOption where none is left."""
        return np.full(len(samples), 1.0 / len(samples))

    def wanted(self, samples: Samples, classes: int) -> BoolArray:
        """``(samples, classes)``: T of the surrogate."""
        if self.grouped and self.asked.classes:
            group = np.isin(np.arange(classes), self.asked.classes)
            return np.broadcast_to(group, (len(samples), classes))
        return np.asarray(samples.judged[:, None] == np.arange(classes))

    def worth(self, scores: Float32Array, samples: Samples, weights: FloatArray) -> FloatArray:
        """V of each coalition, ``(coalitions,)``.

        scores: ``(coalitions, samples, classes)``. samples: ``coalitions * samples`` of them,
        coalition by coalition. weights: ``(coalitions, samples)``, of ``weights``; over a random
        part of the samples they are raised so that V is met on average.
        """
        count, each, classes = scores.shape
        flat = self.per_sample(scores.reshape(count * each, classes), samples)
        return np.asarray((flat.reshape(count, each) * weights).sum(axis=1))

    def check(self, classes: int) -> None:
        """InvalidOption where the value cannot be had of an output of so many ``classes``."""
        if self.compares and classes == 1:
            raise InvalidOption(
                f"value '{self.name}' compares classes, but the output has one score for each "
                "input; take --value logit, or another --output",
                subject="value",
            )
        beyond = [index for index in self.asked.classes if index >= classes]
        if beyond and "classes" in self.takes:
            raise InvalidOption(
                f"class {beyond[0]} of --classes is beyond the output, which has the classes 0 to "
                f"{classes - 1}",
                subject="classes",
            )

    def remarks(
        self,
        scores: Float32Array,  # noqa: ARG002 - read by those that have something to say
        samples: Samples,  # noqa: ARG002
    ) -> tuple[str, ...]:
        """What the reader of a result should know, from the unchanged model's ``scores``
        ``(samples, classes)``."""
        return ()

    @property
    def words(self) -> str:
        """V as an estimand names it."""
        found = self.name
        if self.asked.probabilities and "score" in self.takes:
            found += " of probabilities"
        if self.asked.classes and "classes" in self.takes:
            found += f" of {in_words(self.asked.classes)}"
        return found

    @property
    def stand_in(self) -> str:
        """The smooth value of which slopes are; empty where that is V itself."""
        if self.smooth:
            return ""
        return f"minus {self.surrogate.value}" if self.sign < 0 else self.surrogate.value


def chosen(options: Options) -> Value:
    """The value that ``options`` name. InvalidOption where they do not fit it."""
    asked = Asked.of(options.classes, options.rank, options.subgroups, options.score)
    return find("mho.values", Value, options.value, subject="value")(asked)


def among(members: BoolArray, what: str) -> FloatArray:
    """Weights of a mean over ``members`` ``(samples,)``; InvalidOption where there are none."""
    count = int(members.sum())
    if not count:
        raise InvalidOption(
            f"no input is {what}, so that V has nothing to be taken over; give other inputs, or "
            "other --classes or --subgroups",
            subject="value",
        )
    return np.asarray(members / count, dtype=np.float64)


def in_words(classes: Sequence[int]) -> str:
    """``class 3`` or ``classes 3, 7``."""
    return f"class{'es' if len(classes) > 1 else ''} {', '.join(str(each) for each in classes)}"


def quoted(subgroups: Sequence[str]) -> str:
    """``subgroup 'a'`` or ``subgroups 'a', 'b'``."""
    names = ", ".join(f"'{name}'" for name in subgroups)
    return f"subgroup{'s' if len(subgroups) > 1 else ''} {names}"
