"""Oscar's own catalogue view over ranked products."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from oscar.apps.search.views.catalogue import CatalogueView

from looks.search import Product, products

SORTS = {"-price": "-stockrecords__price", "price": "stockrecords__price", "title_exact": "title"}


class Ranked:
    """What Oscar's search form and its page ask of results: those of Haystack, of which this has the place."""

    query = SimpleNamespace(backend=SimpleNamespace(include_spelling=False))

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def auto_query(self, words: str) -> Ranked:
        return Ranked(self.rows.similar_to(words))

    def load_all(self) -> Ranked:
        return self

    def facet_counts(self) -> dict[str, Any]:
        return {}

    def count(self) -> int:
        return int(self.rows.count())

    def __len__(self) -> int:
        return self.count()

    def __getitem__(self, wanted: slice) -> list[Any]:
        return [SimpleNamespace(object=product) for product in self.rows[wanted]]


class LooksView(CatalogueView):
    """`?q=red canvas shoe`, `?like=<product>`, or a photo that was posted."""

    facet_fields = ()

    def get_queryset(self) -> Ranked:
        rows = products()
        if like := self.request.GET.get("like"):
            rows = rows.similar_to(Product.objects.get(pk=like))
        elif photo := self.request.FILES.get("photo"):
            rows = rows.similar_to(photo)
        self.queryset = Ranked(rows)
        return self.queryset

    def post(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        return self.get(request, *args, **kwargs)
