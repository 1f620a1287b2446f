"""Derivative rules, by family; ``mho.graph.rule`` says what one is."""
