"""Whom a file or folder is open to."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def readers(path: Path) -> str:
    """Who but the owner may read or enter ``path``; "" where nobody may, or the operating system
    has no such rights."""
    return _others(path, stat.S_IRGRP | stat.S_IXGRP, stat.S_IROTH | stat.S_IXOTH)


def writers(path: Path) -> str:
    """Who but the owner may write to ``path``; "" as in ``readers``."""
    return _others(path, stat.S_IWGRP, stat.S_IWOTH)


def _others(path: Path, group: int, world: int) -> str:
    if os.name == "nt":
        return ""
    mode = path.stat().st_mode
    if mode & world:
        return "everybody"
    return "its group" if mode & group else ""
