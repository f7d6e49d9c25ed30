"""Waiting for a silent host or a hung worker keeps nobody else waiting, and is not done in vain."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgsearch.errors import Busy, NoQueryWorker, PictureError, QueryTimeout
from imgsearch.flask import Identity, ImageSearch, create_app
from imgsearch.http.waiting import Breaker, Turns
from imgsearch.settings import Settings
from tests.conftest import with_settings
from tests.faulty_http import serving
from tests.http.conftest import Address, Teach, on_a_socket, problem, with_key
from tests.processes import eventually

Connection = psycopg.Connection[Any]
KeyOf = Callable[..., str]
PATIENCE = 10.0  # seconds that a text waits here; what does not wait must take far less


@contextmanager
def silent_host() -> Iterator[int]:
    """A host that takes a request and says nothing until the block ends."""
    goes_on = threading.Event()
    with serving(lambda asked: goes_on.wait(60) and None) as server:
        try:
            yield server.port
        finally:
            goes_on.set()


def ask(place: Address, key: str, body: dict[str, Any] | None, path: str = "/v1/search") -> tuple[int, str, float]:
    """Return status, code of the problem and seconds of a request."""
    began = time.monotonic()
    connection = http.client.HTTPConnection(*place, timeout=60)
    headers = {"Content-Type": "application/json", **with_key(key)}
    connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    found = json.loads(answer.read())
    connection.close()
    if answer.status == 503:
        assert int(answer.headers["Retry-After"]) >= 1
    return answer.status, found.get("code", ""), time.monotonic() - began


@pytest.mark.slow
def test_forty_requests_that_wait_keep_nobody_else_waiting(
    settings: Settings, shop: list[int], key_of: KeyOf, seen_worker: None, connection: Connection
) -> None:
    mine, other = key_of("acme"), key_of("bolt")
    with silent_host() as port, ThreadPoolExecutor(60) as pool:
        values = {"FETCH_ALLOW": f"127.0.0.1:{port}", "QUERY_TIMEOUT": f"{PATIENCE}", "HTTP_THREADS": "16"}
        app = create_app(with_settings(settings, HTTP_RATE="0", **values).environment())

        def begin(key: str, how_often: int) -> tuple[list[Future[Any]], list[Future[Any]]]:
            urls = [f"http://127.0.0.1:{port}/{key[5:9]}{n}.jpg" for n in range(how_often)]
            fetches = [pool.submit(ask, place, key, {"picture_url": url}) for url in urls]
            texts = [pool.submit(ask, place, key, {"text": f"{key[5:9]} words {n}"}) for n in range(how_often)]
            return fetches, texts

        with on_a_socket(app, threads=16) as place:
            for asked in ({"picture_url": f"http://127.0.0.1:{port}0/"}, {"text": "red shoe"}):
                ask(place, other, asked)  # what is imported once
            fetches, texts = begin(mine, 20)
            assert eventually(lambda: [one.done() for one in fetches].count(False) == 3, PATIENCE, "three wait")
            assert eventually(lambda: [one.done() for one in texts].count(False) == 6, PATIENCE, "six wait")
            theirs = begin(other, 4)
            assert eventually(lambda: [one.done() for one in theirs[0]].count(False) == 1, PATIENCE, "a turn is left")
            assert eventually(lambda: [one.done() for one in theirs[1]].count(False) == 2, PATIENCE, "two are left")
            refused = [one.result() for one in (*fetches, *texts, *theirs[0], *theirs[1]) if one.done()]
            assert {(status, code) for status, code, _ in refused} == {(503, "busy")}
            assert max(seconds for *_, seconds in refused) < PATIENCE / 2, "said at once"
            for _ in range(10):
                status, _, seconds = ask(place, mine, None, "/healthz")
                assert (status, seconds < PATIENCE / 2) == (200, True), seconds
                status, _, seconds = ask(place, mine, {"text": "red shoe"})
                assert (status, seconds < PATIENCE / 2) == (200, True), seconds
            assert held(connection) == 0, "no connection is in a transaction meanwhile"
            assert {one.result()[:2] for one in (*texts, *theirs[1])} == {(503, "busy"), (504, "query_timeout")}
            assert ask(place, other, {"text": "once more"})[:2] == (503, "no_query_worker"), (
                "in vain, as all know by now"
            )
            assert {one.result()[:2] for one in (*fetches, *theirs[0])} == {(503, "busy"), (424, "fetch_failed")}
    app.extensions["imgsearch"].close()


def held(connection: Connection) -> int:
    """Return how many connections of the web process are in a transaction."""
    statement = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'imgsearch http' AND xact_start IS NOT NULL"
    )
    return int(connection.execute(statement + " AND datname = current_database()").fetchone()[0])  # type: ignore[index]


def test_where_no_worker_is_a_new_text_is_refused_at_once(anyone: FlaskClient, shop: list[int]) -> None:
    answer = anyone.post("/v1/search", json={"text": "never asked"})
    problem(answer, 503, "no_query_worker")
    assert answer.headers["Retry-After"]
    assert anyone.post("/v1/search", json={"text": "red shoe"}).status_code == 200
    assert anyone.get("/?q=never+asked").status_code == 503, "the page, too"


def test_after_three_waits_in_vain_one_at_a_time_looks_whether_workers_are_back(
    settings: Settings, shop: list[int], seen_worker: None, teach: Teach, connection: Connection
) -> None:
    app = create_app(with_settings(settings, QUERY_TIMEOUT="0.3").environment(), allow_anonymous=True)
    client = app.test_client()
    breaker = app.extensions["imgsearch"].waiting._breaker = Breaker(probe=60)

    def search(text: str) -> int:
        return int(client.post("/v1/search", json={"text": text}).status_code)

    assert [search(f"text {n}") for n in range(5)] == [504, 504, 504, 503, 503]
    breaker._next_probe = 0.0
    assert [search("a probe"), search("another")] == [504, 503]
    breaker._next_probe = 0.0
    waits = "SELECT 1 FROM imgsearch.query_vector WHERE query = 'an answer' AND answered_at IS NULL"

    def come_back() -> None:
        eventually(lambda: connection.execute(waits).fetchone(), 30)
        teach("an answer")

    app.extensions["imgsearch"].waiting._timeout = 30
    answering = threading.Thread(target=come_back)
    answering.start()
    assert search("an answer") == 200
    answering.join()
    app.extensions["imgsearch"].waiting._timeout = 0.1
    assert [search(f"later {n}") for n in range(2)] == [504, 504], "all is forgiven"
    app.extensions["imgsearch"].close()


def test_turns_are_limited_in_all_and_for_one() -> None:
    turns = Turns(4)
    with ExitStack() as taken:
        for _ in range(3):
            taken.enter_context(turns.turn(["one"]))
        with pytest.raises(Busy):
            taken.enter_context(turns.turn(["one"]))
        taken.enter_context(turns.turn(["other"]))
        with pytest.raises(Busy):
            taken.enter_context(turns.turn(["third"]))
    with turns.turn(["one"]):
        assert Turns(0).most == Turns(1).most == 1


def test_a_breaker_counts_what_is_in_vain_and_nothing_else() -> None:
    breaker = Breaker(timeouts=2, probe=60)

    def attempt(error: Exception | None) -> None:
        with breaker.trying("one"):
            if error:
                raise error

    for error in (QueryTimeout(), PictureError("corrupt", "damaged"), QueryTimeout(), RuntimeError()):
        with pytest.raises(type(error)):
            attempt(error)
    attempt(None)
    for _ in range(2):
        with pytest.raises(QueryTimeout, match="in time"):
            attempt(QueryTimeout())
    with pytest.raises(NoQueryWorker):
        attempt(None)


def test_one_whose_questions_nobody_can_answer_is_refused_alone() -> None:
    breaker = Breaker(timeouts=2, probe=60)

    def waits(who: str) -> bool:
        """Time out; return whether one was let in at all."""
        is_in = False
        with pytest.raises(QueryTimeout), breaker.trying(who):  # noqa: PT012 - what raises is the end of the block
            is_in = True
            raise QueryTimeout
        return is_in

    def wait_together(how_many: int) -> None:
        """Time out one after the other; the last one to begin sees another's answer."""
        with pytest.raises(QueryTimeout), breaker.trying("one"):  # noqa: PT012 - the same
            if how_many > 1:
                wait_together(how_many - 1)
            else:
                with breaker.trying("other"):
                    pass
            raise QueryTimeout

    wait_together(4)
    assert [waits("one") for _ in range(3)] == [True, True, False]
    with breaker.trying("other"):
        pass
    assert [waits(who) for who in ("one", "one", "one", "other")] == [True, True, False, True]
    assert not any(waits(who) for who in ("one", "other", "third")), "several wait in vain: it is the workers"


