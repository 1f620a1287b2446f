from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MethodOptions(_message.Message):
    __slots__ = ("ablation", "activation", "conductance", "shapley", "grad_cam", "gradient", "gradient_x_activation", "integrated_gradients", "internal_influence", "layer_integrated_gradients")
    ABLATION_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    CONDUCTANCE_FIELD_NUMBER: _ClassVar[int]
    SHAPLEY_FIELD_NUMBER: _ClassVar[int]
    GRAD_CAM_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_X_ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    INTEGRATED_GRADIENTS_FIELD_NUMBER: _ClassVar[int]
    INTERNAL_INFLUENCE_FIELD_NUMBER: _ClassVar[int]
    LAYER_INTEGRATED_GRADIENTS_FIELD_NUMBER: _ClassVar[int]
    ablation: AblationOptions
    activation: ActivationOptions
    conductance: ConductanceOptions
    shapley: ShapleyOptions
    grad_cam: GradCamOptions
    gradient: GradientOptions
    gradient_x_activation: GradientXActivationOptions
    integrated_gradients: IntegratedGradientsOptions
    internal_influence: InternalInfluenceOptions
    layer_integrated_gradients: LayerIntegratedGradientsOptions
    def __init__(self, ablation: _Optional[_Union[AblationOptions, _Mapping]] = ..., activation: _Optional[_Union[ActivationOptions, _Mapping]] = ..., conductance: _Optional[_Union[ConductanceOptions, _Mapping]] = ..., shapley: _Optional[_Union[ShapleyOptions, _Mapping]] = ..., grad_cam: _Optional[_Union[GradCamOptions, _Mapping]] = ..., gradient: _Optional[_Union[GradientOptions, _Mapping]] = ..., gradient_x_activation: _Optional[_Union[GradientXActivationOptions, _Mapping]] = ..., integrated_gradients: _Optional[_Union[IntegratedGradientsOptions, _Mapping]] = ..., internal_influence: _Optional[_Union[InternalInfluenceOptions, _Mapping]] = ..., layer_integrated_gradients: _Optional[_Union[LayerIntegratedGradientsOptions, _Mapping]] = ...) -> None: ...

class AblationOptions(_message.Message):
    __slots__ = ("layers", "target", "output", "score", "granularity", "engine", "tolerance", "path_input", "baseline", "seed", "value", "estimator", "evaluations", "substitute", "reference", "groups", "scores", "draws")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    GRANULARITY_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    PATH_INPUT_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ESTIMATOR_FIELD_NUMBER: _ClassVar[int]
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    SUBSTITUTE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    DRAWS_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedScalarFieldContainer[str]
    target: str
    output: str
    score: str
    granularity: str
    engine: str
    tolerance: float
    path_input: str
    baseline: str
    seed: int
    value: str
    estimator: str
    evaluations: int
    substitute: str
    reference: str
    groups: str
    scores: str
    draws: int
    def __init__(self, layers: _Optional[_Iterable[str]] = ..., target: _Optional[str] = ..., output: _Optional[str] = ..., score: _Optional[str] = ..., granularity: _Optional[str] = ..., engine: _Optional[str] = ..., tolerance: _Optional[float] = ..., path_input: _Optional[str] = ..., baseline: _Optional[str] = ..., seed: _Optional[int] = ..., value: _Optional[str] = ..., estimator: _Optional[str] = ..., evaluations: _Optional[int] = ..., substitute: _Optional[str] = ..., reference: _Optional[str] = ..., groups: _Optional[str] = ..., scores: _Optional[str] = ..., draws: _Optional[int] = ...) -> None: ...

