"""Derivatives of recurrent networks with respect to their input and their initial states.

The node gives the hidden states, so the gates of all steps are recomputed at once. What only the
step behind can know is left to a Scan from the last step to the first; every factor that does not
depend on a gradient is prepared for all steps outside of it.
"""

from __future__ import annotations

from collections.abc import Callable

from mho.graph.recurrence import Direction, directions, inputs_gradient, served, states_gradient
from mho.graph.rule import Call, rule_all
from mho.graph.scan import Stepped, scan
from mho.graph.term import Term

Backward = Callable[[Call, Direction], tuple[Term, tuple[Term, ...]]]
"""The gradient with respect to x·Wᵀ, ``(steps, batch, gates · units)``, and with respect to each
initial state, ``(batch, units)``."""

_RNN = ("Tanh",)
_GRU = ("Sigmoid", "Tanh")
_LSTM = ("Sigmoid", "Tanh", "Tanh")


@rule_all("RNN", 0, 5, refusal=served(*_RNN))
def _rnn(at: Call) -> dict[int, Term]:
    """h = f(x·Wᵀ + h₋·Rᵀ + b)."""
    return _gradients(at, _rnn_backward, _RNN)


@rule_all("GRU", 0, 5, refusal=served(*_GRU))
def _gru(at: Call) -> dict[int, Term]:
    """z, r = f(x·Wᵀ + h₋·Rᵀ + b); n = g(x·Wᵀ + (r·h₋)·Rᵀ + b), or g(x·Wᵀ + w + r·(h₋·Rᵀ + b)) with
    ``linear_before_reset``; h = (1−z)·n + z·h₋."""
    after = at.integer("linear_before_reset", 0)
    return _gradients(at, _gru_linear_first if after else _gru_reset_first, _GRU)


@rule_all("LSTM", 0, 5, 6, refusal=served(*_LSTM))
def _lstm(at: Call) -> dict[int, Term]:
    """i, o, f = f(x·Wᵀ + h₋·Rᵀ + b + p·c); n = g(x·Wᵀ + h₋·Rᵀ + b); c = f·c₋ + i·n; h = o·h(c).

    The peepholes p, if any, see c₋ in i and f, and c in o.
    """
    return _gradients(at, _lstm_backward, _LSTM)


def _gradients(at: Call, backward: Backward, defaults: tuple[str, ...]) -> dict[int, Term]:
    each = [backward(at, own) for own in directions(at, *defaults)]
    found = {}
    if 0 in at.wanted:
        found[0] = inputs_gradient(at, [inner for inner, _ in each])
    for place, position in enumerate((5, 6)):
        if position in at.wanted:
            found[position] = states_gradient(at, [states[place] for _, states in each])
    return found


def _rnn_backward(_at: Call, own: Direction) -> tuple[Term, tuple[Term, ...]]:
    slopes = own.masked(own.activations[0].slope(own.y))

    def step(dh: Term, slope: Term, dy: Term | None, rest: Term | None) -> Stepped:
        dh = _total(dh, dy)
        dz = dh * slope
        return [_passed(dz @ own.r, dh, rest)], [dz]

    states, (inner,) = _back(step, own, slopes, own.dy, own.rest)
    return inner, states


def _gru_linear_first(_at: Call, own: Direction) -> tuple[Term, tuple[Term, ...]]:
    f, g = own.activations
    before = own.before(own.y, own.initial[0])
    from_x, from_h = _linear(own.x, own.w, own.biases[:1]), _linear(before, own.r, own.biases[1:])
    (x_gates, x_new), (h_gates, h_new) = own.split(from_x, 2, 1), own.split(from_h, 2, 1)
    gates = f.apply(x_gates + h_gates)
    z, r = own.split(gates, 1, 1)
    z_slope, r_slope = own.split(f.slope(gates), 1, 1)
    new = g.apply(x_new + r * h_new)
    to_new = (1 - z) * g.slope(new)  # what reaches each of the sums, of dh
    to_gates = ((before - new) * z_slope).concat(to_new * h_new * r_slope, axis=-1)
    to_h = own.masked(to_gates.concat(to_new * r, axis=-1))

    def step(dh: Term, shares: Term, keep: Term, dy: Term | None) -> Stepped:
        dh = _total(dh, dy)
        back = (_repeated(dh, 3) * shares) @ own.r
        return [back + dh * keep], [dh]

    states, (dh,) = _back(step, own, to_h, own.kept(z), own.dy)
    return _repeated(dh, 3) * own.masked(to_gates.concat(to_new, axis=-1)), states


