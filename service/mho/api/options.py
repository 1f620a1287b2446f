"""The typed ``MethodOptions`` of a job <-> a method's name and its options as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mho.api import schema
from mho.errors import InvalidOption
from mho.jobs.job import Attachment
from mho.method import Method, options_of
from mho.types import JSON
from mho_client.v1 import methods_pb2


def options_from(
    message: methods_pb2.MethodOptions, *, field: str = "spec.method"
) -> tuple[str, dict[str, JSON]]:
    """(method, those of its options that are set). InvalidOption where no method is chosen; it
    names ``field``.

    Whether the values, and the files attached to them, fit the method is for the facade to say.
    """
    chosen = message.WhichOneof("method")
    if chosen is None:
        raise InvalidOption(
            f"{field} is empty; choose one of {', '.join(_fields())}", subject=field
        )
    kind = _fields()[chosen]
    given = getattr(message, chosen)
    values = {entry.name: _value(given, entry.name) for entry, _ in options_of(kind)}
    return kind.name, {name: value for name, value in values.items() if value is not None}


def options_message(
    method: str, options: Mapping[str, JSON], attachments: Mapping[str, Attachment]
) -> methods_pb2.MethodOptions:
    """The message for a job that is kept; what the schema does not know any more is left out."""
    message = methods_pb2.MethodOptions()
    chosen = schema.field_name(method)
    if chosen not in message.DESCRIPTOR.fields_by_name:
        return message
    inner = getattr(message, chosen)
    inner.SetInParent()
    for name, value in options.items():
        if name in attachments or name not in inner.DESCRIPTOR.fields_by_name:
            continue
        if isinstance(value, (list, tuple)):
            getattr(inner, name).extend(value)
        else:
            setattr(inner, name, value)
    return message


def _fields() -> dict[str, type[Method[Any, Any]]]:
    """Field of ``MethodOptions`` -> method, for the methods that this server has."""
    known = methods_pb2.MethodOptions.DESCRIPTOR.fields_by_name
    return {
        field: kind
        for name, kind in schema.methods().items()
        if (field := schema.field_name(name)) in known
    }


def _value(message: Any, name: str) -> JSON:
    """What is set under ``name``; None where nothing is."""
    field = message.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        return None
    value = getattr(message, name)
    if field.is_repeated:
        return list(value) or None
    return value if message.HasField(name) else None
