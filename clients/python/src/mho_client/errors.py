"""What goes wrong, on the server or before anything was sent, as one exception."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_DETAILS = "grpc-status-details-bin"


@dataclass(frozen=True)
class FieldViolation:
    """Which field of the request is at fault, and why."""

    field: str
    description: str


class MhoClientError(Exception):
    """A call failed, or could not be made.

    code: the gRPC status by name, e.g. ``INVALID_ARGUMENT``. reason: stable and machine-readable,
    e.g. ``INVALID_OPTION``; empty where the server gave none (it was not reached). message: for
    people.
    subject: the option, file or resource at fault, where known. violations: fields at fault.
    incident: under which the server's log says more, for ``INTERNAL``.
    retry_seconds: after which the server would have the same call again; None where it named none.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        reason: str = "",
        subject: str = "",
        violations: tuple[FieldViolation, ...] = (),
        incident: str = "",
        retry_seconds: float | None = None,
    ) -> None:
        super().__init__(f"{message} [{reason or code}]")
        self.message = message
        self.code = code
        self.reason = reason
        self.subject = subject
        self.violations = violations
        self.incident = incident
        self.retry_seconds = retry_seconds


def invalid(message: str, subject: str, reason: str = "INVALID_OPTION") -> MhoClientError:
    """An error that is found before anything is sent, in the form the server would give it."""
    return MhoClientError(
        message,
        code="INVALID_ARGUMENT",
        reason=reason,
        subject=subject,
        violations=(FieldViolation(subject, message),),
    )


def unreadable(file: object, error: OSError) -> MhoClientError:
    """A local file that cannot be read."""
    return MhoClientError(
        f"the file '{file}' cannot be read: {error.strerror or error}",
        code="INVALID_ARGUMENT",
        reason="INVALID_DATA",
        subject=str(file),
    )


def from_rpc(error: grpc.RpcError, address: str) -> MhoClientError:
    """The exception for a failed call, with what the status's details say."""
    code = code_of(error)
    status = _status(error)
    if status is None:
        call: Any = error  # what gRPC raises is a Call as well, which its types cannot say
        text = str(call.details() or "") if hasattr(call, "details") else str(error)
        if code == grpc.StatusCode.UNAVAILABLE:
            text = f"the server at {address} cannot be reached ({text}); {_remedy(text)}"
        return MhoClientError(text, code=code.name)
    reason, subject, incident = "", "", ""
    violations: list[FieldViolation] = []
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo.FromString(detail.value)
            reason = info.reason
            subject = info.metadata.get("subject", "")
            incident = info.metadata.get("incident", "")
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            violations += [
                FieldViolation(violation.field, violation.description)
                for violation in error_details_pb2.BadRequest.FromString(
                    detail.value
                ).field_violations
            ]
    return MhoClientError(
        status.message,
        code=code.name,
        reason=reason,
        subject=subject,
        violations=tuple(violations),
        incident=incident,
        retry_seconds=retry_seconds(error),
    )


def retry_seconds(error: grpc.RpcError) -> float | None:
    """After how long the server says that the call may help; None where it does not say so."""
    status = _status(error)
    for detail in status.details if status is not None else ():
        if detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            delay = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
            return float(delay.ToMilliseconds() / 1000)
    return None


def _remedy(text: str) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "its certificate is not of an authority that was given (ca, --ca, MHO_CA)"
    if "handshake failed" in text or "Socket closed" in text:
        return (
            "one side takes TLS (ca, --ca, MHO_CA) and the other does not, or the server asks for "
            "a client's certificate (--cert and --key)"
        )
    return "is it running there?"


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    """The status of a failed call; UNKNOWN where it has none."""
    code = error.code() if hasattr(error, "code") else None
    return code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN


def _status(error: grpc.RpcError) -> status_pb2.Status | None:
    call: Any = error
    trailing = call.trailing_metadata() if hasattr(call, "trailing_metadata") else None
    for key, value in trailing or ():
        if key == _DETAILS:
            try:
                status = status_pb2.Status()
                status.ParseFromString(value)
            except DecodeError:
                return None
            return status
    return None