def _gru_reset_first(_at: Call, own: Direction) -> tuple[Term, tuple[Term, ...]]:
    f, g = own.activations
    before = own.before(own.y, own.initial[0])
    r_gates, r_new = own.split(own.r, 2, 1, axis=0)
    x_gates, x_new = own.split(_linear(own.x, own.w, own.biases), 2, 1)
    gates = f.apply(x_gates + _linear(before, r_gates))
    z, r = own.split(gates, 1, 1)
    z_slope, r_slope = own.split(f.slope(gates), 1, 1)
    new = g.apply(x_new + _linear(r * before, r_new))
    to_new = own.masked((1 - z) * g.slope(new))
    to_gates = own.masked(((before - new) * z_slope).concat(before * r_slope, axis=-1))

    def step(dh: Term, new: Term, gates: Term, keep: Term, r: Term, dy: Term | None) -> Stepped:
        dh = _total(dh, dy)
        dn = dh * new
        through = dn @ r_new  # to r·h₋
        dz = dh.concat(through, axis=-1) * gates
        back = dz @ r_gates + dh * keep + through * r
        return [back], [dz.concat(dn, axis=-1)]

    states, (inner,) = _back(step, own, to_new, to_gates, own.kept(z), r, own.dy)
    return inner, states


def _lstm_backward(_at: Call, own: Direction) -> tuple[Term, tuple[Term, ...]]:
    f, g, h = own.activations
    before = own.before(own.y, own.initial[0])
    sums = _linear(own.x, own.w, own.biases) + _linear(before, own.r)
    sums, new = own.split(sums, 3, 1)
    new = g.apply(new)
    gates, cells = _cells(own, sums, new)
    i, o, forget = own.split(gates, 1, 1, 1)
    cells_before = own.before(cells, own.initial[1])
    seen = h.apply(cells)
    slopes = f.slope(gates)
    to_gates = new.concat(seen, cells_before, axis=-1) * slopes  # of dc, dh and dc
    to_sums = own.masked(to_gates.concat(i * g.slope(new), axis=-1))
    to_cell, keep = o * h.slope(seen), forget
    if own.peepholes is not None:
        p_i, p_o, p_f = own.split(own.peepholes, 1, 1, 1)
        to_i, to_o, to_f = own.split(to_gates, 1, 1, 1)
        to_cell = to_cell + to_o * p_o
        keep = keep + to_i * p_i + to_f * p_f

    def step(
        dh: Term,
        dc: Term,
        shares: Term,
        to_cell: Term,
        keep: Term,
        dy: Term | None,
        rest: Term | None,
    ) -> Stepped:
        dh = _total(dh, dy)
        dc = dc + dh * to_cell
        dz = dc.concat(dh, dc, dc, axis=-1) * shares
        return [_passed(dz @ own.r, dh, rest), dc * keep], [dz]

    states, (inner,) = _back(
        step, own, to_sums, own.masked(to_cell), own.kept(keep), own.dy, own.rest
    )
    return inner, states


def _cells(own: Direction, sums: Term, new: Term) -> tuple[Term, Term]:
    """The gates i, o, f and the cell state of each step, which the node does not give."""
    f, start = own.activations[0], own.initial[1]

    def moved(c: Term, after: Term, valid: Term | None) -> Stepped:
        after = after if valid is None else c + (after - c) * valid
        return [after], [after]

    if own.peepholes is None:
        gates = f.apply(sums)
        i, _, forget = own.split(gates, 1, 1, 1)
        _, (cells,) = scan(
            lambda c, keep, add, valid: moved(c, c * keep + add, valid),
            [start],
            forget,
            i * new,
            own.valid,
            backwards=own.backwards,
        )
        return gates, cells
    p_i, p_o, p_f = own.split(own.peepholes, 1, 1, 1)
    s_i, s_o, s_f = own.split(sums, 1, 1, 1)

    def step(c: Term, s_i: Term, s_f: Term, new: Term, valid: Term | None) -> Stepped:
        after = f.apply(s_f + c * p_f) * c + f.apply(s_i + c * p_i) * new
        return moved(c, after, valid)

    _, (cells,) = scan(step, [start], s_i, s_f, new, own.valid, backwards=own.backwards)
    before = own.before(cells, start)
    full = (s_i + before * p_i).concat(s_o + cells * p_o, s_f + before * p_f, axis=-1)
    return f.apply(full), cells


def _back(
    step: Callable[..., Stepped], own: Direction, *sequences: Term | None
) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
    """Against the order of the steps: the gradients with respect to the initial states, and what
    the steps put out."""
    return scan(step, own.final, *sequences, backwards=not own.backwards)


def _linear(x: Term, weights: Term, biases: tuple[Term, ...] = ()) -> Term:
    total = x @ weights.transpose([1, 0])
    if not biases:
        return total
    return total + (biases[0] if len(biases) == 1 else biases[0] + biases[1])


def _repeated(term: Term, times: int) -> Term:
    return term.concat(*[term] * (times - 1), axis=-1)


def _total(dh: Term, dy: Term | None) -> Term:
    return dh if dy is None else dh + dy


def _passed(back: Term, dh: Term, rest: Term | None) -> Term:
    """``back``, and ``dh`` as it is behind the end of a sequence."""
    return back if rest is None else back + dh * rest
