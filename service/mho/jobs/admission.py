"""Which names are admitted: of tenants, of things for display, and of uploaded files.

File names become paths in a folder of the server, so they must be relative, portable, and distinct
on file systems that fold case or Unicode forms.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

from mho.errors import InvalidData, InvalidOption
from mho.tenants import is_tenant_name

_MOST_FILES = 4096
_LONGEST_PART = 200  # bytes; file systems stop at 255
_MOST_LABELS = 64
_LABEL_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_LABEL_PREFIX = r"(?=[^/]{1,253}/)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*/"


def check_tenant(tenant: str) -> str:
    """``tenant`` where it can be one; otherwise InvalidOption."""
    if not is_tenant_name(tenant):
        raise InvalidOption(
            f"{tenant[:80]!r} is no tenant's name: up to 63 letters, digits, '.', '_' and '-'",
            subject="tenant",
        )
    return tenant


def check_display_name(name: str) -> str:
    """``name`` where it can be shown in a line; otherwise InvalidOption."""
    if len(name) > 200 or not name.isprintable():
        raise InvalidOption(
            "the display name is longer than 200 characters or holds some that cannot be printed",
            subject="display_name",
        )
    return name


def check_request_id(request_id: str) -> str:
    """``request_id`` where it can be kept; otherwise InvalidOption."""
    if request_id and not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", request_id):
        raise InvalidOption(
            f"the request id is {request_id[:80]!r}; at most 64 letters, digits, '.', '_' and '-' "
            "are taken: a UUID is a good one",
            subject="request_id",
        )
    return request_id


def check_labels(labels: Mapping[str, str]) -> None:
    """InvalidOption where one could be no label of Kubernetes, or where there are too many."""
    if len(labels) > _MOST_LABELS:
        raise InvalidOption(
            f"there are {len(labels)} labels; at most {_MOST_LABELS} are taken",
            subject="spec.labels",
        )
    for key, value in labels.items():
        if not re.fullmatch(rf"(?:{_LABEL_PREFIX})?{_LABEL_NAME}", key):
            raise InvalidOption(
                f"{key[:80]!r} is no key of a label: up to 63 of A-Z a-z 0-9 . _ - that begin and "
                "end with a letter or digit, after a DNS name and '/' where wanted",
                subject="spec.labels",
            )
        if value and not re.fullmatch(_LABEL_NAME, value):
            raise InvalidOption(
                f"label '{key}' has the value {value[:80]!r}; it must be empty, or up to 63 of "
                "A-Z a-z 0-9 . _ - that begin and end with a letter or digit",
                subject=f"spec.labels[{key}]",
            )


def check_deadline(deadline: float | None, now: float) -> None:
    """InvalidOption where a deadline (seconds since the epoch) has passed already."""
    if deadline is not None and deadline <= now:
        raise InvalidOption(
            f"the deadline passed {now - deadline:.0f} s ago by the server's clock; give one in "
            "the future, or none",
            subject="spec.deadline",
        )


def check_suffix(name: str, what: str, suffixes: tuple[str, ...]) -> None:
    """InvalidData where the file called ``name``, which holds ``what``, ends in none of them."""
    if PurePosixPath(name).suffix.lower() not in suffixes:
        raise InvalidData(
            f"the {what} are in '{name}'; {', '.join(suffixes)} are taken", subject=name
        )


def check_name(name: str, *, nested: bool = False) -> str:
    """``name`` where it can be used; ``nested`` allows folders in it. Otherwise InvalidOption."""
    parts = name.split("/")
    reason = ""
    if not name or len(name) > 1000:
        reason = "it is empty or longer than 1000 characters"
    elif any(not character.isprintable() for character in name) or "\\" in name or ":" in name:
        reason = "it holds a control character, a backslash or a colon"
    elif not nested and len(parts) > 1:
        reason = "it must be a plain file name without folders"
    elif any(part in ("", ".", "..") for part in parts):
        reason = "it must be a relative path without '.', '..' or empty parts"
    elif any(part != part.strip() for part in parts):
        reason = "a part of it begins or ends with a space"
    elif any(len(part.encode()) > _LONGEST_PART for part in parts):
        reason = f"a part of it is longer than {_LONGEST_PART} bytes"
    if reason:
        raise InvalidOption(
            f"the file name {name[:80]!r} cannot be used: {reason}; rename the file",
            subject="files",
        )
    return name


def check_names(names: Collection[str], *, nested: bool = True) -> None:
    """InvalidOption where a name cannot be used, or where two would lie in the same place."""
    if not names:
        raise InvalidOption("there are no files; give at least one", subject="files")
    if len(names) > _MOST_FILES:
        raise InvalidOption(
            f"there are {len(names)} files; at most {_MOST_FILES} are taken", subject="files"
        )
    seen: dict[str, str] = {}
    for name in names:
        folded = _folded(check_name(name, nested=nested))
        if folded in seen:
            raise InvalidOption(
                f"the file names {seen[folded]!r} and {name!r} differ only in case or in their "
                "Unicode form; rename one",
                subject="files",
            )
        seen[folded] = name
    for folded, name in seen.items():
        parts = folded.split("/")
        for depth in range(1, len(parts)):
            if "/".join(parts[:depth]) in seen:
                raise InvalidOption(
                    f"{seen['/'.join(parts[:depth])]!r} is a file and also the folder of {name!r}; "
                    "rename one",
                    subject="files",
                )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
