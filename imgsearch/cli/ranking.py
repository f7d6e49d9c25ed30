"""The ranking as options of a command, made from the fields of `Ranking`, and what was typed as its value."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import typer

from imgsearch.cli.options import in_place_of, typed
from imgsearch.errors import FilterError
from imgsearch.retrieval.ranking import HELP, NAMES, Ranking

_KINDS = (str, bool, float)
_SPELLED = {"expand": ["--expand"]}
_FORMS = {"boost": "As NAME=WEIGHT; repeat for several."}


def _option(name: str) -> tuple[Any, Any]:
    """Return the type and the option of one part of a ranking."""
    known = [one for one in get_args(get_type_hints(Ranking)[name]) if one in _KINDS]
    kind: Any = list[str] if name == "boost" else known[0] if known else str
    said = " ".join(filter(None, [HELP[name], _FORMS.get(name)]))
    return kind, typer.Option(None, *_SPELLED.get(name, ["--" + name.replace("_", "-")]), help=said)


OPTIONS: dict[str, tuple[Any, Any]] = {name: _option(name) for name in NAMES}


def ranking_of(given: dict[str, Any]) -> Ranking:
    """Return the ranking of what was typed. Raises FilterError."""
    found = typed(given)
    if "boost" in found:
        found["boost"] = dict(map(_boost, found["boost"]))
    return Ranking.from_mapping(found)


with_ranking = in_place_of("ranking", OPTIONS, ranking_of)


def _boost(pair: str) -> tuple[str, float]:
    name, equals, weight = pair.rpartition("=")
    try:
        return name, float(weight if name and equals else "")
    except ValueError as error:
        raise FilterError(f"{pair!r} is not NAME=WEIGHT; write for example --boost in_stock=0.05.") from error
