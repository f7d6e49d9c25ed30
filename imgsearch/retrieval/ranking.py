"""How what matches is ranked and cut: one value, in Python this dataclass, in SQL the composite `imgsearch.ranking`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypedDict

from imgsearch import values
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
        metadata={"help": "Search this space, not the active one."},
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
        """Return it as the JSON of which `imgsearch.ranking_of(jsonb)` makes the composite. Raises FilterError."""
        return json.dumps(self.plain(), allow_nan=False)

    def plain(self) -> dict[str, Any]:
        """Return {name: JSON value} of what is given. Raises FilterError."""
        return {name: _READERS[name](value, name) for name, value in self.given().items()}


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


def merged(ranking: Ranking | None, named: Mapping[str, Any]) -> Ranking:
    """Return one value of `ranking=` and named arguments; the named ones win, None says nothing. Raises FilterError."""
    given: object = ranking  # of whoever runs no type checker
    if not isinstance(given, Ranking | None):
        raise FilterError(f'ranking is not a {type(given).__name__}; write Ranking(sort="price") or sort="price".')
    named_ranking = Ranking.from_mapping(named) if named else Ranking()
    both = replace(ranking, **named_ranking.given()) if ranking and named else ranking or named_ranking
    return Ranking(**both.plain())


def _text(value: Any, name: str) -> str:
    return values.text(value, name, values.VALUE, FilterError)


def _number(value: Any, name: str) -> float:
    """The database says within which bounds."""
    try:
        return values.number(value, name, -1e300, 1e300, FilterError)
    except FilterError as error:
        raise FilterError(f"{name} is {values.shown(value)}; it must be a finite number.") from error


def _truth(value: Any, name: str) -> bool:
    return values.truth(value, name, FilterError)


def _boosts(value: Any, name: str) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise FilterError(f'{name} is a mapping of names to numbers, for example {{"in_stock": 0.05}}.')
    return {values.key(key, f"a name in {name}", FilterError): _number(weight, name) for key, weight in value.items()}


_READERS: Mapping[str, Callable[[Any, str], Any]] = {
    **dict.fromkeys(("per", "words", "cutoff", "sort", "space"), _text),
    **dict.fromkeys(("word_weight", "look_weight", "min_match", "diversity", "regions"), _number),
    "expand": _truth,
    "boost": _boosts,
}
