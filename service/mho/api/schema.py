"""Writes ``proto/mho/v1/methods.proto`` from the methods' fields, so that nothing is listed twice.

    python -m mho.api.schema --check    fails where the file is not what the methods say
    python -m mho.api.schema --write    brings it up to date

The existing file is the lock: a method or an option keeps its number, a new one takes the next
free number, and one that is gone leaves its number and its name reserved for ever. An option cannot
change its type, because clients that were built before would misread it; give it another name.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field
from pathlib import Path
from typing import Any

from mho.errors import FailedPrecondition, MhoError
from mho.method import Method, Option, options_of
from mho.registry import entries

PATH = Path(__file__).parents[3] / "proto" / "mho" / "v1" / "methods.proto"

HEADER = """\
// Options of every method, typed. GENERATED from the methods' own fields; do not edit, run
// `python -m mho.api.schema --write`. Numbers are pinned: what has one keeps it.
//
// Every option may be left unset, and then the server's default holds. A list is unset when empty.
syntax = "proto3";

package mho.v1;
"""

_MESSAGE = re.compile(r"^message (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^ +((?:optional |repeated )?\w+) (\w+) = (\d+);", re.MULTILINE)
_RESERVED = re.compile(r"^ +reserved ([^;]+);", re.MULTILINE)


@dataclass
class Lock:
    """What a message of the existing file pins: name -> (type, number), and what is reserved."""

    fields: dict[str, tuple[str, int]] = field(default_factory=dict)
    reserved_numbers: set[int] = field(default_factory=set)
    reserved_names: set[str] = field(default_factory=set)


def methods() -> dict[str, type[Method[Any, Any]]]:
    """Name -> class of every method there is."""
    # mypy rightly minds an abstract class as a contract; the registry is made for them.
    return entries("mho.methods", Method)


def field_name(method: str) -> str:
    """The name of a method's field in ``MethodOptions``: ``grad-cam`` -> ``grad_cam``."""
    return method.replace("-", "_")


def message_name(method: str) -> str:
    """The name of a method's message: ``grad-cam`` -> ``GradCamOptions``."""
    return "".join(part.capitalize() for part in field_name(method).split("_")) + "Options"


def field_type(default: Any) -> str:
    """The protobuf type of an option, told from its default, with its label."""
    if isinstance(default, tuple):
        return "repeated string"
    kinds: tuple[tuple[type[Any], str], ...] = (
        (bool, "bool"), (int, "int64"), (float, "double"), (str, "string"),
    )  # fmt: skip
    for kind, written in kinds:
        if isinstance(default, kind):
            return f"optional {written}"
    raise FailedPrecondition(
        f"an option's default is {default!r}; the schema knows str, int, float, bool "
        "and tuples of str"
    )


def read(text: str) -> dict[str, Lock]:
    """What a file that was written before pins, by message."""
    locks: dict[str, Lock] = {}
    for name, body in _MESSAGE.findall(text):
        lock = locks[name] = Lock()
        for kind, member, number in _FIELD.findall(body):
            lock.fields[member] = (kind, int(number))
        for listed in _RESERVED.findall(body):
            for item in (part.strip() for part in listed.split(",")):
                if item.startswith('"'):
                    lock.reserved_names.add(item.strip('"'))
                else:
                    lock.reserved_numbers.add(int(item))
    return locks


def write(kinds: Mapping[str, type[Any]], locked: str) -> str:
    """The file for ``kinds`` (name -> method class), given the text of the one before.

    FailedPrecondition where an option's type changed, or a name that was given up comes back.
    """
    locks = read(locked)
    calls = {field_name(name): message_name(name) for name in sorted(kinds)}
    numbers, reserved = _numbered("MethodOptions", calls, locks.get("MethodOptions", Lock()))
    parts = [HEADER]
    lines = ["// Which method, with its options.", "message MethodOptions {"]
    opening, closing = (["  oneof method {"], ["  }"]) if calls else ([], [])  # none may be empty
    lines += opening
    named = {field_name(name): kind for name, kind in kinds.items()}
    for member, number in sorted(numbers.items(), key=lambda item: item[1]):
        lines += _comment(named[member].summary, "    ")
        lines.append(f"    {calls[member]} {member} = {number};")
    parts.append("\n".join([*lines, *closing, *reserved, "}"]) + "\n")
    for member, _ in sorted(numbers.items(), key=lambda item: item[1]):
        kind = named[member]
        parts.append(_method_message(kind, locks.get(calls[member], Lock())))
    # A method that is gone keeps its message, so that the numbers of its options stay known.
    for name, lock in locks.items():
        if name != "MethodOptions" and name not in calls.values():
            parts.append(_retired_message(name, lock))
    return "\n".join(parts)


