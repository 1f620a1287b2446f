"""Masks in the blocked layout: used where they are right, given up where they are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from mho.errors import InvalidModel
from mho.graph.mask import mask_input, masked
from mho.graph.model import Model
from mho.graph.target import SCORES
from mho.runtime import masked_part
from mho.runtime.masked_part import MaskedPart
from mho.runtime.problem import Problem
from mho.runtime.session import OutOfMemory, Session
from runtime.masked_nets import NETS, assert_alike, drawn, means, pairs, row_by_row

ROWS = 10


def part(made: Problem) -> MaskedPart:
    return MaskedPart(made, made.model, made.layers, means(made))


def scores(found: MaskedPart, made: Problem, masks: Mapping[str, np.ndarray]) -> np.ndarray:
    coalition, sample = (rows[:ROWS] for rows in pairs(made))

    def feeds(a: int, b: int) -> dict[str, np.ndarray]:
        fed = {name: array[sample[a:b]] for name, array in made.data.inputs.items()}
        return fed | {mask_input(name): mask[coalition[a:b]] for name, mask in masks.items()}

    batches = list(found.run(ROWS, feeds))
    assert [a for a, _, _ in batches] == [0, *(b for _, b, _ in batches[:-1])]
    return np.concatenate([outputs[SCORES] for _, _, outputs in batches])


def expected(made: Problem, masks: Mapping[str, np.ndarray]) -> np.ndarray:
    coalition, sample = (rows[:ROWS] for rows in pairs(made))
    return row_by_row(made, means(made), masks, coalition, sample)


def uses_blocks() -> bool:
    made = NETS["cnn"].problem()
    found = part(made)
    scores(found, made, drawn(made, "random"))
    return found.blocked_rows > 0


needs_blocks = pytest.mark.skipif(
    not uses_blocks(), reason="onnxruntime has no blocked layout on this processor"
)


@needs_blocks
@pytest.mark.parametrize(("threads", "rows"), [(1, 4), (2, 4), (5, 10)])
def test_batches_are_small_and_filled_up(threads: int, rows: int) -> None:
    made = NETS["residual"].problem(threads=threads)
    masks, found = drawn(made, "random"), part(made)
    assert_alike(scores(found, made, masks), expected(made, masks))
    assert found.blocked_rows == rows


@pytest.mark.parametrize("name", ["tokens"])
def test_what_is_no_image_is_masked_plainly(name: str) -> None:
    made = NETS[name].problem()
    found = part(made)
    scores(found, made, drawn(made, "random"))
    assert found.blocked_rows == 0


@needs_blocks
def test_a_layout_that_gives_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a later onnxruntime kept channels in another order."""

    def mistaken(optimised: Model, layers: Sequence[object], rows: int) -> Model:
        made = opened(optimised, layers, rows)  # type: ignore[arg-type]

        def rewrite(copy: object) -> None:
            for node in copy.graph:  # type: ignore[attr-defined]
                if node.op_type == "Sub":
                    first, second = node.inputs
                    node.replace_input_with(0, second)
                    node.replace_input_with(1, first)

        return made.rewritten(rewrite)

    opened = masked_part.opened
    monkeypatch.setattr(masked_part, "opened", mistaken)
    made = NETS["cnn"].problem()
    masks, found = drawn(made, "random"), part(made)
    assert_alike(scores(found, made, masks), expected(made, masks))
    assert found.blocked_rows == 0


@needs_blocks
def test_a_graph_that_onnxruntime_will_not_take_is_masked_plainly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object) -> Model:
        raise InvalidModel("onnxruntime cannot load the model")

    monkeypatch.setattr(masked_part, "opened", refused)
    made = NETS["cnn"].problem()
    masks, found = drawn(made, "random"), part(made)
    assert_alike(scores(found, made, masks), expected(made, masks))
    assert found.blocked_rows == 0


@needs_blocks
def test_batches_are_halved_when_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    made = NETS["cnn"].problem(threads=2)
    masks, found = drawn(made, "random"), part(made)
    wanted = expected(made, masks)
    scores(found, made, masks)
    run, most = Session.run, 1

    def limited(
        self: Session, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        if len(feeds["x"]) > most:
            raise OutOfMemory("a batch does not fit into memory")
        return run(self, feeds, outputs)

    monkeypatch.setattr(Session, "run", limited)
    assert_alike(scores(found, made, masks), wanted)
    assert found.blocked_rows == 1


def test_layers_that_can_not_be_blocked_are_masked_beside_those_that_are() -> None:
    """``b`` has substitutes of its positions."""
    made = NETS["residual"].problem()
    substitutes = means(made) | {"b": means(made, per_position=True)["b"]}
    masks = drawn(made, "fractions")
    found = MaskedPart(made, made.model, made.layers, substitutes)
    coalition, sample = (rows[:ROWS] for rows in pairs(made))
    assert_alike(
        scores(found, made, masks), row_by_row(made, substitutes, masks, coalition, sample)
    )


def test_no_rows() -> None:
    made = NETS["cnn"].problem()
    assert list(part(made).run(0, lambda a, b: {})) == []


def test_without_layers_it_is_the_model() -> None:
    made = NETS["cnn"].problem()
    found = MaskedPart(made, made.model, (), {})
    ((_, _, outputs),) = found.run(3, lambda a, b: made.data.inputs)
    expected = made.sessions.get(masked(made.model, ())).run(made.data.inputs)
    np.testing.assert_array_equal(outputs[SCORES], expected[SCORES])
