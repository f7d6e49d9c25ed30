"""The shop's two pages: search and add."""

from __future__ import annotations

from typing import Any

from django.shortcuts import redirect, render

from imgsearch.errors import ImgsearchError
from shop.forms import ProductForm, SearchForm
from shop.models import Product

PAGE = 12


def search(request: Any) -> Any:
    """Show products, nearest first when something is asked: words, a photo, or a product to be like."""
    form = SearchForm(request.POST or request.GET, request.FILES)
    products, refusal = Product.objects.all(), ""
    if form.is_valid():
        wanted = form.cleaned_data
        if wanted["category"]:
            products = products.filter(category=wanted["category"])
        if wanted["max_price"] is not None:
            products = products.filter(price__lte=wanted["max_price"])
        if wanted["in_stock"]:
            products = products.filter(in_stock=True)
        query = wanted["photo"] or wanted["like"] or wanted["q"]
        products = products.similar_to(query) if query else products.order_by("-pk")
    try:
        page = list(products[:PAGE])
    except ImgsearchError as error:  # no worker yet, a file that is no picture, …: the message says what to do
        page, refusal = [], str(error)
    return render(request, "shop/search.html", {"form": form, "products": page, "refusal": refusal})


def add(request: Any) -> Any:
    """Sell one more product; its picture is embedded as soon as the row is committed."""
    form = ProductForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("search")
    return render(request, "shop/add.html", {"form": form})
