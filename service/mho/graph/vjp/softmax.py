"""Derivatives of what is normalised along one axis to a distribution."""

from __future__ import annotations

from mho.graph.rule import Call, rule
from mho.graph.term import Term


def _softmax(at: Call) -> Term:
    axis = [at.integer("axis", -1)]
    return at.y * (at.dy - (at.dy * at.y).sum(axis))


def _log_softmax(at: Call) -> Term:
    axis = [at.integer("axis", -1)]
    return at.dy - at.y.op("Exp") * at.dy.sum(axis)


rule("Softmax", _softmax)
rule("LogSoftmax", _log_softmax)
