"""The app: `INSTALLED_APPS = [..., "imgsearch.django"]`."""

from __future__ import annotations

from django.apps import AppConfig


class ImgsearchConfig(AppConfig):
    """Image search; the models describe tables that imgsearch's own SQL makes."""

    name = "imgsearch.django"
    label = "imgsearch"
    verbose_name = "Image search"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Follow searchable models and `migrate`; register the checks; forget settings when a test overrides them."""
        from django.core.signals import setting_changed
        from django.db.models.signals import post_migrate

        from imgsearch.django import checks, signals, site

        signals.connect_all()
        checks.register()
        post_migrate.connect(_refresh, sender=self, dispatch_uid="imgsearch.schema")
        setting_changed.connect(site.forget_settings, dispatch_uid="imgsearch.settings")


def _refresh(using: str, **_: object) -> None:
    """Apply functions and rights again where their text changed: they have no migration of their own."""
    from django.db import connections

    from imgsearch.django.operations import is_ours
    from imgsearch.schema import migrate

    if is_ours("imgsearch", connections[using]):
        migrate.refresh(connections[using])
