"""What there is to add: a picture, a folder of pictures, or a CSV/JSONL catalogue, one row per picture."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imgsearch import values
from imgsearch.errors import CatalogueError, UsageError, VectorError
from imgsearch.ingest import cells, folder, spreadsheet, vectors
from imgsearch.ingest.columns import checked_price
from imgsearch.ingest.folder import Below
from imgsearch.ingest.spreadsheet import KNOWN

_TRUE = frozenset({*cells.TRUE, "t", "yes", "y", "ja", "oui", "si", "1"})
_FALSE = frozenset({*cells.FALSE, "f", "no", "n", "nein", "non", "0"})


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How catalogues are read: what more than their own folder they may name, and what their cells are."""

    allowed: Sequence[Path] = ()
    encoding: str | None = None
    texts: Sequence[str] = ()  # columns whose cells stay texts


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


@dataclass(frozen=True)
class Column:
    """A column of a catalogue that becomes an attribute: its type, and in how many rows it has a value."""

    name: str
    kind: cells.Kind
    rows: int

    def __str__(self) -> str:
        return f"{self.name}: {self.kind} in {self.rows:,} rows"


@dataclass(frozen=True)
class Skipped:
    """Hidden files and those that systems leave beside pictures, which were passed over."""

    count: int


Found = Entry | BadRow | Column | Skipped


def entries(source: Path, reading: Reading = Reading()) -> Iterator[Found]:
    """Yield what `source` names; a bad row comes as a BadRow, and the rows after it still come.

    Raises CatalogueError when the source is nothing we know, or a catalogue lacks a column that every row needs.
    """
    suffix = source.suffix.lower()
    try:
        is_folder, is_there = source.is_dir(), source.exists()
    except (OSError, ValueError) as error:  # a name that is too long for the disk, or none
        raise CatalogueError(
            f"{ascii(str(source))[:200]} cannot be read ({error.args[-1]}); check the path."
        ) from error
    if is_folder:
        yield from _folder(source, Below(source, reading.allowed))
    elif not is_there:
        raise CatalogueError(f"{source} does not exist; check the path.")
    elif suffix in {".csv", ".tsv"}:
        yield from _csv(source, reading)
    elif suffix in {".jsonl", ".ndjson"}:
        yield from _rows(_jsonl(source, reading.encoding), source, reading)
    else:
        yield _of_file(source, source.stem)


def unique(entries: Iterable[Found]) -> Iterator[Found]:
    """Refuse a second picture for the same place of the same product: one of the two would silently win."""
    places: dict[tuple[str, str, int], str] = {}
    for row in entries:
        if isinstance(row, Entry):
            key = (row.tenant_id or "default", row.product_id, row.position)
            if key in places:
                why = f"product {row.product_id} position {row.position} stands in {places[key]} already"
                cure = "rename one of the files, or number a product's images in a catalogue's column position."
                yield BadRow(row.place, CatalogueError(f"{why}; {cure}"))
                continue
            places[key] = row.place
        yield row


def _folder(source: Path, below: Below) -> Iterator[Found]:
    """Every picture below a folder; its product is its path below the folder, without the suffix."""
    inside = folder.walked(source)
    for path in inside.pictures:
        yield _of_file(path, path.relative_to(source).with_suffix("").as_posix(), below)
    for error in inside.unreadable:
        yield BadRow(values.printable(str(error.filename)), CatalogueError(f"cannot be read: {error.strerror}."))
    if inside.skipped:
        yield Skipped(inside.skipped)


def _of_file(path: Path, product: str, below: Below | None = None) -> Entry | BadRow:
    place = values.printable(str(path))
    try:
        image = path if below is None else below.resolved(path.absolute())
        return Entry(image=image, product_id=values.key(product, "product_id"), place=place)
    except UsageError as error:
        return BadRow(place, error if isinstance(error, CatalogueError) else CatalogueError(str(error)))


def _csv(path: Path, reading: Reading) -> Iterator[Found]:
    table = spreadsheet.read(path, ("path", "product_id"), reading.encoding)
    comma = table.separator in ";\t"
    kinds: dict[str, Any] = {}
    for place, name in enumerate(table.columns):
        if name and name not in KNOWN:
            column = [record[place] for _, record in table.records if isinstance(record, list) and place < len(record)]
            kind, kinds[name] = cells.typed(column, comma=comma, stays_text=name in reading.texts)
            yield Column(name, kind, sum(bool(cell.strip()) for cell in column))
    if unknown := sorted(set(reading.texts) - set(table.columns)):
        raise CatalogueError(f"{path} has no column {unknown[0][:100]!r} to keep as text.")
    rows = ((line, _read(record, table.columns, kinds, comma=comma)) for line, record in table.records)
    yield from _rows(rows, path, reading)


