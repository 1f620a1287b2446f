"""Domain errors -> ``google.rpc.Status``: a code, a sentence, and details that programs can read.

Every status carries ``ErrorInfo`` (``reason`` as in ``mho.errors``, domain ``mho``); beside it, as
fits the code, ``BadRequest`` with the path of the field at fault, ``ResourceInfo``,
``PreconditionFailure`` or ``QuotaFailure``, and ``RetryInfo`` where the same call can help later.
An exception that is no domain error becomes INTERNAL with a random incident number under which the
log has the rest; nothing else of it leaves the server.
"""

from __future__ import annotations

import logging
import secrets
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from mho.api.fields import path_of, resource_of
from mho.errors import MhoError
from mho.telemetry import metrics

DOMAIN = "mho"
DETAILS = "grpc-status-details-bin"
"""Under this key of the trailing metadata clients find the serialized status."""

CODES = {
    "INVALID_MODEL": code_pb2.INVALID_ARGUMENT,
    "INVALID_DATA": code_pb2.INVALID_ARGUMENT,
    "INVALID_OPTION": code_pb2.INVALID_ARGUMENT,
    "UNKNOWN_LAYER": code_pb2.INVALID_ARGUMENT,
    "UNSUPPORTED": code_pb2.FAILED_PRECONDITION,
    "TOO_EXPENSIVE": code_pb2.FAILED_PRECONDITION,
    "FAILED_PRECONDITION": code_pb2.FAILED_PRECONDITION,
    "UNAVAILABLE": code_pb2.UNAVAILABLE,
    "RESOURCE_EXHAUSTED": code_pb2.RESOURCE_EXHAUSTED,
    "QUOTA_EXCEEDED": code_pb2.RESOURCE_EXHAUSTED,
    "UNAUTHENTICATED": code_pb2.UNAUTHENTICATED,
    "PERMISSION_DENIED": code_pb2.PERMISSION_DENIED,
    "NOT_FOUND": code_pb2.NOT_FOUND,
    "ALREADY_EXISTS": code_pb2.ALREADY_EXISTS,
    "DEADLINE_EXCEEDED": code_pb2.DEADLINE_EXCEEDED,
    "CANCELLED": code_pb2.CANCELLED,
    "WORKER_CRASHED": code_pb2.ABORTED,
}
"""Reason of a domain error -> the status of a call that fails for it."""

# The status travels in the trailing metadata, of which clients accept 8 KiB by default. The
# sentence is in it three times: once percent-encoded, which makes up to three of each byte, and
# twice in base64.
_MOST_BYTES = 1000
_MOST_SUBJECT_BYTES = 200

_log = logging.getLogger("mho.api")


def status_of(
    error: Exception, call: str = "", request: Message | None = None
) -> status_pb2.Status:
    """The status by which a caller learns of ``error``; ``call`` is for the log, and in ``request``
    the field at fault is looked for."""
    if not isinstance(error, MhoError) or error.reason not in CODES:
        metrics.REFUSED.labels("INTERNAL").inc()
        return _internal(error, call)
    metrics.REFUSED.labels(error.reason).inc()
    code = CODES[error.reason]
    message = _shortened(error.message, _MOST_BYTES)
    subject = _shortened(error.subject, _MOST_SUBJECT_BYTES)
    status = status_pb2.Status(code=code, message=message)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    if subject:
        info.metadata["subject"] = subject
    status.details.add().Pack(info)
    detail = _detail(code, error.reason, subject, message, request)
    if detail is not None:
        status.details.add().Pack(detail)
    if error.retry_seconds is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(round(error.retry_seconds * 1000))
        status.details.add().Pack(retry)
    return status


async def abort(
    context: grpc.aio.ServicerContext[Message, Message], status: status_pb2.Status
) -> None:
    """End the call with ``status``; raises, as ``context.abort`` does."""
    await context.abort(
        _grpc_code(status.code),
        status.message,
        ((DETAILS, status.SerializeToString()),),
    )


def _internal(error: Exception, call: str) -> status_pb2.Status:
    incident = secrets.token_hex(8)
    _log.error(
        "%s failed, incident %s", call or "a call", incident, exc_info=error,
        extra={"incident": incident, "call": call},
    )  # fmt: skip
    status = status_pb2.Status(
        code=code_pb2.INTERNAL,
        message=f"the server failed at this call; its log says more under incident {incident}",
    )
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(
            reason="INTERNAL", domain=DOMAIN, metadata={"incident": incident}
        )
    )
    return status


def _detail(code: int, reason: str, subject: str, message: str, request: Message | None) -> Any:
    """The detail that fits the code; None where none does."""
    if code == code_pb2.INVALID_ARGUMENT and subject:
        path = subject if request is None else path_of(request, subject)
        return error_details_pb2.BadRequest(
            field_violations=[
                error_details_pb2.BadRequest.FieldViolation(
                    field=_shortened(path, _MOST_SUBJECT_BYTES),
                    description=message,
                    reason=reason,
                )
            ]
        )
    if code in (code_pb2.NOT_FOUND, code_pb2.ALREADY_EXISTS):
        name = "" if request is None else resource_of(request, subject)
        return error_details_pb2.ResourceInfo(
            resource_type=subject,
            resource_name=_shortened(name, _MOST_SUBJECT_BYTES),
            description=message,
        )
    if code == code_pb2.FAILED_PRECONDITION:
        return error_details_pb2.PreconditionFailure(
            violations=[
                error_details_pb2.PreconditionFailure.Violation(
                    type=reason, subject=subject, description=message
                )
            ]
        )
    if code == code_pb2.RESOURCE_EXHAUSTED:
        return error_details_pb2.QuotaFailure(
            violations=[
                error_details_pb2.QuotaFailure.Violation(subject=subject, description=message)
            ]
        )
    return None


def _shortened(text: str, most: int) -> str:
    """``text`` in at most ``most`` bytes of UTF-8, with an ellipsis where it was cut."""
    data = text.encode("utf-8", "replace")
    if len(data) <= most:
        return data.decode("utf-8")
    return data[: most - 3].decode("utf-8", "ignore") + "…"


def _grpc_code(number: int) -> grpc.StatusCode:
    return next(code for code in grpc.StatusCode if code.value[0] == number)
