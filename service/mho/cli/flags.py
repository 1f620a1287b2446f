"""A method's option -> the flag that sets it: how it is written, what it takes, what it tells."""

from __future__ import annotations

from dataclasses import Field
from typing import Any

from mho.method import Option

_FILES = {"data": "DATA"}  # the rest is FILE


def flag(name: str) -> str:
    """``path_input`` -> ``--path-input``."""
    return "--" + name.replace("_", "-")


def metavar(entry: Field[Any], described: Option) -> str:
    """What stands behind the flag: the keywords, and the kind of anything else that is taken."""
    if described.metavar:
        return described.metavar
    words = list(described.choices)
    if described.file:
        words.append(_FILES.get(described.file, "FILE"))
    return "|".join(words) or {int: "N", float: "X"}.get(type(entry.default), "NAME")


def explained(entry: Field[Any], described: Option) -> str:
    """The help of the option, with keywords that the metavar leaves out, and the default."""
    text = described.help
    written = metavar(entry, described).split("|")
    unseen = [word for word in described.choices if word not in written]
    if unseen:
        text += f": {', '.join(unseen)}"
    if entry.default not in ("", ()):
        text += f" (default {entry.default})"
    return text