def _read(
    record: list[str] | CatalogueError, columns: list[str], kinds: Mapping[str, Any], *, comma: bool
) -> dict[str, Any] | CatalogueError:
    """Return the cells of a row by name, those of attributes as their column's type."""
    if isinstance(record, CatalogueError):
        return record
    row: dict[str, Any] = {}
    for name, cell in zip(columns, record, strict=False):
        if not cell.strip():
            continue
        if not name:
            return CatalogueError("a value stands in a column without a name; name it in the first line.")
        row[name] = kinds[name](cell) if name in kinds else cell
    if "price" in row:
        row["price"] = cells.price(row["price"], comma=comma)
    if "position" in row and (place := cells.number(row["position"])) is not None:
        row["position"] = place
    return row


def _jsonl(path: Path, encoding: str | None) -> Iterator[tuple[int, Mapping[str, Any] | CatalogueError]]:
    with path.open("rb") as file:
        marked = encoding or ("utf-16" if file.read(2) in {b"\xff\xfe", b"\xfe\xff"} else None)
        file.seek(0)
        lines: Iterable[Any] = file if marked is None else spreadsheet.text_of(path, marked).split("\n")
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    row = json.loads(line, object_pairs_hook=_once)
                except (ValueError, RecursionError) as error:
                    yield number, CatalogueError(f"not JSON ({error}); write one object per line, as UTF-8.")
                    continue
                yield number, row if isinstance(row, dict) else CatalogueError("not a JSON object; write one per line.")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return row


def _rows(
    rows: Iterable[tuple[int, Mapping[str, Any] | CatalogueError]], source: Path, reading: Reading
) -> Iterator[Entry | BadRow]:
    below = Below(source.parent, reading.allowed)
    for number, row in rows:
        place = f"{values.printable(source.name)}:{number}"
        try:
            if isinstance(row, CatalogueError):
                raise row
            yield _entry(row, below, place)
        except CatalogueError as error:
            yield BadRow(place, error)
        except UsageError as error:
            yield BadRow(place, CatalogueError(str(error)))


def _entry(row: Mapping[str, Any], below: Below, place: str) -> Entry:
    given = {name: value for name, value in row.items() if value is not None and value != ""}
    for name in ("path", "product_id"):
        if name not in given:
            raise CatalogueError(f"{name} is empty; give every image one.")
    return Entry(
        image=_picture(values.text(given["path"], "path", 4096), below),
        product_id=_key(given, "product_id") or "",
        place=place,
        tenant_id=_key(given, "tenant_id"),
        position=values.whole(_plain(given.get("position", 0)), "position", 0, values.POSITION),
        category=_key(given, "category"),
        categories=_several("categories", given.get("categories")),
        price=checked_price(given.get("price")),
        in_stock=_truth(given.get("in_stock", True)),
        attributes=values.mapping({n: value for n, value in given.items() if n not in KNOWN}, "attributes"),
        title=_text(given, "title"),
        words=_text(given, "words"),
        codes=_several("codes", given.get("codes")),
        vector=_vector(given.get("vector")),
    )


def _picture(address: str, below: Below) -> Path | str:
    if address.lower().startswith(("http://", "https://")):
        return address
    image = below.resolved(Path(address))
    try:
        is_file = image.is_file()
    except OSError:
        is_file = False  # a name that is too long for the disk
    if not is_file:
        raise CatalogueError(f"there is no file {values.printable(address)}; paths are relative to the catalogue.")
    return image


def _key(given: Mapping[str, Any], name: str) -> str | None:
    return values.key(given[name], name) if name in given else None


def _plain(value: object) -> object:
    """A whole number as a text of JSON is one too."""
    read = cells.number(value) if isinstance(value, str) else None
    return value if read is None else read


def _vector(value: object) -> tuple[float, ...] | None:
    """A JSON list of numbers; a CSV holds it as text."""
    if value is None:
        return None
    try:
        return tuple(vectors.numbers(json.loads(value) if isinstance(value, str) else value))  # type: ignore[arg-type]
    except (ValueError, RecursionError, VectorError) as error:
        raise CatalogueError(f"the vector is no list of numbers ({error}); write [0.1, 0.2, …].") from error


def _text(given: Mapping[str, Any], name: str) -> str | None:
    return values.text(given[name], name, 1 << 20) if name in given else None


def _several(name: str, value: object) -> tuple[str, ...] | str | None:
    """Several in a JSON list, or in one text: categories parted by bars, codes also by commas or semicolons."""
    if value is None or isinstance(value, str):
        return value
    listed = value if isinstance(value, list) else [value]
    return tuple(values.text(part, name, 1 << 20) for part in listed)


def _truth(value: object) -> bool:
    text = value.strip().lower() if isinstance(value, str) else ""
    if text in _TRUE | _FALSE:
        return text in _TRUE
    return values.truth(_plain(value), "in_stock")
