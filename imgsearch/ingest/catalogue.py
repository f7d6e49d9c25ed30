"""What there is to add: a picture, a folder of pictures, or a CSV/JSONL catalogue, one row per picture."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imgsearch.errors import CatalogueError, UsageError, VectorError
from imgsearch.ingest import vectors
from imgsearch.ingest.upload import checked_price
from imgsearch.picture.formats import SUFFIXES

KNOWN = (
    "path",
    "product_id",
    "tenant_id",
    "position",
    "category",
    "categories",
    "price",
    "in_stock",
    "title",
    "words",
    "codes",
    "vector",
)
_TRUE = frozenset({"true", "t", "yes", "y", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "0"})


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One image to add; `image` is a path or an http(s) address, `place` says where it was named."""

    image: Path | str
    product_id: str
    place: str
    tenant_id: str | None = None
    position: int = 0
    category: str | None = None
    categories: tuple[str, ...] | str | None = None
    price: float | None = None
    in_stock: bool = True
    attributes: Mapping[str, Any] = field(default_factory=dict)
    title: str | None = None
    words: str | None = None
    codes: tuple[str, ...] | str | None = None
    vector: tuple[float, ...] | None = None


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be added, and why."""

    place: str
    error: CatalogueError


def entries(source: Path) -> Iterator[Entry | BadRow]:
    """Yield what `source` names; a bad row comes as a BadRow, and the rows after it still come.

    Raises CatalogueError when the source is nothing we know, or a catalogue lacks a column that every row needs.
    """
    if source.is_dir():
        yield from _folder(source)
    elif not source.exists():
        raise CatalogueError(f"{source} does not exist; check the path.")
    elif source.suffix.lower() == ".csv":
        yield from _unique(_rows(_csv(source), source))
    elif source.suffix.lower() in {".jsonl", ".ndjson"}:
        yield from _unique(_rows(_jsonl(source), source))
    else:
        yield Entry(image=source, product_id=source.stem, place=str(source))


def _folder(folder: Path) -> Iterator[Entry]:
    """Every picture below a folder; its product is its path below the folder, without the suffix."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            yield Entry(image=path, product_id=path.relative_to(folder).with_suffix("").as_posix(), place=str(path))


def _csv(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = [name.strip() for name in reader.fieldnames or ()]
            if missing := [name for name in ("path", "product_id") if name not in columns]:
                raise CatalogueError(
                    f"{path} has no column {' and no column '.join(missing)} (it has: {', '.join(columns) or '–'}). "
                    "A catalogue needs path and product_id; tenant_id, position, category, categories, price, "
                    "in_stock, title, words, codes, vector and any further columns are optional."
                )
            reader.fieldnames = columns
            for row in reader:
                yield reader.line_num, row
    except UnicodeDecodeError as error:
        raise CatalogueError(f"{path} is not UTF-8 text ({error.reason}); save it as UTF-8.") from error
    except csv.Error as error:
        raise CatalogueError(f"{path} is not a CSV file ({error}).") from error


def _jsonl(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | CatalogueError]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    yield number, CatalogueError(f"not JSON ({error}); write one object per line.")
                    continue
                yield number, row if isinstance(row, dict) else CatalogueError("not a JSON object; write one per line.")


def _rows(rows: Iterable[tuple[int, Mapping[str, Any] | CatalogueError]], source: Path) -> Iterator[Entry | BadRow]:
    for number, row in rows:
        place = f"{source.name}:{number}"
        if isinstance(row, CatalogueError):
            yield BadRow(place, row)
            continue
        try:
            yield _entry(row, source.parent, place)
        except CatalogueError as error:
            yield BadRow(place, error)


def _entry(row: Mapping[str, Any], folder: Path, place: str) -> Entry:
    if None in row:
        raise CatalogueError("more values than columns; quote values that hold a comma.")
    given = {name: value for name, value in row.items() if value is not None and value != ""}
    for name in ("path", "product_id"):
        if name not in given:
            raise CatalogueError(f"{name} is empty; give every image one.")
    address = str(given["path"])
    image: Path | str = address if address.lower().startswith(("http://", "https://")) else folder / address
    if isinstance(image, Path) and not image.is_file():
        raise CatalogueError(f"there is no file {image}; paths are relative to the catalogue.")
    return Entry(
        image=image,
        product_id=str(given["product_id"]),
        place=place,
        tenant_id=str(given["tenant_id"]) if "tenant_id" in given else None,
        position=_position(given.get("position", 0)),
        category=str(given["category"]) if "category" in given else None,
        categories=_several("categories", given.get("categories")),
        price=_price(given.get("price")),
        in_stock=_truth(given.get("in_stock", True)),
        attributes={name: value for name, value in given.items() if name not in KNOWN},
        title=_text(given, "title"),
        words=_text(given, "words"),
        codes=_several("codes", given.get("codes")),
        vector=_vector(given.get("vector")),
    )


def _vector(value: object) -> tuple[float, ...] | None:
    """A JSON list of numbers; a CSV holds it as text."""
    if value is None:
        return None
    try:
        return tuple(vectors.numbers(json.loads(value) if isinstance(value, str) else value))  # type: ignore[arg-type]
    except (ValueError, RecursionError, VectorError) as error:
        raise CatalogueError(f"the vector is no list of numbers ({error}); write [0.1, 0.2, …].") from error


def _text(given: Mapping[str, Any], name: str) -> str | None:
    if isinstance(given.get(name), list | dict):
        raise CatalogueError(f"{name} is no text.")
    return str(given[name]) if name in given else None


def _several(name: str, value: object) -> tuple[str, ...] | str | None:
    """Several in a JSON list, or in one text: categories parted by bars, codes also by commas or semicolons."""
    several = value if isinstance(value, list) else []
    if isinstance(value, dict) or any(code is None or isinstance(code, list | dict) for code in several):
        raise CatalogueError(f"{name} are texts; leave out what is null.")
    return tuple(map(str, value)) if isinstance(value, list) else None if value is None else str(value)


def _price(value: float | str | None) -> float | None:
    try:
        return checked_price(value)
    except UsageError as error:
        raise CatalogueError(str(error)) from error


def _position(value: int | float | str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise CatalogueError(f"the position is {value!r}; write a whole number, 0 for the first image.") from error


def _truth(value: object) -> bool:
    text = str(value).strip().lower()
    if text in _TRUE | _FALSE:
        return text in _TRUE
    raise CatalogueError(f"in_stock is {value!r}; write true or false.")


def _unique(rows: Iterable[Entry | BadRow]) -> Iterator[Entry | BadRow]:
    """Refuse a second row for the same place of the same product: one of the two would silently win."""
    seen: dict[tuple[str | None, str, int], str] = {}
    for row in rows:
        if isinstance(row, Entry):
            key = (row.tenant_id, row.product_id, row.position)
            if key in seen:
                yield BadRow(
                    row.place,
                    CatalogueError(
                        f"product {row.product_id} position {row.position} stands in {seen[key]} already; "
                        "number a product's images in a column position."
                    ),
                )
                continue
            seen[key] = row.place
        yield row
