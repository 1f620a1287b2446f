"""A game among units, from options: who plays, what replaces them, on which inputs, and V."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mho.data import attachments
from mho.data.dataset import Dataset
from mho.method import GameMethod
from mho.players import GIVEN, GROUPS
from mho.runtime.adversary import attack_of, attacked
from mho.runtime.coalitions import MaskedCoalitions
from mho.runtime.given import ranking
from mho.runtime.judging import value_of
from mho.runtime.orders import Basis, rankings
from mho.runtime.problem import Problem
from mho.runtime.roster import roster
from mho.runtime.substitutes import substitutes
from mho.types import JSON, FloatArray
from mho.value import Needs, Value


@dataclass(frozen=True)
class Game:
    """facts: for the result's report. notes: for the reader."""

    evaluator: MaskedCoalitions
    facts: Mapping[str, JSON]
    notes: tuple[str, ...]


def game(
    method: GameMethod[object],
    problem: Problem,
    reference: Dataset | None,
    files: Mapping[str, Path],
    say: Callable[[str], None] = lambda _: None,
) -> Game:
    """The game of ``method``; ``problem.layers`` are those asked for, or all. ``say`` hears what is
    being done.

    Substitutes are taken from the inputs as they are given; V, and the orders of players that the
    method asks for, from what an attack makes of them. Errors name the option at fault: a value
    that needs labels, groups that overlap, a file that does not fit.
    """
    scores = attachments.scores(files["scores"]) if "scores" in files else None
    groups = attachments.groups(files["groups"]) if "groups" in files else None
    ranked = None if scores is None else set(scores) - {GROUPS}
    playing = roster(method, problem, ranked, groups)
    problem = playing.problem
    orders: dict[str, FloatArray] = {}
    if scores is not None:
        orders[GIVEN] = ranking(
            scores, playing.players, problem.layers, playing.alike, single=playing.single
        )
    value, known, about = value_of(method, problem)
    instead = substitutes(method, problem, reference, files.get("substitute"))
    facts, notes = dict(instead.facts), (*playing.notes, *instead.notes)
    attack = attack_of(method, value)
    if attack is not None:
        moved = attacked(problem, attack, say)
        facts, notes = facts | dict(moved.facts), (*notes, *moved.notes)
        problem = replace(problem, data=moved.data)
        value, known, about = value_of(method, problem)
    over = np.flatnonzero(value.weights(known)).astype(np.int64)
    basis = Basis(problem, over, known.judged, method.seed, say)
    further, how = rankings(getattr(method, "orders", ()), basis, playing.players)
    evaluator = MaskedCoalitions(
        problem,
        playing.players,
        instead.substitutes,
        value,
        known,
        orders | further,
    )
    return Game(evaluator, facts, (*notes, *about, *_attack_notes(method, value), *how))


def _attack_notes(method: GameMethod[object], value: Value) -> tuple[str, ...]:
    """Notes on options of the attack without meaning, and on what the attack changes of others."""
    defaults = {name: type(method).__dataclass_fields__[name].default for name in _OF_ATTACKS}
    idle = {"none": _OF_ATTACKS, "fgsm": ("attack_steps",), "pgd": ()}[method.attack]
    notes = [
        f"option '{name}' was set, but has no meaning for attack '{method.attack}'"
        for name in idle
        if getattr(method, name) != defaults[name]
    ]
    by_answers = Needs.LABELS not in value.needs and method.target == "argmax"
    if method.attack != "none" and by_answers and "target" in value.takes:
        notes.append("target 'argmax' is what the unchanged model answers to the attacked inputs")
    return tuple(notes)


_OF_ATTACKS = ("epsilon", "attack_steps")
