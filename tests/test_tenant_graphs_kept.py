"""Large tenants get a graph of their own by rule and by hand, in every space, and lose it again."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from imgsearch_workers.pipeline.tenants import Tenants

from imgsearch.ingest import upload
from imgsearch.ops import maintenance, tenant_graphs
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.crowd import crowd
from tests.loops import add_another
from tests.terminal import Run

Connection = psycopg.Connection[Any]
MANY = 1600  # 600 of them acme's, 300 bolt's, 100 each coop's and six more's
TENANTS = ("acme",) * 6 + ("bolt",) * 3 + ("coop", "dora", "emil", "fritz", "gina", "hugo", "ida")
SAID = "SELECT tenant_id, wanted, by_hand FROM imgsearch.tenant_graph ORDER BY 1"
GRAPHS = """SELECT s.space_id, g.tenant FROM imgsearch.space s, unnest(ARRAY['acme', 'bolt', 'coop']) g (tenant)
    WHERE imgsearch_internal.index_state(imgsearch_internal.tenant_graph_name(s.space_id, g.tenant)) = 'valid'
    ORDER BY 1, 2"""


@pytest.fixture
def shop(connection: Connection, space: Space) -> Connection:
    crowd(connection, space, MANY, tenants=TENANTS)
    return connection


def rows(connection: Connection, query: str) -> list[Any]:
    return connection.execute(query.encode()).fetchall()


@pytest.mark.parametrize(
    ("pictures", "share", "has", "deserved"),
    [
        (30_000, 0.3, False, True),
        (29_999, 0.3, False, False),
        (29_999, 0.3, True, True),
        (19_999, 0.3, True, False),
        (60_000, 0.41, False, False),
        (60_000, 0.41, True, True),
        (60_000, 0.51, True, False),
        (60_000, 0.06, False, False),
        (60_000, 0.06, True, True),
        (60_000, 0.04, True, False),
    ],
)
def test_what_is_made_is_not_dropped_soon(
    connection: Connection, pictures: int, share: float, has: bool, deserved: bool
) -> None:
    ask = "SELECT imgsearch_internal.deserves_graph(%s, %s, %s, 30000)"
    assert connection.execute(ask, [pictures, share, has]).fetchone() == (deserved,)


def test_an_idle_worker_makes_those_of_large_tenants_and_drops_them(shop: Connection, settings: Settings) -> None:
    assert not Tenants(settings).follow(), "too few pictures"
    worker = Tenants(settings, fewest=450)
    shop.execute(
        "INSERT INTO imgsearch.job (tenant_id, image_id, space_id)"
        " SELECT tenant_id, image_id, 1 FROM imgsearch.image LIMIT 1"
    )
    assert not worker.follow(), "a picture waits for a worker"
    shop.execute("DELETE FROM imgsearch.job")
    assert worker.follow()
    assert (rows(shop, SAID), rows(shop, GRAPHS)) == ([("acme", True, False)], [(1, "acme")])
    assert not worker.follow(), "bolt has 300"
    assert not Tenants(settings, fewest=750).follow(), "600 of 750 are enough for what stands"
    assert Tenants(settings, fewest=300).follow()
    assert rows(shop, GRAPHS) == [(1, "acme"), (1, "bolt")]
    assert worker.follow() is False, "300 are two thirds of 450"
    shop.execute("DELETE FROM imgsearch.image WHERE tenant_id = 'bolt' AND image_id % 2 = 0")
    assert worker.follow()
    assert (rows(shop, SAID), rows(shop, GRAPHS)) == ([("acme", True, False)], [(1, "acme")])


def test_what_was_said_by_hand_is_left_alone(shop: Connection, settings: Settings) -> None:
    worker = Tenants(settings, fewest=450)
    assert tenant_graphs.refuse(settings, "acme") == []
    assert not worker.follow(), "none for acme"
    assert len(tenant_graphs.keep(settings, "coop")) == 1
    assert not worker.follow(), "coop is small, and keeps it"
    assert (rows(shop, SAID), rows(shop, GRAPHS)) == ([("acme", False, True), ("coop", True, True)], [(1, "coop")])
    tenant_graphs.leave(settings, "acme")
    tenant_graphs.leave(settings, "coop")
    assert worker.follow()
    assert worker.follow()
    assert (rows(shop, SAID), rows(shop, GRAPHS)) == ([("acme", True, False)], [(1, "acme")])
    assert len(tenant_graphs.refuse(settings, "acme")) == 1
    assert rows(shop, GRAPHS) == []


def test_what_an_interrupted_build_left_is_mended_and_one_that_runs_is_let_be(
    shop: Connection, settings: Settings
) -> None:
    worker = Tenants(settings, fewest=450)
    assert worker.follow()
    shop.execute(
        "UPDATE pg_index SET indisvalid = false"
        " WHERE indexrelid = to_regclass('imgsearch.' || imgsearch_internal.tenant_graph_name(1, 'acme'))"
    )
    assert rows(shop, GRAPHS) == []
    assert worker.follow()
    assert rows(shop, GRAPHS) == [(1, "acme")]


def test_only_who_owns_the_tables_makes_any(shop: Connection) -> None:
    due = "SELECT doing FROM imgsearch_internal.tenant_graphs_due(450)"
    shop.execute("SET ROLE imgsearch_worker")
    assert rows(shop, due) == [("make",)]
    assert tenant_graphs.due(shop, fewest=450) is None


def test_a_worker_that_is_told_not_to_makes_none(settings: Settings) -> None:
    worker = Tenants(settings.model_copy(update={"tenant_graphs": "off"}))
    worker.start()
    assert not worker.lookout.is_running()
    worker.lookout.stop()


def test_every_live_space_has_them_and_a_dropped_one_takes_its_own_along(
    shop: Connection, settings: Settings, space: Space
) -> None:
    other = add_another(shop)
    shop.execute("INSERT INTO imgsearch.embedding_2 SELECT * FROM imgsearch.embedding_1")
    shop.execute("UPDATE imgsearch.image SET bits_2 = bits_1")
    shop.execute("UPDATE imgsearch.space SET filled_at = now() WHERE space_id = 2")
    shop.execute("DELETE FROM imgsearch.job")
    tenant_graphs.keep(settings, "acme")
    shop.execute("DROP INDEX IF EXISTS imgsearch.embedding_2_hnsw")
    maintenance.index_space(settings, other)
    assert rows(shop, GRAPHS) == [(1, "acme"), (2, "acme")]
    assert rows(shop, "SELECT imgsearch_internal.index_health(2)") == [("valid",)]
    assert rows(shop, "SELECT imgsearch_internal.open_space(2)") == [(True,)]
    shop.execute("VACUUM ANALYZE")
    shop.execute("SELECT set_config('imgsearch.search', '{\"ef\": 10, \"spread\": 1}', false)")
    large = """UPDATE pg_class SET reltuples = reltuples * 200 WHERE relname ~ '^embedding_\\d_hnsw';
        UPDATE imgsearch.space SET parameters = jsonb_set(parameters, '{sample,pictures}', '160000')"""
    shop.execute(large.encode())
    find = """SELECT (f.plan).tenant, (f.answer).strategy, pg_stat_get_xact_numscans(
            to_regclass('imgsearch.' || imgsearch_internal.tenant_graph_name(%s, 'acme'))) > 0 FROM {}.find(
            (SELECT embedding::halfvec FROM imgsearch.embedding_1 WHERE image_id = 1),
            imgsearch.filters_of('{{"tenant": "acme"}}'), imgsearch_internal.page_of(5)) f"""
    for number, home in ((1, "imgsearch_internal"), (2, "imgsearch_space_2")):
        with shop.transaction():
            assert shop.execute(find.format(home).encode(), [number]).fetchone() == ("acme", "hnsw", True)
    shop.execute("SELECT imgsearch.activate_space('other')")
    shop.execute("SELECT imgsearch_internal.rebuild_generated()")
    # The activation counted the pictures anew.
    shop.execute("UPDATE imgsearch.space SET parameters = jsonb_set(parameters, '{sample,pictures}', '160000')")
    with shop.transaction():
        assert shop.execute(find.format("imgsearch_internal").encode(), [2]).fetchone() == ("acme", "hnsw", True)
    shop.execute("SELECT imgsearch.drop_space(%s)", [str(space.space_id)])
    assert rows(shop, GRAPHS) == [(2, "acme")]
    assert rows(shop, "SELECT * FROM imgsearch.violations") == []


def test_a_tenant_that_is_forgotten_leaves_no_graph(shop: Connection, settings: Settings) -> None:
    tenant_graphs.keep(settings, "acme")
    upload.forget(shop, tenant="acme", store=upload.open_store(settings.storage_url))
    assert (rows(shop, SAID), rows(shop, GRAPHS)) == ([], [])


def test_what_a_role_may_not_drop_a_worker_drops(shop: Connection, settings: Settings) -> None:
    tenant_graphs.keep(settings, "acme")
    tenant_graphs.keep(settings, "bolt")
    shop.execute("SET ROLE imgsearch_admin")
    upload.forget(shop, tenant="acme", store=upload.open_store(settings.storage_url))
    shop.execute("RESET ROLE")
    assert rows(shop, "SELECT count(*) FROM imgsearch.image WHERE tenant_id = 'acme'") == [(0,)]
    assert (rows(shop, SAID), rows(shop, GRAPHS)) == ([("bolt", True, True)], [(1, "acme"), (1, "bolt")])
    Tenants(settings).follow()
    assert rows(shop, GRAPHS) == [(1, "bolt")]


def test_the_command_says_what_there_is(shop: Connection, run: Run) -> None:
    assert "No tenant has a graph of its own." in run("index", "tenant").out
    shop.execute("SET imgsearch.large_tenant = 450")
    told = rows(shop, "SELECT severity, detail, fix FROM imgsearch.doctor_tuning WHERE check_name = 'large tenant'")
    assert [one[:2] for one in told] == [
        ("advice", "tenant acme has 600 pictures, 38 % of all, and no HNSW of its own")
    ]
    assert told[0][2].startswith("imgsearch index tenant acme  --")
    assert "Its searches walk a graph of its own." in run("index", "tenant", "acme").out
    assert rows(shop, "SELECT * FROM imgsearch.doctor_tuning WHERE check_name = 'large tenant'") == []
    assert "valid one already" in run("index", "tenant", "acme").out
    [one] = run("index", "tenant", "--json").document["tenants"]
    assert (one["tenant_id"], one["state"], one["by_hand"], one["pictures"]) == ("acme", "valid", True, 600)
    assert "acme" in run("index", "tenant").out
    assert "tenant acme: a graph of its own in space fakeencoder, valid" in run("status").out
    assert "Workers decide" in run("index", "tenant", "acme", "--auto").out
    assert len(run("index", "tenant", "acme", "--drop", "--json").document["dropped"]) == 1
    assert "gets none" in run("index", "tenant", "acme", "--drop").out
    assert run("index", "tenant", "nobody").code == 2


def test_the_doctor_tells_of_one_that_is_to_be_and_is_not(shop: Connection, settings: Settings, run: Run) -> None:
    tenant_graphs.keep(settings, "acme")
    name = rows(shop, "SELECT imgsearch_internal.tenant_graph_name(1, 'acme')")[0][0]
    shop.execute(f"DROP INDEX imgsearch.{name}".encode())
    [(check, fix)] = rows(shop, "SELECT check_name, fix FROM imgsearch.doctor_indexes")
    assert (check, fix) == ("no graph of a tenant", "imgsearch index tenant acme")
    assert run(*fix.split()[1:]).code == 0
    assert rows(shop, "SELECT * FROM imgsearch.doctor_indexes") == []
