"""A restore: into an empty database, all of it or nothing; then rights, settings, statistics, pictures."""

from __future__ import annotations

import csv
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from imgsearch import db
from imgsearch.db import sql
from imgsearch.errors import BackupDamaged, DatabaseRights, StoreError, UsageError
from imgsearch.ingest import picture_store
from imgsearch.ops import manifest, postgres_programs
from imgsearch.ops.backup import Tick
from imgsearch.ops.manifest import Manifest
from imgsearch.schema import extension, mend, migrate
from imgsearch.servers import direct_url
from imgsearch.settings import Settings
from imgsearch.storage import open_store

Connection = psycopg.Connection[Any]
_LISTS = ("search_path", "temp_tablespaces")  # as pg_dump knows them: their values are lists of quoted names
# What a manifest may say of the database: it is a text file, and others would load libraries or switch triggers off.
_OURS = ("imgsearch.", "hnsw.", "ivfflat.")
_TUNING = """
search_path timezone datestyle intervalstyle lc_messages lc_monetary lc_numeric lc_time default_text_search_config
work_mem maintenance_work_mem hash_mem_multiplier temp_buffers temp_tablespaces effective_cache_size jit
effective_io_concurrency maintenance_io_concurrency random_page_cost seq_page_cost cpu_tuple_cost plan_cache_mode
max_parallel_workers_per_gather max_parallel_maintenance_workers default_statistics_target statement_timeout
lock_timeout idle_in_transaction_session_timeout idle_session_timeout transaction_timeout synchronous_commit
default_transaction_isolation default_transaction_read_only bytea_output client_min_messages
"""


def bring_back(settings: Settings, folder: Path, *, pictures: bool = True, tick: Tick = lambda _, __: None) -> Manifest:
    """Restore a backup into the database and the store of the settings; interrupted, call it again.

    The database is restored in one transaction: what fails leaves it empty. One that was restored before and whose
    pictures were not copied to the end is recognised, and goes on with them.
    Raises UsageError for a database that is not empty, BackupDamaged, DatabaseRights, DatabaseError, StoreError.
    """
    found = manifest.read(folder)
    with db.connect_direct(settings, autocommit=True) as connection:
        tick("checking the backup", 0)
        manifest.verify(folder, found)
        if not _is_restored(connection, found):
            _restore(connection, settings, found, folder, tick)
        _set(connection, found, tick)
        mend.mend(connection)
        tick("gathering statistics", 0)
        with connection.transaction():
            sql.run(connection, "backup", "unhurried")
            sql.run(connection, "backup", "analyze")
        if pictures and found.pictures == "copied":
            _copy_back(connection, settings, folder, tick)
        sql.run(connection, "backup", "end")
    return found


def _is_restored(connection: Connection, found: Manifest) -> bool:
    """Whether this very backup's restore was begun here and its database is back; else the database is empty.

    Raises UsageError for a database that holds something else.
    """
    there = sql.rows(connection, "backup", "filled")[0]
    begun = sql.value(connection, "backup", "begun") == found.dump_sha256
    if there["ours"]:
        if begun:
            return True
        raise UsageError(
            f"imgsearch is set up in the database {there['database']} already. Restore into an empty one: "
            f"CREATE DATABASE another; or take this one's away first: imgsearch db remove."
        )
    if there["relations"]:
        raise UsageError(
            f"The database {there['database']} holds {there['relations']} tables and views ({there['one']}, …), and "
            "the backup brings its own. Restore into an empty one: CREATE DATABASE another;"
        )
    if not begun:
        with connection.transaction():
            sql.run(connection, "backup", "end")
            sql.run(connection, "backup", "begin")
            sql.run(connection, "backup", "note", names={"digest": Literal(found.dump_sha256)})
    return False


