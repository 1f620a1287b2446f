"""Wraps every call of the API, so that whatever is sent or raised becomes a proper status."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from mho.api.errors import abort, status_of
from mho.api.interception import Interceptor, with_behaviour
from mho.errors import InvalidOption

_Behaviour = Callable[[Any, Any], Awaitable[Any]]


class _Unreadable:
    """Stands for a request whose bytes are no message. gRPC itself would answer INTERNAL."""


class Guard(Interceptor):
    """Turns exceptions of the servicers into statuses.

    Servicers are coroutines throughout; those that stream use ``context.write``, so that cancelling
    a call unwinds them where they are.
    """

    def intercepted(self, handler: Any, call: str) -> grpc.RpcMethodHandler[Any, Any]:
        return with_behaviour(
            handler,
            lambda behaviour: _guarded(behaviour, call, streaming=handler.request_streaming),
            reading=_reading,
        )


def _reading(deserialize: Any) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError:
            return _Unreadable()

    return read


def _guarded(behaviour: _Behaviour, call: str, *, streaming: bool) -> Any:
    async def guarded(request: Any, context: Any) -> Any:
        given = _readable_ones(request) if streaming else request
        try:
            return await behaviour(given if streaming else _readable(given), context)
        except grpc.aio.AbortError:
            raise
        except grpc.aio.InternalError as error:
            # Nothing can be written: the caller is gone, and gRPC has not noticed yet.
            raise asyncio.CancelledError from error
        except Exception as error:  # noqa: BLE001 whatever it is, the caller gets a status
            known = request if isinstance(request, Message) else _empty(call)
            await abort(context, status_of(error, call, known))

    return guarded


def _readable(request: Any) -> Any:
    if isinstance(request, _Unreadable):
        raise InvalidOption(
            "the request is no message of the type that this call takes, or a text in it is not "
            "UTF-8; generate the client anew from the server's .proto files"
        )
    return request


async def _readable_ones(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _readable(request)


def _empty(call: str) -> Message:
    """A request of the call's type in which nothing is set."""
    found: Any = descriptor_pool.Default().FindMethodByName(call[1:].replace("/", "."))
    empty: Message = message_factory.GetMessageClass(found.input_type)()
    return empty
