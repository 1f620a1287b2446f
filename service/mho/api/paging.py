"""Pages: of what the facade lists, and of lists that lie in memory.

No answer may grow beyond what clients accept by default (4 MiB), so a page holds fewer entries than
asked for where they are large.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from google.protobuf.message import Message

from mho.errors import InvalidOption, ResourceExhausted
from mho.jobs.paging import PageTokens

_Record = TypeVar("_Record")
_Message = TypeVar("_Message", bound=Message)

MOST_BYTES = 3 * 1024 * 1024
_DEFAULT = 1000
_LARGEST = 10_000


async def page(
    ask: Callable[[int], Awaitable[tuple[list[_Record], str]]],
    convert: Callable[[_Record], _Message],
    size: int,
) -> tuple[list[_Message], str]:
    """(messages, next token) of ``ask(page size)``, halved where they are too large."""
    while True:
        records, token = await ask(size)
        messages = [convert(record) for record in records]
        if sum(message.ByteSize() for message in messages) <= MOST_BYTES:
            return messages, token
        if len(messages) == 1:
            raise ResourceExhausted(
                f"one entry of the list is larger than {MOST_BYTES} bytes; read it by its parts",
                subject="page_size",
            )
        size = len(messages) // 2


def slice_of(
    entries: Sequence[_Record],
    convert: Callable[[_Record], _Message],
    size: int,
    token: str,
    tokens: PageTokens,
    scope: tuple[str, ...],
) -> tuple[list[_Message], str]:
    """(messages, next token) of a part of ``entries``, which never change; ``scope``: whose they
    are and which."""
    if size < 0:
        raise InvalidOption(
            f"page_size is {size}; give 0 for the default or a positive number",
            subject="page_size",
        )
    start = tokens.read(token, scope) or 0
    messages: list[_Message] = []
    spent = 0
    for entry in entries[start : start + min(size or _DEFAULT, _LARGEST)]:
        message = convert(entry)
        spent += message.ByteSize()
        if messages and spent > MOST_BYTES:
            break
        messages.append(message)
    end = start + len(messages)
    return messages, tokens.write(end, scope) if end < len(entries) else ""
