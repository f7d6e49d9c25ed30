"""What else can be filtered by, and how many pictures that would leave: groups of choices."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from psycopg import Connection

from imgsearch.db import sql
from imgsearch.http import counts
from imgsearch.http.counts import bound
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.state import AppState
from imgsearch.page import urls
from imgsearch.page.slider import Slider, slider
from imgsearch.page.wording import Wording, wording

# Colours that CSS and people call the same.
_COLOURS = """black white grey gray red maroon crimson orange gold yellow olive lime green teal turquoise cyan aqua blue
navy indigo violet purple magenta pink brown beige ivory khaki tan salmon coral silver"""
SWATCHES = frozenset(_COLOURS.split())
SHOWN = 8  # of one facet in the panel; all others are in its list, see `choices`
_SAYS_NOTHING = frozenset({"title", "caption", "description"})  # words about one product, nothing to choose from


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One value: `name` and `value` are a form's; `address`, of a band of prices alone, is where it leads."""

    name: str
    value: str
    label: str
    count: int
    chosen: bool
    address: str = ""
    error: int | None = 0  # how far off the count may be; None: nobody knows

    @property
    def approximate(self) -> bool:
        """Whether it is scaled up from a part of what matches."""
        return self.error != 0


@dataclass(frozen=True, kw_only=True)
class Group:
    """One heading of the filter panel. `several`: choices add up, else one replaces the other.

    `different` is how many values there are, `more` whether some of them are not among `choices`.
    """

    name: str
    title: str
    choices: tuple[Choice, ...]
    several: bool = True
    colours: bool = False
    more: bool = False
    different: int = 0

    @property
    def plain(self) -> str:
        """Its name in the settings: an attribute's own name."""
        return self.name.removeprefix("a.")


@dataclass(frozen=True, kw_only=True)
class Facets:
    """The whole filter panel, and how many pictures match all filters."""

    matches: int = 0
    groups: tuple[Group, ...] = ()
    prices: tuple[Choice, ...] = ()
    slider: Slider | None = None
    price_place: int | None = None  # before which of the groups prices stand; None: nowhere


def facets(state: AppState, connection: Connection[Any], asked: SearchRequest, *, tenants: bool) -> Facets:
    """Count the choices of a search, under the same conditions as the search itself."""
    rows, _ = counts.rows(state, connection, bound(asked.matching if asked.likes else asked.filters))
    found = _Panel(state, asked, rows)
    groups = [group for group in (found.categories(), found.stock(), *found.attributes()) if group.choices]
    before = 1 if len(groups) > 1 or not groups else 0
    wanted = state.settings.page_facets
    if wanted:
        places = {name: place for place, name in enumerate(wanted)}
        groups = sorted((group for group in groups if group.plain in places), key=lambda one: places[one.plain])
        before = sum(places[group.plain] < places.get("price", -1) for group in groups)
    if tenants and (whose := found.tenants()).choices:
        groups.insert(0, whose)
        before += bool(wanted)
    low, high = urls.prices(asked.filters)
    return Facets(
        matches=next((row["count"] for row in rows if row["facet"] == "matches"), 0),
        groups=tuple(groups),
        prices=tuple(found.prices()),
        slider=slider([row for row in rows if row["facet"] == "price"], low, high),
        price_place=before if not wanted or "price" in wanted else None,
    )


def listed(
    state: AppState, connection: Connection[Any], asked: SearchRequest, name: str, contains: str | None
) -> Group:
    """Return all values of the facet that a form calls `name`, those that contain a text; sorted as people read."""
    facet, attribute = ("attribute", name[2:]) if name.startswith("a.") else (name, None)
    given = {**bound(asked.filters), "facet": facet, "name": attribute, "contains": contains}
    rows = sql.rows(connection, "http", "choices", given)
    panel = _Panel(state, asked, [{**row, "facet": facet, "name": attribute} for row in rows], shown=sys.maxsize)
    made = panel.attribute(attribute) if attribute else {"category": panel.categories, "tenant": panel.tenants}[name]()
    found = {row["value"] for row in rows}
    choices = sorted((one for one in made.choices if one.value in found), key=_as_read)
    return replace(made, choices=tuple(choices), different=rows[0]["different"] if rows else 0, more=False)


def _as_read(choice: Choice) -> list[tuple[int, float, str]]:
    """Return the order of people: 9 before 10, a before B."""
    parts = re.split(r"(\d+)", choice.label.casefold())
    return [(0, float(part), "") if part.isdecimal() else (1, 0.0, part) for part in parts if part]


