"""The derivative of Einsum: for each operand, another Einsum of the output's gradient and the other
operands, whose result has the operand's indices.

Only an ellipsis broadcasts; a letter names one dimension, as the operator's definition has it.
"""

from __future__ import annotations

import string
from collections.abc import Sequence

import onnx_ir as ir

from mho.graph.broadcast import unbroadcast
from mho.graph.flow import dims
from mho.graph.rule import Call, rule_each
from mho.graph.term import Term

_ELLIPSIS = "…"


def _terms(node: ir.Node) -> tuple[list[str], str]:
    """The indices of each operand and of the result, an ellipsis being one character."""
    text = node.attributes["equation"].as_string().replace(" ", "").replace("...", _ELLIPSIS)
    left, arrow, result = text.partition("->")
    if not arrow:
        once = (c for c in left if c not in ("," + _ELLIPSIS) and left.count(c) == 1)
        result = _ELLIPSIS * (_ELLIPSIS in left) + "".join(sorted(once))
    return left.split(","), result


def _spelled(node: ir.Node) -> tuple[list[str], str, str]:
    """``_terms`` with letters for the ellipsis, those of the last dimensions last; and all these
    letters."""
    terms, result = _terms(node)
    used = set("".join(terms))
    free = "".join(c for c in string.ascii_letters if c not in used)
    lengths = [
        len(dims(value) or ()) - len(term) + 1 if value is not None else 0
        for term, value in zip(terms, node.inputs, strict=True)
    ]
    longest = max(
        (n for n, term in zip(lengths, terms, strict=True) if _ELLIPSIS in term), default=0
    )
    letters = free[:longest]
    spelled = [
        term.replace(_ELLIPSIS, letters[longest - n :])
        for n, term in zip(lengths, terms, strict=True)
    ]
    return spelled, result.replace(_ELLIPSIS, letters), letters


def _refusal(node: ir.Node) -> str:
    terms, result = _terms(node)
    said = f"its equation '{node.attributes['equation'].as_string()}'"
    if len(terms) != len(node.inputs):
        return f"{said} does not fit its {len(node.inputs)} operands"
    if any(len(set(term)) < len(term) for term in terms):
        return f"{said} repeats an index within one operand"
    if _ELLIPSIS not in "".join(terms):
        return _broadcast_letter(node, terms, said)
    if _ELLIPSIS not in result:
        return f"{said} sums over an ellipsis"
    if any(value is None or dims(value) is None for value in node.inputs):
        return f"{said} has an ellipsis, and the rank of an operand is not known"
    spelled, _, letters = _spelled(node)
    return _broadcast_letter(node, spelled, said, but=letters)


def _broadcast_letter(node: ir.Node, terms: Sequence[str], said: str, but: str = "") -> str:
    """Refuses a letter that is a dimension of 1 in one operand and of more in another."""
    sizes: dict[str, set[int | str | None]] = {}
    for term, value in zip(terms, node.inputs, strict=True):
        for letter, size in zip(term, (value is not None and dims(value)) or (), strict=False):
            sizes.setdefault(letter, set()).add(size)
    wide = [c for c, found in sizes.items() if c not in but and 1 in found and len(found) > 1]
    return f"{said} broadcasts the index '{wide[0]}'" if wide else ""


def _operand(at: Call, position: int) -> Term:
    terms, result, letters = _spelled(at.node)
    own = terms[position]
    others = [i for i in range(len(terms)) if i != position]
    read = [result, *(terms[i] for i in others)]
    met = set("".join(read))
    made = "".join(letter for letter in own if letter in met)
    term = at.dy
    if read != [made]:
        equation = f"{','.join(read)}->{made}"
        term = term.op("Einsum", *(at.input(i) for i in others), equation=equation)
    x = at.input(position)
    if made != own:
        # an index that occurs nowhere else was summed over
        alone = [axis for axis, letter in enumerate(own) if letter not in met]
        term = term.unsqueeze(alone).expand(x.shape)
    if set(own).isdisjoint(letters) or x.dims is None:
        return term
    have = [
        _broadcast_size(at, terms, letter) if letter in letters else size
        for letter, size in zip(own, x.dims, strict=True)
    ]
    return unbroadcast(term, x, have)


def _broadcast_size(at: Call, terms: Sequence[str], letter: str) -> int | str | None:
    """A dimension of the ellipsis in the result; None where that is not known.

    The shape of the output does not tell it: where dimensions of two names meet, shape inference
    takes the first.
    """
    sizes = {
        (at.input(i).dims or ())[term.index(letter)]
        for i, term in enumerate(terms)
        if letter in term
    }
    more = [size for size in sizes if isinstance(size, int) and size != 1]
    if more:
        return more[0]
    return sizes.pop() if len(sizes) == 1 else None


rule_each("Einsum", _operand, refusal=_refusal)
