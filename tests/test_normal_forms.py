"""Equal letters in two spellings are one text: on the way in, in filters, and for what is called by it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from imgsearch import Filters, add, change, remove
from imgsearch.ingest import upload
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.storage import open_store
from tests.given import drawn, mine  # noqa: F401  # a fixture
from tests.http.conftest import open_app  # noqa: F401  # a fixture
from tests.shop import embed
from tests.terminal import Run
from tests.test_catalogues import matching
from tests.test_cli_add import picture

Connection = psycopg.Connection[Any]
ADDRESS = "https://cdn.example.com/a.jpg"
COMPOSED = unicodedata.normalize("NFC", "Café Ångström 한글")
FORMS = [COMPOSED, unicodedata.normalize("NFD", COMPOSED)]


@pytest.mark.parametrize("interface", ["python", "csv", "jsonl", "http"])
@pytest.mark.parametrize("form", FORMS, ids=["composed", "decomposed"])
def test_both_spellings_are_one(
    connection: Connection,
    settings: Settings,
    run: Run,
    open_app: Any,  # noqa: F811
    tmp_path: Path,
    form: str,
    interface: str,
) -> None:
    row: dict[str, Any] = {"product_id": form, "category": form, form: form}
    picture(tmp_path / "a.jpg", (1, 2, 3))
    named = {"product_id": form, "category": form, "title": form, "attributes": {form: form}, "codes": [form]}

    def catalogue(text: str) -> Any:
        (tmp_path / f"c.{interface}").write_text(text, encoding="utf-8")
        return run("add", tmp_path / f"c.{interface}", "--no-wait")

    lines = [["path", "title", *row], ["a.jpg", form, *row.values()]]
    put: dict[str, Callable[[], Any]] = {
        "python": lambda: add(connection, ADDRESS, settings=settings, **named),  # type: ignore[arg-type]
        "csv": lambda: catalogue("\n".join(map(",".join, lines))),
        "jsonl": lambda: catalogue(json.dumps({"path": "a.jpg", "title": form, **row}, ensure_ascii=False)),
        "http": lambda: open_app.test_client().post("/v1/images", json={"images": [{"url": ADDRESS, **named}]}),
    }
    put[interface]()
    stored = connection.execute("SELECT product_id, category, attributes FROM imgsearch.image").fetchall()
    assert stored == [(COMPOSED, COMPOSED, {COMPOSED: COMPOSED})]
    assert connection.execute("SELECT title FROM imgsearch.product").fetchone() == (COMPOSED,)
    for asked in FORMS:
        for within in (
            {"category": asked},
            {"product_ids": [asked]},
            {"attributes": {asked: asked}},
            {"attributes": {asked: [asked, "x"]}},
            {"condition": {"any": [{f"attributes.{asked}": asked}]}},
            {"condition": {"all": [{"category": asked}]}},
        ):
            assert matching(connection, **within) == {COMPOSED}, within
        assert add(connection, ADDRESS, product_id=asked, settings=settings).outcome in {
            "changed",
            "replaced",
            "unchanged",
        }
        assert change(connection, product_id=asked, category=asked, attributes={asked: asked}).images
    assert connection.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (1,)
    assert remove(connection, tenant="default", product_id=form)


def copy(connection: Connection, row: tuple[Any, ...]) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY imgsearch.image (tenant_id, product_id, category, categories, attributes, uri) FROM STDIN"
        ) as lines,
    ):
        lines.write_row(row)


def insert(connection: Connection, row: tuple[Any, ...]) -> None:
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, category, categories, attributes, uri)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        row,
    )


def update(connection: Connection, row: tuple[Any, ...]) -> None:
    """The row was there, and is changed."""
    insert(connection, (row[0], "p", "x", ["x"], "{}", row[5]))
    connection.execute(
        "UPDATE imgsearch.image SET (product_id, category, categories, attributes) = (%s, %s, %s, %s)", row[1:5]
    )


def attached(connection: Connection, row: tuple[Any, ...]) -> None:
    connection.execute("CREATE TABLE goods (sku text PRIMARY KEY, store text, kind text, kinds text[], photo text)")
    mapping = (
        "key => 'sku', image => 'photo', tenant => 'store', categories => 'kinds', words => 'kind', title => 'kind',"
        " attributes => ARRAY['kind AS x']"
    )
    connection.execute(f"SELECT imgsearch.attach('goods', {mapping})".encode())
    values = (row[1], row[0], row[2], row[3], ADDRESS)
    connection.execute("INSERT INTO goods VALUES (%s, %s, %s, %s, %s)", values)
    assert connection.execute("SELECT imgsearch.repair('goods')").fetchone() == (0,)
    assert connection.execute("SELECT * FROM imgsearch.drift('goods')").fetchall() == []
    assert connection.execute("SELECT title, words FROM imgsearch.product").fetchone() == (COMPOSED, COMPOSED)


@pytest.mark.parametrize("write", [insert, copy, update, attached], ids=lambda write: write.__name__)
@pytest.mark.parametrize("form", FORMS, ids=["composed", "decomposed"])
def test_rows_of_sql_are_found_by_either_spelling(
    connection: Connection, space: Space, form: str, write: Callable[[Connection, tuple[Any, ...]], None]
) -> None:
    row = (form, form, form, [form, "x"], json.dumps({form: form, "x": form}, ensure_ascii=False), ADDRESS)
    write(connection, row)
    stored = connection.execute("SELECT tenant_id, image_id, product_id FROM imgsearch.image").fetchall()
    assert [(tenant, product) for tenant, _, product in stored] == [(COMPOSED, COMPOSED)]
    with connection.cursor() as cursor:
        embed(cursor, space, [(tenant, image, bytes(32), [1.0] * 48) for tenant, image, _ in stored])
    for spelling in FORMS:
        name = "x" if write is attached else spelling
        for filters in (
            {"tenant": spelling},
            {"category": spelling},
            {"product_ids": [spelling]},
            {"attributes": {name: spelling}},
            {"attributes": {name: [spelling, "y"]}},
            {"condition": {"any": [{"category": spelling}], "all": [{f"attributes.{name}": {"is": spelling}}]}},
        ):
            assert matching(connection, **filters) == {COMPOSED}, filters
            as_sql = json.dumps(filters if "category" not in filters else {"category": [spelling]}, ensure_ascii=False)
            counted = "SELECT count FROM imgsearch.facets(imgsearch.filters_of(%s)) WHERE facet = 'matches'"
            assert connection.execute(counted, (as_sql,)).fetchone() == (1,), as_sql
        assert matching(connection, tenant=spelling, exclude_product_ids=[spelling]) == set()
    if write is attached:
        connection.execute("UPDATE goods SET kinds = '{}'")
        assert matching(connection, category=COMPOSED) == set()
        connection.execute("DELETE FROM goods")
        assert connection.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (0,)


CALLS = (
    "SELECT count(*) = 1 FROM imgsearch.search(imgsearch.vec_of_product(%(form)s), tenant => %(form)s)",
    "SELECT count(*) = 1 FROM imgsearch.search(imgsearch.vec_of_product(%(form)s), category => %(form)s)",
    "SELECT count(*) = 1 FROM imgsearch.search(imgsearch.vec_of_product(%(form)s), product_ids => ARRAY[%(form)s])",
    "SELECT imgsearch.vec_of(image_id, %(form)s) IS NOT NULL FROM imgsearch.image",
    "SELECT imgsearch.vec_of(image_id, %(form)s, %(space)s) IS NOT NULL FROM imgsearch.image",
    "SELECT imgsearch.vec_of_product(%(form)s, %(form)s) IS NOT NULL",
    "SELECT imgsearch.vec_of_product(%(form)s, %(form)s, %(space)s) IS NOT NULL",
    "SELECT count(*) = 0 FROM imgsearch.image, imgsearch.duplicates_of(image_id, %(form)s)",
    "SELECT count(*) = 1 FROM imgsearch.choices('category', contains => left(%(form)s, 6))",
    "SELECT count(*) = 1 FROM imgsearch.choices('attribute', %(form)s)",
    (
        "SELECT count(*) = 1 FROM imgsearch.facets(jsonb_populate_record(NULL::imgsearch.filters,"
        " jsonb_build_object('tenant', %(form)s::text))) WHERE facet = 'matches' AND count = 1"
    ),
    "SELECT count(*) = 1 FROM imgsearch.facets(attributes => ARRAY[%(form)s]) WHERE facet = 'attribute'",
    "SELECT count(*) = 1 FROM imgsearch.suggest('soft', %(form)s)",
    "SELECT imgsearch.refetch(%(form)s, %(form)s) = 1",
    (
        "WITH failed AS (UPDATE imgsearch.job SET state = 'failed', error_code = 'x', error = 'x' RETURNING 1)"
        " SELECT count(*) = 1 FROM failed"
    ),
    "SELECT imgsearch.requeue(%(form)s) = 1",
    "SELECT imgsearch.keep_question('soft shoes', %(form)s)",
)


@pytest.mark.parametrize("form", FORMS, ids=["composed", "decomposed"])
def test_functions_know_a_picture_by_either_spelling(connection: Connection, space: Space, form: str) -> None:
    insert(connection, (COMPOSED, COMPOSED, COMPOSED, None, json.dumps({COMPOSED: COMPOSED}), ADDRESS))
    row = connection.execute("SELECT tenant_id, image_id FROM imgsearch.image").fetchone()
    assert row
    connection.execute(
        "INSERT INTO imgsearch.product (tenant_id, product_id, title) VALUES (%s, %s, 'Soft')", (form,) * 2
    )
    connection.execute("SELECT imgsearch.set_shop(%s, keep_questions => true)", (form,))
    with connection.cursor() as cursor:
        embed(cursor, space, [(*row, bytes(32), [1.0] * 48)])
    connection.execute("UPDATE imgsearch.image SET sha256 = %s", (bytes(32),))
    for call in CALLS:
        assert connection.execute(call.encode(), {"form": form, "space": space.name}).fetchone() == (True,), call


def test_what_sql_calls_a_product_by_is_composed(connection: Connection) -> None:
    for form in FORMS:
        connection.execute("SELECT imgsearch.pin(%s, %s, category => %s), imgsearch.set_shop(%s)", (form,) * 4)
        connection.execute("SELECT imgsearch.hide(%s, %s)", (form,) * 2)
    assert connection.execute("SELECT DISTINCT tenant_id, product_id FROM imgsearch.merchandise").fetchall() == [
        (COMPOSED, COMPOSED)
    ]
    assert connection.execute("SELECT tenant_id FROM imgsearch.shop").fetchall() == [(COMPOSED,)]
    assert connection.execute("SELECT imgsearch.unpin(%s, %s)", (FORMS[1], FORMS[1])).fetchone() == (2,)


def test_one_name_in_two_spellings_is_refused(connection: Connection) -> None:
    both = json.dumps(dict.fromkeys(FORMS, 1), ensure_ascii=False)
    row = ("acme", "p", None, None, both, ADDRESS)
    with pytest.raises(psycopg.Error, match="one name twice"):
        insert(connection, row)


def test_a_list_of_a_thousand_accented_categories(connection: Connection) -> None:
    row = ("acme", "p", "Café 999", None, "{}", ADDRESS)
    insert(connection, row)
    names = [unicodedata.normalize("NFD", f"Café {n}") for n in range(1000)]
    assert matching(connection, category=names) == {"p"}
    assert Filters(category="shoes").as_json() == '{"category": ["shoes"]}'


def test_a_vector_is_given_by_either_spelling(connection: Connection, mine: str) -> None:  # noqa: F811
    insert(connection, (COMPOSED, COMPOSED, None, None, "{}", ADDRESS))
    vector = "SELECT imgsearch.set_vector(%s, %s, %s, 0, %s::real[])"
    for number, form in enumerate(FORMS):
        assert connection.execute(vector, (mine, form, form, drawn(number))).fetchone() == (True,)


@pytest.mark.parametrize("form", FORMS, ids=["composed", "decomposed"])
def test_a_key_and_a_shop_are_of_the_tenant_by_either_spelling(connection: Connection, run: Run, form: str) -> None:
    assert run("key", "create", "--tenant", form, "--scope", "search").code == 0
    assert run("shop", "set", "--tenant", form, "--language", "german").code == 0
    assert connection.execute("SELECT tenant_id FROM imgsearch.api_key").fetchall() == [(COMPOSED,)]
    assert connection.execute("SELECT tenant_id FROM imgsearch.shop").fetchall() == [(COMPOSED,)]


@pytest.mark.parametrize("form", FORMS, ids=["composed", "decomposed"])
def test_what_is_done_to_a_tenant_reaches_it_by_either_spelling(
    connection: Connection, space: Space, settings: Settings, run: Run, form: str
) -> None:
    for position in range(2):
        add(connection, ADDRESS, product_id="p", position=position, tenant=COMPOSED, settings=settings)
    run("key", "create", "--tenant", COMPOSED, "--scope", "search")
    assert COMPOSED in run("key", "list", "--tenant", form, "--json").out
    forgotten = upload.forget(connection, tenant=form, store=open_store(settings.storage_url))
    assert (forgotten.images, forgotten.rows["api_key"]) == (2, 1)
    assert connection.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (0,)
