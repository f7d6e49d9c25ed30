"""The ranking as options of a command, made from the fields of `Ranking`, and what was typed as its value."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, get_args, get_type_hints

import typer

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


def with_ranking(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a ranking in place of its parameter `ranking`."""

    @wraps(command)
    def run(**given: Any) -> None:
        ranking = ranking_of({name: given.pop(name) for name in OPTIONS})
        command(ranking=ranking, **given)

    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if parameter.name != "ranking":
            parameters.append(parameter)
            continue
        for name, (kind, option) in OPTIONS.items():
            parameters.append(inspect.Parameter(name, parameter.kind, default=option, annotation=kind))
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def ranking_of(given: dict[str, Any]) -> Ranking:
    """Return the ranking of what was typed. Raises FilterError."""
    typed = {name: value for name, value in given.items() if value is not None and value != []}
    if "boost" in typed:
        typed["boost"] = dict(map(_boost, typed["boost"]))
    return Ranking.from_mapping(typed)


def _boost(pair: str) -> tuple[str, float]:
    name, equals, weight = pair.rpartition("=")
    try:
        return name, float(weight if name and equals else "")
    except ValueError as error:
        raise FilterError(f"{pair!r} is not NAME=WEIGHT; write for example --boost in_stock=0.05.") from error
