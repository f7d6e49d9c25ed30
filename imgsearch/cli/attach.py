"""`imgsearch attach`, `detach`, `backfill`, `attachments`: images that follow a table of yours."""

from __future__ import annotations

from typing import Any

import psycopg
import typer

from imgsearch import db, schema
from imgsearch.cli.console import as_json, output, progress, table
from imgsearch.ingest import attachment
from imgsearch.settings import load_settings

_EXPRESSION = "a column, or an SQL expression over one row"


def attach(
    relation: str = typer.Argument(..., metavar="TABLE", help="Your table, as in SQL: shop.product."),
    key: str = typer.Option("id", help="Its primary key."),
    image: list[str] = typer.Option(..., help="Text column with the picture's address or path; repeat for several."),
    tenant: str = typer.Option(None, help=f"Whose: {_EXPRESSION}. Else 'default'."),
    category: str = typer.Option(None, help=f"Category: {_EXPRESSION}."),
    categories: str = typer.Option(None, help="Several categories: an array, or a SELECT of names."),
    price: str = typer.Option(None, help=f"Price: {_EXPRESSION}."),
    in_stock: str = typer.Option(None, help=f'In stock: {_EXPRESSION}, such as "stock > 0".'),
    attribute: list[str] = typer.Option([], help=f"More to filter on: {_EXPRESSION} AS name. Repeat for several."),
    title: str = typer.Option(None, help=f"What the product is called: {_EXPRESSION}."),
    words: str = typer.Option(None, help=f"Other words to find it by: {_EXPRESSION}."),
    codes: str = typer.Option(None, help=f"Its SKU, EAN and the like: {_EXPRESSION}; one code or an array."),
    base: str = typer.Option(None, help="Where paths begin: https://cdn.example.com/media or file:///srv/media."),
    pictures: str = typer.Option(None, help="A separate table with one row per picture."),
    picture_of: str = typer.Option(None, help="Its foreign key to your table."),
    ordinal: str = typer.Option(None, help="What orders a product's images; else the key of that table."),
    main: str = typer.Option(None, help="A condition that holds for a product's main image, which then comes first."),
    owner: str = typer.Option(None, help="The key of the row whose product the images are, such as parent_id."),
    fallback: str = typer.Option(None, help="The key of a row whose images this one has while it has none."),
    follow: list[str] = typer.Option(
        [], help="TABLE=COLUMN: another table that values are read from, and its column with the key. Repeat."
    ),
    query: str = typer.Option(None, help="Attach this SELECT or view, and TABLE is what it is called from now on."),
    prefix: str = typer.Option("", help="Put before the key, so that two tables' keys never meet."),
    if_not_exists: bool = typer.Option(
        False, "--if-not-exists", help="No error where it is attached already with the same mapping."
    ),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Keep images in step with one of your tables, by triggers on it; then copy the rows it has."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        schema.check(connection)
        mapping: dict[str, Any] = {
            "key": key,
            "image": image if len(image) > 1 or pictures else image[0],
            "tenant": tenant,
            "category": category,
            "categories": categories,
            "price": price,
            "in_stock": in_stock,
            "attributes": attribute,
            "base": base,
            "pictures": pictures,
            "picture_of": picture_of,
            "ordinal": ordinal,
            "main": main,
            "owner": owner,
            "fallback": fallback,
            "follow": dict(_followed(one) for one in follow) if follow else None,
            "prefix": prefix,
            "backfill": False,
            "if_not_exists": if_not_exists,
            "title": title,
            "words": words,
            "codes": codes,
        }
        if query:
            attachment.attach_query(connection, relation, query, **mapping)
        else:
            attachment.attach(connection, relation, **mapping)
        copied = _copy(connection, relation, quiet=json)
    if json:
        as_json({"attached": relation, "copied": copied})
    else:
        output.print(f"{relation} is attached, {copied:,} rows copied. What changes there is searchable from now on.")


def _followed(given: str) -> tuple[str, str | None]:
    """Return table and rule of TABLE=RULE; TABLE= means that nothing follows by itself."""
    table, separator, rule = given.partition("=")
    if not separator:
        raise typer.BadParameter(f"--follow {given}: write TABLE=COLUMN, for example --follow stock=product_id")
    return table.strip(), rule.strip() or None


def refresh(
    relation: str = typer.Argument(..., metavar="TABLE", help="An attached table, or the name of a query."),
    keys: list[str] = typer.Argument(..., metavar="KEY…", help="Keys of the rows; of several columns with / between."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Write the images of these rows anew, after something changed that no trigger sees."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        written = attachment.refresh(connection, relation, keys)
    if json:
        as_json({"written": written})
    else:
        output.print(f"{written:,} images written.")


def detach(
    relation: str = typer.Argument(..., metavar="TABLE", help="Your table."),
    keep: bool = typer.Option(False, "--keep", help="Leave its images; attaching again embeds none of them again."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Take the triggers off a table, and its images out of the search."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        gone = attachment.detach(connection, relation, keep=keep)
    if json:
        as_json({"detached": relation, "images": gone})
    else:
        output.print(f"{relation} is detached, {gone:,} images removed.")


def backfill(
    relation: str = typer.Argument(..., metavar="TABLE", help="An attached table."),
    size: int = typer.Option(attachment.STEP, min=1, help="Rows per transaction."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Copy the rows an attached table had before; continues where it was interrupted."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        copied = _copy(connection, relation, size, quiet=json)
    if json:
        as_json({"copied": copied})
    else:
        output.print(f"{copied:,} rows copied.")


def attachments(
    repair: bool = typer.Option(False, "--repair", help="Repair images that are out of step."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Show the attached tables, and how many of their images are out of step."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        if repair:
            for one in attachment.attachments(connection):
                if one.attached_at is not None:
                    attachment.repair(connection, one.relation)
        found = attachment.attachments(connection, drift=True)
    if json:
        as_json([vars(one) for one in found])
        return
    columns: list[str | tuple[str, str]] = [
        "table",
        "key",
        ("images", "right"),
        "copied",
        ("failed", "right"),
        ("out of step", "right"),
    ]
    rows = [(one.relation, one.mapping["key"], one.images, one.backfilled, one.failed, one.drift) for one in found]
    output.print(table(columns, rows) if rows else "No table is attached; attach one: imgsearch attach TABLE …")


def _copy(connection: psycopg.Connection[Any], relation: str, size: int = attachment.STEP, *, quiet: bool) -> int:
    copied = 0
    with progress(quiet=quiet) as bar:
        task = bar.add_task("copying", total=attachment.rows_of(connection, relation) or None)
        for copied in attachment.backfill(connection, relation, size=size):
            bar.update(task, completed=copied)
        bar.update(task, total=copied, completed=copied)
    return copied
