"""`manage.py imgsearch_backfill shop.Product`: make images equal to the rows, whoever wrote them."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Model

from imgsearch.django import drift, signals
from imgsearch.django.mapping import mapping_for


class Command(BaseCommand):
    """Each row in a transaction of its own; run it again and it goes on where it stopped, and tries failures again."""

    help = (
        "Add the images of rows that were there before, bring those of others in step (tenant, filters), and delete "
        "those of rows that are gone."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("model", nargs="*", help="app_label.Model; without one, every searchable model")
        parser.add_argument("--database", default="default")
        parser.add_argument(
            "--check", action="store_true", help="Change nothing; exit with 1 where one is out of step."
        )

    def handle(self, *_: Any, model: list[str] | str, database: str, check: bool = False, **__: Any) -> None:
        """Mend what is out of step, say what was refused."""
        names = [model] if isinstance(model, str) else model
        rows = [_searchable(name) for name in names] or drift.models()
        if not check:
            for kind in rows:
                self._mend(kind, database)
            return
        if wrong := [line for kind in rows for line in drift.said(kind, database)]:
            raise CommandError("\n".join([*wrong, "Mend it: `manage.py imgsearch_backfill`."]), returncode=1)
        self.stdout.write("Images and rows are in step.")

    def _mend(self, model: type[Model], database: str) -> None:
        added = refused = 0
        gone = drift.mend_gone(model, database)
        for instance in model._base_manager.using(database).iterator(chunk_size=500):  # noqa: SLF001
            try:
                added += signals.catch_up(instance, database)
            except Exception as error:  # noqa: BLE001  # a storage raises what it likes; the next row may be well
                refused += 1
                self.stderr.write(f"{instance.pk}: {error}")
        told = " (imgsearch.failures says why)" if refused else ""
        deleted = f"{gone} images of rows that are gone deleted. " if gone else ""
        self.stdout.write(
            f"{added} images added, {refused} refused{told}. {deleted}How far it is: `manage.py imgsearch status`."
        )


def _searchable(name: str) -> type[Model]:
    try:
        model: type[Model] = apps.get_model(name)
    except (LookupError, ValueError) as error:
        raise CommandError(f"There is no model {name}: {error}. Write app_label.Model.") from error
    if not hasattr(model, "_imgsearch") or mapping_for(model).pictures:
        raise CommandError(f"{name} names no picture; decorate it: @searchable(photo=…).")
    return model
