"""Which onnxruntime is installed, which execution provider is taken, and how many threads it gets."""

from __future__ import annotations

import importlib.metadata
import os
from dataclasses import dataclass

from mho.config import Settings
from mho.errors import Unsupported

_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")
_REMEDY = (
    "install exactly one of them: pip install 'mho[cpu]' on a machine without an NVIDIA GPU, "
    "pip install 'mho[gpu]' on one with it"
)


@dataclass(frozen=True)
class Provider:
    """An execution provider by onnxruntime's name, with the options that every session gets."""

    name: str
    options: tuple[tuple[str, str], ...] = ()


def installed() -> str:
    """The installed distribution with its version; Unsupported where there is none, or both."""
    found = []
    for name in _DISTRIBUTIONS:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    if not found:
        raise Unsupported(f"onnxruntime is not installed; {_REMEDY}")
    if len(found) > 1:
        raise Unsupported(
            f"{' and '.join(found)} are both installed and overwrite each other's files; uninstall "
            f"both, then {_REMEDY}"
        )
    return found[0]


def choose(settings: Settings) -> Provider:
    """The provider that ``settings.provider`` asks for; Unsupported where it is not there.

    ``auto`` takes CUDA where onnxruntime can really load it, else the CPU. TF32 is off, because finite
    differences need all of float32.
    """
    package = installed()
    import onnxruntime

    available = onnxruntime.get_available_providers()
    if settings.provider == "cpu":
        return Provider("CPUExecutionProvider")
    if settings.provider not in ("auto", "cuda"):
        raise Unsupported(
            f"provider '{settings.provider}' is unknown; choose auto, cuda or cpu", subject="provider"
        )
    if "CUDAExecutionProvider" in available and _cuda_works(onnxruntime):
        return Provider("CUDAExecutionProvider", (("use_tf32", "0"),))
    if settings.provider == "cuda":
        raise Unsupported(
            f"provider 'cuda' was asked for, but {package} finds no usable CUDA device here (it offers "
            f"{', '.join(available)}); install 'mho[gpu]' with CUDA 13 and cuDNN 9 on a machine with an "
            "NVIDIA GPU, or use provider 'cpu'",
            subject="provider",
        )
    return Provider("CPUExecutionProvider")


def threads(settings: Settings) -> int:
    """Threads of one session: as set, or the cores this process may use, shared among the workers."""
    if settings.threads > 0:
        return settings.threads
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // max(1, settings.workers))


def _cuda_works(onnxruntime: object) -> bool:
    """Whether a CUDA device answers: the provider is listed even on machines without a driver."""
    preload = getattr(onnxruntime, "preload_dlls", None)
    if preload is not None:
        preload()
    devices = getattr(onnxruntime, "get_available_ep_devices", None)
    nodes = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg")
    if os.name == "posix" and not any(os.path.exists(node) for node in nodes):  # noqa: PTH110
        return False
    return devices is not None
