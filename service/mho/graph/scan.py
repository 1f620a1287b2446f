"""A loop along the first axis: a Scan node whose body is written as a function of terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx_ir as ir

from mho.graph.emit import PREFIX, Emitter
from mho.graph.term import Term

Stepped = tuple[Sequence[Term], Sequence[Term]]
"""The new states, and what the step puts out."""
Step = Callable[..., Stepped]
"""Takes the states and one row of each sequence, one after the other.

A term of the outer graph may be used, though never as the first operand, which decides to which
graph a node is added.
"""


def scan(
    step: Step, states: Sequence[Term], *sequences: Term | None, backwards: bool = False
) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
    """The states after the last step, and what the steps put out, stacked along a first axis.

    states: before the first step. sequences: tensors with one row for each step, their first axis
    in common; where one is None, ``step`` gets None. backwards: the last row is taken first, and
    what a step puts out stands where its row does.
    """
    emit = states[0].emit
    given = [term for term in sequences if term is not None]
    entries = [_entry(emit, term) for term in (*states, *given)]
    body = ir.Graph(entries, [], nodes=[], name=emit.unique(f"{PREFIX}{emit.scope}/step"))
    inner = emit.inside(body)
    inside = iter([Term(inner, value) for value in entries])
    kept, put = step(
        *(next(inside) for _ in states),
        *(None if term is None else next(inside) for term in sequences),
    )
    for term in (*kept, *put):
        value = term.value
        if value in body.outputs or value in entries:  # a subgraph may not give a value twice
            value = inner.op("Identity", value)
        body.outputs.append(value)
    order = int(backwards)
    made = states[0].ops(
        "Scan",
        *states[1:],
        *given,
        outputs=len(kept) + len(put),
        body=body,
        num_scan_inputs=len(given),
        scan_input_directions=[order] * len(given),
        scan_output_directions=[order] * len(put),
    )
    return made[: len(kept)], made[len(kept) :]


def _entry(emit: Emitter, term: Term) -> ir.Value:
    """An input of the body, of the element type of ``term``."""
    name = emit.unique(f"{PREFIX}{emit.scope}/row")
    return ir.Value(name=name, type=ir.TensorType(term.dtype))
