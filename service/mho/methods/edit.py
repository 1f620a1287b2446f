"""Edit: the model with chosen units removed for good, as an ONNX file of the result."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np

from mho.editing import EditedModel, ModelEditor
from mho.errors import InvalidOption, Unsupported
from mho.evaluation import CoalitionEvaluator
from mho.method import GAME_OPTIONS, GameMethod, Progress, option
from mho.players import GIVEN
from mho.results import Result
from mho.sampling.draws import stream
from mho.types import JSON, BoolArray, FloatArray, IntArray
from mho.value import chosen

_UNITS = re.compile(r"(.+):([0-9]{1,9})(?:-([0-9]{1,9}))?", re.DOTALL)


@dataclass(frozen=True)
class EditState:
    """removed: ``(players,)``, those that go. draws: ``(draws, players)``, as many at random.

    values: ``(2 + draws,)``, V of the whole model, without ``removed``, and without each draw.
    next_value: first not done. by_node: ``(layers,)``, where weights have failed and a node stands
    behind the layer. next_input: first of ``inputs`` not compared. deviation, scale: largest
    difference between the scores of the edited and the masked model, and largest score, over the
    inputs compared.
    """

    removed: BoolArray
    draws: BoolArray
    values: FloatArray
    next_value: int
    by_node: BoolArray
    inputs: int
    next_input: int
    deviation: float
    scale: float


@dataclass(frozen=True, kw_only=True)
class Edit(GameMethod[EditState]):
    """The model in which chosen units are constants for good, and V before and after.

    The units are named with ``remove``, or they are the ``count`` of lowest (or highest) ``scores``
    of another run. Each becomes its substitute in the weights of the operator that makes it, where
    that is exact: the model then has the nodes that it had, and costs nothing more. Elsewhere one
    node behind the layer replaces its units, and the result says why. The edited model's scores are
    compared with those of the masked one on every input; a layer whose weights fail gets the node.
    Beside V stands V without as many players drawn at random.
    """

    name: ClassVar[str] = "edit"
    summary: ClassVar[str] = (
        "the model without chosen units as an ONNX file, and V before and after"
    )
    needs: ClassVar[type[Any]] = ModelEditor
    makes_model: ClassVar[bool] = True
    uses: ClassVar[frozenset[str]] = GAME_OPTIONS | {"remove", "scores", "count", "end", "draws"}

    remove: tuple[str, ...] = option(
        (),
        "what to remove: units of a layer; with --groups names of groups, with --players layers "
        "names of layers",
        free=True,
        metavar="LAYER:UNIT|LAYER:A-B|NAME",
    )
    scores: str = option(
        "", "result of another run by whose scores units are chosen", file="scores"
    )
    count: int = option(10, "how many to remove by their scores", minimum=1)
    end: str = option(
        "bottom",
        "which to remove by their scores: the lowest, for repair, or the highest",
        choices=("bottom", "top"),
    )
    draws: int = option(10, "random draws of as many to compare with", minimum=1, maximum=1000)

    @property
    def named_layers(self) -> tuple[str, ...]:
        """InvalidOption where nothing, or what can't be read, is asked to be removed."""
        if bool(self.remove) == bool(self.scores):
            both = "--remove and --scores both say" if self.remove else "nothing says"
            raise InvalidOption(
                f"{both} which units go; name them with --remove, or give another run's --scores",
                subject="remove",
            )
        if self.layers or self._by_name:
            return self.layers
        return tuple(dict.fromkeys(_parsed(entry)[0] for entry in self.remove))

    @property
    def _by_name(self) -> bool:
        """Whether ``remove`` holds the players' own names."""
        return bool(self.groups) or self.players == "layers"

    def state_class(self) -> type[EditState]:
        return EditState

    def init(self, evaluator: CoalitionEvaluator) -> EditState:
        editor = cast(ModelEditor, evaluator)
        removed = self._chosen(evaluator)
        return EditState(
            removed=removed,
            draws=np.stack([self._drawn(removed, draw) for draw in range(self.draws)]),
            values=np.zeros(2 + self.draws),
            next_value=0,
            by_node=np.zeros(len(editor.layers), dtype=np.bool_),
            inputs=editor.inputs,
            next_input=0,
            deviation=0.0,
            scale=0.0,
        )

    def step(self, state: EditState, evaluator: CoalitionEvaluator) -> EditState:
        if state.next_value == len(state.values):
            return self._compared(state, cast(ModelEditor, evaluator))
        stop = min(len(state.values), state.next_value + evaluator.chunk)
        nobody = np.zeros_like(state.removed)
        gone = np.concatenate([np.stack([nobody, state.removed]), state.draws])
        values = state.values.copy()
        values[state.next_value : stop] = evaluator.values(~gone[state.next_value : stop])
        return replace(state, values=values, next_value=stop)

    def done(self, state: EditState) -> bool:
        return state.next_value == len(state.values) and state.next_input == state.inputs

    def progress(self, state: EditState) -> Progress:
        """The comparison runs two models over the inputs and counts as two coalitions."""
        message = ""
        if state.next_value == len(state.values):
            message = f"compared with the mask on {state.next_input} of {state.inputs} inputs"
        done = state.next_value + 2 * state.next_input / state.inputs
        return Progress(done, len(state.values) + 2, "coalitions", message)

    def result(self, state: EditState, evaluator: CoalitionEvaluator) -> Result:
        editor = cast(ModelEditor, evaluator)
        edited = editor.edit(state.removed, state.by_node)
        count, players = int(state.removed.sum()), len(editor.players)
        what = "groups" if self.groups else self.players
        return Result(
            estimand=(
                f"V = {chosen(self).words} before and after {count} of {players} {what} are "
                "removed for good"
            ),
            model=edited.files,
            evaluations={"coalitions": len(state.values)},
            report={
                "value": self.value,
                "players": players,
                "count": count,
                "chosen": "named" if self.remove else f"{self.end} of the scores",
                "removed": {entry.layer: list(entry.units) for entry in edited.layers},
                "v_full": float(state.values[0]),
                "v_edited": float(state.values[1]),
                "v_random": _spread(state.values[2:]),
                "edits": _edits(edited),
                "deviation": {
                    "largest": state.deviation,
                    "of": state.scale,
                    "tolerance": editor.tolerance,
                    "inputs": state.inputs,
                },
                "opset": edited.opset,
            },
            notes=(*edited.notes, *_notes(edited)),
        )

    def _compared(self, state: EditState, editor: ModelEditor) -> EditState:
        """Some more inputs compared; from the first on where weights have failed.

        Unsupported where even nodes give other scores.
        """
        stop = min(state.inputs, state.next_input + editor.rows)
        inputs: IntArray = np.arange(state.next_input, stop)
        found = editor.compare(state.removed, state.by_node, inputs)
        deviation, scale = max(state.deviation, found.deviation), max(state.scale, found.scale)
        if deviation <= editor.tolerance * scale:
            return replace(state, next_input=stop, deviation=deviation, scale=scale)
        if state.by_node.all():
            raise Unsupported(
                f"the edited model's scores differ from the masked model's by {deviation:.3g} (the "
                f"largest score is {scale:.3g}), whichever way the units are removed; a model that "
                "draws random numbers cannot be edited"
            )
        suspects = editor.suspects(state.removed, state.by_node, inputs)
        by_node = state.by_node | suspects if suspects.any() else np.ones_like(state.by_node)
        return replace(state, by_node=by_node, next_input=0, deviation=0.0, scale=0.0)

    def _chosen(self, evaluator: CoalitionEvaluator) -> BoolArray:
        """``(players,)``: those that go."""
        removed = np.zeros(len(evaluator.players), dtype=np.bool_)
        if self.remove:
            removed[self._named(evaluator)] = True
            return removed
        ranking = evaluator.rankings[GIVEN]
        if self.count > len(ranking):
            raise InvalidOption(
                f"count is {self.count}, but only {len(ranking)} players have scores; remove fewer",
                subject="count",
            )
        order = np.argsort(ranking if self.end == "bottom" else -ranking, kind="stable")
        removed[order[: self.count]] = True
        return removed

    def _named(self, evaluator: CoalitionEvaluator) -> list[int]:
        """The players that ``remove`` names; InvalidOption where one does not play."""
        if self._by_name:
            places = {player.name: place for place, player in enumerate(evaluator.players)}
            for name in self.remove:
                if name not in places:
                    raise _no_player(name, list(places))
            return [places[name] for name in self.remove]
        units = {
            (layer, unit): place
            for place, player in enumerate(evaluator.players)
            for layer, members in player.members.items()
            for unit in members
        }
        counts = {layer.name: layer.units for layer in evaluator.layers}
        found = []
        for entry in self.remove:
            layer, first, last = _parsed(entry)
            if layer not in counts:
                raise _no_player(layer, list(counts))
            if last >= counts[layer]:
                raise InvalidOption(
                    f"remove holds '{entry}', but layer '{layer}' has the units 0 to "
                    f"{counts[layer] - 1}",
                    subject="remove",
                )
            found += [units[layer, unit] for unit in range(first, last + 1)]
        return found

    def _drawn(self, removed: BoolArray, draw: int) -> BoolArray:
        """As many players as ``removed`` has, any of them."""
        gone = np.zeros_like(removed)
        gone[stream(self.seed, draw).permutation(len(removed))[: int(removed.sum())]] = True
        return gone


