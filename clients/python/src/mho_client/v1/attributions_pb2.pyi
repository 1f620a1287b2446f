from mho_client.v1 import methods_pb2 as _methods_pb2
from mho_client.v1 import results_pb2 as _results_pb2
from mho_client.v1 import tensors_pb2 as _tensors_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttributeRequest(_message.Message):
    __slots__ = ("model", "method", "inputs", "images", "preprocess", "labels", "top")
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _tensors_pb2.Tensor
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_tensors_pb2.Tensor, _Mapping]] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    PREPROCESS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    model: str
    method: _methods_pb2.MethodOptions
    inputs: _containers.MessageMap[str, _tensors_pb2.Tensor]
    images: _containers.RepeatedScalarFieldContainer[bytes]
    preprocess: str
    labels: _containers.RepeatedScalarFieldContainer[int]
    top: int
    def __init__(self, model: _Optional[str] = ..., method: _Optional[_Union[_methods_pb2.MethodOptions, _Mapping]] = ..., inputs: _Optional[_Mapping[str, _tensors_pb2.Tensor]] = ..., images: _Optional[_Iterable[bytes]] = ..., preprocess: _Optional[str] = ..., labels: _Optional[_Iterable[int]] = ..., top: _Optional[int] = ...) -> None: ...

class AttributeResponse(_message.Message):
    __slots__ = ("method", "estimand", "model_digest", "engine", "engine_reason", "layers", "predictions", "completeness", "notes", "queue_milliseconds", "compute_milliseconds", "batch_inputs")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    ESTIMAND_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    ENGINE_REASON_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    COMPLETENESS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    QUEUE_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    BATCH_INPUTS_FIELD_NUMBER: _ClassVar[int]
    method: str
    estimand: str
    model_digest: str
    engine: str
    engine_reason: str
    layers: _containers.RepeatedCompositeFieldContainer[LayerAttribution]
    predictions: _containers.RepeatedCompositeFieldContainer[Prediction]
    completeness: _containers.RepeatedCompositeFieldContainer[Completeness]
    notes: _containers.RepeatedScalarFieldContainer[str]
    queue_milliseconds: float
    compute_milliseconds: float
    batch_inputs: int
    def __init__(self, method: _Optional[str] = ..., estimand: _Optional[str] = ..., model_digest: _Optional[str] = ..., engine: _Optional[str] = ..., engine_reason: _Optional[str] = ..., layers: _Optional[_Iterable[_Union[LayerAttribution, _Mapping]]] = ..., predictions: _Optional[_Iterable[_Union[Prediction, _Mapping]]] = ..., completeness: _Optional[_Iterable[_Union[Completeness, _Mapping]]] = ..., notes: _Optional[_Iterable[str]] = ..., queue_milliseconds: _Optional[float] = ..., compute_milliseconds: _Optional[float] = ..., batch_inputs: _Optional[int] = ...) -> None: ...

class LayerAttribution(_message.Message):
    __slots__ = ("layer", "scores", "map", "top")
    LAYER_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    MAP_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    layer: str
    scores: _tensors_pb2.Tensor
    map: _tensors_pb2.Tensor
    top: _containers.RepeatedCompositeFieldContainer[TopUnits]
    def __init__(self, layer: _Optional[str] = ..., scores: _Optional[_Union[_tensors_pb2.Tensor, _Mapping]] = ..., map: _Optional[_Union[_tensors_pb2.Tensor, _Mapping]] = ..., top: _Optional[_Iterable[_Union[TopUnits, _Mapping]]] = ...) -> None: ...

class TopUnits(_message.Message):
    __slots__ = ("units",)
    UNITS_FIELD_NUMBER: _ClassVar[int]
    units: _containers.RepeatedCompositeFieldContainer[_results_pb2.UnitScore]
    def __init__(self, units: _Optional[_Iterable[_Union[_results_pb2.UnitScore, _Mapping]]] = ...) -> None: ...

class Prediction(_message.Message):
    __slots__ = ("target", "score", "baseline_score")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    BASELINE_SCORE_FIELD_NUMBER: _ClassVar[int]
    target: int
    score: float
    baseline_score: float
    def __init__(self, target: _Optional[int] = ..., score: _Optional[float] = ..., baseline_score: _Optional[float] = ...) -> None: ...

class Completeness(_message.Message):
    __slots__ = ("layers", "difference", "total", "gap")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedScalarFieldContainer[str]
    difference: _containers.RepeatedScalarFieldContainer[float]
    total: _containers.RepeatedScalarFieldContainer[float]
    gap: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, layers: _Optional[_Iterable[str]] = ..., difference: _Optional[_Iterable[float]] = ..., total: _Optional[_Iterable[float]] = ..., gap: _Optional[_Iterable[float]] = ...) -> None: ...
