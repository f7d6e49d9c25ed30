"""What one tenant asks: unknown to others in SQL, embedded once for all who wait, silent to who listens."""

from __future__ import annotations

import psycopg
import pytest

from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import DatabaseRights
from imgsearch.query import cache
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.answering import answering
from tests.speaking import speak_for
from tests.test_walls import As, Connection, acting, shop, tenants_of

__all__ = ["acting", "shop"]


def test_what_a_neighbour_asked_is_unknown_behind_the_wall(
    shop: Connection, space: Space, settings: Settings, acting: As
) -> None:
    """vec() and embed() know a tenant's own questions; where none is set, a role of one tenant may not ask."""
    walled = {
        name: acting("imgsearch_reader", options=f"-c imgsearch.tenant={name}") for name in ("tenant1", "tenant2")
    }
    known = "SELECT imgsearch.vec('zebra') IS NOT NULL"
    with answering(settings, space) as asked:
        for number, reader in enumerate(walled.values(), 1):
            with pytest.raises(psycopg.Error, match="no embedding is cached"):
                reader.execute(known)
            reader.execute("CALL imgsearch.embed('zebra')")
            assert len(asked) == number, "each tenant's first question goes to the worker"
            assert reader.execute(known).fetchone() == (True,)
            assert reader.execute("SELECT count(*) FROM imgsearch.search('zebra', k => 3)").fetchone() == (3,)
            reader.execute("CALL imgsearch.embed('zebra')")
            assert len(asked) == number
            assert tenants_of(reader, "SELECT tenant_id FROM imgsearch.query_vector") <= {f"tenant{number}"}
        with pytest.raises(psycopg.Error, match="no embedding is cached"):
            shop.execute("SELECT imgsearch.vec('zebra')")
    nobody = acting("imgsearch_reader")
    assert tenants_of(nobody, "SELECT tenant_id FROM imgsearch.query_vector") == set()
    with pytest.raises(psycopg.Error, match="none is set"):
        nobody.execute("CALL imgsearch.embed('zebra')")
    with pytest.raises(DatabaseRights, match="none is set"):
        cache.ask(nobody, cache.of_text("zebra"))


def test_words_that_several_tenants_wait_for_are_embedded_once(shop: Connection, space: Space) -> None:
    question = cache.of_text("zebra")
    tenants = ("tenant1", "tenant2", "")
    for tenant in tenants:
        speak_for(shop, tenant)
        cache.ask(shop, question)
    [asked] = cache.claim(shop, space.space_id, 9)
    shop.execute("LISTEN imgsearch_answer")
    cache.answer(shop, space.space_id, asked, FakeEncoder().embed_texts(["zebra"])[0])
    heard = {one.payload for one in shop.notifies(timeout=5, stop_after=3)}
    tickets = set()
    for tenant in tenants:
        speak_for(shop, tenant)
        found = cache.look_up(shop, question)
        assert found is not None
        assert found.answered
        tickets.add(found.ticket)
    assert heard == tickets
    assert len(tickets) == 3
    speak_for(shop, "tenant3")
    unknown = cache.look_up(shop, question)
    assert unknown is not None
    assert not unknown.answered


def test_who_listens_hears_nothing_of_what_is_asked(shop: Connection, space: Space, acting: As) -> None:
    """Everybody may LISTEN; what is said there is a random number that only the asker can read."""
    ear = acting("imgsearch_reader", options="-c imgsearch.tenant=tenant2")
    ear.execute("LISTEN imgsearch_answer; LISTEN imgsearch_query")
    speak_for(shop, "tenant1")
    question = cache.of_text("zebra")
    cache.ask(shop, question)
    cache.answer(shop, space.space_id, question, FakeEncoder().embed_texts(["zebra"])[0])
    heard = [one.payload for one in ear.notifies(timeout=5, stop_after=2)]
    found = cache.look_up(shop, question)
    assert found is not None
    assert heard == ["", found.ticket]
    assert ear.execute("SELECT count(*) FROM imgsearch.query_vector").fetchone() == (0,)
