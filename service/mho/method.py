"""What an attribution method is: options, and ``init -> step -> done -> result`` on explicit state.

A method object *is* its options: a frozen dataclass whose fields, declared with ``option``, become
the flags of the command line, the fields of the API's messages and the rows of the docs. The worker
owns the loop::

    state = method.init(evaluator)
    while not method.done(state):
        state = method.step(state, evaluator)
    result = method.result(state, evaluator)

so that progress, cancellation, deadlines, checkpoints and resuming are written once. A step is a
bounded piece of work (well under a second where the model allows it) and must not change the state
it was given.

To add one: put a file in ``methods/`` with one subclass of ``Method`` and a test that compares it
with a slow, paper-like version.
"""

from __future__ import annotations

import math
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, ClassVar, Generic, TypeVar

from mho.errors import InvalidOption
from mho.evaluation import CoalitionEvaluator, PathEvaluator, PointEvaluator
from mho.registry import entries, find
from mho.results import Result
from mho.types import JSON

_MOST_BITS = 200
"""Whole numbers beyond are described in messages, not written out."""

StateT = TypeVar("StateT")
EvaluatorT = TypeVar("EvaluatorT", PointEvaluator, PathEvaluator, CoalitionEvaluator)


@dataclass(frozen=True)
class Progress:
    """How far a run is: ``done`` of ``total`` in ``unit``.

    The total may grow while a path is refined.
    """

    done: float
    total: float
    unit: str
    message: str = ""

    @property
    def fraction(self) -> float:
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0


@dataclass(frozen=True)
class Option:
    """What users are told of one option, and what is checked. Held in a dataclass field's metadata.

    choices: the keywords that may be written; empty means any value of the type.
    registry: an extension folder (``mho.values``) whose entries' names are the keywords; contract:
        the class that they subclass (``mho.value:Value``), found only when it is asked for, because
        contracts may import this module.
    file: what kind of file may be named instead of a keyword: ``array`` (.npy, .npz), ``data``
        (like ``--inputs``), ``groups`` (.json, .yaml), ``scores`` (a scores.npz or its folder), or
        none.
    free: besides the keywords any text is allowed (a tensor's name, a class index).
    """

    help: str
    choices: tuple[str, ...] = ()
    registry: str = ""
    contract: str = ""
    file: str = ""
    free: bool = False
    minimum: float | None = None
    maximum: float | None = None
    metavar: str = ""


def option(default: Any, help: str, **described: Any) -> Any:
    """A dataclass field that is an option; see ``Option`` for what can be described."""
    return field(default=default, metadata={"option": Option(help=help, **described)})