def test_who_looks_in_vain_keeps_nobody_from_looking() -> None:
    breaker = Breaker(timeouts=2, probe=60)
    for who in ("one", "other"):
        with pytest.raises(QueryTimeout), breaker.trying(who):
            raise QueryTimeout
    breaker._next_probe = 0.0
    with pytest.raises(QueryTimeout), breaker.trying("one"):  # noqa: PT012 - the same
        with pytest.raises(NoQueryWorker), breaker.trying("other"):
            pass
        breaker._next_probe -= 60  # a minute goes by, and the first still waits
        with pytest.raises(NoQueryWorker), breaker.trying("one"):
            pass
        with breaker.trying("other"):
            pass
        raise QueryTimeout
    with breaker.trying("one"):
        pass


def test_the_search_of_a_host_has_the_same_bounds(settings: Settings, shop: list[int], seen_worker: None) -> None:
    """A view of the host's own, on the host's own threads."""
    app = Flask("shop")
    app.config.update(with_settings(settings, HTTP_THREADS="2", QUERY_TIMEOUT="0.1").environment())
    images = ImageSearch(app, identify=lambda: Identity(name="ann", tenant="acme"))
    with app.test_request_context("/"):
        assert images.search("red shoe", tenant="acme")
        for query in ("never asked", [("never asked", 1.0), ("red shoe", 1.0)]):
            with app.extensions["imgsearch"].waiting.questions.turn("somebody"), pytest.raises(Busy):
                images.search(query, tenant="acme")
        for _ in range(3):
            with pytest.raises(QueryTimeout, match="within"):
                images.search("never asked", tenant="acme")
        with pytest.raises(NoQueryWorker):
            images.search("never asked", tenant="acme", timeout=60)
    app.extensions["imgsearch"].close()
