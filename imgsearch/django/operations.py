"""Operations of Django migrations: a step of imgsearch's own schema, and attaching a table of yours."""

from __future__ import annotations

import warnings
from typing import Any

from django.db import router
from django.db.migrations.operations.base import Operation

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import driver
from imgsearch.django import site, sources
from imgsearch.errors import UsageError
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


class _OfModel(Operation):
    """An operation on a model of this app, or of another: `app_label="catalogue"`."""

    reduces_to_sql = False

    def __init__(self, model_name: str, *, app_label: str | None = None) -> None:
        self.model_name, self.app_label = model_name, app_label

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Triggers are no part of the models' state."""

    def _model(self, app_label: str, state: Any) -> Any:
        label = self.app_label or app_label
        try:
            return state.apps.get_model(label, self.model_name)
        except LookupError as error:
            raise UsageError(
                f"{type(self).__name__}({self.model_name!r}): this migration knows no model {label}.{self.model_name}. "
                'A model of another package is named by its app, app_label="catalogue", and its own among the '
                f'dependencies: dependencies = [("{label}", "0001_initial"), ("imgsearch", "0001_baseline")].'
            ) from error

    def _detach(self, schema_editor: Any, model: Any, *, keep: bool) -> None:
        attachment.detach(schema_editor.connection, _relation(schema_editor, model), keep=keep, if_exists=True)


class AttachImgsearch(_OfModel):
    """Keep images in step with a model's table by triggers: also for bulk_create(), update() and plain SQL.

        AttachImgsearch("product", image="photo", base="https://cdn.example.com/media", price="price")
        AttachImgsearch("product", app_label="catalogue", pictures="productimage", picture_of="product",
                        image="original", ordinal="display_order", owner="parent", base="https://…")

    app_label: of a model of another package, which needs no fork. Names of models become their tables, names of fields
    their columns; anything else is an SQL expression over the row, as "lower(category)". All arguments of
    `imgsearch.attach()` are taken. Put ("imgsearch", "0001_baseline"), and the app's migration that made the model,
    among the migration's dependencies. Raises UsageError where they are not, AttachmentError, DatabaseRights.
    """

    reversible = True

    def __init__(self, model_name: str, *, app_label: str | None = None, **mapping: Any) -> None:
        super().__init__(model_name, app_label=app_label)
        self.mapping = mapping

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if is_ours(app_label, schema_editor.connection):
            values = self._arguments(schema_editor, self._model(app_label, to_state), to_state)
            sql.run(driver(schema_editor.connection), "attachment", "attach", values)
            self._replace(schema_editor, app_label, to_state)
            _warn_of_local_files(values.get("base"))

    def _replace(self, schema_editor: Any, app_label: str, state: Any) -> None:
        """Delete the images that `@searchable` added and the table, once copied, did not take over: it has its own."""
        lent, alias = driver(schema_editor.connection), schema_editor.connection.alias
        model = self._model(app_label, state)
        if not sql.value(lent, "django_source", "is_copied", {"table": _relation(schema_editor, model)}):
            return  # manage.py imgsearch_backfill does it later
        pictures = self._pictures(model, self.mapping["pictures"], state) if "pictures" in self.mapping else None
        for kind in (model, pictures):
            if kind is not None:
                sources.withdraw_all(kind, alias)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if is_ours(app_label, schema_editor.connection):
            self._detach(schema_editor, self._model(app_label, from_state), keep=False)

    def describe(self) -> str:
        return f"Attach {self.model_name} to image search"

    def _arguments(self, schema_editor: Any, model: Any, state: Any) -> dict[str, Any]:
        """Return the arguments of attach(): names of models and fields as the database calls them."""
        own, pictured = _columns_of(model), _columns_of(model)
        mapping = {"if_not_exists": True, "key": ", ".join(_key_columns(model)), **self.mapping}
        if pictures := self.mapping.get("pictures"):
            table = self._pictures(model, pictures, state)
            if table is not None:
                pictured, mapping["pictures"] = _columns_of(table), _relation(schema_editor, table)
        for name, value in self.mapping.items():
            if name in _FIELDS or name in _OF_PICTURES:
                mapping[name] = _columns(pictured if name in _OF_PICTURES else own, value)
        return attachment.arguments(mapping) | {"relation": _relation(schema_editor, model)}

    def _pictures(self, model: Any, name: str, state: Any) -> Any:
        """Return the model of the pictures, None where `name` is a table."""
        label = name if "." in name else f"{model._meta.app_label}.{name}"  # noqa: SLF001
        try:
            return state.apps.get_model(label)
        except (LookupError, ValueError):
            return None


class DetachImgsearch(_OfModel):
    """Take the triggers off a model's table again.

    keep: its images stay and are found, until the table is attached again. That is what goes round a change of the
    table that triggers stand in the way of: detach before it (`run_before`), attach behind it. Migrating backwards
    attaches nothing: what was said is gone.
    """

    reversible = True

    def __init__(self, model_name: str, *, app_label: str | None = None, keep: bool = False) -> None:
        super().__init__(model_name, app_label=app_label)
        self.keep = keep

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if is_ours(app_label, schema_editor.connection):
            self._detach(schema_editor, self._model(app_label, from_state), keep=self.keep)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Nothing: attach anew."""

    def describe(self) -> str:
        return f"Detach {self.model_name} from image search"


_FIELDS = frozenset(
    "tenant category categories price in_stock attributes title words codes owner fallback".split()  # noqa: SIM905
)
_OF_PICTURES = frozenset(("image", "images", "picture_of", "ordinal", "main"))


def _columns_of(model: Any) -> dict[str, str]:
    return {field.name: field.column for field in model._meta.concrete_fields if field.column}  # noqa: SLF001


def _key_columns(model: Any) -> list[str]:
    """Return the columns of the primary key: of CompositePrimaryKey (Django 5.2) all of them."""
    meta = model._meta  # noqa: SLF001
    return [field.column for field in getattr(meta, "pk_fields", None) or [meta.pk]]


def _columns(columns: dict[str, str], value: Any) -> Any:
    return columns.get(value, value) if isinstance(value, str) else [columns.get(one, one) for one in value]


def _relation(schema_editor: Any, model: Any) -> str:
    return str(schema_editor.connection.ops.quote_name(model._meta.db_table))  # noqa: SLF001


def _warn_of_local_files(base: str | None) -> None:
    """Say at once what else every picture would say when a worker comes to it."""
    if unfetched := site.unfetched(base):
        warnings.warn(unfetched, RuntimeWarning, stacklevel=2)


def is_ours(app_label: str, connection: Any) -> bool:
    """Return whether imgsearch's schema belongs into this database."""
    return bool(
        connection.vendor == "postgresql"
        and connection.alias == site.alias()
        and router.allow_migrate(connection.alias, app_label, imgsearch=True)
    )
