"""Questions in words with judgements, which follow from how the catalogue was drawn.

SKU: a code; that product alone is right. Misspelt brand: one slip of the fingers; every product of the brand is right.
Brand + look: a brand and words that no title holds, the vector of the look; of the brand and the look 3, of one of the
two 1. Looks alone: words that no title holds, in every third question beside the word that half of the titles
hold; products of the look are right.

The vector of a text is drawn as in `bench.vectors`: anywhere where the words say nothing of looks (a SKU); where
they name a brand alone, of something that the brand makes.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from bench import copying, shop, vectors
from bench.dataset import Dataset
from bench.titles import COMMON, LOOKS, Titles, misspelt

CLASSES = ("sku", "misspelt brand", "brand + look", "looks alone")
SEED = 7  # of the dataset whose world is drawn again here
_FEWEST = 2  # products that are of the brand and of the look


@dataclass(frozen=True)
class Judged:
    """A question, its vector (dim,) float16, and the products that fit: {number: grade}."""

    kind: str
    text: str
    vector: NDArray[np.float16]
    grades: Mapping[Hashable, float]


def questions(data: Dataset, named: Titles, many: int) -> list[Judged]:
    """Draw `many` questions, as many of each class; the same ones each time."""
    rng, goods = np.random.default_rng((data.rows, 29)), data.products
    made = vectors.world(SEED, data.rows, data.dim)
    looks = (" ".join(words) for words in itertools.permutations(LOOKS, 3))
    each, found = many // len(CLASSES), list[Judged]()

    def add(kind: str, text: str, cluster: int, grades: NDArray[Any]) -> None:
        vector = vectors.texts(made, np.array([cluster]), rng)[0].astype(np.float16)
        found.append(Judged(kind, text, vector, {int(n): float(grades[n]) for n in np.flatnonzero(grades)}))

    numbers = np.arange(len(goods.brand))
    for product in rng.choice(numbers, each, replace=False).tolist():
        add("sku", named.skus[product], int(rng.choice(goods.cluster)), numbers == product)
    for product in _of_different_brands(goods, rng)[:each]:
        slip = misspelt(named.brands[goods.brand[product]], rng)
        add("misspelt brand", slip, int(goods.cluster[product]), goods.brand == goods.brand[product])
    for product in _with_a_sibling(goods, rng)[:each]:
        brand, look = goods.brand == goods.brand[product], goods.cluster == goods.cluster[product]
        text = f"{named.brands[goods.brand[product]]} {next(looks)}"
        add("brand + look", text, int(goods.cluster[product]), np.where(brand & look, 3, 1 * (brand | look)))
    for number, product in enumerate(rng.choice(numbers, each, replace=False).tolist()):
        text = next(looks) + (f" {COMMON}" if number % 3 == 0 else "")
        add("looks alone", text, int(goods.cluster[product]), goods.cluster == goods.cluster[product])
    return found


def _of_different_brands(goods: shop.Goods, rng: np.random.Generator) -> list[int]:
    order = rng.permutation(len(goods.brand))
    _, first = np.unique(goods.brand[order], return_index=True)
    return [int(place) for place in rng.permutation(order[first])]


def _with_a_sibling(goods: shop.Goods, rng: np.random.Generator) -> list[int]:
    """Return products, of different brands, of whose brand and look there are at least _FEWEST."""
    pair = goods.cluster.astype(np.int64) * (int(goods.brand.max()) + 1) + goods.brand
    _, inverse, counts = np.unique(pair, return_inverse=True, return_counts=True)
    return [product for product in _of_different_brands(goods, rng) if counts[inverse[product]] >= _FEWEST]


def teach(connection: psycopg.Connection[Any], asked: Sequence[Judged]) -> None:
    """Give the database the vectors of the questions, as if a worker had embedded them."""
    forget(connection, asked)
    copying.register(connection)
    with connection.cursor() as cursor:
        cursor.executemany(
            """INSERT INTO imgsearch.query_vector (space_id, kind, key, embedding, answered_at)
               SELECT space_id, 'text', sha256(convert_to(imgsearch_internal.canonical(%s::text), 'UTF8')), %s, now()
               FROM imgsearch.space WHERE state = 'active'
               ON CONFLICT DO NOTHING""",
            [(one.text, copying.Halfvec(one.vector)) for one in asked],
        )


def forget(connection: psycopg.Connection[Any], asked: Sequence[Judged]) -> None:
    """Take them away again."""
    with connection.cursor() as cursor:
        cursor.executemany(
            """DELETE FROM imgsearch.query_vector
               WHERE kind = 'text' AND key = sha256(convert_to(imgsearch_internal.canonical(%s::text), 'UTF8'))""",
            [(one.text,) for one in asked],
        )


def product_numbers(rows: Sequence[Sequence[Any]], column: int) -> Iterator[int]:
    """Yield the products' numbers of rows whose `column` is a product_id of the bench."""
    for row in rows:
        yield int(str(row[column]).removeprefix("product-"))
