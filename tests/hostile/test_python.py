"""Every argument of every public function of Python × every hostile value: only errors of ours come out."""

from __future__ import annotations

import inspect
import io
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, get_type_hints

import psycopg
import pytest
from PIL import Image

import imgsearch
from imgsearch import Crop, DatabaseError, Filters, ImageId, ImgsearchError, ProductId, Ranking, db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FAKE
from imgsearch.ops import merchandise, shops
from imgsearch.settings import Settings
from imgsearch.spaces.space import ensure
from tests.conftest import with_settings
from tests.hostile.table import VALUES
from tests.shop import Row, database, fill

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Call:
    """A public function, and arguments that it takes as they are."""

    function: Callable[..., Any]
    arguments: dict[str, Any]


@pytest.fixture(scope="module")
def settings(
    servers: embedded.Servers, template_with_space: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    with database(servers, template_with_space) as made:
        store = tmp_path_factory.mktemp("store").as_uri()
        yield with_settings(made, STORAGE_URL=store, REDIS_URL="", MODEL=FAKE)


@pytest.fixture(scope="module")
def shop(settings: Settings) -> Iterator[tuple[Connection, dict[str, Call]]]:
    with db.connect(settings, autocommit=True) as connection:
        from imgsearch.dev.testing import FakeEncoder

        space = ensure(connection, FakeEncoder().describe())
        vectors = [[float(n == at) for at in range(space.dimension)] for n in range(4)]
        images = fill(connection, space, [Row(vector=vector, tenant="default", category="shoes") for vector in vectors])
        yield connection, _calls(settings, images, vectors[0])


def _calls(settings: Settings, images: list[int], vector: list[float]) -> dict[str, Call]:
    picture = _picture()
    asked: dict[str, Any] = {"query": vector, "timeout": 0.01}
    one: dict[str, Any] = {"tenant": "default", "product_id": "p0"}
    calls = [
        Call(imgsearch.add, {"picture": picture, "product_id": "new", "settings": settings}),
        Call(imgsearch.change, {"product_id": "p0", "price": 3}),
        Call(imgsearch.remove, {"tenant": "default", "product_id": "gone"}),
        Call(imgsearch.inspected, {"picture": picture}),
        Call(imgsearch.search, asked),
        Call(imgsearch.explain, asked),
        Call(imgsearch.resolve, {**asked, "primary": ""}),
        Call(imgsearch.recommend, {"like": [ImageId(images[0])], "timeout": 0.01}),
        Call(imgsearch.explain_recommend, {"like": [ImageId(images[0])], "timeout": 0.01}),
        Call(imgsearch.facets, {}),
        Call(imgsearch.browse_products, {}),
        Call(imgsearch.duplicates_of, {"image_id": images[0]}),
        Call(imgsearch.give_vectors, {"space": None, "rows": []}),
        Call(merchandise.pin, one),
        Call(merchandise.hide, one),
        Call(merchandise.unpin, one),
        Call(merchandise.listed, {}),
        Call(shops.set_shop, {"tenant": "default"}),
        Call(shops.show, {"tenant": "default"}),
        Call(shops.suggest, {"typed": "re"}),
        Call(imgsearch.attach, {"table": "nothing", "image": "url", "key": "id"}),
        Call(imgsearch.attach_query, {"name": "nothing", "query": "SELECT 1"}),
        Call(imgsearch.detach, {"table": "nothing"}),
        Call(imgsearch.refresh, {"table": "nothing", "keys": []}),
        Call(backfilled, {"table": "nothing"}),
        Call(imgsearch.drift, {"table": "nothing"}),
        Call(imgsearch.repair, {"table": "nothing"}),
    ]
    return {call.function.__name__: call for call in calls}


# What is not tried, with the reason.
BESIDE = {
    "connection": "a connection is tried by tests of its own",
    "settings": "an object of ours",
    "store": "an object of ours",
    "notify": "a function of the caller's",
}
WITHIN = {"filters": Filters, "ranking": Ranking}  # values of ours: each of their fields is tried


def backfilled(connection: Connection, table: str, *, size: int = 2000) -> list[int]:
    """`backfill`, to its end."""
    return list(imgsearch.backfill(connection, table, size=size))


def arguments_of(function: Callable[..., Any]) -> list[str]:
    """Return the names of all arguments, those of `**named` among them."""
    names: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            names += named_by(function, str(parameter.annotation))
        elif name not in BESIDE:
            names.append(name)
    return names


EXAMPLES = {"query", "like", "unlike", "seen"}
SAME = {"explain", "explain_recommend", "search", "browse_products"}  # what is within them is tried by another


def named_by(function: Callable[..., Any], annotation: str) -> list[str]:
    """Return the names that `**named: Unpack[Names]` takes; of `Any` those of search and attach."""
    if annotation == "Any":
        return arguments_of(imgsearch.attach if function is imgsearch.attach_query else imgsearch.search)
    names = function.__globals__[annotation.removeprefix("Unpack[").removesuffix("]")]
    return list(get_type_hints(names))


def calls_of(call: Call) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (argument, value, arguments) of each call to be tried."""
    name_of = call.function.__name__
    for argument in arguments_of(call.function):
        for name, value in VALUES.items():
            yield argument, name, {**call.arguments, argument: value()}
            if argument in WITHIN and name_of not in SAME:
                for field in get_type_hints(WITHIN[argument]):
                    yield (
                        f"{argument}.{field}",
                        name,
                        {**call.arguments, argument: WITHIN[argument](**{field: value()})},
                    )
            for kind, make in THINGS.items() if argument in EXAMPLES and name_of not in SAME else ():
                yield f"{argument}.{kind}", name, {**call.arguments, argument: partial(make, value())}


def _picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (20, 20), (200, 10, 10)).save(out, "PNG")
    return out.getvalue()


THINGS: dict[str, Callable[[Any], Any]] = {
    "thing": lambda value: [(value, 1)],
    "alone": lambda value: [value],
    "weight": lambda value: [(ImageId(1), value)],
    "ImageId": lambda value: [(ImageId(value), 1)],
    "ProductId": lambda value: [(ProductId(value), 1)],
    "ProductId.tenant": lambda value: [(ProductId("p0", value), 1)],
    "Crop.region": lambda value: [(Crop(_picture(), value), 1)],
    "Crop.picture": lambda value: [(Crop(value, [0, 0, 1, 1]), 1)],
}


NAMES = [
    "add", "change", "remove", "inspected", "search", "explain", "resolve", "recommend", "explain_recommend", "facets",
    "browse_products", "duplicates_of", "give_vectors", "pin", "hide", "unpin", "listed", "set_shop", "show", "suggest",
    "attach", "attach_query", "detach", "refresh", "backfilled", "drift", "repair",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_only_errors_of_ours_come_out(
    shop: tuple[Connection, dict[str, Call]], name: str, record_property: Any
) -> None:
    connection, calls = shop
    raw: list[str] = []
    outcomes: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for argument, value, arguments in calls_of(calls[name]):
            try:
                with connection.transaction(force_rollback=True):
                    arguments = {name: one() if isinstance(one, partial) else one for name, one in arguments.items()}
                    calls[name].function(*_leading(calls[name].function, connection), **arguments)
                outcomes["taken"] += 1
            except ImgsearchError as error:
                outcomes["refused"] += 1
                if isinstance(error, DatabaseError):
                    raw.append(f"{argument} = {value}: {type(error).__name__}: {str(error)[:150]}")
                if not str(error).strip():
                    raw.append(f"{argument} = {value}: says nothing")
            except Exception as error:  # noqa: BLE001 - that is what is counted
                raw.append(f"{argument} = {value}: {type(error).__name__}: {str(error)[:150]}")
    record_property("tried", sum(outcomes.values()) + len(raw))
    print(f"{name}: {sum(outcomes.values()) + len(raw)} tried, {dict(outcomes)}, {len(raw)} raw")
    assert raw == []


def _leading(function: Callable[..., Any], connection: Connection) -> list[Any]:
    return [connection] if "connection" in inspect.signature(function).parameters else []


def test_every_public_function_is_in_the_table() -> None:
    functions = {name for name in imgsearch.__all__ if inspect.isfunction(getattr(imgsearch, name))}
    others = {
        "backfill",
        "attachments",
        "forget",
        "nearest",
        "pictures_of",
        "sweep_store",
    }  # without values, or tried elsewhere
    assert functions - others <= set(NAMES)