def _restore(connection: Connection, settings: Settings, found: Manifest, folder: Path, tick: Tick) -> None:
    program = postgres_programs.find("pg_restore", connection.info.server_version // 10000)
    _make_roles(connection)
    _require_pgvector(connection, found)
    owned = () if sql.value(connection, "backup", "is_super") else ("--no-owner",)
    with tempfile.NamedTemporaryFile("w", suffix=".list") as listed:
        listed.write(_entries(connection, program, folder / manifest.DUMP))
        listed.flush()
        tick("restoring the database", 0)
        postgres_programs.run(
            program,
            *("--single-transaction", "--exit-on-error", "--verbose", f"--use-list={listed.name}", *owned),
            *("--dbname=" + connection.info.dbname, str(folder / manifest.DUMP)),
            url=direct_url(settings),
            say=lambda line: tick(line if line.startswith(("processing data", "creating INDEX")) else "restoring", 0),
        )
    migrate.check(connection)


def _make_roles(connection: Connection) -> None:
    """Roles first: policies and rights name them. Raises DatabaseRights with what an administrator types."""
    roles = sql.rows(connection, "backup", "roles")
    missing = [row["name"] for row in roles if not row["there"]]
    if missing and not roles[0]["may_create"]:
        typed = " ".join(f"CREATE ROLE {name} NOLOGIN;" for name in missing)
        raise DatabaseRights(
            f"The backup needs roles that this one may not create. An administrator types: {typed} "
            "Then run the restore again; nothing was changed."
        )
    for name in missing:
        sql.run(connection, "backup", "create_role", names={"role": Identifier(name)})


def _require_pgvector(connection: Connection, found: Manifest) -> None:
    """The dump makes pgvector, like every extension, where it was; refused here is what would fail there.

    Raises ExtensionMissing, UsageError where pgvector is in another schema already.
    """
    with connection.transaction(force_rollback=True):
        had = sql.value(connection, "backup", "pgvector_schema")
        extension.create(connection)
    if had and found.pgvector_schema and had != found.pgvector_schema:
        raise UsageError(
            f"pgvector is in the schema {had} here, and the backup needs it in {found.pgvector_schema}. "
            f"Its owner types: CREATE SCHEMA IF NOT EXISTS {found.pgvector_schema}; "
            f"ALTER EXTENSION vector SET SCHEMA {found.pgvector_schema}; Then run the restore again."
        )


def _entries(connection: Connection, program: Path, dump: Path) -> str:
    """What is to be restored: no schema that is here, and no comment on an extension, only for its installer."""
    done = subprocess.run([str(program), "--list", str(dump)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BackupDamaged(f"{dump} cannot be read: {done.stderr.strip()}")
    here = {row["name"] for row in sql.rows(connection, "backup", "schemas")}
    left_out = re.compile(rf"\d+; \d+ \d+ (?:COMMENT - EXTENSION |SCHEMA - (?:{'|'.join(map(re.escape, here))}) )")
    return "\n".join(line for line in done.stdout.splitlines() if not left_out.match(line))


def _set(connection: Connection, found: Manifest, tick: Tick) -> None:
    home = Identifier(sql.value(connection, "backup", "pgvector_schema"))
    sql.run(connection, "backup", "load_pgvector", names={"schema": home})
    for name, value in found.settings.items():
        if not name.lower().startswith(_OURS) and name.lower() not in _TUNING.split():
            tick(f"{name} is not set: say ALTER DATABASE … SET yourself, if you want what {manifest.NAME} says", 0)
            continue
        names = {
            "database": Identifier(connection.info.dbname),
            "name": Identifier(*name.split(".")),
            "values": SQL(", ").join(Literal(one) for one in _values(name, value)),
        }
        try:
            sql.run(connection, "backup", "set", names=names)
        except DatabaseRights as error:
            raise DatabaseRights(
                f"ALTER DATABASE … SET {name} is refused: an administrator has to say it, with the value that "
                f"{manifest.NAME} holds, or take it out there. All else is restored, but for the pictures: run the "
                "restore again afterwards."
            ) from error


def _values(name: str, value: str) -> list[str]:
    """What stands behind SET: of settings that are lists of names each of them, which Postgres quotes by itself."""
    return next(csv.reader([value], skipinitialspace=True)) if name.lower() in _LISTS else [value]


def _copy_back(connection: Connection, settings: Settings, folder: Path, tick: Tick) -> None:
    source = open_store((folder / manifest.PICTURES).absolute().as_uri())
    target = picture_store.own_store(connection, open_store(settings.storage_url))
    target.mark()
    copied = source.copy_to(target, lambda objects, _: tick("copying pictures", objects))
    if copied.damaged:
        raise StoreError(
            f"{len(copied.damaged)} pictures of the backup have other bytes than their names say, the first: "
            f"{copied.damaged[0]}. All others are back; embed these again from where they came from."
        )
