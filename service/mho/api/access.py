"""The outermost of the interceptors: accounts for every call, whatever comes of it.

A call is a line in the log, and everything that is logged on its behalf carries its name.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from mho.api.interception import with_behaviour
from mho.telemetry import metrics, spans
from mho.telemetry.about import fields, note

_HEALTH = "grpc.health.v1.Health/"

_log = logging.getLogger("mho.access")


class Access(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in stubs only
    """Calls of every service pass; servicers are coroutines or asynchronous generators."""

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        call = handler_call_details.method.removeprefix("/")
        handler = await continuation(handler_call_details)
        if handler is None:
            _log.info("a call that is not served: %r", call[:200])
            metrics.CALLS.labels("unknown", "UNIMPLEMENTED", "").inc()
            return handler
        return with_behaviour(handler, lambda behaviour: _accounted(behaviour, call))


def _accounted(behaviour: Any, call: str) -> Any:
    async def answered(request: Any, context: Any) -> Any:
        with _account(call, context):
            return await behaviour(request, context)

    async def streamed(request: Any, context: Any) -> AsyncIterator[Any]:
        with _account(call, context):
            async for answer in behaviour(request, context):
                yield answer

    return streamed if inspect.isasyncgenfunction(behaviour) else answered


@contextmanager
def _account(call: str, context: Any) -> Iterator[None]:
    # gRPC gives every call a task of its own, so that nothing has to be taken back.
    note(call=call)
    span = spans.begin_call(call, _traceparent(context))
    began = time.monotonic()
    status = "UNKNOWN"
    under_way = metrics.OPEN_CALLS.labels(call)
    under_way.inc()
    try:
        yield
        status = "OK"
    except (asyncio.CancelledError, GeneratorExit):
        status = "CANCELLED"
        raise
    finally:
        under_way.dec()
        if status == "UNKNOWN":
            status = _status(context)
        spans.end_call(span, status)
        _tell(call, status, time.monotonic() - began, context)


def _traceparent(context: Any) -> str:
    """The trace that the caller says it is in."""
    told = [value for key, value in context.invocation_metadata() or () if key == "traceparent"]
    return str(told[0]) if len(told) == 1 else ""


def _status(context: Any) -> str:
    """The status with which a servicer ended the call."""
    code = context.code()
    if isinstance(code, grpc.StatusCode):
        return code.name
    named = {each.value[0]: each.name for each in grpc.StatusCode}
    return named.get(code, "UNKNOWN") if code else "UNKNOWN"


def _tell(call: str, status: str, seconds: float, context: Any) -> None:
    metrics.CALLS.labels(call, status, metrics.of(str(fields().get("tenant", "")))).inc()
    metrics.CALL_TIME.labels(call).observe(seconds)
    told = {"status": status, "ms": round(seconds * 1000, 1), "peer": context.peer()}
    level = logging.DEBUG if call.startswith(_HEALTH) else logging.INFO
    known = {name: value for name, value in fields().items() if name not in told}
    _log.log(level, "call ended", extra=known | told)