def _method_message(kind: type[Method[Any, Any]], lock: Lock) -> str:
    name = message_name(kind.name)
    described = {entry.name: (entry, option) for entry, option in options_of(kind)}
    types = {member: field_type(entry.default) for member, (entry, _) in described.items()}
    numbers, reserved = _numbered(name, types, lock)
    lines = [*_comment(f"Options of `{kind.name}`: {kind.summary}", ""), f"message {name} {{"]
    ordered = sorted(numbers.items(), key=lambda item: item[1])
    for position, (member, number) in enumerate(ordered):
        if position:
            lines.append("")
        lines += _comment(_explained(*described[member], used=is_used(kind, member)), "  ")
        lines.append(f"  {types[member]} {member} = {number};")
    return "\n".join([*lines, *reserved, "}"]) + "\n"


def _retired_message(name: str, lock: Lock) -> str:
    _, reserved = _numbered(name, {}, lock)
    return "\n".join(["// Of a method that is gone.", f"message {name} {{", *reserved, "}"]) + "\n"


def is_used(kind: type[Method[Any, Any]], member: str) -> bool:
    """Whether the option means something to the method: its own do, shared ones may."""
    shared = {entry.name for entry, _ in options_of(Method)}
    return member not in shared or member in kind.uses


def _numbered(
    message: str, types: Mapping[str, str], lock: Lock
) -> tuple[dict[str, int], list[str]]:
    """Numbers for the members, and the lines that reserve what was given up."""
    for member, kind in types.items():
        if member in lock.reserved_names:
            raise FailedPrecondition(
                f"{message}.{member} was removed and is back; a name that was given up stays so, "
                "choose another one",
                subject=member,
            )
        if member in lock.fields and lock.fields[member][0] != kind:
            raise FailedPrecondition(
                f"{message}.{member} was '{lock.fields[member][0]}' and is now '{kind}'; clients "
                "would misread it, so give the option another name",
                subject=member,
            )
    gone = {member: pin for member, pin in lock.fields.items() if member not in types}
    names = lock.reserved_names | set(gone)
    numbers = lock.reserved_numbers | {number for _, number in gone.values()}
    taken = numbers | {number for _, number in lock.fields.values()}
    given: dict[str, int] = {}
    for member in types:
        if member in lock.fields:
            given[member] = lock.fields[member][1]
        else:
            given[member] = max(taken, default=0) + 1
            taken.add(given[member])
    lines = []
    if numbers:
        lines.append("  reserved " + ", ".join(str(number) for number in sorted(numbers)) + ";")
        lines.append("  reserved " + ", ".join(f'"{member}"' for member in sorted(names)) + ";")
        if given:
            lines.insert(0, "")
    return given, lines


def _explained(entry: Field[Any], option: Option, *, used: bool) -> str:
    """What is written above a field: what it does, what it may be, its default."""
    default = entry.default
    sentences = [option.help[:1].upper() + option.help[1:].rstrip(".") + "."]
    if option.choices:
        also = " or any other text" if option.free else ""
        sentences.append(f"One of {', '.join(option.choices)}{also}.")
    if option.file:
        what = "A dataset" if option.file == "data" else f"An uploaded file ({option.file})"
        sentences.append(f"{what} may be attached to the job instead.")
    if option.minimum is not None and option.maximum is not None:
        sentences.append(f"From {_number(option.minimum)} to {_number(option.maximum)}.")
    elif option.minimum is not None:
        sentences.append(f"At least {_number(option.minimum)}.")
    if default != () and default != "":
        sentences.append(f"Default: {default}.")
    if not used:
        sentences.append("Not heeded by this method.")
    return " ".join(sentences)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"


def _comment(text: str, indent: str) -> Iterator[str]:
    prefix = f"{indent}// "
    yield from textwrap.wrap(
        text, 100, initial_indent=prefix, subsequent_indent=prefix, break_on_hyphens=False
    )


def main(arguments: list[str] | None = None) -> int:
    """The command; the exit status is 1 where ``--check`` finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m mho.api.schema", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true", help="bring the file up to date")
    what.add_argument("--check", action="store_true", help="fail where it is not")
    parser.add_argument(
        "--path", type=Path, default=PATH, help="the file; default that of the tree"
    )
    options = parser.parse_args(arguments)
    path: Path = options.path
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    try:
        after = write(methods(), before)
    except MhoError as error:
        sys.stderr.write(f"{path}: {error}\n")
        return 1
    if before == after:
        return 0
    if options.check:
        sys.stderr.write(
            f"{path} is not what the methods' fields say; run python -m mho.api.schema --write, "
            "then python proto/generate.py\n"
        )
        return 1
    path.write_text(after, encoding="utf-8")
    sys.stderr.write(f"wrote {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
