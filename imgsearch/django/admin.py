"""The admin: images and their states, and a mixin that searches your own changelist by words and by picture.

class ProductAdmin(ImageSearchAdmin, admin.ModelAdmin): ...
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import connections
from django.http import HttpResponseRedirect
from django.urls import path, reverse

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import driver
from imgsearch.django import models, site
from imgsearch.django.similar import similar_for
from imgsearch.errors import ImgsearchError, QueryError
from imgsearch.picture.formats import ACCEPT
from imgsearch.query import Resolved, cache
from imgsearch.query.resolution import MAX_TEXT

BY_PICTURE = "picture:"  # a search for a picture asked before, by its digest: a changelist has an address for it
SIMILAR = 6


class ImageSearchAdmin(admin.ModelAdmin):
    """Adds to a ModelAdmin whose queryset has `similar_to()`: search, a column, an action, and a panel of similar rows.

    With `search_fields` of your own, a search that begins with ~ is one by words; without, every search is.
    """

    change_list_template = "imgsearch/change_list.html"
    change_form_template = "imgsearch/change_form.html"
    search_help_text = "Describe the picture, for example: red canvas shoe"

    def get_search_results(self, request: Any, queryset: Any, search_term: str) -> Any:
        """Rank by likeness; Django's own search where there are fields to search."""
        term = search_term.strip()
        if self.search_fields and not term.startswith(("~", BY_PICTURE)):
            return super().get_search_results(request, queryset, search_term)
        term = term.removeprefix("~").strip()[:MAX_TEXT]
        if not term:
            return queryset, False
        try:
            query = _asked_before(term.removeprefix(BY_PICTURE)) if term.startswith(BY_PICTURE) else term
            ranked = queryset.similar_to(query)
            ranked.query.similar.resolve()  # what cannot be asked is said here, not in the middle of the page
        except ImgsearchError as error:
            self.message_user(request, str(error), messages.WARNING)
            return queryset.none(), False
        return ranked, False

    def get_search_fields(self, request: Any) -> Sequence[str]:
        """Show the search box also without fields."""
        return super().get_search_fields(request) or ("pk",)

    def get_list_display(self, request: Any) -> Sequence[Any]:
        return [*super().get_list_display(request), "picture_state"]

    def changelist_view(self, request: Any, extra_context: Any = None) -> Any:
        """Offer the files that searches by picture take."""
        return super().changelist_view(request, {"accept": ACCEPT, **(extra_context or {})})

    def change_view(self, request: Any, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """Show the nearest rows that this request may see below the form."""
        found = self.similar_rows(request, object_id) if request.method == "GET" else {}
        return super().change_view(request, object_id, form_url, {**found, **(extra_context or {})})

    def get_actions(self, request: Any) -> Any:
        again = {"embed_again": (_rows_again, "embed_again", "Embed the images again")}
        return super().get_actions(request) | (again if self.has_change_permission(request) else {})

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_by_picture"
        return [path("by-picture/", self.admin_site.admin_view(self.by_picture), name=name), *super().get_urls()]

    def by_picture(self, request: Any) -> HttpResponseRedirect:
        """Embed an uploaded picture and show the changelist ranked by it."""
        back = reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_changelist")
        if not self.has_view_permission(request):
            raise PermissionDenied
        picture = request.FILES.get("picture") if request.method == "POST" else None
        if picture is None:
            return HttpResponseRedirect(back)
        try:
            kept = similar_for(self.model, picture, None, None)
            kept.resolve()
        except ImgsearchError as error:
            self.message_user(request, str(error), messages.WARNING)
            return HttpResponseRedirect(back)
        return HttpResponseRedirect(f"{back}?q={BY_PICTURE}{cache.of_picture(kept.question).key.hex()}")

    @admin.display(description="picture")
    def picture_state(self, instance: Any) -> str:
        states = [image.state for image in models.images_of(instance).select_related("job")]
        return ", ".join(sorted(set(states))) or "none"

    def similar_rows(self, request: Any, object_id: str) -> dict[str, Any]:
        """Return the nearest rows with their addresses, or why there are none."""
        instance = self.get_object(request, object_id)
        if instance is None:
            return {}
        try:
            rows = list(self.get_queryset(request).order_by().similar_to(instance)[:SIMILAR])
        except ImgsearchError as error:
            return {"imgsearch_refusal": str(error)}
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
        return {"imgsearch_similar": [(reverse(name, args=[row.pk]), row) for row in rows]}


def _rows_again(modeladmin: Any, request: Any, queryset: Any) -> None:
    with_jobs = sum(embed_again(models.images_of(row)) for row in queryset)
    modeladmin.message_user(request, f"{with_jobs} images wait for a worker.", messages.SUCCESS)


def embed_again(images: Any) -> int:
    """Queue images once more, whatever their state; return how many. They stay searchable meanwhile."""
    keys = list(images.values_list("tenant_id", "image_id"))
    values = {"tenants": [tenant for tenant, _ in keys], "images": [image for _, image in keys]}
    lent = driver(connections[site.alias()])
    return sql.run(lent, "django", "again", values).rowcount


def _asked_before(digest: str) -> Any:
    try:
        key = bytes.fromhex(digest)
    except ValueError as error:
        raise QueryError("This address names no picture; upload it again.") from error
    row = sql.run(driver(connections[site.alias()]), "django", "asked_before", {"key": key}).fetchone()
    if row is None:
        raise QueryError("This search by picture is too old; upload the picture again.")
    return Resolved(vector=row["embedding"], space_id=row["space_id"], source="database", took_ms=0, kind="picture")


class ReadOnlyAdmin(admin.ModelAdmin):
    """Shows rows; nobody adds, changes or deletes them here."""

    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


class State(admin.SimpleListFilter):
    """Filter images by their one state."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state) for state in ("ready", "pending", "leased", "failed")]

    def queryset(self, request: Any, queryset: Any) -> Any:
        if self.value() is None:
            return queryset
        return queryset.filter(job=None) if self.value() == "ready" else queryset.filter(job__state=self.value())


@admin.register(models.Image)
class ImageAdmin(ImageSearchAdmin, ReadOnlyAdmin):
    """Every image, its state and why it failed; searched by words and by picture."""

    list_display: ClassVar = ["image_id", "tenant_id", "product_id", "position", "category", "price", "why"]
    list_filter: ClassVar = [State, "in_stock"]
    list_select_related: ClassVar = ["job"]
    show_full_result_count = False

    def picture_state(self, instance: Any) -> str:
        return str(instance.state)

    @admin.display(description="why")
    def why(self, instance: Any) -> str:
        job = getattr(instance, "job", None)
        return f"{job.error_code}: {job.error}" if job and job.error_code else ""

    def get_actions(self, request: Any) -> Any:
        may = request.user.has_perm("imgsearch.change_image")  # has_change_permission() is nobody's: rows are read only
        return {"embed_again": (_images_again, "embed_again", "Embed again")} if may else {}


def _images_again(modeladmin: Any, request: Any, queryset: Any) -> None:
    modeladmin.message_user(request, f"{embed_again(queryset)} images wait for a worker.", messages.SUCCESS)


@admin.register(models.Status, models.Space)
class OverviewAdmin(ReadOnlyAdmin):
    """Status and spaces, as SQL consoles show them."""

    def get_list_display(self, request: Any) -> list[str]:
        # Of a relation the column: the rows of failures that are no images have nothing to join.
        return [field.attname for field in self.model._meta.concrete_fields if field.name != "parameters"]  # noqa: SLF001


@admin.register(models.Failure)
class FailureAdmin(OverviewAdmin):
    """Images that failed, and rows of attached tables that could not be followed: these have no image to lead to."""

    list_display_links = None

    def get_queryset(self, request: Any) -> Any:
        """Return both kinds, the last first."""
        return models.Failure._base_manager.order_by("-failed_at")  # noqa: SLF001
