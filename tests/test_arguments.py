"""The same names at every door: docs/arguments.md says what the signatures, options, models and functions have.

Where it fails, it prints the table as it should be.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import psycopg
import typer
from typer.core import TyperGroup, TyperOption

import imgsearch
from imgsearch.cli.app import app
from imgsearch.flask import ImageSearch
from imgsearch.http import requests
from imgsearch.ingest.upload import ImageFields
from imgsearch.retrieval import ranking
from imgsearch.retrieval.by_filters import SearchArguments
from imgsearch.retrieval.filters import NAMES

PAGE = Path(__file__).parent.parent / "docs" / "arguments.md"
# A door may spell a name otherwise only where this says so.
SPELLINGS = {
    "category": ("categories",),  # SQL has no argument that takes one or several
    "tenant": ("tenant_id",),  # the column
}
SEARCH = (*NAMES, *ranking.NAMES, "k", "skip", "after", "max_distance", "rerank")
ADD = tuple(get_type_hints(ImageFields))
# What stands beside them, at one door: how the query is given, and what concerns the door alone.
BESIDE = {
    "SQL search": {"query"},
    "Python search": {"connection", "query", "region", "filters", "ranking", "timeout", "rerank_timeout"},
    "Flask search": {"self", "query", "region", "filters", "ranking", "timeout"},
    "command line search": {"picture", "image-id", "region", "more-like", "less-like", "explain", "json", "help"}
    | {"like", "unlike", "like-product", "strategy"}  # recommendations
    | {"draw"},
    "HTTP search": {
        *("text", "image_id", "product_id", "more_like", "less_like", "like", "unlike", "strategy", "vector"),
        *("picture_url", "region", "facets"),
    },
    "Python add": {"connection", "picture", "store", "settings"},
    "command line add": {"wait", "json", "help", "allow-folder", "text", "encoding"},
}


def signature(function: Any, named: type | None = None) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    names = {one.name for one in parameters if one.kind is not one.VAR_KEYWORD}
    return names | (set(get_type_hints(named)) if named else set())


def options(command: str) -> set[str]:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    found = [one for one in group.commands[command].params if isinstance(one, TyperOption)]
    return {max(one.opts, key=len).removeprefix("--") for one in found}


def doors(sql: set[str], columns: set[str]) -> dict[str, dict[str, set[str]]]:
    """Return {table: {door: names}} as they are."""
    found = {
        "search": {
            "SQL": sql,
            "Python": signature(imgsearch.search, SearchArguments),
            "Flask": signature(ImageSearch.search, SearchArguments),
            "command line": options("search"),
            "HTTP": set(requests.Search.model_json_schema()["properties"]),
        },
        "add": {
            "SQL": columns,
            "Python": signature(imgsearch.add),
            "Flask": set(get_type_hints(ImageFields)),
            "command line": options("add"),
            "HTTP": set(requests.ImageFields.model_json_schema()["properties"]),
        },
    }
    for table, columns_of in found.items():
        for door, names in columns_of.items():
            names -= BESIDE.get(f"{door} {table}", set())
    return found


def cell(name: str, names: set[str], door: str, rows: Collection[str]) -> str:
    """Return how a door spells a name, and take it from `names`."""
    wanted = (name, *(one for one in SPELLINGS.get(name, ()) if one not in rows))
    if door == "command line":
        wanted = tuple(w.replace("_", "-") for w in (name, name.removesuffix("s")))
    taken = [one for one in dict.fromkeys(wanted) if one in names]
    names.difference_update(taken)
    return ", ".join(f"`--{one}`" if door == "command line" else f"`{one}`" for one in taken) or "–"


def table(rows: Collection[str], found: Mapping[str, set[str]]) -> list[str]:
    left = {door: set(names) for door, names in found.items()}
    lines = ["| | " + " | ".join(left) + " |", "|---" * (len(left) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(cell(name, left[door], door, rows) for door in left) + " |" for name in rows]
    assert not any(left.values()), f"names of no row: {left}"
    return lines


def test_the_page_says_what_every_door_takes(connection: psycopg.Connection[Any]) -> None:
    sql = connection.execute(
        "SELECT a.name FROM pg_proc p, unnest(p.proargnames, p.proargmodes) AS a (name, mode) "
        "WHERE p.pronamespace = 'imgsearch'::regnamespace AND p.proname = 'search' AND a.mode = 'i'"
    ).fetchall()
    columns = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'imgsearch.image'::regclass AND attname = ANY(%s)",
        [[*ADD, "tenant_id"]],
    ).fetchall()
    found = doors({row[0] for row in sql}, {row[0] for row in columns})
    page = PAGE.read_text()
    for name, rows in (("search", SEARCH), ("add", ADD)):
        wanted = "\n".join(table(rows, found[name]))
        said = page.split(f"<!-- {name}: begin -->\n")[1].split(f"\n<!-- {name}: end -->")[0]
        assert said == wanted, f"docs/arguments.md should say:\n{wanted}"


def test_the_page_says_every_column_that_search_returns(connection: psycopg.Connection[Any]) -> None:
    part = PAGE.read_text().split("<!-- columns: begin -->\n")[1].split("<!-- columns: end -->")[0]
    columns = [line.split("`")[1] for line in part.splitlines()[2:]]
    cursor = connection.execute("SELECT * FROM imgsearch.search(NULL::text, k => 1) LIMIT 0")
    assert cursor.description is not None
    assert columns == [column.name for column in cursor.description]


def test_one_name_means_one_thing_in_python() -> None:
    functions = [
        imgsearch.add,
        imgsearch.remove,
        imgsearch.forget,
        imgsearch.search,
        imgsearch.resolve,
        imgsearch.attach,
    ]
    for function in functions:
        names = signature(function)
        assert "tenant_id" not in names, function
        assert not names & {"photo", "offset", "limit", "after_distance"}, function
        assert "categories" not in names or function is not imgsearch.search, function  # `category` takes several
        assert "tenant" in names or function is imgsearch.search, function
