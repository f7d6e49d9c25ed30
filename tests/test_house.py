"""The rules of the house that no linter holds: what an import costs, how long files are, what is documented."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from imgsearch.errors import ImgsearchError

ROOT = Path(__file__).parent.parent
WEB = (
    "import imgsearch.retrieval, imgsearch.query, imgsearch.ingest.upload, imgsearch.sqlalchemy.models, "
    "imgsearch.db, imgsearch.cli"
)


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout


def test_a_web_process_never_loads_torch() -> None:
    loaded = python(f"{WEB}\nimport sys; print(*sys.modules)").split()
    assert "imgsearch.retrieval" in loaded
    assert not {"torch", "transformers", "imgsearch_workers"} & set(loaded)


def test_importing_imgsearch_loads_next_to_nothing() -> None:
    loaded = python(
        "import sys; before = set(sys.modules)\nimport imgsearch\nprint(*set(sys.modules) - before)"
    ).split()
    assert not {"dotenv", "sqlalchemy", "psycopg", "celery", "numpy", "PIL", "pydantic", "rich"} & set(loaded)


def test_a_public_name_is_the_same_thing_wherever_and_whenever_it_is_imported() -> None:
    """A submodule of the same name would take a function's place as soon as something imports it."""
    said = python(
        "import imgsearch, imgsearch.retrieval as retrieval\n"
        "first = [imgsearch.nearest, imgsearch.search, imgsearch.explain]\n"
        "print(first == [retrieval.nearest, retrieval.search, retrieval.explain])\n"
        "print(first == [imgsearch.nearest, imgsearch.search, imgsearch.explain], all(map(callable, first)))"
    )
    assert said == "True\nTrue True\n"


def test_an_import_reads_no_settings_and_opens_nothing() -> None:
    code = (
        "import os, sys\n"
        "opened = []\n"
        "watched = {'socket.connect', 'subprocess.Popen'}\n"
        "sys.addaudithook(lambda event, args: opened.append(args) if event in watched else None)\n"
        f"os.environ['IMGSEARCH_LEASE_SECONDS'] = 'nonsense'\n{WEB}\nprint(opened)"
    )
    assert python(code).strip() == "[]"


@pytest.mark.parametrize("folder", ["imgsearch", "workers", "tests", "bench"])
@pytest.mark.parametrize("kind", ["*.py", "*.sql"])
def test_no_file_is_longer_than_300_lines(folder: str, kind: str) -> None:
    long = {str(path): n for path in (ROOT / folder).rglob(kind) if (n := len(path.read_text().splitlines())) > 300}
    assert long == {}


def test_no_function_in_sql_is_longer_than_60_lines() -> None:
    created = re.compile(
        r"^CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE) ([\w.]+).*?AS (\$\w*\$).*?\2", re.MULTILINE | re.DOTALL
    )
    lengths = {
        found[1]: found[0].count("\n") + 1
        for path in (ROOT / "imgsearch" / "schema").rglob("*.sql")
        for found in created.finditer(path.read_text())
    }
    assert len(lengths) > 60
    assert {name: length for name, length in lengths.items() if length > 60} == {}


def test_no_function_is_patched_after_it_was_created() -> None:
    """Each body says its own rights and search path: what `ALTER FUNCTION` adds, the next CREATE OR REPLACE drops."""
    texts = {path.name: path.read_text() for path in (ROOT / "imgsearch" / "schema").rglob("*.sql")}
    assert [
        name
        for name, text in texts.items()
        if re.search(r"ALTER (FUNCTION|PROCEDURE|ROUTINE) imgsearch(?!.* OWNER TO)", text)
    ] == []


def sql_texts() -> dict[str, str]:
    return {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "imgsearch").rglob("*.sql")}


def test_every_select_has_a_column() -> None:
    """Citus plans no `SELECT FROM` of a distributed table."""
    bare = re.compile(r"\bSELECT\s+FROM\b|\(SELECT\)")
    assert [name for name, text in sql_texts().items() if bare.search(text)] == []


def test_no_do_update_calls_what_is_not_immutable() -> None:
    """Citus refuses it on a distributed table; EXCLUDED and variables are what there is instead."""
    clauses = re.compile(r"\bDO UPDATE\b(?:(?!\bRETURNING\b|\n-- name:|;).)*", re.DOTALL)
    moving = re.compile(r"\b(now|random|clock_timestamp|statement_timestamp|gen_random_uuid|nextval)\(", re.IGNORECASE)
    found = {name: clauses.findall(text) for name, text in sql_texts().items()}
    assert sum(map(len, found.values())) > 3
    assert [name for name, updates in found.items() if any(map(moving.search, updates))] == []


def test_sql_comments_say_returns() -> None:
    old = re.compile(r"\b[Aa]nswers (how|its|whether|whose|the space_id|it\b)")
    assert [name for name, text in sql_texts().items() if old.search(text)] == []


def test_docstrings_say_return() -> None:
    text = {path: path.read_text() for folder in ("imgsearch", "workers") for path in (ROOT / folder).rglob("*.py")}
    assert {str(path) for path, said in text.items() if re.search(r'"""(Answer|Tell whether|Tell if) ', said)} == set()


def test_no_module_is_a_drawer() -> None:
    drawers = {"utils", "util", "common", "helpers", "manager", "base", "misc"}
    named = {path.stem for folder in ("imgsearch", "workers") for path in (ROOT / folder).rglob("*.py")}
    assert not named & drawers


def test_every_error_stands_in_the_drawing_and_says_what_to_do() -> None:
    import imgsearch.errors

    drawing = imgsearch.errors.__doc__ or ""
    pending, seen = [ImgsearchError], set()
    while pending:
        kind = pending.pop()
        pending += [k for k in kind.__subclasses__() if k.__module__ == "imgsearch.errors"]
        seen.add(kind)
        assert kind.__name__ in drawing
        assert kind.__doc__
        assert kind.__doc__.strip()
        row = re.search(rf"\b{kind.__name__} +(\d) +(\d+)", drawing)
        if row:
            assert (int(row[1]), int(row[2])) == (kind.exit_code, kind.http_status), kind.__name__
    assert len(seen) > 15


def test_every_object_of_the_schema_is_commented(connection, space) -> None:  # type: ignore[no-untyped-def]
    bare = connection.execute(
        """
        SELECT 'relation ' || c.relname FROM pg_class c
        WHERE c.relnamespace::regnamespace::text ~ '^imgsearch' AND c.relkind IN ('r', 'v')
          AND obj_description(c.oid, 'pg_class') IS NULL
        UNION ALL
        SELECT 'column ' || c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace::regnamespace::text ~ '^imgsearch' AND c.relkind = 'r'
          AND a.attnum > 0 AND NOT a.attisdropped
          AND col_description(c.oid, a.attnum) IS NULL
        UNION ALL
        SELECT 'function ' || p.oid::regprocedure FROM pg_proc p
        WHERE p.pronamespace::regnamespace::text ~ '^imgsearch' AND obj_description(p.oid, 'pg_proc') IS NULL
        """
    ).fetchall()
    assert bare == []
