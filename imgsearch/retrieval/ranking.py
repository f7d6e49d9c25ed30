"""How what matches is ranked and cut: one value, in Python this dataclass, in SQL the composite `imgsearch.ranking`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypedDict

from imgsearch.errors import FilterError

Per = Literal["product", "image"]


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """What an answer is made of and in which order; None leaves it as it is. What each does stands beside it."""

    per: Per | None = field(default=None, metadata={"help": "One row per product (the default) or per image."})
    words: str | None = field(
        default=None, metadata={"help": "Words to find in titles; by default those that are searched for."}
    )
    word_weight: float | None = field(
        default=None, metadata={"help": "How much words count, from 0 (not at all) to 100; 1 by default."}
    )
    look_weight: float | None = field(
        default=None, metadata={"help": "How much looks count, from 0 (words alone) to 100; 1 by default."}
    )
    expand: bool | None = field(
        default=None, metadata={"help": "Search again with what the best of the first answer look like."}
    )
    cutoff: Literal["auto"] | None = field(
        default=None, metadata={"help": "auto: end the page where what follows no longer fits."}
    )
    min_match: float | None = field(
        default=None, metadata={"help": "Only what fits with at least this probability, from 0 to 1."}
    )
    sort: str | None = field(
        default=None, metadata={"help": "price, newest or attributes.NAME, with - the other way round."}
    )
    boost: Mapping[str, float] | None = field(
        default=None, metadata={"help": 'What moves a row up: {"in_stock": 0.05, "attributes.popularity": 0.1}.'}
    )
    diversity: float | None = field(
        default=None, metadata={"help": "From 0 to 1: how much a page avoids showing the same look twice."}
    )
    space: str | None = field(
        default=None,
        metadata={"help": "Search this space, not the active one; of several (siglip,dino) the ranks are fused."},
    )
    regions: float | None = field(
        default=None,
        metadata={"help": "Search by parts of pictures: from 0 (the whole alone) to 1 (the best of whole and parts)."},
    )

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> Ranking:
        """Return the ranking of a mapping. Raises FilterError for a name that is none of it."""
        if unknown := sorted(set(given) - set(NAMES)):
            raise FilterError(f"There is no way of ranking called {unknown[0]!r}. There are: {', '.join(NAMES)}.")
        return cls(**given)

    def given(self) -> dict[str, Any]:
        """Return {name: value} of what is given."""
        return {name: value for name in NAMES if (value := getattr(self, name)) is not None}

    def as_json(self) -> str:
        """Return it as the JSON of which `imgsearch.ranking_of(jsonb)` makes the composite."""
        found = self.given()
        for name, value in found.items():
            numbers = value.values() if isinstance(value, Mapping) else [value]
            if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
                raise FilterError(f"{name} is {value}; it must be finite, for example {_FOR_EXAMPLE[name]}.")
        try:
            return json.dumps(found, allow_nan=False, default=float)
        except (TypeError, ValueError) as error:
            raise FilterError(f"This ranking cannot be written as JSON ({error}). Use plain values.") from error


class RankingArguments(TypedDict, total=False):
    """The same as named arguments."""

    per: Per | None
    words: str | None
    word_weight: float | None
    look_weight: float | None
    expand: bool | None
    cutoff: Literal["auto"] | None
    min_match: float | None
    sort: str | None
    boost: Mapping[str, float] | None
    diversity: float | None
    space: str | None
    regions: float | None


HELP: Mapping[str, str] = {one.name: one.metadata["help"] for one in fields(Ranking)}
NAMES = tuple(HELP)
_FOR_EXAMPLE = {
    "word_weight": 2, "look_weight": 2, "min_match": 0.5, "diversity": 0.3, "regions": 1,
    "boost": '{"in_stock": 0.05}',
}  # fmt: skip


def merged(ranking: Ranking | None, named: Mapping[str, Any]) -> Ranking:
    """Return one value of `ranking=` and named arguments; the named ones win, None says nothing. Raises FilterError."""
    given: object = ranking  # of whoever runs no type checker
    if not isinstance(given, Ranking | None):
        raise FilterError(f'ranking is not a {type(given).__name__}; write Ranking(sort="price") or sort="price".')
    if not named:
        return ranking or Ranking()
    named_ranking = Ranking.from_mapping(named)
    return replace(ranking, **named_ranking.given()) if ranking else named_ranking
