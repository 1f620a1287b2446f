from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MethodOptions(_message.Message):
    __slots__ = ("ablation", "activation", "conductance", "shapley", "grad_cam", "gradient", "gradient_x_activation", "integrated_gradients", "internal_influence", "layer_integrated_gradients", "edit")
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
    EDIT_FIELD_NUMBER: _ClassVar[int]
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
    edit: EditOptions
    def __init__(self, ablation: _Optional[_Union[AblationOptions, _Mapping]] = ..., activation: _Optional[_Union[ActivationOptions, _Mapping]] = ..., conductance: _Optional[_Union[ConductanceOptions, _Mapping]] = ..., shapley: _Optional[_Union[ShapleyOptions, _Mapping]] = ..., grad_cam: _Optional[_Union[GradCamOptions, _Mapping]] = ..., gradient: _Optional[_Union[GradientOptions, _Mapping]] = ..., gradient_x_activation: _Optional[_Union[GradientXActivationOptions, _Mapping]] = ..., integrated_gradients: _Optional[_Union[IntegratedGradientsOptions, _Mapping]] = ..., internal_influence: _Optional[_Union[InternalInfluenceOptions, _Mapping]] = ..., layer_integrated_gradients: _Optional[_Union[LayerIntegratedGradientsOptions, _Mapping]] = ..., edit: _Optional[_Union[EditOptions, _Mapping]] = ...) -> None: ...

class AblationOptions(_message.Message):
    __slots__ = ("layers", "target", "output", "score", "granularity", "engine", "tolerance", "path_input", "baseline", "seed", "value", "estimator", "evaluations", "substitute", "reference", "groups", "scores", "draws", "classes", "rank", "subgroups", "attack", "epsilon", "attack_steps", "minibatch", "players", "masked", "orders")
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
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    SUBGROUPS_FIELD_NUMBER: _ClassVar[int]
    ATTACK_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    ATTACK_STEPS_FIELD_NUMBER: _ClassVar[int]
    MINIBATCH_FIELD_NUMBER: _ClassVar[int]
    PLAYERS_FIELD_NUMBER: _ClassVar[int]
    MASKED_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
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
    classes: _containers.RepeatedScalarFieldContainer[str]
    rank: int
    subgroups: _containers.RepeatedScalarFieldContainer[str]
    attack: str
    epsilon: float
    attack_steps: int
    minibatch: int
    players: str
    masked: str
    orders: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, layers: _Optional[_Iterable[str]] = ..., target: _Optional[str] = ..., output: _Optional[str] = ..., score: _Optional[str] = ..., granularity: _Optional[str] = ..., engine: _Optional[str] = ..., tolerance: _Optional[float] = ..., path_input: _Optional[str] = ..., baseline: _Optional[str] = ..., seed: _Optional[int] = ..., value: _Optional[str] = ..., estimator: _Optional[str] = ..., evaluations: _Optional[int] = ..., substitute: _Optional[str] = ..., reference: _Optional[str] = ..., groups: _Optional[str] = ..., scores: _Optional[str] = ..., draws: _Optional[int] = ..., classes: _Optional[_Iterable[str]] = ..., rank: _Optional[int] = ..., subgroups: _Optional[_Iterable[str]] = ..., attack: _Optional[str] = ..., epsilon: _Optional[float] = ..., attack_steps: _Optional[int] = ..., minibatch: _Optional[int] = ..., players: _Optional[str] = ..., masked: _Optional[str] = ..., orders: _Optional[_Iterable[str]] = ...) -> None: ...

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
    __slots__ = ("layers", "target", "output", "score", "granularity", "engine", "tolerance", "path_input", "baseline", "seed", "value", "estimator", "evaluations", "substitute", "reference", "groups", "classes", "rank", "subgroups", "attack", "epsilon", "attack_steps", "minibatch", "players", "masked", "inclusion", "top", "confidence", "std_error", "seconds")
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
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    SUBGROUPS_FIELD_NUMBER: _ClassVar[int]
    ATTACK_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    ATTACK_STEPS_FIELD_NUMBER: _ClassVar[int]
    MINIBATCH_FIELD_NUMBER: _ClassVar[int]
    PLAYERS_FIELD_NUMBER: _ClassVar[int]
    MASKED_FIELD_NUMBER: _ClassVar[int]
    INCLUSION_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    STD_ERROR_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
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
    classes: _containers.RepeatedScalarFieldContainer[str]
    rank: int
    subgroups: _containers.RepeatedScalarFieldContainer[str]
    attack: str
    epsilon: float
    attack_steps: int
    minibatch: int
    players: str
    masked: str
    inclusion: str
    top: int
    confidence: float
    std_error: float
    seconds: float
    def __init__(self, layers: _Optional[_Iterable[str]] = ..., target: _Optional[str] = ..., output: _Optional[str] = ..., score: _Optional[str] = ..., granularity: _Optional[str] = ..., engine: _Optional[str] = ..., tolerance: _Optional[float] = ..., path_input: _Optional[str] = ..., baseline: _Optional[str] = ..., seed: _Optional[int] = ..., value: _Optional[str] = ..., estimator: _Optional[str] = ..., evaluations: _Optional[int] = ..., substitute: _Optional[str] = ..., reference: _Optional[str] = ..., groups: _Optional[str] = ..., classes: _Optional[_Iterable[str]] = ..., rank: _Optional[int] = ..., subgroups: _Optional[_Iterable[str]] = ..., attack: _Optional[str] = ..., epsilon: _Optional[float] = ..., attack_steps: _Optional[int] = ..., minibatch: _Optional[int] = ..., players: _Optional[str] = ..., masked: _Optional[str] = ..., inclusion: _Optional[str] = ..., top: _Optional[int] = ..., confidence: _Optional[float] = ..., std_error: _Optional[float] = ..., seconds: _Optional[float] = ...) -> None: ...

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

