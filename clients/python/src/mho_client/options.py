"""Keyword arguments -> what a job's spec says: the typed options of a method, and how it is run."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from os import PathLike
from typing import Any

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from mho_client.errors import invalid
from mho_client.resources import Method
from mho_client.v1 import jobs_pb2, methods_pb2


def method_message(
    method: str, options: Mapping[str, Any], catalogue: Sequence[Method]
) -> tuple[methods_pb2.MethodOptions, dict[str, tuple[str, Any]]]:
    """(the message, option -> (kind of file, what was given for it)).

    catalogue: the server's methods, which say what options take files. An option that is None is
    left to the server's default. MhoClientError names what there is where a method or an option is
    unknown, and what is wrong where a value has another type.
    """
    message = methods_pb2.MethodOptions()
    inner = _inner(message, method)
    inner.SetInParent()
    known = inner.DESCRIPTOR.fields_by_name
    described = {
        option.name: option
        for entry in catalogue
        if entry.name == method
        for option in entry.options
    }
    files: dict[str, tuple[str, Any]] = {}
    for name, value in options.items():
        if name not in known:
            raise invalid(
                f"{method} has no option '{name}'{_like(name, known)}; it has {', '.join(known)}",
                name,
            )
        if value is None:
            continue
        option = described.get(name)
        if option is not None and option.file and not _keyword(value, option.choices):
            files[name] = (option.file, value)
        else:
            _set(inner, name, value)
    return message, files


def priority_named(name: str) -> jobs_pb2.JobPriority:
    """``low``, ``normal`` or ``high`` as the API has it."""
    known = {
        "low": jobs_pb2.JOB_PRIORITY_LOW,
        "normal": jobs_pb2.JOB_PRIORITY_NORMAL,
        "high": jobs_pb2.JOB_PRIORITY_HIGH,
    }
    if name not in known:
        raise invalid(f"there is no priority '{name}'; there are {', '.join(known)}", "priority")
    return known[name]


def timestamp(deadline: datetime | timedelta) -> Timestamp:
    """A point in time that knows its zone, or one so long from now."""
    if isinstance(deadline, timedelta):
        deadline = datetime.now(UTC) + deadline
    elif deadline.tzinfo is None:
        raise invalid(
            f"the deadline {deadline.isoformat()} has no time zone; give one, as in "
            "datetime.now(UTC) + timedelta(hours=2), or the timedelta alone",
            "deadline",
        )
    message = Timestamp()
    message.FromDatetime(deadline)
    return message


def _inner(message: methods_pb2.MethodOptions, method: str) -> Any:
    known = message.DESCRIPTOR.fields_by_name
    if method not in known:
        raise invalid(
            f"there is no method '{method}'{_like(method, known)}; there are {', '.join(known)}",
            "method",
        )
    return getattr(message, method)


def _keyword(value: Any, choices: Sequence[str]) -> bool:
    return isinstance(value, str) and (value in choices or not value)


def _set(message: Any, name: str, value: Any) -> None:
    field = message.DESCRIPTOR.fields_by_name[name]
    try:
        if field.is_repeated:
            values = [value] if isinstance(value, str) else list(value)
            getattr(message, name).extend(values)
            return
        if isinstance(value, np.generic):
            value = value.item()
        if field.type == field.TYPE_STRING and isinstance(value, int):
            value = str(value)  # a class index, where a keyword could stand as well
        if isinstance(value, PathLike) or isinstance(value, bool) != (
            field.type == field.TYPE_BOOL
        ):
            raise TypeError
        setattr(message, name, value)
    except (TypeError, ValueError) as error:
        raise invalid(f"option '{name}' takes {_kind(field)}, not {value!r}", name) from error


def _kind(field: Any) -> str:
    if field.is_repeated:
        return "a list of names"
    return {
        field.TYPE_STRING: "a text",
        field.TYPE_INT64: "a whole number of 64 bits",
        field.TYPE_DOUBLE: "a number",
        field.TYPE_BOOL: "True or False",
    }.get(field.type, "another type")


def _like(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""
