"""`imgsearch merchandise`: what stands first in a shop's answers, and what never does."""

from __future__ import annotations

import typer

from imgsearch import db
from imgsearch.cli.console import listed, output
from imgsearch.ops import merchandise
from imgsearch.settings import load_settings

app = typer.Typer(
    help="What is pinned to the top of answers, and what is hidden.", no_args_is_help=True, rich_markup_mode=None
)
_TENANT = typer.Option(..., "--tenant", help="Whose answers.")
_PRODUCT = typer.Argument(..., help="The product_id.")
_QUERY = typer.Option("", "--query", help="For this text; without it, whatever is asked.")
_CATEGORY = typer.Option("", "--category", help="Where this category alone is asked for; without it, anywhere.")


@app.command()
def pin(
    product_id: str = _PRODUCT,
    tenant: str = _TENANT,
    query: str = _QUERY,
    category: str = _CATEGORY,
    place: int = typer.Option(1, "--place", help="Where, from 1 (first) to 25."),
) -> None:
    """Pin a product to the top, wherever it matches the filters."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        merchandise.pin(connection, tenant=tenant, product_id=product_id, query=query, category=category, place=place)
    output.print(f"{product_id} stands first for {_said(query, category)}.", markup=False)


@app.command()
def hide(product_id: str = _PRODUCT, tenant: str = _TENANT, query: str = _QUERY, category: str = _CATEGORY) -> None:
    """Hide a product."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        merchandise.hide(connection, tenant=tenant, product_id=product_id, query=query, category=category)
    output.print(f"{product_id} is hidden for {_said(query, category)}.", markup=False)


@app.command("list")
def list_(
    tenant: str = typer.Option(None, help="Only this tenant's."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """List what is pinned and what is hidden."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        found = merchandise.listed(connection, tenant)
    listed(found, ["tenant", "query", "category", "place", "product"], _row, json=json)


@app.command()
def clear(
    tenant: str = _TENANT,
    product_id: str = typer.Option(None, "--product", help="Only of this product."),
    query: str = typer.Option(None, "--query", help="Only for this text."),
    category: str = typer.Option(None, "--category", help="Only for this category."),
) -> None:
    """Take back what was pinned or hidden."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        many = merchandise.unpin(connection, tenant=tenant, product_id=product_id, query=query, category=category)
    output.print(f"{many} taken back.")


def _said(query: str, category: str) -> str:
    parts = [repr(query) if query else "", f"the category {category}" if category else ""]
    return " in ".join(filter(None, parts)) or "whatever is asked"


def _row(one: merchandise.Merchandise) -> tuple[object, ...]:
    return one.tenant_id, one.query or "any", one.category or "any", one.place or "hidden", one.product_id
