"""Settings: defaults, then a YAML file, then the environment (``MHO_<NAME>``), into one frozen
object."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from mho.errors import InvalidOption

_MIB = 1024 * 1024


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. Sizes are bytes, times seconds."""

    # where the server listens and keeps its things
    host: str = "127.0.0.1"
    port: int = 50061
    data_dir: str = "mho-data"
    workers: int = 1
    drain_seconds: float = 20.0
    reflection: bool = True

    # how models are run
    provider: str = "auto"
    """``auto`` (CUDA where present, else CPU), ``cuda`` or ``cpu``; what is asked for must be
    there."""
    threads: int = 0
    """Threads of one session; 0 means the cores this process may use, shared among the workers."""
    memory_bytes: int = 1024 * _MIB
    """Budget for the activations of one batch."""
    session_cache: int = 8
    """Sessions kept warm."""

    # what a run may cost and how it is kept
    cost_limit_seconds: float = 900.0
    checkpoint_seconds: float = 5.0
    job_attempts: int = 3
    """How often a job may lose its worker before it fails."""
    inspect_seconds: float = 120.0
    """Wall clock for parsing and checking an uploaded model or data set."""

    # what may come in
    max_model_bytes: int = 4096 * _MIB
    max_nodes: int = 200_000
    max_nesting: int = 16
    max_data_bytes: int = 8192 * _MIB
    max_image_pixels: int = 64_000_000
    max_upload_bytes: int = 8192 * _MIB


def load(file: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from ``file`` (YAML, optional) and the environment, which wins.

    InvalidOption names an unknown key, or a value that is not of the setting's type.
    """
    environment = os.environ if environment is None else environment
    kinds: dict[str, type[Any]] = {entry.name: type(entry.default) for entry in fields(Settings)}
    values: dict[str, Any] = {}
    if file is not None:
        try:
            written = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InvalidOption(
                f"the settings file {file} cannot be read: {error}", subject=str(file)
            ) from error
        if not isinstance(written, dict):
            raise InvalidOption(f"the settings file {file} must hold 'name: value' lines")
        for name, value in written.items():
            if name not in kinds:
                raise InvalidOption(
                    f"{file}: there is no setting '{name}'; there are {', '.join(kinds)}",
                    subject=str(name),
                )
            values[name] = _converted(name, str(value), kinds[name])
    for name, kind in kinds.items():
        written_as = f"MHO_{name.upper()}"
        if written_as in environment:
            values[name] = _converted(written_as, environment[written_as], kind)
    return Settings(**values)


def _converted(name: str, text: str, kind: type[Any]) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false", "1", "0"):
            raise InvalidOption(f"{name} is '{text}'; write true or false", subject=name)
        return text.lower() in ("true", "1")
    try:
        return kind(text)
    except ValueError as error:
        raise InvalidOption(
            f"{name} is '{text}'; a {'number' if kind is float else 'whole number'} is needed",
            subject=name,
        ) from error