def matches(connection: Connection[Any], asked: SearchRequest, seconds: float) -> int:
    """Return how many pictures match the filters of a search. Raises QueryCanceled when that takes longer."""
    sql.run(connection, "http", "hurry", {"milliseconds": str(max(1, round(seconds * 1000)))})
    return int(sql.value(connection, "http", "matches", bound(asked.filters)))


def _counted(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"count": row["count"], "error": row.get("error") if row["approximate"] else 0}


@dataclass(frozen=True)
class _Panel:
    state: AppState
    asked: SearchRequest
    rows: Iterable[Mapping[str, Any]]
    shown: int = SHOWN

    @property
    def words(self) -> Wording:
        """How the page speaks."""
        return wording(self.state.settings)

    def tenants(self) -> Group:
        """Whose pictures; one at a time."""
        taken = self.asked.filters.tenant
        return self._group(self.words.say("Shop"), "tenant", [taken] if taken else [], several=False)

    def categories(self) -> Group:
        return self._group(self.words.say("Category"), "category", urls.categories(self.asked.filters))

    def stock(self) -> Group:
        say = self.words.say
        labels = {"true": ("yes", say("In stock")), "false": ("no", say("Sold out"))}
        taken = self.asked.filters.in_stock
        made = []
        for row in self._of("in_stock"):
            value, label = labels[row["value"]]
            chosen = taken is not None and taken == (row["value"] == "true")
            made.append(Choice(name="in_stock", value=value, label=label, chosen=chosen, **_counted(row)))
        return Group(
            name="in_stock",
            title=say("Stock"),
            choices=tuple(made) if len(made) > 1 or taken is not None else (),
            several=False,
        )

    def prices(self) -> list[Choice]:
        """Bands of prices, as addresses; exact bounds are typed."""
        taken = urls.prices(self.asked.filters)
        made = []
        for row in self._of("price"):
            low, high = row["low"], row["high"]
            last = None if high is None else high - 0.01  # a band ends before the next one begins
            chosen = taken == (low, last)
            label = self._band(low, high)
            found = urls.with_prices(self.asked, *((None, None) if chosen else (low, last)))
            where = urls.url_of(self.state, found)
            made.append(Choice(name="", value="", label=label, chosen=chosen, address=where, **_counted(row)))
        return made if len(made) > 1 or taken[0] is not None else []

    def _band(self, low: float, high: float | None) -> str:
        words = self.words
        first = words.price(low, short=True)
        return words.say("{low} and more", low=first) if high is None else f"{first} – {words.price(high, short=True)}"

    def attributes(self) -> list[Group]:
        names = dict.fromkeys([*urls.attributes(self.asked.filters), *(row["name"] for row in self._of("attribute"))])
        found = [self.attribute(name) for name in names if name not in _SAYS_NOTHING]
        # Where every picture has its own, it is a code and not a choice.
        return [group for group in found if any(choice.chosen or choice.count > 1 for choice in group.choices)]

    def attribute(self, name: str) -> Group:
        """The values of one attribute."""
        rows = [row for row in self._of("attribute") if row["name"] == name]
        taken = urls.chosen(self.asked.filters, name)
        made = self._choices(f"a.{name}", rows, taken)
        colours = name.lower().replace("_", " ").endswith(("colour", "color"))
        title = name.replace("_", " ").capitalize()
        return Group(name=f"a.{name}", title=title, choices=tuple(made), colours=colours, more=len(rows) > len(made))

    def _group(self, title: str, name: str, taken: list[str], *, several: bool = True) -> Group:
        rows = list(self._of(name))
        made = self._choices(name, rows, taken)
        return Group(name=name, title=title, choices=tuple(made), several=several, more=len(rows) > len(made))

    def _choices(self, name: str, rows: list[Mapping[str, Any]], taken: list[str]) -> list[Choice]:
        counted = {row["value"]: row for row in rows}
        taken = list(dict.fromkeys(taken))
        shown = [*taken, *(value for value in counted if value not in taken)][: max(self.shown, len(taken))]
        found = ((value, counted.get(value, {"count": 0, "approximate": False})) for value in shown)
        return [
            Choice(name=name, value=value, label=value, chosen=value in taken, **_counted(row)) for value, row in found
        ]

    def _of(self, facet: str) -> Iterable[Mapping[str, Any]]:
        return (row for row in self.rows if row["facet"] == facet)
