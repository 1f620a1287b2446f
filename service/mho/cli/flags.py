"""A method's option -> the flag that sets it: how it is written, what it takes, what it tells; and
how the values of other flags are read."""

from __future__ import annotations

import argparse
import re
from dataclasses import Field
from datetime import datetime, timedelta
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


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def deadline(text: str) -> datetime | timedelta:
    """``90s``, ``30m``, ``2h`` or ``1d`` from now; or a time as in ISO 8601, local without zone."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)([smhd])", text)
    if found is not None:
        return timedelta(**{_UNITS[found[2]]: float(found[1])})
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(
            f"'{text}' is neither a duration such as 30m, 2h or 1d nor a time such as "
            "2030-01-31T18:00"
        ) from error


def label(text: str) -> tuple[str, str]:
    """``KEY=VALUE``, or ``KEY`` alone."""
    key, _, value = text.partition("=")
    return key, value
