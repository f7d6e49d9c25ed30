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
        """Register the system checks; forget the settings we have read when a test overrides the project's."""
        from django.core.signals import setting_changed

        from imgsearch.django import checks, site

        checks.register()
        setting_changed.connect(site.forget_settings, dispatch_uid="imgsearch.settings")
