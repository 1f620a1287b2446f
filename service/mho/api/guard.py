"""Wraps every call of the API, so that whatever is raised becomes a proper status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from mho.api.errors import abort, status_of
from mho.api.interception import with_behaviour

_Behaviour = Callable[[Any, Any], Awaitable[Any]]


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in stubs only
    """Turns exceptions of the servicers into statuses; calls of other services pass untouched.

    Servicers are coroutines throughout; those that stream use ``context.write``, so that cancelling
    a call unwinds them where they are.
    """

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any]]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        handler = await continuation(handler_call_details)
        call = handler_call_details.method
        if handler is None or not call.startswith("/mho."):
            return handler
        return with_behaviour(handler, lambda behaviour: _guarded(behaviour, call))


def _guarded(behaviour: _Behaviour, call: str) -> Any:
    async def guarded(request: Any, context: Any) -> Any:
        try:
            return await behaviour(request, context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 whatever it is, the caller gets a status
            await abort(context, status_of(error, call))

    return guarded
