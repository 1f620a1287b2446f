"""A method whose options say how the toy run of ``fake_entry`` behaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from mho.evaluation import PointEvaluator
from mho.method import Method, Progress, option
from mho.results import Result


@dataclass(frozen=True, kw_only=True)
class Toy(Method[Any, PointEvaluator]):
    name: ClassVar[str] = "toy"
    summary: ClassVar[str] = "sums random numbers"
    needs: ClassVar[type[Any]] = PointEvaluator
    uses: ClassVar[frozenset[str]] = frozenset()

    steps: int = option(10, "how many steps", minimum=0, maximum=10**9)
    pause: float = option(0.0, "seconds that a step takes", minimum=0)
    behaviour: str = option("", "e.g. crash@3: what happens in step 3", free=True)
    reference: str = option("", "data", file="data")
    groups: str = option("", "groups of units", file="groups")
    substitute: str = option("mean", "substitute", choices=("mean", "zero"), file="array")

    def state_class(self) -> type[Any]:
        raise NotImplementedError

    def init(self, evaluator: PointEvaluator) -> Any:
        raise NotImplementedError

    def step(self, state: Any, evaluator: PointEvaluator) -> Any:
        raise NotImplementedError

    def done(self, state: Any) -> bool:
        raise NotImplementedError

    def progress(self, state: Any) -> Progress:
        raise NotImplementedError

    def result(self, state: Any, evaluator: PointEvaluator) -> Result:
        raise NotImplementedError
