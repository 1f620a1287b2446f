"""Derivatives of operators that work element by element."""

from __future__ import annotations

from mho.graph.rule import rule, rule_each

# arithmetic

rule("Add", lambda at: at.dy, lambda at: at.dy, broadcasts=True)
rule("Sub", lambda at: at.dy, lambda at: -at.dy, broadcasts=True)
rule("Mul", lambda at: at.dy * at.b, lambda at: at.dy * at.a, broadcasts=True)
rule("Div", lambda at: at.dy / at.b, lambda at: -(at.dy * at.y / at.b), broadcasts=True)
rule_each("Sum", lambda at, _position: at.dy, broadcasts=True)

# activations

rule("Relu", lambda at: at.dy * (at.y > 0).cast(at.dy))
rule("Tanh", lambda at: at.dy * (1 - at.y * at.y))
rule("Sigmoid", lambda at: at.dy * at.y * (1 - at.y))

# functions

rule("Exp", lambda at: at.dy * at.y)
rule("Identity", lambda at: at.dy)
