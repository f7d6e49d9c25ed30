"""The admin, and an async view."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import JsonResponse
from django.urls import path


async def found(request: Any) -> JsonResponse:
    from tests.django.shop.models import Product

    page = Product.objects.filter(price__lt=50).similar_to(request.GET["q"])[:5]
    return JsonResponse({"ids": [product.pk async for product in page], "of": await page.acount()})


urlpatterns = [path("admin/", admin.site.urls), path("found", found)]
