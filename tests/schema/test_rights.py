"""Every role × table × right, and who may call what is not everybody's: as written here, and nothing more."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from imgsearch.schema.mend import mend, missing
from imgsearch.spaces.space import Space

Connection = psycopg.Connection[Any]
ROLES = ("imgsearch_reader", "imgsearch_writer", "imgsearch_worker", "imgsearch_admin")
RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
WORK = {"SELECT", "INSERT", "UPDATE", "DELETE"}
READ = {"SELECT"}
WRITE = {"INSERT", "UPDATE", "DELETE"}

# What the owner runs, or believes, is not an admin's to write; of all else he may do the work.
OWNERS = {"applied_object", "attachment", "promoted_attribute", "schema_version"}
# What reader, writer and worker may do; the writer is also a reader.
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
    "tenant_graph": (READ, READ, WORK),
    "upkeep_failure": (set(), set(), WORK),
    "shop": (READ, READ, WORK),
    "vocabulary": (READ, READ, WORK),
    "past_question": (READ, READ, WORK),
    "fingerprint": (READ, READ, WORK),
    "duplicate": (READ, READ | {"DELETE"}, WORK),
    "dismissal": (READ, READ | {"INSERT", "DELETE"}, WORK),
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
    "enqueue_question": {"imgsearch_reader", "imgsearch_writer", "imgsearch_worker"},
    "enqueue_look": {"imgsearch_reader", "imgsearch_writer", "imgsearch_worker"},
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
        assert granted(connection, "imgsearch_admin", table) == (READ if table in OWNERS else WORK), table
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
    assert {row[0] for row in rows} - set(PRIVILEGED) == set()


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        ("ALTER TABLE {} DISABLE ROW LEVEL SECURITY", "has row-level security off"),
        ("DROP POLICY one_tenant ON {}", "lacks the policy one_tenant"),
        ("DROP POLICY open_for_all_tenants ON {}", "lacks the policy open_for_all_tenants"),
    ],
)
@pytest.mark.parametrize("table", ["image", "capture", "embedding_1_tail", "second_look"])
def test_a_wall_that_is_down_is_named_and_put_up_again(
    connection: Connection, space: Space, harm: str, problem: str, table: str
) -> None:
    found = "SELECT object, problem FROM imgsearch_internal.missing_rights()"
    assert connection.execute(found).fetchall() == []
    connection.execute(harm.format(f"imgsearch.{table}").encode())
    assert connection.execute(found).fetchall() == [(f"imgsearch.{table}", problem)]
    assert mend(connection).rights == 1
    assert connection.execute(found).fetchall() == []


DEFINERS = {
    # the one way to ask: who asks may neither read others' questions nor write answers
    **dict.fromkeys(("enqueue_question", "enqueue_look"), "queues a question"),
    # one row of a table that these roles see nothing of
    **dict.fromkeys(("check_api_key", "note_key_use", "link_secret"), "keys"),
    **dict.fromkeys(("begin_session", "find_session", "end_session", "sweep_sessions"), "sessions of the page"),
    "keep_question_here": "counts what is asked",
    # an index over all tenants answers, and only what is the asking tenant's is told
    **dict.fromkeys(("words_found_here", "words_page_here", "asked_words_here", "suggest_here", "alike_here"), "walls"),
    # what is the asking tenant's is written beside his picture
    **dict.fromkeys(("set_aside", "store_given_here"), "writes for one tenant"),
    # workers make tables and indexes, which are the owner's
    **dict.fromkeys(("add_space", "fill_space", "activate_space", "drop_space"), "upkeep"),
    "retry_attached": "reads attached tables as whoever may write them",
    # triggers: who writes an image need not be able to write what follows from it
    **dict.fromkeys(("image_inserted", "image_removed", "image_replaced", "words_changed"), "trigger"),
}


def test_each_function_with_its_owners_rights_has_its_reason(connection: Connection, space: Space) -> None:
    rows = connection.execute(
        "SELECT p.proname FROM pg_proc p WHERE p.pronamespace::regnamespace::text ~ '^imgsearch' AND p.prosecdef"
    )
    assert {row[0] for row in rows} == set(DEFINERS)


ADMINS = (
    "CREATE FUNCTION imgsearch.mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TABLE imgsearch_internal.mine ()",
    "CREATE TRIGGER mine BEFORE INSERT ON imgsearch.vote EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "UPDATE imgsearch.attachment SET mapping = '{}'",
    "DELETE FROM imgsearch.applied_object",
    "INSERT INTO imgsearch.promoted_attribute (name, type, column_name) VALUES ('x', 'text) OR evil((1', 'x')",
    "TRUNCATE imgsearch.image",
)


@pytest.mark.parametrize("attack", ADMINS)
def test_an_admin_runs_nothing_as_the_owner(connection: Connection, space: Space, attack: str) -> None:
    connection.execute("SET ROLE imgsearch_admin")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(attack.encode())


@pytest.mark.parametrize("change", ["attachment_id = 7", "bits_1 = NULL", "tenant_id = 'other'", "incomplete = true"])
def test_a_writer_changes_only_what_a_shop_says(connection: Connection, space: Space, change: str) -> None:
    connection.execute("INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('acme', '1', 'https://x/1')")
    connection.execute("SELECT set_config('imgsearch.tenant', 'acme', false)")
    connection.execute("SET ROLE imgsearch_writer")
    connection.execute("UPDATE imgsearch.image SET price = 3, category = 'shoes'")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(b"UPDATE imgsearch.image SET " + change.encode())


@pytest.mark.parametrize("role", ["imgsearch_reader", "imgsearch_writer"])
@pytest.mark.parametrize("logged_in", [False, True], ids=["stepped down", "logged in"])
def test_nobody_of_one_tenant_asks_without_saying_whose(
    connection: Connection, space: Space, role: str, logged_in: bool
) -> None:
    if logged_in:
        connection.execute("DROP ROLE IF EXISTS asks")
        connection.execute(f"CREATE ROLE asks IN ROLE {role}".encode())
        connection.execute("SET SESSION AUTHORIZATION asks")
    else:
        connection.execute(f"SET ROLE {role}".encode())
    question = "SELECT imgsearch_internal.enqueue_question('red', NULL, NULL, NULL, NULL, NULL)"
    look = 'SELECT imgsearch_internal.enqueue_look(\'{"space": 1, "steps": [], "images": []}\', NULL, 5)'
    for statement in (question, look):
        with pytest.raises(psycopg.Error, match="none is set"):
            connection.execute(statement.encode())
    connection.execute("SELECT set_config('imgsearch.tenant', 'acme', false)")
    assert connection.execute(question.encode()).fetchone() is not None
    connection.execute("RESET SESSION AUTHORIZATION; RESET ROLE; DROP ROLE IF EXISTS asks")


def test_the_doctor_names_roles_that_are_not_granted_to_the_owner(connection: Connection) -> None:
    connection.execute("DROP ROLE IF EXISTS poor_owner")
    connection.execute("CREATE ROLE poor_owner")
    connection.execute("ALTER TABLE imgsearch.image OWNER TO poor_owner")
    assert missing(connection).statements == "GRANT imgsearch_writer TO poor_owner;"
    query = "SELECT fix FROM imgsearch.doctor_rights WHERE check_name = 'roles missing'"
    fix = str((connection.execute(query).fetchone() or ("",))[0])
    assert fix.startswith("GRANT imgsearch_writer TO poor_owner;")
    connection.execute(fix.split("--")[0].encode())
    assert connection.execute(query).fetchone() is None
    connection.execute(
        "ALTER TABLE imgsearch.image OWNER TO CURRENT_USER; DROP OWNED BY poor_owner; DROP ROLE poor_owner"
    )


def test_the_doctor_names_who_may_create_in_our_schemas(connection: Connection) -> None:
    query = "SELECT fix FROM imgsearch.doctor_rights WHERE check_name = 'others may create in our schemas'"
    assert connection.execute(query).fetchall() == []
    connection.execute("GRANT CREATE ON SCHEMA imgsearch_internal TO imgsearch_worker")
    [(fix,)] = connection.execute(query).fetchall()
    assert fix == "REVOKE CREATE ON SCHEMA imgsearch_internal FROM imgsearch_worker;"
    connection.execute(fix.encode())
    assert connection.execute(query).fetchall() == []
