"""Hypothesis strategies for any protobuf message, from its descriptor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message
from hypothesis import strategies as st

MOST_REPEATED = 5
DEEPEST = 5

HOSTILE_TEXT = (
    *(
        "",
        " ",
        ".",
        "..",
        "/",
        "\\",
        "\0",
        "a\0b",
        "\n",
        "%s%n",
        "'; DROP TABLE jobs;--",
        "${HOME}",
    ),
    *(
        "../../etc/passwd",
        "/etc/passwd",
        "file:///etc/passwd",
        "C:\\x",
        "a/../b",
        "a//b",
        "*",
        "[",
        "**",
    ),
    *("Ä", "\u202e", "\ufeff", "\U0001f600", "ﬀ", "é", "e\u0301", "A" * 300, "x/" * 200, "0" * 64),
    *(
        "nan",
        "-1",
        "1e999",
        "9" * 40,
        "argmax",
        "label",
        "true",
        "null",
        "{}",
        "[" * 200,
        "a: &a [*a]",
    ),
    *("tenants/default", "tenants/", "tenants/other/models/x", "tenants/default/models/"),
    *("tenants/default/jobs/..", "tenants/default/jobs/x/artifacts/../../page-key"),
)
NUMBERS = (0, 1, -1, 2, 3, 7, 64, 127, 255, 256, 1000, 65536, 2**20)
_RANGES = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
_FLOATS = (0.0, -0.0, 1.0, 0.5, -1.0, 1e-300, 1e300, float("nan"), float("inf"), float("-inf"))


@dataclass(frozen=True)
class Pool:
    """What is known to mean something: texts by the name of their field, and for all fields."""

    by_field: Mapping[str, Sequence[str]] = field(default_factory=dict)
    texts: Sequence[str] = ("x",)
    blobs: Sequence[bytes] = (b"",)


def kind_of(descriptor: Any) -> str:
    """The type of a field, as .proto files name it; "message", "enum" among them."""
    return _TYPES[descriptor.type]


_WORDS = """
    double float int64 uint64 int32 uint64 uint32 bool string message message bytes uint32 enum
    int32 int64 int32 int64
