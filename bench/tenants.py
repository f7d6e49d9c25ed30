"""Large tenants: the graph of all against one of their own, the same questions in turn, and what writing two costs.

python -m bench.tenants                     cells of tenants of 5, 10, 30 and 50 % of 120,000 pictures
python -m bench.tenants --writes            milliseconds of a vector that is put into one graph, and into two
python -m bench.tenants --old URL           a release before in the place of "without"

One server, two databases of the same shop: in one each large tenant has its graph. The clock is the processor time of
the two server processes; of three tries of a question the fastest counts. Two of the tenants are general, two sell what
lies together (`special`): their questions come from near (corr), far (anti) and anywhere (unc).
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg.sql import SQL, Identifier

from bench import against, load, shop
from bench.against import Asking
from bench.cells import Cell
from bench.choice import Choice
from bench.dataset import Dataset, dataset
from bench.filters import Filter
from bench.methods import Sessions
from bench.product import Nearest, SearchSql
from bench.truth import Judge

SPECIAL = ("large-30", "large-5")
COPY = "tenants"
Chooser = Callable[[int], Filter | None]


def dealt(data: Dataset) -> Dataset:
    """Return the same shop with its products dealt out anew: four large tenants, the rest to small ones."""
    names, goods = shop.tenant_names(), data.products
    rng = np.random.default_rng(23)
    tenant = (2 * len(shop.TENANT_SHARES) + rng.integers(0, shop.SMALL_TENANTS, len(goods.tenant))).astype(np.int32)
    free = np.ones(len(tenant), dtype=bool)
    near = np.argsort(data.centroids @ rng.standard_normal(data.dim).astype(np.float32))
    place = np.argsort(near)[goods.category]  # categories that lie together, one after the other
    for name in sorted(shop.LARGE, key=lambda name: name not in SPECIAL):
        many = round(int(name.partition("-")[2]) / 100 * len(tenant))
        own = rng.permutation(np.flatnonzero(free))
        if name in SPECIAL:
            own = own[np.argsort(place[own] if name == SPECIAL[0] else -place[own], kind="stable")]
        tenant[own[:many]] = names.index(name)
        free[own[:many]] = False
    folder = data.folder.with_name(f"{data.folder.name}-tenants")
    folder.mkdir(exist_ok=True)
    return replace(data, folder=folder, products=replace(goods, tenant=tenant))


def cells(data: Dataset) -> Iterator[Cell]:
    """Yield a tenant's whole, half of its prices and what it has in stock, for each kind of question."""
    for kind in ("image", "text"):
        choice = Choice(data, kind)
        yield Cell(name=f"{kind} unfiltered", kind=kind, weight=choice.weight, choose=lambda _: Filter())
        for tenant in shop.LARGE:
            for name, chooser in _filters(choice, tenant).items():
                for tie in ("unc", "corr", "anti") if tenant in SPECIAL and not name else ("unc",):
                    ranked = partial(choice.far_from_tenant, tenant)
                    yield Cell(
                        name=f"{kind} {tenant}{name} {tie}",
                        kind=kind,
                        weight=choice.weight,
                        choose=chooser,
                        rank=None if tie == "unc" else partial(_signed, ranked, tie),
                    )


def _filters(choice: Choice, tenant: str) -> dict[str, Chooser]:
    def priced(query: int) -> Filter:
        low, high = choice.price(query, 0.5, "unc")
        return Filter(tenant=tenant, min_price=low, max_price=high)

    stocked = Filter(tenant=tenant, in_stock=True)
    return {"": lambda _: Filter(tenant=tenant), " price 50%": priced, " in stock": lambda _: stocked}


def _signed(ranked: Callable[[], Any], tie: str) -> Any:
    return ranked() if tie == "corr" else -ranked()


def databases(data: Dataset, tenants: Sequence[str], say: load.Say = print) -> tuple[str, str]:
    """Return the URLs of the shop without graphs of tenants, and of a copy where these have theirs."""
    from imgsearch.ops import tenant_graphs
    from imgsearch.settings import load_settings

    url = load.ready(data, say)
    copy = psycopg.conninfo.make_conninfo(url, dbname=COPY)
    with psycopg.connect(psycopg.conninfo.make_conninfo(url, dbname="template1"), autocommit=True) as connection:
        there = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [COPY]).fetchone()
        if not there:
            name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
            connection.execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(COPY), Identifier(str(name))))
    load.schema.upgrade(load_settings({"DATABASE_URL": copy}))
    for tenant in tenants:
        began = time.perf_counter()
        made = tenant_graphs.keep(load_settings({"DATABASE_URL": copy}), tenant, memory="2GB")
        say(f"{tenant}: {', '.join(made) or 'there'} in {time.perf_counter() - began:.0f} s")
    return url, copy


def writes(urls: tuple[str, str], tenant: str, many: int = 200, turns: int = 5) -> None:
    """Print what a backend spends on a new vector of a tenant, without and with a graph of its own."""
    # Of pictures nobody has; each lot is taken back.
    put = """INSERT INTO imgsearch.embedding_1 (tenant_id, image_id, sha256, embedding)
             SELECT %s, 1000000000 + e.image_id, e.sha256, e.embedding FROM ONLY imgsearch.embedding_1 e
             WHERE e.tenant_id <> %s ORDER BY e.image_id OFFSET %s LIMIT %s"""
    best = [float("inf"), float("inf")]
    for turn in range(turns):
        for number, url in enumerate(urls):
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("SET session_replication_role = replica")
                sessions = Path(f"/proc/{connection.info.backend_pid}/schedstat")
                began = int(sessions.read_text().split()[0])
                with connection.transaction(force_rollback=True):
                    connection.execute(put, [tenant, tenant, turn * many, many])
                best[number] = min(best[number], (int(sessions.read_text().split()[0]) - began) / 1e6 / many)
    print(f"{tenant}: {best[0]:.2f} ms a vector, with its own graph {best[1]:.2f} ms, x {best[1] / best[0]:.2f}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line per cell, then the geometric mean of the ratios and the lowest recall."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=120_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--queries", type=int, default=40, help="questions per cell (40)")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--cells", default="", metavar="REGEX", help="only cells whose name matches")
    parser.add_argument("--tenants", default=",".join(shop.LARGE), help="who gets a graph")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nearest", action="store_true", help="ask nearest() in place of search()")
    parser.add_argument("--walled", metavar="ROLE", help="asked as this role, which speaks for the tenant")
    parser.add_argument("--old", metavar="URL", help="compare with this database, of a release before")
    parser.add_argument("--writes", action="store_true", help="put vectors, ask nothing")
    given = parser.parse_args(arguments)
    data = dealt(dataset(given.rows, given.dim))
    urls = databases(data, given.tenants.split(","))
    if given.writes:
        for tenant in given.tenants.split(","):
            writes(urls, tenant)
        return
    way = Nearest if given.nearest else SearchSql
    both = way(data, Sessions(given.old or urls[0], {}, given.walled)), way(data, Sessions(urls[1], {}, given.walled))
    how = Asking(questions=given.queries, k=given.k, judge=Judge(data), cpu=True, seed=given.seed)
    pairs = []
    for cell in cells(data):
        if given.walled:
            cell = replace(cell, walled=True)
        if re.search(given.cells, cell.name) and not (given.walled and "unfiltered" in cell.name):
            pair = against.compare(both, cell, how)
            if pair is not None:
                pairs.append(pair)
                print(against.line(pair), flush=True)
    against.summary(pairs)
    for method in both:
        method.close()


if __name__ == "__main__":
    main()
