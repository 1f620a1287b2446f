"""Where things lie in the data directory, and how files get there so that they survive a crash."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mho.errors import ResourceExhausted

if sys.platform != "win32":
    import fcntl

_FICLONE = 0x40049409  # Linux ioctl: share the blocks of another file, copy on write


@dataclass(frozen=True)
class Layout:
    """The folders of one data directory, whose path is absolute."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "mho.sqlite"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def identity(self) -> Path:
        """The file that tells to which database the directory belongs."""
        return self.root / "identity"

    @property
    def page_key(self) -> Path:
        """The file of the key that signs page tokens."""
        return self.root / "page-key"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def uploads(self) -> Path:
        """Unfinished uploads."""
        return self.root / "uploads"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    def blob_lock(self, digest: str) -> Path:
        """The file that is held while the blob, or an upload of it, and its rows are changed."""
        return self.locks / digest[:2]

    @property
    def staging(self) -> Path:
        """Folders under construction; none outlives the server for which it is named."""
        return self.root / "staging"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def nowhere(self) -> Path:
        """An empty folder, the working directory of workers."""
        return self.root / "nowhere"

    def create(self) -> None:
        """Make what is missing; readable by the server's own user alone."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (
            self.blobs,
            self.uploads,
            self.locks,
            self.staging,
            self.models,
            self.datasets,
            self.jobs,
            self.nowhere,
        ):
            folder.mkdir(exist_ok=True, mode=0o700)

    def model(self, id: str) -> Path:
        return self.models / id

    def dataset(self, id: str) -> Path:
        return self.datasets / id

    def job(self, id: str) -> Path:
        return self.jobs / id

    def attachments(self, id: str) -> Path:
        return self.job(id) / "attachments"

    def checkpoint(self, id: str, attempt: int) -> Path:
        """Each attempt has a file of its own, so that none overwrites what a later one has."""
        return self.job(id) / f"checkpoint-{attempt}.npz"

    def checkpoints(self, id: str, before: int) -> list[Path]:
        """Those of the attempts before the one that is numbered ``before``, the newest first."""
        numbers = [
            int(match[1])
            for path in self.job(id).glob("checkpoint-*.npz")
            if (match := re.fullmatch(r"checkpoint-(\d+)\.npz", path.name))
        ]
        return [self.checkpoint(id, n) for n in sorted(numbers, reverse=True) if n < before]

    def attempt(self, id: str, number: int) -> Path:
        return self.job(id) / f"attempt-{number}"

    def result(self, id: str, attempt: int) -> Path:
        return self.job(id) / f"result-{attempt}"

    def new_staging(self, server: str) -> Path:
        """A fresh folder under construction, named for the server that makes it."""
        folder = self.staging / f"{server}-{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700)
        return folder

    def hide(self, text: str) -> str:
        """``text`` without the server's paths: a user's file is given by the user's name for it."""
        root = re.escape(str(self.root))
        folder = (
            r"/(?:(?:staging|models|datasets)/[\w-]+|jobs/[\w-]+(?:/attempt-\d+|/attachments/\w+)?)"
        )
        text = re.sub(rf"{root}{folder}/", "", text)
        text = re.sub(rf"{root}{folder}(?!\w)", "the uploaded files", text)
        return re.sub(rf"{root}(?:/[^\s'\",;:)\]]*)?", "the server's data", text)


@contextmanager
def full_disk_named(what: str) -> Iterator[None]:
    """Turn a full disk or quota into ResourceExhausted; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ResourceExhausted(
                f"the server's disk is full while {what}; delete jobs, data sets or models that "
                "are no longer needed, or ask its operator for more room",
                subject="disk",
            ) from error
        raise


def copy_file(source: Path, target: Path) -> None:
    """Copy, sharing blocks where the file system can; never a link, which would tie the two
    together.

    onnxruntime follows hard links out of a model's folder, so uploaded bytes must never be one.
    """
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with source.open("rb") as reader, target.open("xb") as writer:
        if not _cloned(reader.fileno(), writer.fileno()):
            shutil.copyfileobj(reader, writer, 1024 * 1024)


def _cloned(source: int, target: int) -> bool:
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def size_of(folder: Path) -> int:
    """Bytes of all files under ``folder``."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def made_once(file: Path, content: bytes) -> bytes:
    """What ``file`` holds, durably; it is made of ``content`` where there is none yet.

    Of several processes that make it at once one does, and all see that one's content.
    """
    with suppress(FileNotFoundError):
        return file.read_bytes()
    temporary = file.with_name(f"{file.name}-{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as writer:
            writer.write(content)
            writer.flush()
            os.fsync(writer.fileno())
        with suppress(FileExistsError):
            os.link(temporary, file)
        sync_folder(file.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return file.read_bytes()


def sync_folder(folder: Path) -> None:
    """Make the entries of ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Make every file and folder under ``folder`` durable."""
    for parent, _, names in os.walk(folder):
        for name in names:
            descriptor = os.open(Path(parent) / name, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(Path(parent))


def move_folder(source: Path, target: Path) -> None:
    """Rename ``source`` to ``target``, durably; nothing may lie at ``target``."""
    source.rename(target)
    sync_folder(target.parent)
    if source.parent != target.parent:
        sync_folder(source.parent)


@dataclass
class Place:
    """Where a folder was moved to; it stays there if ``keep`` is set."""

    keep: bool = False


@contextmanager
def placed(source: Path, target: Path) -> Iterator[Place]:
    """Move a folder for the block; afterwards it goes unless the block has set ``keep``."""
    place = Place()
    move_folder(source, target)
    try:
        yield place
    finally:
        if not place.keep:
            remove_folder(target)


def remove_folder(folder: Path) -> None:
    """Delete ``folder`` and all that is in it; no error where it does not exist."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
