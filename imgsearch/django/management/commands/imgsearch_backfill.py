"""`manage.py imgsearch_backfill shop.Product`: add the images of rows that were there before."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError

from imgsearch.django import signals
from imgsearch.django.mapping import mapping_for


class Command(BaseCommand):
    """Each row in a transaction of its own; run it again and it goes on where it stopped, and tries failures again."""

    help = "Add the images of rows that were there before @searchable was."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("model", help="app_label.Model")
        parser.add_argument("--database", default="default")

    def handle(self, *_: Any, model: str, database: str, **__: Any) -> None:
        """Add what is missing, say what was refused."""
        try:
            rows = apps.get_model(model)
        except (LookupError, ValueError) as error:
            raise CommandError(f"There is no model {model}: {error}. Write app_label.Model.") from error
        photo = mapping_for(rows).photo
        if photo is None:
            raise CommandError(f"{model} names no picture; decorate it: @searchable(photo=…).")
        added = refused = 0
        for instance in rows._default_manager.using(database).exclude(**{photo: ""}).iterator(chunk_size=500):  # noqa: SLF001
            try:
                added += signals.catch_up(instance, database)
            except Exception as error:  # noqa: BLE001  # a storage raises what it likes; the next row may be well
                refused += 1
                self.stderr.write(f"{instance.pk}: {error}")
        told = " (imgsearch.failures says why)" if refused else ""
        self.stdout.write(
            f"{added} images added, {refused} refused{told}. How far it is: `manage.py imgsearch status`."
        )
