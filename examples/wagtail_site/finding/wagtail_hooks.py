"""A page of Wagtail's admin: images by words, or by a photo that is uploaded."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from wagtail import hooks
from wagtail.admin.menu import MenuItem

from finding.search import images


def looks(request: HttpRequest) -> HttpResponse:
    rows = images(request.user)
    if photo := request.FILES.get("photo"):
        rows = rows.similar_to(photo)
    elif words := request.GET.get("words"):
        rows = rows.similar_to(words)
    else:
        rows = rows.order_by("-created_at")
    page = Paginator(rows.prefetch_renditions("max-165x165"), 24).get_page(request.GET.get("p"))
    return render(request, "finding/looks.html", {"page": page})


@hooks.register("register_admin_urls")
def urls() -> list[Any]:
    return [path("looks/", looks, name="looks")]


@hooks.register("register_admin_menu_item")
def menu_item() -> MenuItem:
    return MenuItem("Looks like", reverse("looks"), icon_name="image", order=301)
