"""A second look as JSON, in both directions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

from imgsearch.retrieval.rerank import LARGEST_PARAMETERS, MOST_STEPS, STEPS, Rerank, Reranked, rerank_of


def _limits(name: str, step: str) -> Any:
    limits = STEPS[step][name]
    return Field(default=None, ge=limits.low, le=limits.high, description=f"Of {step}; {limits.default:g} by default.")


class RerankStep(BaseModel):
    """One step by which the first `pool` rows are ranked anew; each takes its own parameters and no others."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    step: Literal["k_reciprocal", "expand", "spatial", "cross_encoder", "custom"]
    pool: Annotated[int | None, Field(ge=2, le=500, description="How many rows; 500 or 100 at most.")] = None
    k1: int | None = _limits("k1", "k_reciprocal")
    k2: int | None = _limits("k2", "k_reciprocal")
    weight: float | None = _limits("weight", "k_reciprocal")
    nearest: int | None = _limits("nearest", "expand")
    alpha: float | None = _limits("alpha", "expand")
    min_inliers: int | None = _limits("min_inliers", "spatial")
    name: Annotated[
        str | None, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z_]\w*$", description="Of a custom step.")
    ] = None
    parameters: Annotated[
        dict[str, Any] | None, Field(description=f"What a custom step is told: {LARGEST_PARAMETERS} bytes of JSON.")
    ] = None


Steps = TypeAliasType(
    "Steps",
    Annotated[
        list[RerankStep],
        Field(
            min_length=1,
            max_length=MOST_STEPS,
            description="Steps by which workers rank the first rows anew, one after the other; see docs/rerank.md.",
        ),
    ],
)


class StepSaid(BaseModel):
    """What a step did: at how many rows it looked, how many of them stand elsewhere now; or why it did not rank."""

    model_config = ConfigDict(extra="forbid")

    step: str
    took_ms: float
    looked: int
    moved: int
    code: str | None
    why: str | None


class RerankSaid(BaseModel):
    """What the second look came to. code: null where a step ranked; else why the first ranking stands, in `why`."""

    model_config = ConfigDict(extra="forbid")

    steps: list[StepSaid]
    pool: Annotated[int, Field(description="How many rows it was about.")]
    took_ms: float
    code: str | None
    why: str | None


def asked_of(steps: list[RerankStep] | None) -> Rerank | None:
    """Return the chain that a request names. Raises FilterError."""
    if steps is None:
        return None
    return rerank_of([one.model_dump(exclude_none=True) for one in steps])


def said_of(reranked: Reranked | None) -> RerankSaid | None:
    """Return what a page says of it."""
    return None if reranked is None else RerankSaid(**reranked.as_plain())
