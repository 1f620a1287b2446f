"""Callers that are gone before their answer is sent: gRPC logs them as if the server had failed."""

from __future__ import annotations

import logging

_LOGGER = "grpc._cython.cygrpc"
_BATCH_FAILED = "ExecuteBatchError"
"""What gRPC raises, after a servicer has returned, where nothing can be written any more."""


class _Departure(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.exc_info[0] if record.exc_info else None
        return getattr(kind, "__name__", "") != _BATCH_FAILED


_departure = _Departure()


def leave_out_of_the_log() -> None:
    """Have gRPC log no traceback for them; the line of the call says what became of it."""
    logging.getLogger(_LOGGER).addFilter(_departure)  # the same filter again is not added
