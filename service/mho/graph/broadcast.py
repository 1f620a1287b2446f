"""The gradient of what was broadcast: the sum over the axes along which it was repeated."""

from __future__ import annotations

from collections.abc import Sequence

from mho.graph.term import Term


def unbroadcast(term: Term, value: Term, have: Sequence[int | str | None] | None) -> Term:
    """``term`` summed to the shape of ``value``.

    have: the shape of ``term`` as far as it is known, None where not even the rank is. What can't
    be told from the two shapes is found out when the graph is run.
    """
    want = value.dims
    if have is None or want is None:
        return _found_out(term, value)
    lead = len(have) - len(want)
    summed = list(range(lead))
    for axis, (ours, theirs) in enumerate(zip(want, have[lead:], strict=True), lead):
        if ours == theirs and ours is not None:
            continue
        if ours == 1:
            summed.append(axis)
        elif not isinstance(ours, int) and theirs != 1:
            return _found_out(term, value)
    term = term.sum(summed)
    return term.squeeze(list(range(lead))) if lead else term


def _found_out(term: Term, value: Term) -> Term:
    """The same where shapes are only known when the graph is run."""
    have, want = term.op("Shape"), value.op("Shape")
    lead = have.op("Size") - want.op("Size")
    one = want.integers([1])
    ones = one.expand(lead.reshape([1]))
    aligned = ones.concat(want, axis=0)
    broadcast = aligned.equals(one).op("And", have.equals(one).op("Not"))
    axes = broadcast.op("NonZero").reshape([-1])
    return term.sum(axes).reshape(want)
