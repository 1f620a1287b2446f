"""The options of methods: what is taken, what is refused, and in which words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import inf, nan
from typing import Any

import pytest

from mho.errors import InvalidOption
from mho.estimator import Estimator
from mho.method import GameMethod, Method, Option, build, choices_of, option, options_of
from mho.methods import ablation
from mho.methods.shapley import Shapley
from mho.registry import entries
from mho.types import JSON
from mho.value import Value


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Not a method, but its fields are options."""

    name = "toy"

    count: int = option(1, "a number of things", minimum=0, maximum=2**63 - 1)
    few: int = option(1, "with no lower bound", maximum=10)
    share: float = option(0.5, "a part", minimum=1e-6, maximum=1.0)
    any_float: float = option(0.5, "without bounds")
    names: tuple[str, ...] = option((), "names", free=True)
    mode: str = option("fast", "how", choices=("fast", "slow"))
    target: str = option("best", "which", choices=("best",), free=True)


HUGE = 10**400
BEYOND_PRINTING = 10**5000  # Python does not write out so many digits


def in_short(value: object) -> str | None:
    """The part of a test's name that stands for ``value``; None is pytest's own."""
    return "huge" if isinstance(value, int) and abs(value) >= HUGE else None


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("count", 7.0, 7),
        ("count", 2**63 - 1, 2**63 - 1),
        ("few", -HUGE, -HUGE),
        ("share", 1, 1.0),
        ("any_float", -3, -3.0),
        ("names", ["a", "b*"], ("a", "b*")),
        ("mode", "slow", "slow"),
        ("target", 3, "3"),
        ("target", "anything", "anything"),
    ],
    ids=in_short,
)
def test_what_is_taken(name: str, value: JSON, taken: object) -> None:
    built = getattr(build(Settings, {name: value}), name)
    assert (built, type(built)) == (taken, type(taken))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "count",
            HUGE,
            "a number of about 400 digits; it must lie between 0 and 92233720368547758",
        ),
        ("count", -HUGE, "it must lie between 0"),
        ("count", BEYOND_PRINTING, "a number of about 5000 digits"),
        ("count", 2**63, "'count' is 9223372036854775808; it must lie between 0 and"),
        ("count", inf, "takes a whole number, not inf"),
        ("count", nan, "takes a whole number, not nan"),
        ("count", 1.5, "takes a whole number, not 1.5"),
        ("count", 1e300, "it must lie between"),
        ("count", True, "takes a number, not True"),
        ("count", "1", "takes a number, not '1'"),
        ("few", HUGE, "it must lie at or below 10"),
        ("few", -inf, "takes a whole number"),
        ("share", HUGE, "it must lie between 1e-06 and 1"),
        ("share", nan, "is nan; it must lie between 1e-06 and 1"),
        ("share", inf, "is inf; it must lie"),
        ("any_float", HUGE, "a number of about 400 digits, which is no number to compute with"),
        ("any_float", -inf, "'any_float' is -inf, .* give a finite one"),
        ("any_float", nan, "give a finite one"),
        ("any_float", [BEYOND_PRINTING], "takes a number, not a list"),
        ("names", "conv", "takes a list of names, not 'conv'"),
        ("names", [1], r"takes a list of names, not \[1\]"),
        ("mode", "tidy", "'mode' is 'tidy'; choose one of fast, slow"),
        ("mode", 3, "takes a text, not 3"),
        ("target", BEYOND_PRINTING, "takes a text, not a number of about 5000 digits"),
        ("target", None, "takes a text, not None"),
        ("colour", "red", "toy has no option 'colour'; it has count, few, share"),
    ],
    ids=in_short,
)
def test_what_is_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidOption, match=message) as caught:
        build(Settings, {name: value})
    assert caught.value.subject == name
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("name", "package", "contract"),
    [("value", "mho.values", Value), ("estimator", "mho.estimators", Estimator)],
)
def test_names_of_a_registry_are_the_keywords(
    name: str, package: str, contract: type[object]
) -> None:
    described = {entry.name: described for entry, described in options_of(Shapley)}[name]
    names = tuple(entries(package, contract))
    assert described.choices == names
    assert len(names) > 5
    assert not described.free
    for choice in described.choices:
        assert getattr(build(Shapley, {name: choice}), name) == choice
    message = f"{name} 'beauty' does not exist; choose one of {', '.join(names)}"
    with pytest.raises(InvalidOption, match=re.escape(message)) as caught:
        build(Shapley, {name: "beauty"})
    assert caught.value.subject == name


def test_choices_without_a_registry_are_those_declared() -> None:
    assert choices_of(Option(help="how", choices=("fast", "slow"))) == ("fast", "slow")
    assert all(not described.registry for _, described in options_of(Method))


def test_the_help_names_the_default_budget_of_ablation() -> None:
    """``method`` may not import the methods, so their constants are repeated in its text."""
    text = {entry.name: described.help for entry, described in options_of(GameMethod)}[
        "evaluations"
    ]
    assert f"{ablation._DEFAULT_POINTS} points a curve for ablation" in text
