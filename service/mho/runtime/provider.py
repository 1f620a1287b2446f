"""Which onnxruntime is installed, which execution provider is taken, and how many threads it gets.

onnxruntime is imported where it is used, so that its absence is an error with a remedy.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass

from mho.config import Settings, cores
from mho.errors import Unsupported

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_IDENTITY = bytes.fromhex(
    "08083a390a120a017812017922084964656e746974793a001201675a0f0a0178120a0a0808011204"
    "0a020801620f0a0179120a0a08080112040a02080142040a001012"
)
"""A model y = Identity(x), x float[1], as ONNX bytes: here nothing knows onnx."""
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

    ``auto`` takes CUDA where onnxruntime can really load it, else the CPU. TF32 is off, because
    finite differences need all of float32; convolution algorithms are chosen by heuristics, because
    a search is made anew for every batch size.
    """
    package = installed()
    if settings.provider not in ("auto", "cuda", "cpu"):
        raise Unsupported(
            f"provider '{settings.provider}' is unknown; choose auto, cuda or cpu",
            subject="provider",
        )
    if settings.provider != "cpu" and _cuda_works():
        return Provider(CUDA, (("use_tf32", "0"), ("cudnn_conv_algo_search", "HEURISTIC")))
    if settings.provider == "cuda":
        import onnxruntime

        offered = ", ".join(onnxruntime.get_available_providers())
        raise Unsupported(
            f"provider 'cuda' was asked for, but {package} finds no usable CUDA device here (it "
            f"offers {offered}); install 'mho[gpu]' with CUDA and cuDNN on a machine with an "
            "NVIDIA GPU, or use provider 'cpu'",
            subject="provider",
        )
    return Provider(CPU)


def threads(settings: Settings) -> int:
    """Threads of one session: as set, or the cores this process may use, shared among workers."""
    if settings.threads > 0:
        return settings.threads
    return max(1, cores() // max(1, settings.workers))


def _cuda_works() -> bool:
    """Whether a session really gets CUDA: the provider is listed even where there is no driver, and
    onnxruntime then falls back to the CPU with no more than a line in its log.
    """
    import onnxruntime

    if CUDA not in onnxruntime.get_available_providers():
        return False
    preload = getattr(onnxruntime, "preload_dlls", None)
    if preload is not None:
        preload()  # CUDA and cuDNN may lie in wheels beside it
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            _IDENTITY, options, providers=[CUDA, CPU], enable_fallback=0
        )
    except Exception:  # noqa: BLE001 - onnxruntime's own classes derive from nothing narrower
        return False
    return CUDA in session.get_providers()