class ActivationOptions(_message.Message):
    __slots__ = ("layers", "target", "output", "score", "granularity", "engine", "tolerance", "path_input", "baseline", "seed", "reduction")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    GRANULARITY_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    PATH_INPUT_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    REDUCTION_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedScalarFieldContainer[str]
    target: str
    output: str
    score: str
    granularity: str
    engine: str
    tolerance: float
    path_input: str
    baseline: str
    seed: int
    reduction: str
    def __init__(self, layers: _Optional[_Iterable[str]] = ..., target: _Optional[str] = ..., output: _Optional[str] = ..., score: _Optional[str] = ..., granularity: _Optional[str] = ..., engine: _Optional[str] = ..., tolerance: _Optional[float] = ..., path_input: _Optional[str] = ..., baseline: _Optional[str] = ..., seed: _Optional[int] = ..., reduction: _Optional[str] = ...) -> None: ...

class ConductanceOptions(_message.Message):
    __slots__ = ("layers", "target", "output", "score", "granularity", "engine", "tolerance", "path_input", "baseline", "seed", "units")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    GRANULARITY_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    PATH_INPUT_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedScalarFieldContainer[str]
    target: str
    output: str
    score: str
    granularity: str
    engine: str
    tolerance: float
    path_input: str
    baseline: str
    seed: int
    units: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, layers: _Optional[_Iterable[str]] = ..., target: _Optional[str] = ..., output: _Optional[str] = ..., score: _Optional[str] = ..., granularity: _Optional[str] = ..., engine: _Optional[str] = ..., tolerance: _Optional[float] = ..., path_input: _Optional[str] = ..., baseline: _Optional[str] = ..., seed: _Optional[int] = ..., units: _Optional[_Iterable[str]] = ...) -> None: ...

class ShapleyOptions(_message.Message):
    __slots__ = ("layers", "target", "output", "score", "granularity", "engine", "tolerance", "path_input", "baseline", "seed", "value", "estimator", "evaluations", "substitute", "reference", "groups")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    GRANULARITY_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    PATH_INPUT_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ESTIMATOR_FIELD_NUMBER: _ClassVar[int]
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    SUBSTITUTE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedScalarFieldContainer[str]
    target: str
    output: str
    score: str
    granularity: str
    engine: str
    tolerance: float
    path_input: str
    baseline: str
    seed: int
    value: str
    estimator: str
    evaluations: int
    substitute: str
    reference: str
    groups: str
    def __init__(self, layers: _Optional[_Iterable[str]] = ..., target: _Optional[str] = ..., output: _Optional[str] = ..., score: _Optional[str] = ..., granularity: _Optional[str] = ..., engine: _Optional[str] = ..., tolerance: _Optional[float] = ..., path_input: _Optional[str] = ..., baseline: _Optional[str] = ..., seed: _Optional[int] = ..., value: _Optional[str] = ..., estimator: _Optional[str] = ..., evaluations: _Optional[int] = ..., substitute: _Optional[str] = ..., reference: _Optional[str] = ..., groups: _Optional[str] = ...) -> None: ...

class GradCamOptions(_message.Message):
    __slots__ = ("layers", "target", "output", "score", "granularity", "engine", "tolerance", "path_input", "baseline", "seed")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    GRANULARITY_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    PATH_INPUT_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedScalarFieldContainer[str]
    target: str
    output: str
    score: str
    granularity: str
    engine: str
    tolerance: float
    path_input: str
    baseline: str
    seed: int
    def __init__(self, layers: _Optional[_Iterable[str]] = ..., target: _Optional[str] = ..., output: _Optional[str] = ..., score: _Optional[str] = ..., granularity: _Optional[str] = ..., engine: _Optional[str] = ..., tolerance: _Optional[float] = ..., path_input: _Optional[str] = ..., baseline: _Optional[str] = ..., seed: _Optional[int] = ...) -> None: ...