@dataclass(frozen=True, kw_only=True)
class Method(ABC, Generic[StateT, EvaluatorT]):
    """Base of all scoring methods, with the options that all of them share.

    ``uses`` names those shared options that mean something to the method; setting another one is
    allowed and is answered by a note in the result, never silently.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    needs: ClassVar[type[Any]]
    """The evaluator protocol the method works on."""
    uses: ClassVar[frozenset[str]]
    makes_model: ClassVar[bool] = False
    """Whether a model is among the files of its result."""

    layers: tuple[str, ...] = option(
        (), "layers to score: tensor names or globs; default all", free=True, metavar="NAME|GLOB"
    )
    target: str = option(
        "argmax",
        "class whose score is attributed: an index, argmax (of the unchanged model), "
        "or label (each input's own)",
        choices=("argmax", "label"),
        free=True,
        metavar="INT|argmax|label",
    )
    output: str = option(
        "", "graph output to attribute; default the first", free=True, metavar="NAME"
    )
    score: str = option(
        "logit",
        "score of the target before (logit) or after softmax",
        choices=("logit", "probability"),
    )
    granularity: str = option(
        "channel",
        "score channels (positions reduced) or every neuron",
        choices=("channel", "neuron"),
    )
    engine: str = option(
        "auto",
        "how derivatives are had; auto takes the gradient graph where it can",
        choices=("auto", "gradient", "finite_difference"),
    )
    tolerance: float = option(
        0.01, "relative completeness gap at which a path is fine enough", minimum=1e-6, maximum=1.0
    )
    path_input: str = option(
        "",
        "tensor on which the straight-line path runs; default the float graph input, or the "
        "embedding output of a token model",
        free=True,
        metavar="TENSOR",
    )
    baseline: str = option(
        "auto",
        "where the path starts; auto is black for images preprocessed by mho, otherwise zero; a "
        "FILE may hold a set, over which the scores are averaged",
        choices=("auto", "black", "zero", "mean", "blurred"),
        file="array",
    )
    seed: int = option(0, "seed of every random draw", minimum=0, maximum=2**63 - 1)

    @property
    def named_layers(self) -> tuple[str, ...]:
        """The layers that the options name; none means all."""
        return self.layers

    @abstractmethod
    def state_class(self) -> type[StateT]:
        """The dataclass that holds the state, so that a checkpoint can be read."""

    @abstractmethod
    def init(self, evaluator: EvaluatorT) -> StateT: ...

    @abstractmethod
    def step(self, state: StateT, evaluator: EvaluatorT) -> StateT: ...

    @abstractmethod
    def done(self, state: StateT) -> bool: ...

    @abstractmethod
    def progress(self, state: StateT) -> Progress: ...

    @abstractmethod
    def result(self, state: StateT, evaluator: EvaluatorT) -> Result: ...


@dataclass(frozen=True, kw_only=True)
class GameMethod(Method[StateT, CoalitionEvaluator]):
    """A method that plays a game among units, with the options that such methods share."""

    needs: ClassVar[type[Any]] = CoalitionEvaluator

    value: str = option(
        "accuracy",
        "value function V of a coalition",
        registry="mho.values",
        contract="mho.value:Value",
    )
    classes: tuple[str, ...] = option(
        (), "classes that the value looks at, by index, e.g. for recall", metavar="INT", free=True
    )
    rank: int = option(
        5, "how many highest scores count as an answer, for top_k_accuracy", minimum=1
    )
    subgroups: tuple[str, ...] = option(
        (),
        "subgroups of the data (groups/<name>) that the value looks at, e.g. for gap",
        metavar="NAME",
        free=True,
    )
    attack: str = option(
        "none",
        "adversarial steps made on the inputs first, by the gradient of their cross-entropy",
        choices=("none", "fgsm", "pgd"),
    )
    epsilon: float = option(
        16 / 255,
        "largest change of an input's element by the attack: as a share of the pixel range where a "
        "preprocess spec is known, else in the input's own units",
        minimum=0.0,
    )
    attack_steps: int = option(30, "steps of pgd", minimum=1, maximum=10_000)
    minibatch: int = option(
        0,
        "inputs of each draw of coalitions; 0: 16 for assisted, semivalue and gradient, else all",
        minimum=0,
    )
    estimator: str = option(
        "assisted",
        "how the values are estimated, and which: semivalue tells best what removing a few units "
        "from the whole model does",
        registry="mho.estimators",
        contract="mho.estimator:Estimator",
    )
    evaluations: int = option(
        0,
        "budget of evaluations of V over the data; "
        "0: the estimator's own for shapley, 33 points a curve for ablation",
        minimum=0,
    )
    players: str = option(
        "units", "who plays: every unit, or every layer as one", choices=("units", "layers")
    )
    masked: str = option(
        "after",
        "units are removed after their normalisation and activation, or before the activation",
        choices=("after", "before"),
    )
    substitute: str = option(
        "mean",
        "what a removed unit is replaced by: its mean over the reference, its mean at each "
        "position, zero, its activation on another input drawn at random, or values from a FILE",
        choices=("mean", "position_mean", "zero", "resample"),
        file="array",
    )
    reference: str = option(
        "",
        "data over which the means are taken, or that give the activations; default the inputs",
        file="data",
    )
    groups: str = option("", "file of named groups of units that play as one", file="groups")


GAME_OPTIONS = frozenset(
    {"layers", "target", "output", "score", "seed", "value", "classes", "rank", "subgroups"}
    | {"attack", "epsilon", "attack_steps", "players", "masked", "substitute", "reference"}
    | {"groups"}
)
"""Options that mean something to every method that plays a game."""


def options_of(kind: type[Any]) -> Iterator[tuple[Field[Any], Option]]:
    """The option fields of a method class with their descriptions, in order of declaration.

    ``choices`` is complete: it holds the names that a registry has at this moment.
    """
    for entry in fields(kind):
        if "option" in entry.metadata:
            described: Option = entry.metadata["option"]
            yield entry, replace(described, choices=choices_of(described))


def choices_of(described: Option) -> tuple[str, ...]:
    """The keywords that may be written for an option: those declared, or those of its registry."""
    if not described.registry:
        return described.choices
    return tuple(entries(described.registry, _contract(described)))


def build(kind: type[Any], values: Mapping[str, JSON]) -> Any:
    """A ``kind`` with the given options.

    InvalidOption names an option that the method does not have, a value of another type or out of
    range, and a name that its registry does not have.
    """
    named = {entry.name: (entry, described) for entry, described in options_of(kind)}
    for name in values:
        if name not in named:
            raise InvalidOption(
                f"{kind.name} has no option '{name}'; it has {', '.join(named)}", subject=name
            )
    return kind(**{name: _checked(*named[name], value) for name, value in values.items()})


def _checked(entry: Field[Any], described: Option, value: JSON) -> Any:
    """``value`` in the type of the option's default; otherwise InvalidOption."""
    if isinstance(entry.default, tuple):
        return _names(entry.name, described, value)
    if isinstance(entry.default, str):
        return _text(entry.name, described, value)
    return _number(entry.name, described, value, whole=isinstance(entry.default, int))


