"""One search as a value: words, examples, filters and ranking; `reader` makes it of JSON, the page of an address."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from imgsearch.http.requests import WantedFacets
from imgsearch.picture.region import Region
from imgsearch.query import Crop, ImageId, ProductId
from imgsearch.retrieval.filters import Filters
from imgsearch.retrieval.ranking import Ranking
from imgsearch.retrieval.rerank import Rerank

Weighted = tuple[str | Crop | ImageId | ProductId | tuple[float, ...], float]


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """One search. `photo` is the digest of a picture asked before; `picture` its bytes, `vector` numbers.

    region: of the photo, or of the picture. like, unlike: examples with weights above 0. best: near to any of the
    examples, not near to their middle.
    """

    text: str | None = None
    more: tuple[int, ...] = ()
    less: tuple[int, ...] = ()
    photo: bytes | None = None
    picture: bytes | None = None
    picture_url: str | None = None
    region: Region | None = None
    vector: tuple[float, ...] | None = None
    like: tuple[Weighted, ...] = ()
    unlike: tuple[Weighted, ...] = ()
    best: bool = False
    filters: Filters = field(default_factory=Filters)
    ranking: Ranking = field(default_factory=Ranking)
    k: int = 10
    skip: int = 0
    after: str | None = None
    max_distance: float | None = None
    facets: WantedFacets | None = None
    rerank: Rerank | None = None

    @property
    def likes(self) -> bool:
        """Whether there is anything to be near to."""
        return any(
            (self.text, self.more, self.like, self.photo, self.picture, self.picture_url, self.vector is not None)
        )

    @property
    def matching(self) -> Filters:
        """The filters, and none of the images that were rejected, nor the products asked by."""
        return self.filters.without_images(self.less).without_products([one.product_id for one in self.products])

    @property
    def products(self) -> tuple[ProductId, ...]:
        """The products among the examples."""
        return tuple(thing for thing, _ in (*self.like, *self.unlike) if isinstance(thing, ProductId))

    @property
    def examples(self) -> int:
        """How many pictures and vectors to be near to or far from."""
        return len(self.more) + len(self.less) + sum(x is not None for x in (self.photo, self.picture, self.vector))

    def of_tenant(self, tenant: str | None) -> SearchRequest:
        """Return the same search within `tenant`."""
        return replace(self, filters=self.filters.of_tenant(tenant))
