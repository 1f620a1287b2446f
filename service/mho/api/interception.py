"""What interceptors do alike: which calls they see, and a handler of the same kind with another
behaviour."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

import grpc


class Interceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in stubs only
    """Base of those that see mho's own calls; health and reflection pass them untouched."""

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        call = handler_call_details.method
        if handler is None or not call.startswith("/mho."):
            return handler
        return self.intercepted(handler, call)

    @abstractmethod
    def intercepted(self, handler: Any, call: str) -> grpc.RpcMethodHandler[Any, Any]:
        """The handler of ``call`` with what the interceptor adds."""


def _as_it_is(deserialize: Any) -> Any:
    return deserialize


def with_behaviour(
    handler: Any, wrap: Callable[[Any], Any], reading: Callable[[Any], Any] = _as_it_is
) -> grpc.RpcMethodHandler[Any, Any]:
    """The handler, doing ``wrap(what it did)``, and reading requests by ``reading(what did)``."""
    make, behaviour = _parts(handler)
    made: grpc.RpcMethodHandler[Any, Any] = make(
        wrap(behaviour), reading(handler.request_deserializer), handler.response_serializer
    )
    return made


def _parts(handler: Any) -> tuple[Any, Any]:
    """What makes a handler of this kind, and what it does."""
    if handler.request_streaming and handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler, handler.stream_stream
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler, handler.stream_unary
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler, handler.unary_stream
    return grpc.unary_unary_rpc_method_handler, handler.unary_unary
