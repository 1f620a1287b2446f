"""Which libraries onnxruntime's CUDA provider asks for and does not find."""

from __future__ import annotations

import ctypes
import importlib.util
import mmap
import re
from pathlib import Path

_PROVIDER = "libonnxruntime_providers_cuda.so"
_DRIVER = "libcuda.so.1"
_NAME = re.compile(rb"\0(lib(?:cu|nv)\w*\.so\.\d+)(?=\0)")


def missing() -> list[str]:
    """Their names; none where the provider itself is not installed, or this is no Linux."""
    module = importlib.util.find_spec("onnxruntime")
    if module is None or module.origin is None:
        return []
    library = Path(module.origin).parent / "capi" / _PROVIDER
    if not library.exists():
        return []
    import onnxruntime

    preload = getattr(onnxruntime, "preload_dlls", None)
    if preload is not None:
        preload()  # CUDA and cuDNN may lie in wheels beside it
    return [name for name in sorted({_DRIVER, *needed(library)}) if not _loads(name)]


def needed(library: Path) -> set[str]:
    """The libraries of CUDA that ``library`` names in its table of strings."""
    with (
        library.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        return {found[1].decode("ascii") for found in _NAME.finditer(content)}


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