class EditOptions(_message.Message):
    __slots__ = ("layers", "target", "output", "score", "granularity", "engine", "tolerance", "path_input", "baseline", "seed", "value", "classes", "rank", "subgroups", "attack", "epsilon", "attack_steps", "minibatch", "estimator", "evaluations", "players", "masked", "substitute", "reference", "groups", "remove", "scores", "count", "end", "draws")
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
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    SUBGROUPS_FIELD_NUMBER: _ClassVar[int]
    ATTACK_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    ATTACK_STEPS_FIELD_NUMBER: _ClassVar[int]
    MINIBATCH_FIELD_NUMBER: _ClassVar[int]
    ESTIMATOR_FIELD_NUMBER: _ClassVar[int]
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    PLAYERS_FIELD_NUMBER: _ClassVar[int]
    MASKED_FIELD_NUMBER: _ClassVar[int]
    SUBSTITUTE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
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
    classes: _containers.RepeatedScalarFieldContainer[str]
    rank: int
    subgroups: _containers.RepeatedScalarFieldContainer[str]
    attack: str
    epsilon: float
    attack_steps: int
    minibatch: int
    estimator: str
    evaluations: int
    players: str
    masked: str
    substitute: str
    reference: str
    groups: str
    remove: _containers.RepeatedScalarFieldContainer[str]
    scores: str
    count: int
    end: str
    draws: int
    def __init__(self, layers: _Optional[_Iterable[str]] = ..., target: _Optional[str] = ..., output: _Optional[str] = ..., score: _Optional[str] = ..., granularity: _Optional[str] = ..., engine: _Optional[str] = ..., tolerance: _Optional[float] = ..., path_input: _Optional[str] = ..., baseline: _Optional[str] = ..., seed: _Optional[int] = ..., value: _Optional[str] = ..., classes: _Optional[_Iterable[str]] = ..., rank: _Optional[int] = ..., subgroups: _Optional[_Iterable[str]] = ..., attack: _Optional[str] = ..., epsilon: _Optional[float] = ..., attack_steps: _Optional[int] = ..., minibatch: _Optional[int] = ..., estimator: _Optional[str] = ..., evaluations: _Optional[int] = ..., players: _Optional[str] = ..., masked: _Optional[str] = ..., substitute: _Optional[str] = ..., reference: _Optional[str] = ..., groups: _Optional[str] = ..., remove: _Optional[_Iterable[str]] = ..., scores: _Optional[str] = ..., count: _Optional[int] = ..., end: _Optional[str] = ..., draws: _Optional[int] = ...) -> None: ...
