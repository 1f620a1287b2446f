from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ArrayRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ARRAY_ROLE_UNSPECIFIED: _ClassVar[ArrayRole]
    ARRAY_ROLE_SCORES: _ClassVar[ArrayRole]
    ARRAY_ROLE_STD_ERROR: _ClassVar[ArrayRole]
    ARRAY_ROLE_CURVE: _ClassVar[ArrayRole]
    ARRAY_ROLE_MAP: _ClassVar[ArrayRole]
    ARRAY_ROLE_RANKING: _ClassVar[ArrayRole]
ARRAY_ROLE_UNSPECIFIED: ArrayRole
ARRAY_ROLE_SCORES: ArrayRole
ARRAY_ROLE_STD_ERROR: ArrayRole
ARRAY_ROLE_CURVE: ArrayRole
ARRAY_ROLE_MAP: ArrayRole
ARRAY_ROLE_RANKING: ArrayRole

class Result(_message.Message):
    __slots__ = ("job", "method", "estimand", "engine", "engine_reason", "layers", "keys", "completeness_gap", "evaluations", "wall_seconds", "notes", "summary_json", "findings")
    class EvaluationsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    JOB_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    ESTIMAND_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    ENGINE_REASON_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    COMPLETENESS_GAP_FIELD_NUMBER: _ClassVar[int]
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    WALL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_JSON_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    job: str
    method: str
    estimand: str
    engine: str
    engine_reason: str
    layers: _containers.RepeatedCompositeFieldContainer[LayerResult]
    keys: _containers.RepeatedScalarFieldContainer[str]
    completeness_gap: float
    evaluations: _containers.ScalarMap[str, int]
    wall_seconds: float
    notes: _containers.RepeatedScalarFieldContainer[str]
    summary_json: str
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    def __init__(self, job: _Optional[str] = ..., method: _Optional[str] = ..., estimand: _Optional[str] = ..., engine: _Optional[str] = ..., engine_reason: _Optional[str] = ..., layers: _Optional[_Iterable[_Union[LayerResult, _Mapping]]] = ..., keys: _Optional[_Iterable[str]] = ..., completeness_gap: _Optional[float] = ..., evaluations: _Optional[_Mapping[str, int]] = ..., wall_seconds: _Optional[float] = ..., notes: _Optional[_Iterable[str]] = ..., summary_json: _Optional[str] = ..., findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("title", "caption", "curve", "image")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    CAPTION_FIELD_NUMBER: _ClassVar[int]
    CURVE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    title: str
    caption: str
    curve: Curve
    image: Image
    def __init__(self, title: _Optional[str] = ..., caption: _Optional[str] = ..., curve: _Optional[_Union[Curve, _Mapping]] = ..., image: _Optional[_Union[Image, _Mapping]] = ...) -> None: ...

class Curve(_message.Message):
    __slots__ = ("key", "x_label", "y_label", "x", "y", "y_low", "y_high", "draws")
    KEY_FIELD_NUMBER: _ClassVar[int]
    X_LABEL_FIELD_NUMBER: _ClassVar[int]
    Y_LABEL_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    Y_LOW_FIELD_NUMBER: _ClassVar[int]
    Y_HIGH_FIELD_NUMBER: _ClassVar[int]
    DRAWS_FIELD_NUMBER: _ClassVar[int]
    key: str
    x_label: str
    y_label: str
    x: _containers.RepeatedScalarFieldContainer[float]
    y: _containers.RepeatedScalarFieldContainer[float]
    y_low: _containers.RepeatedScalarFieldContainer[float]
    y_high: _containers.RepeatedScalarFieldContainer[float]
    draws: int
    def __init__(self, key: _Optional[str] = ..., x_label: _Optional[str] = ..., y_label: _Optional[str] = ..., x: _Optional[_Iterable[float]] = ..., y: _Optional[_Iterable[float]] = ..., y_low: _Optional[_Iterable[float]] = ..., y_high: _Optional[_Iterable[float]] = ..., draws: _Optional[int] = ...) -> None: ...

class Image(_message.Message):
    __slots__ = ("artifact", "media_type")
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    artifact: str
    media_type: str
    def __init__(self, artifact: _Optional[str] = ..., media_type: _Optional[str] = ...) -> None: ...

class LayerResult(_message.Message):
    __slots__ = ("layer", "top")
    LAYER_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    layer: str
    top: _containers.RepeatedCompositeFieldContainer[UnitScore]
    def __init__(self, layer: _Optional[str] = ..., top: _Optional[_Iterable[_Union[UnitScore, _Mapping]]] = ...) -> None: ...

class UnitScore(_message.Message):
    __slots__ = ("unit", "position", "label", "score", "std_error", "magnitude")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    STD_ERROR_FIELD_NUMBER: _ClassVar[int]
    MAGNITUDE_FIELD_NUMBER: _ClassVar[int]
    unit: int
    position: _containers.RepeatedScalarFieldContainer[int]
    label: str
    score: float
    std_error: float
    magnitude: float
    def __init__(self, unit: _Optional[int] = ..., position: _Optional[_Iterable[int]] = ..., label: _Optional[str] = ..., score: _Optional[float] = ..., std_error: _Optional[float] = ..., magnitude: _Optional[float] = ...) -> None: ...
