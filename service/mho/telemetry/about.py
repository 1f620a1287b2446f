"""What is being worked on: the call, tenant, job and attempt that every record of the log carries.

Held in a context variable, so that each thread and each asyncio task has its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

_fields: ContextVar[Mapping[str, object]] = ContextVar("fields", default=MappingProxyType({}))


def fields() -> Mapping[str, object]:
    """What is known here and now, by name."""
    return _fields.get()


def note(**more: object) -> None:
    """Add to what is known, for the rest of this task or ``about`` block."""
    _fields.set({**_fields.get(), **more})


@contextmanager
def about(**more: object) -> Iterator[None]:
    """Add to what is known inside the block."""
    before = _fields.set({**_fields.get(), **more})
    try:
        yield
    finally:
        _fields.reset(before)
