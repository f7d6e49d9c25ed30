"""What an address asks for. A part that cannot be read is left out and said; the rest of the search stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from werkzeug.datastructures import MultiDict

from imgsearch.errors import FilterError, RegionError
from imgsearch.http import caps, ids, links, values
from imgsearch.http.problem import Problem, bad_request
from imgsearch.http.requests import checked_filters
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.state import AppState
from imgsearch.page import second_look, size, urls
from imgsearch.page.wording import wording
from imgsearch.picture.region import Region
from imgsearch.query import ProductId
from imgsearch.retrieval.filters import Filters
from imgsearch.retrieval.hits import place_of
from imgsearch.retrieval.ranking import Ranking
from imgsearch.retrieval.rerank import Rerank, rerank_of

_T = TypeVar("_T")
_PRICES = dict(zip(urls.PRICES, ("The lowest price", "The highest price"), strict=True))


_READ: dict[type, Callable[[str, str], Any]] = {str: values.text, bool: values.truth}


@dataclass(frozen=True)
class Wrong:
    """A part of an address that was left out: the field it came from, what stood there, and what is wrong with it."""

    name: str
    written: str
    problem: Problem


@dataclass
class _Reader:
    args: MultiDict[str, str]
    marks: tuple[str, str]  # of numbers, in the page's language
    wrong: list[Wrong] = field(default_factory=list)

    def part(self, name: str, written: str, read: Callable[[], _T], instead: _T) -> _T:
        try:
            return read()
        except Problem as problem:
            self.wrong.append(Wrong(name, written, problem))
            return instead

    def _price(self, name: str, written: str) -> float:
        return values.number(_PRICES[name], written, 0, caps.PRICE, self.marks)

    def text(self) -> str | None:
        words = self.args.get("q", "").strip()
        return self.part("q", words, lambda: values.text("What you ask", words, caps.TEXT), None) if words else None

    def photo(self, state: AppState) -> bytes | None:
        token = self.args.get("photo")
        digest = links.photo_in(state, token) if token else None
        if token and digest is None:
            detail = "Unknown photo in this link; choose the photo again."
            self.wrong.append(Wrong("photo", "", bad_request(detail, "unknown_photo")))
        return digest

    def region(self) -> Region | None:
        """What of the photo is meant."""
        written = self.args.get("region", "").strip()
        try:
            return Region.of([float(number) for number in written.split(",")]) if written else None
        except (ValueError, RegionError):
            detail = "This part of the photo cannot be read; mark it again."
            self.wrong.append(Wrong("region", "", bad_request(detail, "region_error")))
            return None

    def ids(self, name: str) -> tuple[int, ...]:
        written = [value for value in self.args.getlist(name) if value]
        if len(written) > caps.EXAMPLES:
            detail = f"A search has at most {caps.EXAMPLES} examples; the others were left out."
            self.wrong.append(Wrong(name, "", bad_request(detail)))
        read = (self._id(name, one) for one in written[: caps.EXAMPLES])
        return tuple(dict.fromkeys(one for one in read if one is not None))

    def _id(self, name: str, written: str) -> int | None:
        return self.part(name, written, lambda: values.whole(name, written, 1, caps.LARGEST_ID), None)

    def products(self) -> tuple[tuple[ProductId, float], ...]:
        written = [value for value in self.args.getlist("product") if value][: caps.EXAMPLES]
        read = (self.part("product", "", lambda one=one: values.text("A product", one), None) for one in written)  # type: ignore[misc]
        return tuple((ProductId(one), 1.0) for one in dict.fromkeys(read) if one is not None)

    def after(self) -> str | None:
        written = self.args.get("after") or None
        try:
            place_of(written)
        except FilterError as error:
            self.wrong.append(Wrong("after", "", bad_request(str(error), "filter_error")))
            return None
        return written

    def ranking(self) -> Ranking:
        written = self.args.get("sort", "").strip()
        if written and written not in urls.SORTS:
            detail = f"There is no order called {written[:100]!r}; there are: {', '.join(urls.SORTS)}."
            self.wrong.append(Wrong("sort", "", bad_request(detail)))
            written = ""
        # Words alone, where a list began that way because nobody embedded them: see `views.View.continued`.
        alone = self.args.get("look_weight") == "0" and bool(self.args.get("q", "").strip())
        parts = self.args.get("regions", "").strip()
        weight = self.part("regions", parts, lambda: values.number("regions", parts, 0, 1), None) if parts else None
        return Ranking(
            sort=written or None,
            look_weight=0.0 if alone else None,
            regions=weight if weight and not alone else None,
        )

    def rerank(self) -> Rerank | None:
        written = self.args.get("rerank", "").strip()
        if written and written not in second_look.WAYS:
            detail = f"There is no way to rank anew called {written[:100]!r}; there are: {', '.join(second_look.WAYS)}."
            self.wrong.append(Wrong("rerank", "", bad_request(detail)))
            written = ""
        return rerank_of(written) if written else None

    def pages(self) -> int:
        written = self.args.get("pages", "")
        most = urls.MOST_PAGES
        return self.part("pages", written, lambda: values.whole("pages", written, 1, most), 1) if written else 1

    def filters(self) -> Filters:
        given: dict[str, Any] = {"category": self._categories() or None, "attributes": self._attributes() or None}
        for name, kind in urls.PLAIN.items():
            written = self.args.get(name, "").strip()
            read = self._price if kind is float else _READ[kind]
            if written:
                given[name] = self.part(name, written, lambda r=read, n=name, w=written: r(n, w), None)  # type: ignore[misc]
        low, high = (given.get(name) for name in urls.PRICES)
        if low is not None and high is not None and low > high:
            detail = f"The highest price is below the lowest, {low:g}; it was left out."
            highest = urls.PRICES[1]
            self.wrong.append(Wrong(highest, self.args[highest], bad_request(detail)))
            given[highest] = None
        return self._checked(given)

    def _checked(self, given: Mapping[str, Any]) -> Filters:
        """Under the caps of all doors; what breaks them is left out."""
        for left_out in ((), ("attributes",), ("category",), ("attributes", "category"), tuple(given)):
            kept = {name: value for name, value in given.items() if name not in left_out}
            try:
                return checked_filters(kept)
            except Problem as problem:
                if not left_out:
                    self.wrong.append(Wrong("filters", "", problem))
        return Filters()

    def _categories(self) -> list[str]:
        return list(dict.fromkeys(value for value in self.args.getlist("category") if value))

    def _attributes(self) -> dict[str, Any]:
        wanted: dict[str, Any] = {}
        for name in self.args:
            chosen = [value for value in self.args.getlist(name) if value] if name.startswith("a.") else []
            if chosen and len(name) > 2:
                self.part(name, "", lambda n=name, c=chosen: wanted.update(_attribute(n, c)), None)  # type: ignore[misc]
        return wanted


def understood(state: AppState, args: MultiDict[str, str]) -> tuple[SearchRequest, tuple[Wrong, ...]]:
    """Return the search of an address, and the parts that were left out of it. Raises Problem for one too large."""
    size.check(args)
    reader = _Reader(args, wording(state.settings).marks)
    asked = SearchRequest(
        text=reader.text(),
        more=reader.ids("like"),
        less=reader.ids("unlike"),
        like=reader.products(),
        photo=reader.photo(state),
        region=reader.region(),
        filters=reader.filters(),
        ranking=reader.ranking(),
        rerank=reader.rerank(),
        k=urls.PAGE * reader.pages(),
        after=reader.after(),
    )
    return ids.taken_request(second_look.fitting(asked)), tuple(reader.wrong)


def read(state: AppState, args: MultiDict[str, str]) -> SearchRequest:
    """Return the search of an address whose every part is well. Raises Problem."""
    asked, wrong = understood(state, args)
    if wrong:
        raise wrong[0].problem
    return asked


def _attribute(name: str, chosen: list[str]) -> dict[str, Any]:
    read = [values.text("An attribute", value) for value in chosen]
    return {values.text("An attribute", name[2:]): {"in": urls.spellings(read)}}
