"""The files of a data set that is a folder, or a ZIP of one, read one by one within limits.

A ZIP is never unpacked to disk. Refused are names that lead out of it, links, encryption, exotic
compression, and more files or bytes than allowed; what is declared is checked before anything is
read, and zipfile reads no more of a member than was declared. In a folder on this machine links to
files are followed, links to folders are not.
"""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from mho.errors import InvalidData

MAX_FILES = 100_000
"""Files of one data set."""

_MAX_RATIO = 200
_MAX_RATIO_FREE_BYTES = 256 * 1024 * 1024  # below this a blank picture may shrink as it likes
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_IGNORED_FOLDERS = ("__MACOSX",)


class Files(Protocol):
    """Named files; the names are sorted, relative, with ``/`` between folders."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def read(self, name: str) -> bytes: ...


@contextmanager
def opened(path: Path, *, max_bytes: int) -> Iterator[Files]:
    """The files of the folder or ZIP at ``path``; hidden files and ``__MACOSX`` are left out.

    InvalidData where it is neither, or breaks a limit.
    """
    if path.is_dir():
        yield _Folder.listed(path, max_bytes)
        return
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise InvalidData(
            f"{path} is no ZIP that can be read ({error}); it may be truncated: make it anew",
            subject=str(path),
        ) from error
    with archive:
        yield _Zip.listed(path, archive, max_bytes)


def hidden(name: str) -> bool:
    """Whether a file is left out: a part of its path begins with a dot, or is macOS's own."""
    parts = PurePosixPath(name).parts
    return any(part.startswith(".") or part in _IGNORED_FOLDERS for part in parts)


@dataclass(frozen=True)
class _Folder:
    path: Path
    names: tuple[str, ...]
    max_bytes: int

    @staticmethod
    def listed(path: Path, max_bytes: int) -> _Folder:
        names = []
        for folder, inner, files in os.walk(path):
            inner[:] = [name for name in inner if not hidden(name)]
            relative = Path(folder).relative_to(path)
            names += [(relative / name).as_posix() for name in files if not hidden(name)]
            _check_count(path, len(names))
        return _Folder(path, tuple(sorted(names)), max_bytes)

    def read(self, name: str) -> bytes:
        try:
            with (self.path / name).open("rb") as stream:
                if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                    raise InvalidData(f"{name} is no ordinary file; take it out", subject=name)
                content = stream.read(self.max_bytes + 1)
        except OSError as error:
            raise InvalidData(
                f"{name} cannot be read: {error.strerror or error}", subject=name
            ) from error
        if len(content) > self.max_bytes:
            raise _too_many_bytes(name, len(content), self.max_bytes)
        return content


@dataclass(frozen=True)
class _Zip:
    path: Path
    archive: zipfile.ZipFile
    members: dict[str, zipfile.ZipInfo]

    @staticmethod
    def listed(path: Path, archive: zipfile.ZipFile, max_bytes: int) -> _Zip:
        entries = archive.infolist()
        _check_count(path, len(entries))
        for entry in entries:
            _check_entry(path, entry)
        total = sum(entry.file_size for entry in entries)
        if total > max_bytes:
            raise _too_many_bytes(str(path), total, max_bytes)
        packed = path.stat().st_size
        if total > max(_MAX_RATIO_FREE_BYTES, _MAX_RATIO * packed):
            raise InvalidData(
                f"{path} holds {packed} bytes and claims to unpack to {total}, more than "
                f"{_MAX_RATIO} times as much; store the pictures as PNG or JPEG",
                subject=str(path),
            )
        members: dict[str, zipfile.ZipInfo] = {}
        shown = [entry for entry in entries if not entry.is_dir() and not hidden(entry.filename)]
        top = _top_folder([entry.filename for entry in shown])
        for entry in shown:
            name = entry.filename.removeprefix(top)
            if name in members:
                raise InvalidData(
                    f"{path} holds '{entry.filename}' twice; make the ZIP anew", subject=str(path)
                )
            members[name] = entry
        return _Zip(path, archive, members)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.members))

    def read(self, name: str) -> bytes:
        return read_member(self.path, self.archive, self.members[name])


def read_member(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """All of one member; never more than its declared size. InvalidData where it is damaged."""
    try:
        content = archive.read(entry)
    except Exception as error:
        raise InvalidData(
            f"'{entry.filename}' in {path} is damaged ({error}); make the ZIP anew",
            subject=entry.filename,
        ) from error
    if len(content) != entry.file_size:
        raise InvalidData(
            f"'{entry.filename}' in {path} has {len(content)} bytes where {entry.file_size} are "
            "declared; make the ZIP anew",
            subject=entry.filename,
        )
    return content


def _check_count(path: Path, count: int) -> None:
    if count > MAX_FILES:
        raise InvalidData(
            f"{path} holds more than {MAX_FILES} files; split the data set", subject=str(path)
        )


def _check_entry(path: Path, entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename
    parts = name.replace("\\", "/").split("/")
    fault = ""
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name:
        fault = "has a name that leads out of the ZIP"
    elif stat.S_ISLNK(entry.external_attr >> 16):
        fault = "is a symbolic link"
    elif entry.flag_bits & 0x1:
        fault = "is encrypted"
    elif entry.compress_type not in _COMPRESSIONS:
        fault = "is compressed in another way than deflate"
    if fault:
        raise InvalidData(
            f"{name!r} in {path} {fault}, which is refused; make the ZIP anew from ordinary files, "
            "e.g. with 'zip -r'",
            subject=name,
        )


def _top_folder(names: list[str]) -> str:
    """``photos/`` where every file lies in the folder ``photos``; otherwise nothing."""
    tops = {name.split("/", 1)[0] if "/" in name else "" for name in names}
    top = tops.pop() if len(tops) == 1 else ""
    return f"{top}/" if top else ""


def _too_many_bytes(name: str, found: int, limit: int) -> InvalidData:
    return InvalidData(
        f"{name} has {found} bytes or more; at most {limit} are allowed: split the data, or raise "
        "the setting max_data_bytes",
        subject=name,
    )
