"""Finds the entries of an extension folder (``methods``, ``values``, ``estimators``).

A plural folder holds extensions only, one file each; the singular module beside it is their
contract. An entry is a class that is defined in a file of the folder, subclasses the contract and
has a ``name``.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Hashable
from functools import cache
from types import ModuleType
from typing import Any, TypeVar, cast

from mho.errors import InvalidOption

Entry = TypeVar("Entry")


@cache
def _scan(package: str, contract: type[Any]) -> dict[str, type[Any]]:
    folder: ModuleType = importlib.import_module(package)
    found: dict[str, type[Any]] = {}
    for module_info in sorted(pkgutil.iter_modules(folder.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{package}.{module_info.name}")
        for entry in vars(module).values():
            if not inspect.isclass(entry) or entry.__module__ != module.__name__:
                continue
            if not issubclass(entry, contract) or inspect.isabstract(entry):
                continue
            name = getattr(entry, "name", None)
            if not isinstance(name, str):
                continue
            if name in found:
                raise RuntimeError(
                    f"two entries of {package} are called '{name}': "
                    f"{found[name].__module__} and {entry.__module__}; rename one"
                )
            found[name] = entry
    return found


def entries(package: str, contract: type[Entry]) -> dict[str, type[Entry]]:
    """Name -> class of every entry of ``package``, in the order of their file names."""
    return dict(_scan(package, cast(Hashable, contract)))


def find(package: str, contract: type[Entry], name: str, *, subject: str) -> type[Entry]:
    """The entry called ``name``; InvalidOption, listing what there is, where it does not exist."""
    known = _scan(package, cast(Hashable, contract))
    if name not in known:
        raise InvalidOption(
            f"{subject} '{name}' does not exist; choose one of {', '.join(known)}", subject=subject
        )
    return known[name]