def _parsed(entry: str) -> tuple[str, int, int]:
    """Layer, first and last unit that ``LAYER:UNIT`` or ``LAYER:A-B`` names; else InvalidOption."""
    found = _UNITS.fullmatch(entry)
    first = int(found[2]) if found else 0
    last = int(found[3] or found[2]) if found else -1
    if found is None or last < first:
        raise InvalidOption(
            f"remove holds '{entry}'; units are named by layer and index, or first and last index, "
            "as in 'conv1/relu:12' and 'conv1/relu:4-7'",
            subject="remove",
        )
    return found[1], first, last


def _no_player(name: str, known: list[str]) -> InvalidOption:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or known[:3]
    return InvalidOption(
        f"remove names '{name}', which does not play; there are {len(known)} to choose from, such "
        f"as {', '.join(close)}",
        subject="remove",
    )


def _spread(values: FloatArray) -> dict[str, JSON]:
    return {
        "mean": float(values.mean()),
        "min": float(values.min()),
        "max": float(values.max()),
        "values": values.tolist(),
    }


def _edits(edited: EditedModel) -> list[JSON]:
    return [
        {
            "layer": entry.layer,
            "units": list(entry.units),
            "changed": list(entry.changed),
            "node": entry.node or None,
            "why": entry.why or None,
        }
        for entry in edited.layers
    ]


def _notes(edited: EditedModel) -> list[str]:
    return [
        f"{entry.layer}: a node of the edited model replaces the units, which takes some time in "
        f"every run, because weights cannot: {entry.why}"
        for entry in edited.layers
        if entry.node
    ]
