"""Operations of Django migrations: a step of imgsearch's own schema, and attaching a table of yours."""

from __future__ import annotations

from typing import Any

from django.db import router
from django.db.migrations.operations.base import Operation

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import driver
from imgsearch.django import site
from imgsearch.ingest import attachment
from imgsearch.schema import migrate


class SchemaStep(Operation):
    """A table step of imgsearch's schema: the upgrade that `imgsearch db upgrade` runs, in the migration's transaction.

    What is there already, whoever applied it, is left alone. Runs only on the database that IMGSEARCH["DATABASE"]
    names, and where routers allow it (hints: imgsearch=True). Backwards from the first step removes everything;
    other steps only go forward.
    """

    reduces_to_sql = False
    reversible = True

    def __init__(self, step: str) -> None:
        self.step = step

    def state_forwards(self, app_label: str, state: Any) -> None:
        """The models' state has operations of its own."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if is_ours(app_label, schema_editor.connection):
            migrate.upgrade(schema_editor.connection)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if is_ours(app_label, schema_editor.connection) and self.step == "0001":
            migrate.remove(schema_editor.connection)

    def describe(self) -> str:
        return f"Table step {self.step} of imgsearch's schema"


class AttachImgsearch(Operation):
    """Keep images in step with a model's table by triggers: also for bulk_create(), update() and plain SQL.

        AttachImgsearch("product", image="photo", base="https://cdn.example.com/media", price="price")

    Names of fields become their columns; anything else is an SQL expression over the row, as "lower(category)".
    See the comment of imgsearch.attach(). Put ("imgsearch", "0001_baseline") among the migration's dependencies.
    """

    reduces_to_sql = False
    reversible = True

    def __init__(self, model_name: str, **mapping: Any) -> None:
        self.model_name, self.mapping = model_name, mapping

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Triggers are no part of the models' state."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if is_ours(app_label, schema_editor.connection):
            model = to_state.apps.get_model(app_label, self.model_name)
            sql.run(driver(schema_editor.connection), "attachment", "attach", self._arguments(schema_editor, model))

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if is_ours(app_label, schema_editor.connection):
            model = from_state.apps.get_model(app_label, self.model_name)
            values = {"relation": _relation(schema_editor, model), "keep": False, "if_exists": True}
            sql.run(driver(schema_editor.connection), "attachment", "detach", values)

    def describe(self) -> str:
        return f"Attach {self.model_name} to image search"

    def _arguments(self, schema_editor: Any, model: Any) -> dict[str, Any]:
        columns = {field.name: field.column for field in model._meta.concrete_fields}  # noqa: SLF001
        given = {name: _columns(columns, value) for name, value in self.mapping.items() if name in _FIELDS}
        key = {"key": model._meta.pk.column}  # noqa: SLF001
        mapping = attachment.arguments({"if_not_exists": True} | key | self.mapping | given)
        return mapping | {"relation": _relation(schema_editor, model)}


_FIELDS = (
    "image",
    "images",
    "tenant",
    "category",
    "categories",
    "price",
    "in_stock",
    "attributes",
    "title",
    "words",
    "codes",
    "owner",
    "fallback",
)


def _columns(columns: dict[str, str], value: Any) -> Any:
    return columns.get(value, value) if isinstance(value, str) else [columns.get(one, one) for one in value]


def _relation(schema_editor: Any, model: Any) -> str:
    return str(schema_editor.connection.ops.quote_name(model._meta.db_table))  # noqa: SLF001


def is_ours(app_label: str, connection: Any) -> bool:
    """Return whether imgsearch's schema belongs into this database."""
    return bool(
        connection.vendor == "postgresql"
        and connection.alias == site.alias()
        and router.allow_migrate(connection.alias, app_label, imgsearch=True)
    )
