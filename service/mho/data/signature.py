"""Does an array fit a graph input? The leading axis is always the batch, whatever its length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mho.data.arrays import check_finite, converted
from mho.errors import InvalidData, Unsupported
from mho.types import Array, TensorSpec


def fitted(array: Array, spec: TensorSpec, where: str) -> Array:
    """``array`` in the dtype of ``spec``, once its shape, dtype and numbers are found to fit.

    A shape of ``()`` in the signature means that the model does not say; any rank from 1 will do.
    InvalidData names the array, what it is and what the model takes.
    """
    name = f"{where} for the model's input '{spec.name}'"
    _check_takes_arrays(spec)
    _check_shape(array, spec, name)
    if array.shape[0] == 0:
        raise InvalidData(f"{name} holds no inputs; at least one is needed", subject=spec.name)
    check_finite(array, name)
    return converted(array, spec.dtype, name)


def common_length(inputs: Mapping[str, Array]) -> int:
    """How many rows all ``inputs`` have; InvalidData where one has another number."""
    first, count = next((name, len(array)) for name, array in inputs.items())
    for name, array in inputs.items():
        if len(array) != count:
            raise InvalidData(
                f"the input '{name}' has {len(array)} rows where '{first}' has {count}; all "
                "arrays need as many",
                subject=name,
            )
    return count


def shape_text(spec: TensorSpec) -> str:
    """``(batch, 3, 224, 224)``, with ``?`` where a length is free and unnamed."""
    sizes = ["?" if size is None else str(size) for size in spec.shape[1:]]
    return f"({', '.join(['batch', *sizes])}{',' if not sizes else ''})"


def mismatch(shape: Sequence[int], spec: TensorSpec) -> bool:
    """Whether ``shape`` (batch included) contradicts a rank or a fixed length of ``spec``."""
    if not spec.shape:
        return len(shape) == 0
    return len(shape) != len(spec.shape) or any(
        isinstance(wanted, int) and wanted >= 0 and wanted != found
        for found, wanted in zip(shape[1:], spec.shape[1:], strict=True)
    )


def _check_takes_arrays(spec: TensorSpec) -> None:
    if spec.dtype in ("string", "unknown", "object", "str"):
        raise Unsupported(
            f"the model's input '{spec.name}' is of type {spec.dtype}; only tensors of numbers can "
            "be fed: move the text handling out of the model",
            subject=spec.name,
        )


def _check_shape(array: Array, spec: TensorSpec, name: str) -> None:
    if not mismatch(array.shape, spec):
        return
    remedy = f"give an array of shape {shape_text(spec)}"
    if not mismatch((1, *array.shape), spec):
        remedy = "the batch axis is missing: add it with array[None]"
    raise InvalidData(
        f"{name} has shape {array.shape} where the model takes {shape_text(spec)}; {remedy}",
        subject=spec.name,
    )
