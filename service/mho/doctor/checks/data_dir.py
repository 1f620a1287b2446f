"""The data directory: there or possible, writable, with room, and nobody else's."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mho.config import Settings
from mho.doctor import permissions
from mho.doctor.check import Check, Finding
from mho.jobs.directory_lock import holder
from mho.jobs.layout import Layout

_MIB = 1024 * 1024
_LEAST_FREE = 64 * _MIB


class DataDir(Check):
    name = "data_dir"
    remedy = "set data_dir to a folder that the user of the server may write"

    def findings(self, settings: Settings) -> Iterator[Finding]:
        root = Path(settings.data_dir).resolve()
        there = next(at for at in (root, *root.parents) if at.exists())
        if not there.is_dir():
            yield self.failed(f"{there} is no folder", self.remedy)
            return
        try:
            # The file has no name and goes with the block.
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            yield self.failed(f"{there} cannot be written: {error.strerror or error}", self.remedy)
            return
        yield self.ok(f"{root} is writable" if there == root else f"{root} can be made, in {there}")
        yield self._room(there, settings)
        if there == root:
            yield from self._standing(root, settings)

    def _room(self, there: Path, settings: Settings) -> Finding:
        free = shutil.disk_usage(there).free
        found = f"{free / _MIB:,.0f} MiB of its disk are free"
        remedy = "free some of the disk, or set data_dir to a larger one"
        if free < _LEAST_FREE:
            return self.failed(found, remedy)
        largest = max(settings.max_upload_bytes, settings.max_data_bytes, settings.max_model_bytes)
        if free < largest:
            return self.warning(f"{found}, and {largest / _MIB:,.0f} MiB may be uploaded", remedy)
        return self.ok(found)

    def _standing(self, root: Path, settings: Settings) -> Iterator[Finding]:
        others = permissions.readers(root) or permissions.writers(root)
        if others:
            yield self.warning(f"{root} is open to {others}", f"chmod 700 {root}")
        if os.name != "nt" and root.stat().st_uid != os.geteuid():
            yield self.warning(
                f"{root} belongs to user {root.stat().st_uid}, not to {os.geteuid()}",
                "run the server, and this command, as its owner",
            )
        process = None if settings.database else holder(Layout(root))
        if process is not None:
            yield self.warning(
                f"{root} is in use by a server (process {process})",
                "stop it before another is started, or set another data_dir",
            )
