"""Durable work: what a job is, where it is kept, and the processes that run it."""
