"""Tables of text as spreadsheets write them: encoding, separator, and records; a bad one costs itself alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imgsearch.errors import CatalogueError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
_LONGEST = 1 << 20  # characters of one cell: a vector of 4,000 numbers has some 90,000


@dataclass(frozen=True)
class Table:
    """A header, and records: the line each begins in, and its cells or what is wrong with it."""

    columns: list[str]
    separator: str
    records: list[tuple[int, list[str] | CatalogueError]]


def text_of(path: Path, encoding: str | None = None) -> str:
    """Return the text of a file: in `encoding`, else as its first bytes say, else UTF-8.

    Bytes that are none come as lone surrogates, which `checked` refuses where they stand. Raises CatalogueError.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CatalogueError(f"{path} cannot be read: {error.strerror}. Check it.") from error
    marked = next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)
    if encoding is None and marked is None and b"\0" in data[:2]:
        marked = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    chosen = encoding or marked or "utf-8"
    try:
        return data.decode(chosen, "surrogateescape" if chosen.startswith("utf-8") else "strict")
    except LookupError as error:
        raise CatalogueError(f"There is no encoding {chosen[:40]!r}; write for example windows-1252.") from error
    except UnicodeError as error:
        raise CatalogueError(f"{path} is not {chosen} text; say which with --encoding, or save it as UTF-8.") from error


def checked(text: str) -> str:
    """Return a text that is whole. Raises CatalogueError for bytes that were no UTF-8."""
    if any("\udc80" <= letter <= "\udcff" for letter in text):
        raise CatalogueError(
            "not UTF-8 text; spreadsheets often write windows-1252: save as CSV UTF-8, or add --encoding windows-1252."
        )
    return text


def read(path: Path, needed: tuple[str, ...], encoding: str | None = None) -> Table:
    """Read a CSV file whose header has the columns `needed` (as `called` writes them). Raises CatalogueError."""
    lines = io.StringIO(text_of(path, encoding), newline="").readlines()
    first = 0
    named = lines[0].strip().lower() if lines else ""
    separators = list(SEPARATORS)
    if named.startswith("sep=") and len(lines[0].rstrip("\r\n")) == 5:
        first, separators = 1, [lines[0].rstrip("\r\n")[4]]
    header = next((number for number in range(first, len(lines)) if lines[number].strip()), len(lines))
    heads = {separator: _header(lines, header, separator) for separator in separators}
    separator = next((one for one, head in heads.items() if set(needed) <= set(head)), "")
    if not separator:
        raise _lacks(path, needed, heads)
    columns = heads[separator]
    if twice := next((name for name in columns if name and columns.count(name) > 1), None):
        raise CatalogueError(f"{path} has two columns {twice!r}; name each once.")
    return Table(columns, separator, list(_records(lines, header + 1, separator, len(columns))))


def called(name: str) -> str:
    """Return a column's name without case, and blanks as underscores: "Product ID" is product_id."""
    return "_".join(name.strip().lower().replace("-", " ").replace("_", " ").split())


def _header(lines: list[str], at: int, separator: str) -> list[str]:
    """Return the columns' names: those that catalogues have by their own name, others as they stand."""
    if at >= len(lines):
        return []
    record = _record(lines, at, separator)
    names = [name.strip() for name in checked("\0".join(record[0])).split("\0")] if record else []
    return [called(name) if called(name) in KNOWN else name for name in names]


def _lacks(path: Path, needed: tuple[str, ...], heads: dict[str, list[str]]) -> CatalogueError:
    separator, columns = max(heads.items(), key=lambda head: (len(set(needed) & set(head[1])), len(head[1])))
    missing = " and no column ".join(name for name in needed if name not in columns)
    how = f"; this file is separated by {SEPARATORS[separator]}" if separator != "," and len(columns) > 1 else ""
    return CatalogueError(
        f"{path} has no column {missing} (it has: {', '.join(columns)[:500] or '–'}{how}). A catalogue needs path and "
        f"product_id; {', '.join(name for name in KNOWN if name not in needed)} and any further columns are optional."
    )


def _records(lines: list[str], at: int, separator: str, width: int) -> Iterator[tuple[int, list[str] | CatalogueError]]:
    while at < len(lines):
        record = _record(lines, at, separator)
        if record is None or (record[1] > at + 1 and len(record[0]) != width):
            # A quote that never closes would take the rows behind it along: it costs its own line alone.
            yield at + 1, CatalogueError("a quote is not closed, or stands within a cell; double it, or take it out.")
            at += 1
            continue
        cells, end = record
        if any(cell.strip() for cell in cells):
            yield at + 1, _whole(cells, width)
        at = end


def _record(lines: list[str], at: int, separator: str) -> tuple[list[str], int] | None:
    """Return the cells of the record that begins in a line, and the line behind it; None for none."""
    reader = csv.reader(iter(lines[at : at + 1000]), delimiter=separator, strict=True)
    csv.field_size_limit(_LONGEST)
    try:
        cells = next(reader)
    except (csv.Error, StopIteration):
        return None
    return cells, at + reader.line_num


def _whole(cells: list[str], width: int) -> list[str] | CatalogueError:
    if any(cell.strip() for cell in cells[width:]):
        return CatalogueError("more values than columns; quote values that hold the separator.")
    try:
        checked("".join(cells))
    except CatalogueError as error:
        return error
    return cells[:width]


# Columns that every catalogue may have; others become attributes.
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
