"""Rows of ``tests/graph/test_vjp.py``, by family: ``CASES`` in each file."""
