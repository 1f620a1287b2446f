"""Where in a request the thing lies that an error is about, as a path of its fields.

Domain errors name an option, a file, a kind of resource; clients want
``spec.method.conductance.tolerance``, ``model.files[2]``, ``spec.dataset``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message

_DEEPEST = 6
_INDEX = re.compile(r"\[[^\]]*\]")


def path_of(request: Message, subject: str) -> str:
    """The path of the field that ``subject`` names: a path already, the name of a field however
    deep (of a oneof only the member that is set), or that of an uploaded file.

    Where there is no such field, the message that was filled in (``spec``, ``model``…), or
    ``subject`` as it is.
    """
    if _exists(request, subject):
        return subject
    attached = getattr(getattr(request, "spec", None), "attachments", {})
    if subject in attached:
        return f"spec.attachments[{subject}]"
    for path, name, _ in _walk(request):
        if name == subject:
            return path
    for path, name, value in _walk(request):
        if name == "name" and value == subject and "." in path:
            return path.rsplit(".", 1)[0]
    for name, field in request.DESCRIPTOR.fields_by_name.items():
        if field.message_type is not None and not field.is_repeated:
            return str(name)
    return subject


def resource_of(request: Message, kind: str) -> str:
    """The name of the ``kind`` of resource (``model``, ``dataset``, ``job``) that the request
    speaks of; empty where it speaks of none."""
    form = re.compile(rf"tenants/[^/]+/{re.escape(kind)}s/[^/]+(/.*)?")
    for _, _, value in _walk(request):
        if isinstance(value, str) and form.fullmatch(value):
            return value
    return ""


def _exists(request: Message, path: str) -> bool:
    descriptor: Any = request.DESCRIPTOR  # protobuf has two classes of them
    for name in _INDEX.sub("", path).split("."):
        field = None if descriptor is None else descriptor.fields_by_name.get(name)
        if field is None:
            return False
        descriptor = field.message_type
    return True


def _walk(request: Message) -> Iterator[tuple[str, str, object]]:
    """(path, name, value) of every field, the outer ones before the inner ones."""
    pending: list[tuple[str, Message, int]] = [("", request, 0)]
    while pending:
        prefix, message, depth = pending.pop(0)
        for name, field in message.DESCRIPTOR.fields_by_name.items():
            oneof = field.containing_oneof
            if oneof is not None and message.WhichOneof(oneof.name) not in (name, None):
                continue
            path, value = f"{prefix}{name}", getattr(message, name)
            yield path, name, value
            if field.message_type is None or depth >= _DEEPEST or _is_map(field):
                continue
            if field.is_repeated:
                pending += [(f"{path}[{n}].", entry, depth + 1) for n, entry in enumerate(value)]
            else:
                pending.append((f"{path}.", value, depth + 1))


def _is_map(field: Any) -> bool:
    return bool(field.message_type is not None and field.message_type.GetOptions().map_entry)
