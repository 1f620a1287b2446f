"""What can go wrong, in the words of the domain; no transport is known here.

Every error is one clear sentence or two: it names the thing (node, tensor, field, file), says what
was found and what was expected, and ends with the remedy. ``reason`` is the stable machine-readable
name that clients may rest on; ``subject`` is the field, file or tensor at fault.
"""

from __future__ import annotations


class MhoError(Exception):
    """Base of all errors that mho raises on purpose."""

    reason = "INTERNAL"

    def __init__(
        self, message: str, *, subject: str = "", retry_seconds: float | None = None
    ) -> None:
        """retry_seconds: when it makes sense to try again, where trying again can help."""
        super().__init__(message)
        self.message = message
        self.subject = subject
        self.retry_seconds = retry_seconds


class InvalidModel(MhoError):
    """The bytes are no model that can be used: not ONNX, truncated, cyclic, over a limit…"""

    reason = "INVALID_MODEL"


class InvalidData(MhoError):
    """Inputs, labels, images, masks or attached files do not fit the model or are damaged."""

    reason = "INVALID_DATA"


class InvalidOption(MhoError):
    """An option is unknown, out of range, or does not fit the method, model or data."""

    reason = "INVALID_OPTION"


class UnknownLayer(MhoError):
    """A layer, unit, tensor or output name does not exist in the model."""

    reason = "UNKNOWN_LAYER"


class Unsupported(MhoError):
    """The request is well formed, but this model or installation cannot serve it."""

    reason = "UNSUPPORTED"


class TooExpensive(MhoError):
    """The estimated cost is beyond the limit and was not accepted beforehand."""

    reason = "TOO_EXPENSIVE"


class ResourceExhausted(MhoError):
    """A quota or a limit of memory, disk or size is reached."""

    reason = "RESOURCE_EXHAUSTED"


class Unauthenticated(MhoError):
    """The call carries no credential that is known and valid now."""

    reason = "UNAUTHENTICATED"


class PermissionDenied(MhoError):
    """The caller's role does not allow the call."""

    reason = "PERMISSION_DENIED"


class QuotaExceeded(MhoError):
    """A tenant uses what it may; ``subject`` is ``tenants/{tenant}/{what}``."""

    reason = "QUOTA_EXCEEDED"


class NotFound(MhoError):
    """The named resource does not exist (or is not the caller's)."""

    reason = "NOT_FOUND"


class AlreadyExists(MhoError):
    """The name or request id is taken by something else."""

    reason = "ALREADY_EXISTS"


class FailedPrecondition(MhoError):
    """The resource is not in a state that allows the call."""

    reason = "FAILED_PRECONDITION"


class Unavailable(MhoError):
    """The server is about to stop, or cannot serve just now; the same call helps soon."""

    reason = "UNAVAILABLE"


class Cancelled(MhoError):
    """The work was stopped on request."""

    reason = "CANCELLED"


class DeadlineExceeded(MhoError):
    """A job or a call had not ended by the time that it was given; the work was stopped."""

    reason = "DEADLINE_EXCEEDED"


class WorkerCrashed(MhoError):
    """A worker process died more often than the job may be tried."""

    reason = "WORKER_CRASHED"


def by_reason(reason: str) -> type[MhoError]:
    """The error class whose ``reason`` it is; ``MhoError`` for a reason unknown here."""
    pending: list[type[MhoError]] = [MhoError]
    while pending:
        kind = pending.pop()
        if kind.reason == reason:
            return kind
        pending.extend(kind.__subclasses__())
    return MhoError