def _names(name: str, described: Option, value: JSON) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
        raise InvalidOption(
            f"option '{name}' takes a list of names, not {_shown(value)}", subject=name
        )
    for entry in value:
        if described.choices and not described.free and entry not in described.choices:
            raise InvalidOption(
                f"option '{name}' names {_shown(entry)}; choose from "
                f"{', '.join(described.choices)}",
                subject=name,
            )
    return tuple(value)


def _text(name: str, described: Option, value: JSON) -> str:
    if described.free and isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if value.bit_length() <= _MOST_BITS else value
    if not isinstance(value, str):
        raise InvalidOption(f"option '{name}' takes a text, not {_shown(value)}", subject=name)
    if described.registry:
        find(described.registry, _contract(described), value, subject=name)
        return value
    open_ended = described.free or described.file or not described.choices
    if not open_ended and value not in described.choices:
        raise InvalidOption(
            f"option '{name}' is '{value}'; choose one of {', '.join(described.choices)}",
            subject=name,
        )
    return value


def _number(name: str, described: Option, value: JSON, *, whole: bool) -> int | float:
    """``value`` as int or float, within its bounds; a large int is never made a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidOption(f"option '{name}' takes a number, not {_shown(value)}", subject=name)
    if whole and isinstance(value, float) and not value.is_integer():
        raise InvalidOption(f"option '{name}' takes a whole number, not {value}", subject=name)
    low, high = described.minimum, described.maximum
    # NaN is within no bounds.
    if not ((low is None or value >= low) and (high is None or value <= high)):
        raise InvalidOption(
            f"option '{name}' is {_shown(value)}; it must lie {_bounds(low, high)}", subject=name
        )
    if whole:
        return int(value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidOption(
            f"option '{name}' is {_shown(value)}, which is no number to compute with; give a "
            "finite one",
            subject=name,
        )
    return number


def _bounds(low: float | None, high: float | None) -> str:
    least, most = (f"{b:g}" if isinstance(b, float) else str(b) for b in (low, high))
    if low is None:
        return f"at or below {most}"
    return f"at or above {least}" if high is None else f"between {least} and {most}"


def _shown(value: JSON) -> str:
    """``value`` for a message, in bounded length."""
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return f"a number of about {round(value.bit_length() * math.log10(2))} digits"
    try:
        text = repr(value)
    except ValueError:  # Python does not write out ints of thousands of digits, as in a list
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:80] + "…"


def _contract(described: Option) -> type[Any]:
    found: type[Any] = pkgutil.resolve_name(described.contract)
    return found
