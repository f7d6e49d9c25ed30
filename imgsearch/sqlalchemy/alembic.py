"""Alembic in your own project: our schema as a branch of your history, and attach_imgsearch as one of your operations.

alembic.ini, in place of its line `path_separator = os`, which would cut our address in two (Flask-Migrate writes none;
pyproject.toml has a list, which needs none):

    path_separator = newline
    version_locations =
        %(script_location)s/versions
        imgsearch:migrations/versions

env.py, where it calls `context.configure(…)`; it is an error there if Alembic does not find ours:

    from imgsearch.sqlalchemy.alembic import include_object
    context.configure(..., include_object=include_object())

There are two heads from then on, yours and `imgsearch`: `alembic heads` shows both, and a new revision says whose it
continues, or Alembic puts it beside ours. Your first revision, if you have none, and each later one (with a history
of your own, `--head` takes the number of its newest revision):

    alembic upgrade heads
    alembic revision --autogenerate -m first --head base --branch-label shop --version-path alembic/versions
    alembic revision --autogenerate -m later --head shop@head

With `transaction_per_migration=True` in `context.configure()` a step beside which others may work is applied part by
part, each its own transaction; without it the host's one transaction holds its locks to the end: then run
`imgsearch db upgrade` before `alembic upgrade`, which finds the work done.

`alembic upgrade heads` (or `imgsearch@head` alone) and `imgsearch db upgrade` then bring the database to the same
schema; whichever runs second finds the work done. Functions have no revision of their own: after a new release without
one, `imgsearch db upgrade` brings them up to date, or in env.py, after `context.run_migrations()`:

    imgsearch.schema.migrate.refresh(connection)

A migration of yours that attaches a table says `depends_on = "imgsearch_0001"` and

    import imgsearch.sqlalchemy.alembic
    op.attach_imgsearch("shop.product", key="id", image="photo", price="price")
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import context
from alembic.migration import MigrationContext
from alembic.operations import MigrateOperation, Operations
from alembic.util import coerce_resource_to_filename

from imgsearch.db.psycopg_connection import driver
from imgsearch.db.sqlstate import translated
from imgsearch.errors import UsageError
from imgsearch.ingest import attachment
from imgsearch.schema import migrate

SCHEMA = "imgsearch"
IncludeObject = Callable[[Any, str | None, str, bool, Any], bool]


def include_object(yours: IncludeObject | None = None) -> IncludeObject:
    """Return an `include_object` that keeps autogenerate away from our schema, and asks `yours` about the rest.

    Raises UsageError in an env.py whose version_locations name ours, or a folder that is not there, in vain.
    """
    _require_places()

    def include(item: Any, name: str | None, kind: str, reflected: bool, compare_to: Any) -> bool:
        table = item if kind == "table" else getattr(item, "table", None)
        if getattr(table, "schema", None) == SCHEMA:
            return False
        return yours is None or yours(item, name, kind, reflected, compare_to)

    return include


def _require_places() -> None:
    """Raise UsageError where version_locations do not lead to our revisions: Alembic passes over them in silence."""
    try:
        script, option = context.script, context.config.get_main_option("version_locations") or ""
    except NameError:  # no env.py runs: Flask-Migrate may be told when the application is made
        return
    absent = [place for place in script.version_locations if not Path(coerce_resource_to_filename(place)).is_dir()]
    is_ours = any("imgsearch" in revision.branch_labels for revision in script.walk_revisions())
    if not is_ours and (absent or "imgsearch:" in option):
        raise UsageError(
            f"Alembic finds no revision of imgsearch where version_locations point ({', '.join(absent) or option}). "
            "Write `path_separator = newline`, and below version_locations one line each: "
            "%(script_location)s/versions, imgsearch:migrations/versions."
        )


def upgrade_schema(migration: MigrationContext) -> None:
    """Bring our schema up to date in a migration: beside others, where each migration is a transaction of its own."""
    bind = migration.bind
    assert bind is not None, "our steps need a database: alembic upgrade --sql cannot write them down"
    if migration.opts.get("transaction_per_migration") and migrate.goes_online(bind):
        with migration.autocommit_block():
            migrate.upgrade(bind)
    else:
        migrate.upgrade(bind)


@Operations.register_operation("attach_imgsearch")
class AttachImgsearch(MigrateOperation):
    """`op.attach_imgsearch(table, key=…, image=…, …)`: see `imgsearch.attach`; safe to run again."""

    def __init__(self, table: str, mapping: dict[str, Any]) -> None:
        self.table, self.mapping = table, mapping

    @classmethod
    def attach_imgsearch(cls, operations: Operations, table: str, **mapping: Any) -> None:
        """Keep images in step with a table of yours from now on."""
        operations.invoke(cls(table, mapping))

    def reverse(self) -> DetachImgsearch:
        return DetachImgsearch(self.table, keep=False)


@Operations.register_operation("detach_imgsearch")
class DetachImgsearch(MigrateOperation):
    """`op.detach_imgsearch(table, keep=False)`: see `imgsearch.detach`."""

    def __init__(self, table: str, *, keep: bool) -> None:
        self.table, self.keep = table, keep

    @classmethod
    def detach_imgsearch(cls, operations: Operations, table: str, *, keep: bool = False) -> None:
        """Take the triggers off; `keep` its images while you alter a mapped column and attach again."""
        operations.invoke(cls(table, keep=keep))


@Operations.implementation_for(AttachImgsearch)
def _attach(operations: Operations, operation: AttachImgsearch) -> None:
    with translated():
        mapping = {"if_not_exists": True} | operation.mapping
        attachment.attach(driver(operations.get_bind()), operation.table, **mapping)


@Operations.implementation_for(DetachImgsearch)
def _detach(operations: Operations, operation: DetachImgsearch) -> None:
    with translated():
        attachment.detach(driver(operations.get_bind()), operation.table, keep=operation.keep, if_exists=True)