"""
_TYPES = dict(enumerate(_WORDS.split(), 1))
"""By the numbers of ``FieldDescriptor.TYPE_…``; types that differ on the wire alone are one."""


@st.composite
def mutated(draw: st.DrawFn, seed: Message, pool: Pool, rounds: int = 4) -> Any:
    """A copy of ``seed`` in which up to ``rounds`` fields, anywhere, are redrawn or removed."""
    message = type(seed)()
    message.CopyFrom(seed)
    for _ in range(draw(st.integers(0, rounds))):
        _mutate(draw, message, pool, 0)
    return message


@st.composite
def drawn(draw: st.DrawFn, kind: type[Any], pool: Pool) -> Any:
    """A message drawn from its descriptor alone: any field may be set or not."""
    message = kind()
    _fill(draw, message, pool, 0)
    return message


@st.composite
def wire(draw: st.DrawFn, messages: st.SearchStrategy[Any]) -> bytes:
    """Messages as bytes; some with unknown fields, some that are none any more."""
    data = bytearray(draw(messages).SerializeToString())
    how = draw(st.sampled_from(("as it is", "as it is", "as it is", "unknown", "cut", "flipped")))
    if how == "unknown":
        data += draw(st.sampled_from((b"\xf8\x7f\x01", b"\x9a\x7f\x03abc", b"\x9b\x7f\x9c\x7f")))
    elif how == "cut" and data:
        del data[draw(st.integers(0, len(data) - 1)) :]
    elif how == "flipped" and data:
        data[draw(st.integers(0, len(data) - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


def _fill(draw: st.DrawFn, message: Message, pool: Pool, depth: int) -> None:
    chosen: dict[str, str] = {}
    for oneof in message.DESCRIPTOR.oneofs:
        names = [entry.name for entry in oneof.fields]
        if len(names) > 1:
            chosen[oneof.name] = draw(st.sampled_from((*names, "")))
    for entry in message.DESCRIPTOR.fields:
        oneof = entry.containing_oneof
        if oneof is not None and oneof.name in chosen:
            if chosen[oneof.name] == entry.name:
                _set(draw, message, entry, pool, depth)
        elif draw(st.booleans()):
            _set(draw, message, entry, pool, depth)


def _mutate(draw: st.DrawFn, message: Any, pool: Pool, depth: int) -> None:
    """One change, in the message itself or in one that it holds."""
    held = [
        value
        for entry, value in message.ListFields()
        if entry.message_type is not None and not is_map(entry)
    ]
    if held and depth < 12 and draw(st.integers(0, 9)) < 8:
        inner = draw(st.sampled_from(range(len(held))))
        value = held[inner]
        if isinstance(value, Message):
            return _mutate(draw, value, pool, depth + 1)
        if draw(st.integers(0, 9)) < 8:
            return _mutate(draw, value[draw(st.integers(0, len(value) - 1))], pool, depth + 1)
    there = [entry for entry, _ in message.ListFields()]
    fields = there if there and draw(st.integers(0, 3)) else list(message.DESCRIPTOR.fields)
    if not fields:
        return None
    entry = fields[draw(st.integers(0, len(fields) - 1))]
    how = draw(st.sampled_from(("redrawn", "redrawn", "removed", "doubled", "shuffled")))
    value = getattr(message, entry.name)
    if how == "removed" and entry.is_repeated and len(value) and not is_map(entry):
        del value[draw(st.integers(0, len(value) - 1))]
    elif how == "removed":
        message.ClearField(entry.name)
    elif how == "doubled" and entry.is_repeated and len(value) and not is_map(entry):
        value.extend([value[draw(st.integers(0, len(value) - 1))]])
    elif how == "shuffled" and entry.is_repeated and 1 < len(value) < 100 and not is_map(entry):
        order = draw(st.permutations(range(len(value))))
        copies = [value[place] for place in order]
        if entry.message_type is not None:
            copies = [type(each).FromString(each.SerializeToString()) for each in copies]
        del value[:]
        value.extend(copies)
    else:
        _set(draw, message, entry, pool, depth)
    return None


def _set(draw: st.DrawFn, message: Any, entry: Any, pool: Pool, depth: int) -> None:
    if is_map(entry):
        keys, values = entry.message_type.fields
        for _ in range(draw(st.integers(0, 2))):
            key = draw(_scalar(keys, pool, entry.name))
            if values.message_type is None:
                getattr(message, entry.name)[key] = draw(_scalar(values, pool, entry.name))
            elif depth < DEEPEST:
                _fill(draw, getattr(message, entry.name)[key], pool, depth + 1)
    elif entry.is_repeated:
        value = getattr(message, entry.name)
        if entry.message_type is None and len(value) and draw(st.booleans()):
            value[draw(st.integers(0, len(value) - 1))] = draw(_scalar(entry, pool, entry.name))
            return
        message.ClearField(entry.name)
        for _ in range(draw(st.integers(0, MOST_REPEATED))):
            if entry.message_type is None:
                getattr(message, entry.name).append(draw(_scalar(entry, pool, entry.name)))
            elif depth < DEEPEST:
                _fill(draw, getattr(message, entry.name).add(), pool, depth + 1)
    elif entry.message_type is not None:
        if depth < DEEPEST:
            inner = getattr(message, entry.name)
            inner.SetInParent()
            _fill(draw, inner, pool, depth + 1)
    else:
        setattr(message, entry.name, draw(_scalar(entry, pool, entry.name)))


def _scalar(entry: Any, pool: Pool, name: str) -> st.SearchStrategy[Any]:
    kind = kind_of(entry)
    if kind in _RANGES:
        low, high = _RANGES[kind]
        usual = [number for number in NUMBERS if low <= number <= high]
        return st.sampled_from([*usual, *usual, low, high]) | st.integers(low, high)
    if kind == "double":
        return st.sampled_from(_FLOATS) | st.floats()
    if kind == "float":
        return st.sampled_from(_FLOATS[:5] + _FLOATS[7:]) | st.floats(width=32)
    if kind == "bool":
        return st.booleans()
    if kind == "string":
        known = [*pool.by_field.get(name, ()), *pool.texts]
        meant = st.sampled_from(known)
        return meant | meant | st.sampled_from(HOSTILE_TEXT) | st.text(max_size=20)
    if kind == "enum":
        numbers = [value.number for value in entry.enum_type.values]
        open_ones = [] if entry.enum_type.is_closed else [99, -1]
        return st.sampled_from([*numbers, *open_ones])
    return st.sampled_from([*pool.blobs, b"", b"\0" * 100]) | st.binary(max_size=40)


def is_map(entry: Any) -> bool:
    """Whether a field is a map."""
    return entry.message_type is not None and entry.message_type.GetOptions().map_entry
