"""Every role × table × right, and who may call what is not everybody's: as written here, and nothing more."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from imgsearch.schema.mend import mend
from imgsearch.spaces.space import Space

Connection = psycopg.Connection[Any]
ROLES = ("imgsearch_reader", "imgsearch_writer", "imgsearch_worker", "imgsearch_admin")
RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
WORK = {"SELECT", "INSERT", "UPDATE", "DELETE"}
READ = {"SELECT"}
WRITE = {"INSERT", "UPDATE", "DELETE"}

# What reader, writer and worker may do; the writer is also a reader. Of an admin everything is expected.
TABLES: dict[str, tuple[set[str], set[str], set[str]]] = {
    "image": (READ, READ | WRITE, WORK),
    "image_sample": (READ, READ, WORK),
    "embedding_1": (READ, READ, WORK),
    "embedding_1_tail": (READ, READ, WORK),
    "region_1": (READ, READ, WORK),
    "region_state": (READ, READ, WORK),
    "job": (READ, READ, WORK),
    "space": (READ, READ, WORK),
    "worker": (READ, READ, WORK),
    "query_vector": (set(), set(), WORK),
    "second_look": (set(), set(), WORK),
    "product": (READ, READ | WRITE, WORK),
    "merchandise": (READ, READ | WRITE, READ),
    "picture_source": (READ, READ | WRITE, READ),
    "calibration": (READ, READ, WORK),
    "capture": (READ, READ, WORK),
    "image_change": (READ, READ, WORK),
    "asked_attribute": (set(), set(), WORK),
    "tenant_graph": (READ, READ, WORK),
    "upkeep_failure": (set(), set(), WORK),
    "shop": (READ, READ, WORK),
    "vocabulary": (READ, READ, WORK),
    "past_question": (READ, READ, WORK),
    "fingerprint": (READ, READ, WORK),
    "duplicate": (READ, READ, WORK),
    "vote": (READ, READ | {"INSERT"}, set()),
    "promoted_attribute": (READ, READ, READ),
    "schema_version": (READ, READ, READ),
    "attachment": (set(), set(), READ),
    "attachment_failure": (READ, READ, READ),
    "api_key": (set(), set(), set()),
    "page_session": (set(), set(), set()),
    "http_secret": (set(), set(), set()),
    "applied_object": (set(), set(), set()),
}
PRIVILEGED: dict[str, set[str]] = {
    "add_space": {"imgsearch_worker"},
    "fill_space": {"imgsearch_worker"},
    "activate_space": {"imgsearch_worker"},
    "requeue": {"imgsearch_worker"},
    "refetch": {"imgsearch_worker"},
    "retry_attached": {"imgsearch_worker"},
    "check_api_key": {"imgsearch_reader", "imgsearch_writer"},
    "note_key_use": {"imgsearch_reader", "imgsearch_writer"},
    "note_attributes": {"imgsearch_reader", "imgsearch_writer", "imgsearch_worker"},
    "begin_session": {"imgsearch_reader", "imgsearch_writer"},
    "find_session": {"imgsearch_reader", "imgsearch_writer"},
    "end_session": {"imgsearch_reader", "imgsearch_writer"},
    "link_secret": {"imgsearch_reader", "imgsearch_writer"},
    "sweep_sessions": {"imgsearch_worker"},
    "refresh_vocabulary": {"imgsearch_worker"},
    "words_found_here": {"imgsearch_reader", "imgsearch_writer", "imgsearch_worker"},
    "words_page_here": {"imgsearch_reader", "imgsearch_writer", "imgsearch_worker"},
    "asked_words_here": {"imgsearch_reader", "imgsearch_writer", "imgsearch_worker"},
    "suggest_here": {"imgsearch_reader", "imgsearch_writer", "imgsearch_worker"},
    "keep_question_here": {"imgsearch_reader", "imgsearch_writer", "imgsearch_worker"},
    "alike_here": {"imgsearch_reader", "imgsearch_writer", "imgsearch_worker"},
    "set_aside": {"imgsearch_writer"},
    "store_given_here": {"imgsearch_writer"},
    "set_shop": set(),
    "forget_regions": {"imgsearch_worker"},
    "repair_violations": set(),
    "promote_attribute": set(),
    "demote_attribute": set(),
    "enable_rls": set(),
    "grant_rights": set(),
    "rebuild_generated": set(),
    "drop_space": set(),
    "write_image_triggers": set(),
    "write_vectors": set(),
}


def granted(connection: Connection, role: str, table: str) -> set[str]:
    rows = connection.execute(
        "SELECT r FROM unnest(%s::text[]) r WHERE has_table_privilege(%s, 'imgsearch.' || %s, r)"
        " OR r IN ('INSERT', 'UPDATE') AND has_any_column_privilege(%s, 'imgsearch.' || %s, r)",
        (list(RIGHTS), role, table, role, table),
    )
    return {row[0] for row in rows}


def test_the_table_of_rights_knows_every_table(connection: Connection, space: Space) -> None:
    there = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'imgsearch'::regnamespace AND relkind IN ('r', 'p')"
    )
    assert {row[0] for row in there} == set(TABLES)


@pytest.mark.parametrize("again", [False, True], ids=["as made", "after a space was made"])
def test_every_role_has_these_rights_on_these_tables_and_no_others(
    connection: Connection, space: Space, again: bool
) -> None:
    if again:  # making a space grants rights, and once gave the worker back what had been taken from it
        connection.execute(
            "SELECT imgsearch.add_space('other', '', 'print', 7, '1', array_fill(0.1::real, ARRAY[7])::halfvec)"
        )
    for table, (reader, writer, worker) in TABLES.items():
        assert granted(connection, "imgsearch_reader", table) == reader, table
        assert granted(connection, "imgsearch_writer", table) == writer, table
        assert granted(connection, "imgsearch_worker", table) == worker, table
        assert granted(connection, "imgsearch_admin", table) == set(RIGHTS), table
        assert connection.execute(
            "SELECT count(*) FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = %s::regclass AND a.grantee = 0",
            (f"imgsearch.{table}",),
        ).fetchone() == (0,), "nothing is PUBLIC's"


def test_a_reader_reads_answers_but_not_what_others_ask(connection: Connection) -> None:
    rows = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'imgsearch.query_vector'::regclass AND attnum > 0"
        " AND NOT has_column_privilege('imgsearch_reader', attrelid, attnum, 'SELECT')"
    )
    assert {row[0] for row in rows} == {"query", "picture"}


def test_what_is_not_everybodys_is_called_by_these_roles_only(connection: Connection, space: Space) -> None:
    functions = connection.execute(
        "SELECT p.proname, p.oid::regprocedure::text,"
        " EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0),"
        " ARRAY(SELECT r FROM unnest(%s::text[]) r WHERE has_function_privilege(r, p.oid, 'EXECUTE'))"
        " FROM pg_proc p WHERE p.pronamespace::regnamespace::text ~ '^imgsearch'"
        " AND p.prorettype <> 'trigger'::regtype",
        (list(ROLES),),
    ).fetchall()
    closed = {name: set(roles) for name, _, everybody, roles in functions if not everybody}
    assert closed == {name: roles | {"imgsearch_admin"} for name, roles in PRIVILEGED.items()}


def test_what_reaches_beyond_the_callers_rights_writes_nothing_but_what_it_is_for(connection: Connection) -> None:
    """Functions with their owner's rights: each is either privileged, a trigger, or the one way to ask."""
    rows = connection.execute(
        "SELECT p.proname FROM pg_proc p WHERE p.pronamespace::regnamespace::text ~ '^imgsearch' AND p.prosecdef"
        " AND p.prorettype <> 'trigger'::regtype"
    )
    assert {row[0] for row in rows} - set(PRIVILEGED) == {"enqueue_question", "enqueue_look"}


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        ("ALTER TABLE {} DISABLE ROW LEVEL SECURITY", "has row-level security off"),
        ("DROP POLICY one_tenant ON {}", "lacks the policy one_tenant"),
        ("DROP POLICY open_for_all_tenants ON {}", "lacks the policy open_for_all_tenants"),
    ],
)
@pytest.mark.parametrize("table", ["image", "image_change", "embedding_1_tail", "second_look"])
def test_a_wall_that_is_down_is_named_and_put_up_again(
    connection: Connection, space: Space, harm: str, problem: str, table: str
) -> None:
    found = "SELECT object, problem FROM imgsearch_internal.missing_rights()"
    assert connection.execute(found).fetchall() == []
    connection.execute(harm.format(f"imgsearch.{table}").encode())
    assert connection.execute(found).fetchall() == [(f"imgsearch.{table}", problem)]
    assert mend(connection).rights == 1
    assert connection.execute(found).fetchall() == []
