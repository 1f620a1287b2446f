"""What every interceptor does alike: a handler of the same kind with another behaviour."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc


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
