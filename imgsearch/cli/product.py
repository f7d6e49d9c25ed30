"""`imgsearch product list`, `change` and `remove`: a shop's products, and what is stored beside their pictures."""

from __future__ import annotations

from typing import Any

import typer

from imgsearch import db
from imgsearch.cli.console import as_json, output, table
from imgsearch.cli.filters import attributes, with_filters
from imgsearch.cli.options import typed
from imgsearch.errors import UnknownImage, UsageError
from imgsearch.ingest import changes, upload
from imgsearch.retrieval import Filters
from imgsearch.retrieval.hits import named_categories
from imgsearch.retrieval.listing import browse_products
from imgsearch.settings import load_settings

app = typer.Typer(help="Products: list, change, remove.", no_args_is_help=True, rich_markup_mode=None)
_PRODUCT = typer.Argument(None, help="The product_id: all its images, and what the product is called.")
_TENANT = typer.Option("default", "--tenant", help="Whose product.")
_POSITION = typer.Option(None, "--position", help="Only its image at this position.")
_IMAGE = typer.Option(None, "--image-id", help="One image, in place of a product.")
_COLUMNS = ("product", "title", "category", ("price", "right"), "in stock", "tenant", ("pictures", "right"))
_EMPTIES = ("category", "categories", "price", "title", "words", "codes")


@app.command("list")
@with_filters
def list_(
    filters: Filters = Filters(),
    sort: str = typer.Option("newest", "--sort", help="newest, price or attributes.NAME, - the other way round."),
    k: int = typer.Option(10, "--k", "-k", help="How many, from 1 to 1000."),
    after: str = typer.Option(None, "--after", help="Continue after a row: its `after`, as --json shows it."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """List products that match, without a question, each once."""
    with db.connect_primary(load_settings()) as connection:
        found = browse_products(connection, filters=filters, sort=sort, k=k, after=after)
    if json:
        shown = ("product_id", "tenant_id", "image_id", "title", "category", "categories", "price", "in_stock")
        as_json([{name: getattr(one, name) for name in (*shown, "attributes", "pictures", "after")} for one in found])
    elif found:
        rows = [
            (
                p.product_id,
                p.title,
                named_categories(p.category, p.categories),
                p.price,
                p.in_stock,
                p.tenant_id,
                p.pictures,
            )
            for p in found
        ]
        output.print(table(_COLUMNS, rows))
    else:
        output.print("No product matches. Leave a filter out, or see what is stored: imgsearch status")


@app.command()
def change(
    product_id: str | None = _PRODUCT,
    tenant: str = _TENANT,
    position: int | None = _POSITION,
    image_id: int | None = _IMAGE,
    price: float | None = typer.Option(None, "--price", help="In your currency."),
    in_stock: bool | None = typer.Option(None, "--in-stock/--sold-out", help="Whether it is in stock."),
    category: str | None = typer.Option(None, "--category", help="One category."),
    categories: list[str] = typer.Option(None, "--categories", help="Of several categories one. Repeat for several."),
    attribute: list[str] = typer.Option(
        None, "--attribute", "-a", help="As name=value; name=null takes it away. Repeat for several; others stay."
    ),
    title: str | None = typer.Option(None, "--title", help="What the product is called."),
    words: str | None = typer.Option(None, "--words", help="More words to find it by."),
    code: list[str] = typer.Option(None, "--code", help="A SKU, EAN or other code. Repeat for several."),
    empty: list[str] = typer.Option(None, "--empty", help=f"Empty one of: {', '.join(_EMPTIES)}. Repeat for several."),
    order: list[int] = typer.Option(
        None, "--order", help="The position of a picture that comes first from now on. Repeat for several, in order."
    ),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Change price, stock, attributes or words without the pictures: nothing is embedded again."""
    _require_one(product_id, image_id)
    if unknown := sorted(set(empty or ()) - set(_EMPTIES)):
        raise UsageError(f"--empty {unknown[0][:40]}: it is one of {', '.join(_EMPTIES)}.")
    named: dict[str, Any] = {"price": price, "in_stock": in_stock, "category": category, "categories": categories}
    named |= {"title": title, "words": words, "codes": code, "order": order}
    given: dict[str, Any] = typed(named) | dict.fromkeys(empty or ())
    if attribute:
        given["attributes"] = attributes(attribute)
    which: dict[str, Any] = {"product_id": product_id, "position": position, "image_id": image_id}
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        found = changes.change(connection, tenant=tenant, **which, **given)
    if not found.images:
        raise _unknown(product_id, image_id, tenant)
    if json:
        as_json({"images": len(found.images), "changed": len(found.changed), "words": found.words})
        return
    words_too = ", and its words" if found.words else ""
    output.print(f"{len(found.changed)} of {len(found.images)} images changed{words_too}.")


@app.command()
def remove(
    product_id: str | None = _PRODUCT,
    tenant: str = _TENANT,
    position: int | None = _POSITION,
    image_id: int | None = _IMAGE,
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Remove a product, or one of its images."""
    _require_one(product_id, image_id)
    which: dict[str, Any] = {"product_id": product_id, "position": position, "image_id": image_id}
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        gone = upload.remove(connection, tenant=tenant, **which)
    if not gone:
        raise _unknown(product_id, image_id, tenant)
    if json:
        as_json({"images": len(gone)})
    else:
        output.print(f"{len(gone)} images are gone.")


def _require_one(product_id: str | None, image_id: int | None) -> None:
    if (product_id is None) == (image_id is None):
        raise UsageError(
            "Name either a product, as in `imgsearch product change sku-1 --price 9.99`, or an --image-id."
        )


def _unknown(product_id: str | None, image_id: int | None, tenant: str) -> UnknownImage:
    what = f"image {image_id}" if product_id is None else f"product {product_id[:100]!r}"
    return UnknownImage(f"The tenant {tenant[:100]!r} has no {what}; `imgsearch product list` shows what there is.")
