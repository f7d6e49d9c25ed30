"""`imgsearch facets`: what each further filter would leave."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal, cast

import typer

from imgsearch import db
from imgsearch.cli.console import as_json, output, table
from imgsearch.cli.filters import with_filters
from imgsearch.errors import UsageError
from imgsearch.retrieval import Filters
from imgsearch.retrieval.counting import Facet
from imgsearch.retrieval.counting import facets as count
from imgsearch.settings import load_settings


@with_filters
def facets(
    filters: Filters = Filters(),
    per: str = typer.Option("product", "--per", help="What is counted: product or image."),
    prices: str = typer.Option(None, "--prices", help="Bounds of price bands: 0,25,50."),
    attribute: list[str] = typer.Option(None, "--attribute-name", help="Only this attribute; repeat for several."),
    exact: bool = typer.Option(False, "--exact", help="Count all, also where very many match."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Count what matches, and what each further filter would leave of it."""
    with db.connect(load_settings()) as connection:
        found = count(
            connection,
            filters=filters,
            per=_counted(per),
            prices=None if prices is None else _bounds(prices),
            attribute_names=attribute or None,
            exact=exact,
        )
    if json:
        as_json([asdict(one) for one in found])
        return
    rows = [
        (one.name or one.facet, _value(one), f"{one.count:,}{f' ± {one.error:,}' if one.approximate else ''}")
        for one in found
    ]
    output.print(table(["filter", "value", ("count", "right")], rows))


def _counted(per: str) -> Literal["product", "image"]:
    if per not in ("product", "image"):
        raise UsageError(f"--per is product or image, not {per!r}.")
    return cast('Literal["product", "image"]', per)


def _bounds(prices: str) -> list[float]:
    try:
        return [float(part) for part in prices.split(",")]
    except ValueError as error:
        raise UsageError(f"--prices wants numbers with commas between them, as in 0,25,50; not {prices!r}.") from error


def _value(one: Facet) -> str:
    if one.facet != "price":
        return one.value or ""
    if one.low is None:
        return f"below {one.high:g}"
    return f"{one.low:g} and more" if one.high is None else f"{one.low:g} to {one.high:g}"
