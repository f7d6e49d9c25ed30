"""Wagtail's admin; finding/wagtail_hooks.py puts a page into it."""

from __future__ import annotations

from django.urls import include, path
from wagtail.admin import urls as wagtailadmin_urls
from wagtail.documents import urls as wagtaildocs_urls

urlpatterns = [path("admin/", include(wagtailadmin_urls)), path("documents/", include(wagtaildocs_urls))]
