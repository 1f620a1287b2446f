"""The explicit state of a method, and its way to plain arrays and back.

A state is a dataclass whose fields are NumPy arrays, numbers, booleans, strings, mappings from
names to arrays, or further such dataclasses. Whatever a method needs to go on is in it, so that a
job that was killed and resumed from ``pack(state)`` gives the same arrays as one that was not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

import numpy as np

from mho.types import Array

State = TypeVar("State")
_SEPARATOR = "\x1f"  # cannot occur in a field's name and is not met in tensor names


def pack(state: Any) -> dict[str, Array]:
    """Field path -> array, for every field of ``state``.

    TypeError for a field that holds anything else than a state may.
    """
    arrays: dict[str, Array] = {}
    for entry in fields(state):
        value = getattr(state, entry.name)
        if is_dataclass(value):
            arrays |= {f"{entry.name}{_SEPARATOR}{key}": v for key, v in pack(value).items()}
        elif isinstance(value, Mapping):
            arrays |= {f"{entry.name}{_SEPARATOR}{key}": np.asarray(v) for key, v in value.items()}
        elif isinstance(value, (np.ndarray, bool, int, float, str)):
            arrays[entry.name] = np.asarray(value)
        else:
            raise TypeError(
                f"{type(state).__name__}.{entry.name} is a {type(value).__name__}; "
                "a state holds arrays, numbers, strings, mappings of arrays and such dataclasses"
            )
    return arrays


def unpack(kind: type[State], arrays: Mapping[str, Array]) -> State:
    """The state of class ``kind`` that ``pack`` turned into ``arrays``."""
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for entry in fields(kind):  # type: ignore[arg-type]  # every state is a dataclass
        hint = hints[entry.name]
        prefix = entry.name + _SEPARATOR
        inner = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        if is_dataclass(hint):
            values[entry.name] = unpack(hint, inner)  # type: ignore[arg-type]
        elif entry.name in arrays:
            array = arrays[entry.name]
            values[entry.name] = hint(array.item()) if hint in (bool, int, float, str) else array
        else:
            values[entry.name] = inner
    return kind(**values)
