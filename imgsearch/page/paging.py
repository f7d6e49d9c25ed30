"""Where a list of pictures goes on: the address says how many pages of it are shown, so that Back finds them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imgsearch.http import ids
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.state import AppState
from imgsearch.page import urls
from imgsearch.page.view_models import Card


@dataclass(frozen=True)
class Onward:
    """`whole`: all shown until now and the next page. `next`: the next page alone, which a script appends."""

    whole: str
    next: str
    begins_anew: bool


def onward(
    state: AppState, asked: SearchRequest, cards: Sequence[Card], after: str | None, matches: int
) -> Onward | None:
    """Return where a list of so many matches goes on, behind `after`; None at its end."""
    start = [("after", ids.shown_after(asked.after))] if asked.after else []
    if len(cards) < asked.k or (not start and len(cards) >= matches) or after is None:
        return None
    place = ("after", ids.shown_after(after))
    next_ = urls.url_of(state, asked, place)
    pages = asked.k // urls.PAGE
    if pages >= urls.MOST_PAGES:
        return Onward(next_, next_, begins_anew=True)
    whole = urls.url_of(state, asked, *start, ("pages", pages + 1))
    return Onward(f"{whole}#page{pages + 1}", next_, begins_anew=False)
