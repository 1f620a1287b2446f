"""Fused operators, by family; ``mho.graph.fusion`` says what one is."""