class GradientOptions(_message.Message):
    __slots__ = ("layers", "target", "output", "score", "granularity", "engine", "tolerance", "path_input", "baseline", "seed", "reduction")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    GRANULARITY_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    PATH_INPUT_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    REDUCTION_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedScalarFieldContainer[str]
    target: str
    output: str
    score: str
    granularity: str
    engine: str
    tolerance: float
    path_input: str
    baseline: str
    seed: int
    reduction: str
    def __init__(self, layers: _Optional[_Iterable[str]] = ..., target: _Optional[str] = ..., output: _Optional[str] = ..., score: _Optional[str] = ..., granularity: _Optional[str] = ..., engine: _Optional[str] = ..., tolerance: _Optional[float] = ..., path_input: _Optional[str] = ..., baseline: _Optional[str] = ..., seed: _Optional[int] = ..., reduction: _Optional[str] = ...) -> None: ...

class GradientXActivationOptions(_message.Message):
    __slots__ = ("layers", "target", "output", "score", "granularity", "engine", "tolerance", "path_input", "baseline", "seed", "reduction")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    GRANULARITY_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    PATH_INPUT_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    REDUCTION_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedScalarFieldContainer[str]
    target: str
    output: str
    score: str
    granularity: str
    engine: str
    tolerance: float
    path_input: str
    baseline: str
    seed: int
    reduction: str
    def __init__(self, layers: _Optional[_Iterable[str]] = ..., target: _Optional[str] = ..., output: _Optional[str] = ..., score: _Optional[str] = ..., granularity: _Optional[str] = ..., engine: _Optional[str] = ..., tolerance: _Optional[float] = ..., path_input: _Optional[str] = ..., baseline: _Optional[str] = ..., seed: _Optional[int] = ..., reduction: _Optional[str] = ...) -> None: ...

class IntegratedGradientsOptions(_message.Message):
    __slots__ = ("layers", "target", "output", "score", "granularity", "engine", "tolerance", "path_input", "baseline", "seed")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    GRANULARITY_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    PATH_INPUT_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedScalarFieldContainer[str]
    target: str
    output: str
    score: str
    granularity: str
    engine: str
    tolerance: float
    path_input: str
    baseline: str
    seed: int
    def __init__(self, layers: _Optional[_Iterable[str]] = ..., target: _Optional[str] = ..., output: _Optional[str] = ..., score: _Optional[str] = ..., granularity: _Optional[str] = ..., engine: _Optional[str] = ..., tolerance: _Optional[float] = ..., path_input: _Optional[str] = ..., baseline: _Optional[str] = ..., seed: _Optional[int] = ...) -> None: ...

class InternalInfluenceOptions(_message.Message):
    __slots__ = ("layers", "target", "output", "score", "granularity", "engine", "tolerance", "path_input", "baseline", "seed")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    GRANULARITY_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    PATH_INPUT_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedScalarFieldContainer[str]
    target: str
    output: str
    score: str
    granularity: str
    engine: str
    tolerance: float
    path_input: str
    baseline: str
    seed: int
    def __init__(self, layers: _Optional[_Iterable[str]] = ..., target: _Optional[str] = ..., output: _Optional[str] = ..., score: _Optional[str] = ..., granularity: _Optional[str] = ..., engine: _Optional[str] = ..., tolerance: _Optional[float] = ..., path_input: _Optional[str] = ..., baseline: _Optional[str] = ..., seed: _Optional[int] = ...) -> None: ...

class LayerIntegratedGradientsOptions(_message.Message):
    __slots__ = ("layers", "target", "output", "score", "granularity", "engine", "tolerance", "path_input", "baseline", "seed")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    GRANULARITY_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    PATH_INPUT_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedScalarFieldContainer[str]
    target: str
    output: str
    score: str
    granularity: str
    engine: str
    tolerance: float
    path_input: str
    baseline: str
    seed: int
    def __init__(self, layers: _Optional[_Iterable[str]] = ..., target: _Optional[str] = ..., output: _Optional[str] = ..., score: _Optional[str] = ..., granularity: _Optional[str] = ..., engine: _Optional[str] = ..., tolerance: _Optional[float] = ..., path_input: _Optional[str] = ..., baseline: _Optional[str] = ..., seed: _Optional[int] = ...) -> None: ...
