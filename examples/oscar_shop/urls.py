"""Oscar's addresses, with one of them answered by its own view over ranked products."""

from __future__ import annotations

from django.apps import apps
from django.urls import include, path
from looks.views import LooksView

urlpatterns = [
    path("catalogue/", LooksView.as_view()),  # Oscar's "catalogue:index" leads here
    path("i18n/", include("django.conf.urls.i18n")),
    path("", include(apps.get_app_config("oscar").urls[0])),
]
