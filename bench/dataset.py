"""One drawn shop: pictures, their filter columns, and queries that are in nobody's shop. Drawn once, kept as files."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import shop, vectors
from bench.vectors import Floats, Whole

OUT = Path(__file__).resolve().parent / "out"
SIZES = np.array([1, 5, 20])  # pictures per product where they are alike
ALIKE = 0.36  # their spread: cosines of 0.89 to 0.97 within a product
POOL = 3000  # queries of each kind to choose from
FORMAT = 3  # raise it when the drawing changes: older files are then drawn anew


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Rows 0 … n-1 are pictures; picture r has image_id r + 1 and belongs to product `product_of[r]`.

    vectors: (n, dim) float16, memory-mapped, as halfvec stores them. image_queries, text_queries: (POOL, dim) float16;
    query i of either kind speaks of the goods `asked` at i.
    """

    folder: Path
    rows: int
    dim: int
    vectors: NDArray[np.float16]
    product_of: Whole
    position: Whole
    products: shop.Goods
    asked: shop.Goods
    image_queries: NDArray[np.float16]
    text_queries: NDArray[np.float16]

    @cached_property
    def mean(self) -> Floats:
        """The mean picture vector (dim,), rounded as the database's halfvec rounds it."""
        sample = np.asarray(self.vectors[:: max(1, self.rows // 20_000)], dtype=np.float32)
        mean: Floats = sample.mean(axis=0).astype(np.float16).astype(np.float32)
        return mean

    @cached_property
    def pictures(self) -> shop.Goods:
        """The goods of every picture, one entry per row."""
        taken = {field.name: getattr(self.products, field.name)[self.product_of] for field in fields(shop.Goods)}
        return shop.Goods(**taken)

    @cached_property
    def centroids(self) -> Floats:
        """The mean vector of each category (categories, dim), of length one; zero where a category has no picture."""
        total = np.zeros(
            (int(self.asked.category.max() + self.products.category.max()) + 2, self.dim), dtype=np.float32
        )
        for start in range(0, self.rows, vectors.CHUNK):
            part = slice(start, start + vectors.CHUNK)
            np.add.at(total, self.pictures.category[part], self.vectors[part].astype(np.float32))
        total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)
        return total

    def queries(self, kind: str) -> NDArray[np.float16]:
        """Return the queries of a kind, `image` or `text`."""
        return self.image_queries if kind == "image" else self.text_queries


def folder_of(rows: int, dim: int, seed: int, *, alike: bool = False, structure: str = "usual") -> Path:
    """Return where everything about one dataset is kept, its database included."""
    return OUT / f"{rows}x{dim}-{seed}{'-alike' if alike else ''}{'' if structure == 'usual' else f'-{structure}'}"


def dataset(rows: int, dim: int, seed: int = 7, *, alike: bool = False, structure: str = "usual") -> Dataset:
    """Return the dataset, drawn now or read from an earlier run's files.

    alike: a third of the pictures each belong to products of 1, 5 and 20 near-alike ones, the size one per category.
    structure: one of vectors.STRUCTURES, how pictures lie.
    """
    folder = folder_of(rows, dim, seed, alike=alike, structure=structure)
    stamp = folder / "format"
    if not stamp.exists() or stamp.read_text() != str(FORMAT):
        folder.mkdir(parents=True, exist_ok=True)
        _draw(folder, rows, dim, seed, alike=alike, structure=structure)
        stamp.write_text(str(FORMAT))
    with np.load(folder / "shop.npz") as kept:
        arrays = dict(kept)
    return Dataset(
        folder=folder,
        rows=rows,
        dim=dim,
        vectors=np.load(folder / "vectors.npy", mmap_mode="r"),
        product_of=arrays["product_of"],
        position=arrays["position"],
        products=_goods(arrays, "product"),
        asked=_goods(arrays, "asked"),
        image_queries=arrays["image_queries"],
        text_queries=arrays["text_queries"],
    )


def _goods(arrays: dict[str, Any], prefix: str) -> shop.Goods:
    return shop.Goods(**{field.name: arrays[f"{prefix}.{field.name}"] for field in fields(shop.Goods)})


def _draw(folder: Path, rows: int, dim: int, seed: int, *, alike: bool, structure: str) -> None:
    made = vectors.world(seed, rows, dim, structure=vectors.STRUCTURES[structure])
    rng = np.random.default_rng((seed, 3))
    if alike:
        made = replace(made, weight=made.weight / SIZES[made.category_of % 3])
        made = replace(made, weight=made.weight / made.weight.sum())
        products, latent = shop.goods(made, rows // 2, seed)
        many = SIZES[products.category % 3]
    else:
        many = rng.choice(3, rows, p=(0.6, 0.3, 0.1)) + 1  # pictures per product
    many = many[: int(np.searchsorted(np.cumsum(many), rows)) + 1]
    if alike:
        products, latent = products.first(len(many)), latent[: len(many)]
    else:
        products, latent = shop.goods(made, len(many), seed)
    product_of = np.repeat(np.arange(len(many), dtype=np.int32), many)[:rows]
    position = (np.arange(rows) - np.searchsorted(product_of, product_of)).astype(np.int32)
    # Heap order says nothing about a product, as after months of uploads.
    shuffled = rng.permutation(rows)
    product_of, position = product_of[shuffled], position[shuffled]
    asked, asked_latent = shop.goods(made, POOL, seed + 1, level=0.5)
    writer = np.lib.format.open_memmap(folder / "vectors.npy", mode="w+", dtype=np.float16, shape=(rows, dim))
    start = 0
    for chunk in vectors.halves(made, latent, product_of, seed, ALIKE if alike else None):
        writer[start : start + len(chunk)] = chunk
        start += len(chunk)
    writer.flush()
    arrays: dict[str, Any] = {
        "product_of": product_of,
        "position": position,
        "image_queries": vectors.pictures(made, asked_latent, rng).astype(np.float16),
        "text_queries": vectors.texts(made, asked.cluster, rng).astype(np.float16),
    }
    for prefix, goods in (("product", products), ("asked", asked)):
        arrays |= {f"{prefix}.{field.name}": getattr(goods, field.name) for field in fields(shop.Goods)}
    np.savez(folder / "shop.npz", allow_pickle=False, **arrays)
